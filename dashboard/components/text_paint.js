// @ts-check
/**
 * Filling the pixels under the text. A block's canvas has one pixel per cell across and `SUB_ROWS` per
 * row down, and CSS scales it up; so painting a screenful is a few thousand writes. Pure but for the
 * array it fills.
 *
 * Of a row's sub-rows, the first is the out-of-range mark, the last ones are the second track when
 * there is one, and the colour of the value fills the rest.
 */
(function () {
  'use strict';

  const SUB_ROWS = 10;
  const TRACK_ROWS = 2;

  /**
   * @typedef {{
   *   value: (position: number) => number,
   *   table: {pixels: Uint32Array, beyond: Uint8Array},
   *   beyondPixel: number,
   *   track: ((position: number) => number)|null,
   *   trackTable: {pixels: Uint32Array}|null,
   * }} Paint  readers give half-precision bits, -1 for not here yet
   */

  /**
   * Colour the simple rows of a block.
   * @param {Uint32Array} pixels zeroed, (nRows * SUB_ROWS, stride) flat @param {number} stride
   * @param {any} layout a TextLayout @param {{row: number, nRows: number}} block
   * @param {(character: number) => number} positionOf -1 where no position covers a character
   * @param {Paint} paint
   */
  function paintRows(pixels, stride, layout, block, positionOf, paint) {
    for (let k = 0; k < block.nRows; k++) {
      const row = block.row + k;
      if (layout.measured[row]) continue;
      const top = k * SUB_ROWS * stride;
      for (let c = layout.start[row]; c < layout.stop[row]; c++) {
        const position = positionOf(c);
        if (position >= 0) paintCell(pixels, top + c - layout.start[row], stride, position, paint);
      }
    }
  }

  function paintCell(/** @type {Uint32Array} */ pixels, /** @type {number} */ at, /** @type {number} */ stride, /** @type {number} */ position, /** @type {Paint} */ paint) {
    const { valueRows, markRows } = rowsOf(paint);
    const bits = paint.value(position);
    if (bits >= 0) {
      const colour = paint.table.pixels[bits];
      for (let s = 0; s < valueRows; s++) pixels[at + s * stride] = colour;
      if (paint.table.beyond[bits]) {
        for (let s = 0; s < markRows; s++) pixels[at + s * stride] = paint.beyondPixel;
      }
    }
    if (!paint.track || !paint.trackTable) return;
    const second = paint.track(position);
    if (second < 0) return;
    for (let s = valueRows; s < SUB_ROWS; s++) pixels[at + s * stride] = paint.trackTable.pixels[second];
  }

  /** How a row's height is shared out. */
  function rowsOf(/** @type {Paint} */ paint) {
    return { valueRows: paint.track ? SUB_ROWS - TRACK_ROWS : SUB_ROWS, markRows: 1 };
  }

  /**
   * Colour a measured row on a canvas of device pixels: every character at its measured place; the
   * positions that share a character share its width.
   * @param {CanvasRenderingContext2D} context @param {number} top @param {number} height of the row
   * @param {{x0: Float64Array, x1: Float64Array}} places per character of the row, CSS pixels
   * @param {number} ratio device pixels per CSS pixel
   * @param {number} first the row's first character
   * @param {(character: number) => number[]} positionsOf @param {Paint} paint
   */
  function paintMeasuredRow(context, top, height, places, ratio, first, positionsOf, paint) {
    const { valueRows, markRows } = rowsOf(paint);
    const fill = (/** @type {number} */ pixel, /** @type {number} */ x0, /** @type {number} */ x1, /** @type {number} */ s0, /** @type {number} */ s1) => {
      context.fillStyle = `rgb(${pixel & 255},${(pixel >> 8) & 255},${(pixel >> 16) & 255})`;
      const left = Math.round(x0 * ratio);
      const y0 = Math.round((top + (height * s0) / SUB_ROWS) * ratio);
      const y1 = Math.round((top + (height * s1) / SUB_ROWS) * ratio);
      context.fillRect(left, y0, Math.max(1, Math.round(x1 * ratio) - left), y1 - y0);
    };
    for (let k = 0; k < places.x0.length; k++) {
      const positions = positionsOf(first + k);
      const width = (places.x1[k] - places.x0[k]) / Math.max(1, positions.length);
      positions.forEach((position, i) => {
        const x0 = places.x0[k] + i * width;
        const bits = paint.value(position);
        if (bits >= 0) {
          fill(paint.table.pixels[bits], x0, x0 + width, 0, valueRows);
          if (paint.table.beyond[bits]) fill(paint.beyondPixel, x0, x0 + width, 0, markRows);
        }
        const second = paint.track ? paint.track(position) : -1;
        if (second >= 0 && paint.trackTable && paint.trackTable.pixels[second]) {
          fill(paint.trackTable.pixels[second], x0, x0 + width, valueRows, SUB_ROWS);
        }
      });
    }
  }

  globalThis.interp.textPaint = { SUB_ROWS, TRACK_ROWS, paintRows, paintMeasuredRow };
})();
