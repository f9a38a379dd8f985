// @ts-check
/**
 * Where characters are on the screen, and which one is where: by columns in simple rows, by asking the
 * browser in all others.
 *
 * @typedef {{x0: Float64Array, x1: Float64Array}} Places  per character of a row, CSS pixels from the
 *   text's left edge
 * @typedef {{x: number, y: number, width: number, height: number}} Box  in the sheet's coordinates
 */
(function () {
  'use strict';
  const { LINE_HEIGHT } = globalThis.interp;

  class TextPlaces {
    /** @param {any} view the TextView */
    constructor(view) {
      this.view = view;
    }

    /**
     * Places of a measured row's characters. A cluster (letter and marks, joined emoji) is one place
     * that its characters share.
     * @param {number} row @returns {Places}
     */
    ofRow(row) {
      const { layout, blocks } = this.view;
      const made = blocks[layout.blockOf(row)];
      let known = made.places.get(row);
      if (!known) {
        known = this.measure(made, row);
        made.places.set(row, known);
      }
      return known;
    }

    /** @private @param {any} made a TextBlock @param {number} row @returns {Places} */
    measure(made, row) {
      const { layout, cell } = this.view;
      made.split();
      const first = layout.start[row];
      const n = layout.stop[row] - first;
      const x0 = new Float64Array(n);
      const x1 = new Float64Array(n);
      const { node, offset: base } = made.pointAt(layout.offsetInBlock(made.index, first));
      const origin = made.pre.getBoundingClientRect().left;
      const text = node.data.slice(base, base + layout.offsetOf(layout.stop[row]) - layout.offsetOf(first));
      const range = document.createRange();
      let c = 0;
      let right = 0;
      for (const { segment, index } of new Intl.Segmenter().segment(text)) {
        const size = [...segment].length;
        range.setStart(node, base + index);
        range.setEnd(node, base + index + segment.length);
        const box = range.getBoundingClientRect();
        const isBreak = segment.includes('\n');
        const left = isBreak ? right : box.left - origin;
        const width = isBreak ? cell : box.width;
        for (let k = 0; k < size; k++) {
          x0[c] = left + (width * k) / size;
          x1[c] = left + (width * (k + 1)) / size;
          c++;
        }
        right = Math.max(right, left + width);
      }
      return { x0, x1 };
    }

    /** Boxes around the characters [low, high), one per row, the first `most` of them. @returns {Box[]} */
    boxesOf(/** @type {number} */ low, /** @type {number} */ high, most = 4) {
      /** @type {Box[]} */
      const boxes = [];
      const { layout, cell, left } = this.view;
      if (!layout || !layout.nRows || high <= low) return boxes;
      for (let row = layout.rowOf(low); row < layout.nRows && layout.start[row] < high && boxes.length < most; row++) {
        const a = Math.max(low, layout.start[row]) - layout.start[row];
        const b = Math.min(high, layout.stop[row]) - layout.start[row];
        if (b <= a) continue;
        let x0 = a * cell;
        let x1 = b * cell;
        if (layout.measured[row] === 1) {
          const places = this.ofRow(row);
          x0 = Math.min(...places.x0.slice(a, b));
          x1 = Math.max(...places.x1.slice(a, b));
        }
        boxes.push({ x: left + x0, y: row * LINE_HEIGHT, width: x1 - x0, height: LINE_HEIGHT });
      }
      return boxes;
    }

    /** The position under a point of the window, -1 for none. */
    positionAt(/** @type {number} */ clientX, /** @type {number} */ clientY) {
      const { view } = this;
      const { layout } = view;
      if (!layout || !layout.nRows) return -1;
      const box = view.sheet.getBoundingClientRect();
      const row = Math.floor((clientY - box.top) / LINE_HEIGHT);
      if (row < 0 || row >= layout.nRows || layout.measured[row] === 2) return -1;
      const x = clientX - box.left - view.left;
      const n = layout.stop[row] - layout.start[row];
      if (layout.measured[row] === 0) {
        const column = Math.floor(x / view.cell);
        return column >= 0 && column < n ? view.positionOf(layout.start[row] + column) : -1;
      }
      const { x0, x1 } = this.ofRow(row);
      for (let k = 0; k < n; k++) {
        if (x < x0[k] || x >= x1[k]) continue;
        const positions = view.positionsOf(layout.start[row] + k);
        const share = Math.floor(((x - x0[k]) / (x1[k] - x0[k])) * positions.length);
        return positions.length ? positions[share] : -1;
      }
      return -1;
    }
  }

  Object.assign(globalThis.interp, { TextPlaces });
})();
