// @ts-check
/** The time axis that strips and heat map share: which steps are in sight, and where each one is. Pure. */
(function () {
  'use strict';

  const FEWEST = 50;
  const MOST = 5000;

  /**
   * The steps in sight.
   * @param {{inSight: number[]|null, pos: number|null, zoom: number|null}} state
   * @param {number} nPositions
   * @returns {[number, number]} [start, stop)
   */
  function stepsInSight({ inSight, pos, zoom }, nPositions) {
    const [low, high] = inSight || [0, Math.min(nPositions, 500)];
    const lines = Math.max(1, high - low);
    const wanted = Math.min(nPositions, Math.max(FEWEST, Math.min(MOST, zoom || lines)));
    if (zoom === null && lines >= wanted) return [low, Math.min(nPositions, low + wanted)];
    // Around the pinned position when it is in sight, else around the middle of the lines in sight.
    const centre = pos !== null && pos >= low && pos < high ? pos : Math.floor((low + high) / 2);
    const start = Math.max(0, Math.min(nPositions - wanted, centre - Math.floor(wanted / 2)));
    return [start, start + wanted];
  }

  /** Zoom by a factor from the steps now in sight. */
  function zoomed(/** @type {number} */ steps, /** @type {number} */ factor) {
    return Math.max(FEWEST, Math.min(MOST, Math.round(steps * factor)));
  }

  /** The step under a place, -1 outside. */
  function stepAt(/** @type {number} */ x, /** @type {number} */ width, /** @type {[number, number]} */ [start, stop]) {
    if (x < 0 || x >= width || stop <= start) return -1;
    return Math.min(stop - 1, start + Math.floor((x / width) * (stop - start)));
  }

  /** Round steps for tick labels: at most `most` of them, 1, 2 or 5 times a power of ten apart. */
  function ticks(/** @type {[number, number]} */ [start, stop], /** @type {number} */ most) {
    const rough = Math.max(1, (stop - start) / Math.max(1, most));
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((k) => k * power).find((size) => size >= rough) || rough;
    const out = [];
    for (let t = Math.ceil(start / step) * step; t < stop; t += step) out.push(t);
    return out;
  }

  globalThis.interp.timeAxis = { FEWEST, MOST, stepsInSight, zoomed, stepAt, ticks };
})();
