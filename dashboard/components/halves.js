// @ts-check
/**
 * Half-precision numbers as they come over the wire: raw 16-bit patterns.
 *
 * All 65,536 of them are decoded once; from then on a value is one table look-up, and so is its
 * colour, which is why values stay bit patterns until someone reads a number.
 */
(function () {
  'use strict';

  /** @param {number} bits 0 to 65535 @returns {number} */
  function decodeHalf(bits) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }

  const VALUE_OF = Float32Array.from({ length: 65536 }, (_, bits) => decodeHalf(bits));

  /** @param {Uint16Array} bits @returns {Float32Array} */
  function decodeHalves(bits) {
    const out = new Float32Array(bits.length);
    for (let i = 0; i < bits.length; i++) out[i] = VALUE_OF[bits[i]];
    return out;
  }

  globalThis.interp = globalThis.interp || {};
  globalThis.interp.halves = { VALUE_OF, decodeHalf, decodeHalves };
})();
