// @ts-check
/**
 * Drawing one strip: each step's colour as in the text, and a line for the values over it. Where a
 * pixel holds several steps, the colour is that of the value farthest from zero and the line spans
 * from the lowest to the highest, so that no peak is lost.
 */
(function () {
  'use strict';
  const { VALUE_OF } = globalThis.interp.halves;
  const { PALETTES, isBeyond, toCss, toPixel } = globalThis.interp.colour;

  /** Where a value is drawn: 0 the strip's lower end, 1 its upper end. */
  function heightOf(/** @type {number} */ value, /** @type {any} */ scale) {
    const low = scale.oneSided ? 0 : -scale.limit;
    const share = (value - low) / (scale.limit - low);
    return Math.max(0, Math.min(1, share));
  }

  /**
   * Values per pixel column: lowest, highest and farthest from zero (as bits).
   * @param {(position: number) => number} reader @param {[number, number]} steps @param {number} columns
   */
  function columnsOf(reader, [start, stop], columns) {
    const low = new Float32Array(columns).fill(NaN);
    const high = new Float32Array(columns).fill(NaN);
    const far = new Int32Array(columns).fill(-1);
    const perColumn = (stop - start) / columns;
    for (let x = 0; x < columns; x++) {
      const from = start + Math.floor(x * perColumn);
      const to = Math.max(from + 1, start + Math.floor((x + 1) * perColumn));
      for (let t = from; t < to && t < stop; t++) {
        const bits = reader(t);
        if (bits < 0) continue;
        const value = VALUE_OF[bits];
        if (far[x] < 0 || Math.abs(value) > Math.abs(VALUE_OF[far[x]])) far[x] = bits;
        if (Number.isNaN(value)) continue;
        if (!(value >= low[x])) low[x] = Number.isNaN(low[x]) ? value : Math.min(low[x], value);
        if (!(value <= high[x])) high[x] = Number.isNaN(high[x]) ? value : Math.max(high[x], value);
      }
    }
    return { low, high, far };
  }

  /**
   * @param {HTMLCanvasElement} canvas in device pixels
   * @param {(position: number) => number} reader @param {[number, number]} steps
   * @param {any} scale @param {{pixels: Uint32Array}} table @param {string} theme @param {number} ratio
   */
  function paintStrip(canvas, reader, steps, scale, table, theme, ratio) {
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    const { width, height } = canvas;
    context.clearRect(0, 0, width, height);
    if (!width || !height || steps[1] <= steps[0]) return;
    const { low, high, far } = columnsOf(reader, steps, width);
    const image = context.createImageData(width, 1);
    const pixels = new Uint32Array(image.data.buffer);
    for (let x = 0; x < width; x++) if (far[x] >= 0) pixels[x] = table.pixels[far[x]];
    const ground = new OffscreenCanvas(width, 1);
    /** @type {OffscreenCanvasRenderingContext2D} */ (ground.getContext('2d')).putImageData(image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(ground, 0, 0, width, height);
    const palette = PALETTES[theme];
    const y = (/** @type {number} */ value) => Math.round((1 - heightOf(value, scale)) * (height - 2 * ratio) + ratio);
    if (!scale.oneSided) {
      context.fillStyle = toCss(palette.text);
      context.globalAlpha = 0.25;
      context.fillRect(0, y(0), width, Math.max(1, Math.round(ratio / 2)));
      context.globalAlpha = 1;
    }
    context.fillStyle = toCss(palette.text);
    // Where a column holds several steps the line is an area; as dark as a line it would hide the colours.
    const dense = (steps[1] - steps[0]) / width;
    context.globalAlpha = dense > 1.5 ? 0.6 : 0.9;
    const thick = Math.max(1, Math.round(1.25 * ratio));
    let last = NaN;
    for (let x = 0; x < width; x++) {
      if (Number.isNaN(low[x])) {
        last = NaN;
        continue;
      }
      let top = y(high[x]);
      let bottom = y(low[x]);
      const here = bottom;
      if (!Number.isNaN(last)) {
        top = Math.min(top, last);
        bottom = Math.max(bottom, last);
      }
      context.fillRect(x, top, 1, bottom - top + thick);
      last = here;
    }
    context.globalAlpha = 1;
    context.fillStyle = toCss(palette.beyond);
    for (let x = 0; x < width; x++) {
      if (far[x] >= 0 && isBeyond(VALUE_OF[far[x]], scale)) context.fillRect(x, 0, 1, Math.round(3 * ratio));
    }
  }

  /** What a gate does nearly all the time in sight, "" when it moves. */
  function habitOf(/** @type {(position: number) => number} */ reader, /** @type {[number, number]} */ [start, stop]) {
    let n = 0;
    let open = 0;
    let shut = 0;
    for (let t = start; t < stop; t++) {
      const bits = reader(t);
      if (bits < 0) continue;
      n++;
      if (VALUE_OF[bits] > 0.9) open++;
      if (VALUE_OF[bits] < 0.1) shut++;
    }
    if (!n) return '';
    if (open / n >= 0.9) return `nearly always open (${Math.floor((100 * open) / n)} % above 0.9)`;
    if (shut / n >= 0.9) return `nearly always shut (${Math.floor((100 * shut) / n)} % below 0.1)`;
    return '';
  }

  globalThis.interp.stripPaint = { columnsOf, habitOf, heightOf, paintStrip, toPixel };
})();
