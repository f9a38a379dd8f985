// @ts-check
/**
 * From values to colours: one scale for the text, the strips and the heat map.
 *
 * Diverging and symmetric around zero, which is the page's own background, so zero stays neutral in
 * both themes. Blue and orange stay apart for all three kinds of colour blindness, and text on any
 * colour of a scale keeps a contrast of at least 4.5.
 *
 * A scale is `{limit, oneSided, stretch}`: values of magnitude `limit` get the full colour, larger
 * ones are marked as beyond; one-sided scales run from 0 to `limit`.
 * @typedef {{limit: number, oneSided?: boolean, stretch?: string}} Scale
 * @typedef {[number, number, number]} Rgb
 */
(function () {
  'use strict';
  const { VALUE_OF } = globalThis.interp.halves;

  /** @type {Record<string, Record<string, Rgb>>} */
  const PALETTES = {
    light: {
      background: [255, 255, 255],
      text: [20, 23, 28],
      negative: [92, 155, 213],
      positive: [240, 140, 60],
      oneSided: [64, 176, 154],
      missing: [203, 203, 210],
      beyond: [150, 20, 70],
      loss: [176, 142, 222],
    },
    dark: {
      background: [22, 25, 31],
      text: [255, 255, 255],
      negative: [33, 102, 172],
      positive: [190, 85, 10],
      oneSided: [8, 118, 100],
      missing: [82, 86, 96],
      beyond: [255, 130, 170],
      loss: [112, 78, 168],
    },
  };

  /**
   * Where a value lies on a scale: -1 to 1 for diverging scales, 0 to 1 for one-sided ones.
   * @param {number} value @param {Scale} scale @returns {number} NaN for NaN
   */
  function placeOnScale(value, scale) {
    const low = scale.oneSided ? 0 : -1;
    const place = Math.max(low, Math.min(1, value / scale.limit));
    return scale.stretch === 'root' ? Math.sign(place) * Math.sqrt(Math.abs(place)) : place;
  }

  /** Whether a value lies outside the scale, so that its colour alone would understate it. */
  function isBeyond(/** @type {number} */ value, /** @type {Scale} */ scale) {
    return Math.abs(value) > scale.limit * 1.0001 || (!!scale.oneSided && value < -1e-6);
  }

  /**
   * @param {number} place -1 to 1, or NaN
   * @param {string} theme
   * @param {string} [hue] palette entry for one-sided scales
   * @returns {Rgb}
   */
  function colourAt(place, theme, hue) {
    const palette = PALETTES[theme] || PALETTES.light;
    if (Number.isNaN(place)) return palette.missing;
    const end = hue ? palette[hue] : place < 0 ? palette.negative : palette.positive;
    const share = Math.abs(place);
    const blend = (/** @type {number} */ k) =>
      Math.round(palette.background[k] + share * (end[k] - palette.background[k]));
    return [blend(0), blend(1), blend(2)];
  }

  /** @param {number} value @param {Scale} scale @param {string} theme @returns {Rgb} */
  function colourOf(value, scale, theme) {
    return colourAt(placeOnScale(value, scale), theme, scale.oneSided ? 'oneSided' : undefined);
  }

  /** @param {Rgb} rgb @returns {number} a little-endian RGBA pixel */
  const toPixel = (rgb) => ((255 << 24) | (rgb[2] << 16) | (rgb[1] << 8) | rgb[0]) >>> 0;
  /** @param {Rgb} rgb */
  const toCss = (rgb) => `rgb(${rgb[0]},${rgb[1]},${rgb[2]})`;

  /**
   * The colour of every half-precision number: pixels, and whether it lies beyond the scale.
   * @param {Scale} scale @param {string} theme @param {string} [hue] for one-sided tracks
   * @returns {{pixels: Uint32Array, beyond: Uint8Array}}
   */
  function colourTable(scale, theme, hue) {
    const key = `${scale.limit}|${scale.oneSided}|${scale.stretch}|${theme}|${hue}`;
    const known = tables.get(key);
    if (known) return known;
    if (tables.size >= 32) tables.clear();
    const made = makeTable(scale, theme, hue);
    tables.set(key, made);
    return made;
  }

  /** @type {Map<string, {pixels: Uint32Array, beyond: Uint8Array}>} */
  const tables = new Map();

  function makeTable(/** @type {Scale} */ scale, /** @type {string} */ theme, /** @type {string|undefined} */ hue) {
    const steps = 255;
    const ramp = new Uint32Array(2 * steps + 1);
    const one = hue || (scale.oneSided ? 'oneSided' : undefined);
    for (let i = 0; i < ramp.length; i++) ramp[i] = toPixel(colourAt((i - steps) / steps, theme, one));
    const missing = toPixel(colourAt(NaN, theme));
    const pixels = new Uint32Array(65536);
    const beyond = new Uint8Array(65536);
    for (let bits = 0; bits < 65536; bits++) {
      const value = VALUE_OF[bits];
      const place = placeOnScale(value, scale);
      pixels[bits] = Number.isNaN(place) ? missing : ramp[Math.round(place * steps) + steps];
      beyond[bits] = isBeyond(value, scale) ? 1 : 0;
    }
    return { pixels, beyond };
  }

  /** Relative luminance and contrast as WCAG 2 defines them. */
  function luminance(/** @type {Rgb} */ rgb) {
    const [r, g, b] = rgb.map((channel) => {
      const c = channel / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }
  function contrast(/** @type {Rgb} */ a, /** @type {Rgb} */ b) {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  }

  /**
   * The scale that a state of the page asks for.
   * @param {{scale: number|null, stretch: string}} state
   * @param {{oneSided: boolean}|null} site
   * @param {number} robust the unit's own limit
   * @returns {Scale}
   */
  function scaleFor(state, site, robust) {
    const oneSided = !!(site && site.oneSided);
    // Gates live in [0, 1]; a robust scale would make a nearly shut gate look open.
    const limit = state.scale !== null && state.scale > 0 ? state.scale : oneSided ? 1 : robust;
    return { limit, oneSided, stretch: state.stretch };
  }

  /** A value with the digits that a reader can use, the minus sign as a true minus. */
  function formatValue(/** @type {number} */ value, digits = 3) {
    if (value === null || value === undefined || Number.isNaN(value)) return '–';
    if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
    const size = Math.abs(value);
    // Two digits are asked for where numbers are compared: there a tiny one is nothing.
    const tiny = digits > 2 && size !== 0 && size < 5e-4;
    const text = tiny || size >= 1e5 ? size.toExponential(2) : size.toFixed(digits);
    return (value < 0 && Number(text) !== 0 ? '−' : '') + text;
  }

  globalThis.interp.colour = {
    PALETTES, placeOnScale, isBeyond, colourAt, colourOf, colourTable, contrast, scaleFor, toCss,
    toPixel, formatValue,
  };
})();
