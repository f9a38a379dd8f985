// @ts-check
/**
 * The text itself: real text in `<pre>` elements over canvases that CSS scales up.
 *
 * Finding, selecting, copying and reading aloud stay the browser's. Every block of rows is an element
 * that the browser lays out only near the screen; canvases exist only there too, so memory does not
 * grow with the text.
 */
(function () {
  'use strict';
  const { layoutText, simpleTest, coverText } = globalThis.interp.textLayout;
  const { SUB_ROWS, paintRows, paintMeasuredRow } = globalThis.interp.textPaint;

  const LINE_HEIGHT = 20;
  const GUTTER_CELLS = 6;
  const MAX_COLUMNS = 180;
  const MIN_COLUMNS = 20;
  const MARKS = { 32: '·', 10: '↵', 9: '→' };

  function element(/** @type {string} */ tag, /** @type {string} */ className, /** @type {Element} */ parent) {
    const made = document.createElement(tag);
    made.className = className;
    if (parent) parent.append(made);
    return made;
  }

  class TextView {
    /** @param {HTMLElement} root the scrolling element */
    constructor(root) {
      this.root = root;
      this.part = { start: 0, stop: 0, text: '', documents: [] };
      this.cover = null;
      /** @type {any} */ this.layout = null;
      /** @type {any} */ this.paint = null;
      this.marks = false;
      /** @type {number[]|null} positions in sight of a stream that has no text */
      this.window = null;
      this.version = 0; // of the colours
      /** @type {any[]} */ this.blocks = [];
      this.sheet = element('div', 'text-sheet', root);
      this.overlay = element('div', 'text-overlay', this.sheet);
      this.overlay.setAttribute('aria-hidden', 'true');
    }

    /** What a pane without text says instead. */
    setNote(/** @type {string} */ text) {
      if (!this.note) this.note = element('p', 'text-note', this.root);
      this.note.textContent = text;
      this.note.hidden = !text;
    }

    /** @param {any} part {start, stop, text, documents} @param {Int32Array|null} spans */
    setPart(part, spans) {
      this.part = part;
      this.spans = spans;
      this.relayout();
    }

    /** Lay out anew: another text, another width, another font or zoom. */
    relayout() {
      this.measureFont();
      this.width = this.root.clientWidth;
      const room = this.width - 18;
      const columns = Math.floor(room / this.cell) - GUTTER_CELLS - 1;
      this.columns = Math.max(MIN_COLUMNS, Math.min(MAX_COLUMNS, columns));
      this.layout = layoutText({
        text: this.part.text,
        documents: this.part.documents,
        columns: this.columns,
        isSimple: this.isSimple,
      });
      this.cover = coverText(this.spans || null, this.layout.nCharacters);
      if (this.cover) this.measureSharedRows();
      this.build();
    }

    /** @private Characters that several positions share need their place split: measure those rows. */
    measureSharedRows() {
      const { measured, start, stop, nRows } = this.layout;
      for (let row = 0; row < nRows; row++) {
        if (measured[row]) continue;
        for (let c = start[row]; c < stop[row]; c++) {
          if (this.cover.shared[c]) measured[row] = 1;
        }
      }
    }

    /** @private */
    measureFont() {
      const style = getComputedStyle(this.root);
      const context = /** @type {CanvasRenderingContext2D} */ (document.createElement('canvas').getContext('2d'));
      context.font = `${style.fontSize} ${style.fontFamily}`;
      const probe = element('span', 'text-probe', this.root);
      probe.textContent = 'M'.repeat(200);
      this.cell = probe.getBoundingClientRect().width / 200;
      probe.remove();
      const canvasCell = context.measureText('M').width;
      const font = context.font;
      if (font === this.font) return;
      this.font = font;
      this.isSimple = simpleTest((character) => context.measureText(character).width, canvasCell);
    }

    /** @private */
    build() {
      const gutter = GUTTER_CELLS * this.cell;
      this.left = gutter;
      this.ratio = window.devicePixelRatio || 1;
      const fragment = document.createDocumentFragment();
      this.blocks = this.layout.blocks.map((/** @type {any} */ block, /** @type {number} */ index) => {
        const made = this.buildBlock(block, index);
        fragment.append(made.element);
        return made;
      });
      this.sheet.replaceChildren(fragment, this.overlay);
      this.sheet.style.height = `${this.layout.nRows * LINE_HEIGHT}px`;
      this.sheet.style.width = `${(this.columns + GUTTER_CELLS + 1) * this.cell}px`;
    }

    /** @private */
    buildBlock(/** @type {any} */ block, /** @type {number} */ index) {
      const height = block.nRows * LINE_HEIGHT;
      const made = document.createElement('div');
      made.className = 'text-block';
      made.style.cssText = `top:${block.row * LINE_HEIGHT}px;height:${height}px;contain-intrinsic-size:auto ${height}px`;
      if (block.heading !== null) {
        const heading = element('div', 'text-heading', made);
        heading.textContent = this.part.documents[block.heading].name;
        heading.setAttribute('role', 'heading');
        heading.setAttribute('aria-level', '3');
        return { element: made, canvas: null, pre: null, block, index, painted: -1 };
      }
      const gutter = element('pre', 'text-gutter', made);
      gutter.setAttribute('aria-hidden', 'true');
      gutter.style.width = `${(GUTTER_CELLS - 1) * this.cell}px`;
      gutter.textContent = this.layout.gutterText(index);
      const canvas = /** @type {HTMLCanvasElement} */ (element('canvas', 'text-canvas', made));
      canvas.width = canvas.height = 0;
      canvas.setAttribute('aria-hidden', 'true');
      canvas.style.cssText = `left:${this.left}px;width:${(this.columns + 1) * this.cell}px;height:${height}px`;
      const pre = /** @type {HTMLPreElement} */ (element('pre', 'text-pre', made));
      pre.style.cssText = `left:${this.left}px;width:${(this.columns + 0.5) * this.cell}px`;
      pre.textContent = this.layout.blockText(index);
      return { element: made, canvas, fine: null, pre, block, index, painted: -1, places: null };
    }

    /** Rows on screen, [first, last). */
    rowsInSight(margin = 0) {
      const first = Math.floor(this.root.scrollTop / LINE_HEIGHT) - margin;
      const last = Math.ceil((this.root.scrollTop + this.root.clientHeight) / LINE_HEIGHT) + margin;
      const nRows = this.layout ? this.layout.nRows : 0;
      return [Math.max(0, Math.min(nRows, first)), Math.max(0, Math.min(nRows, last))];
    }

    /** Positions on screen, [start, stop). */
    positionsInSight(margin = 0) {
      if (!this.layout || !this.layout.nRows) return this.window || [this.part.start, this.part.start];
      const [first, last] = this.rowsInSight(margin);
      const low = this.layout.start[Math.min(first, this.layout.nRows - 1)];
      const high = last > first ? this.layout.stop[last - 1] : low;
      return this.positionRange(low, high);
    }

    /** Positions on the characters [low, high). */
    positionRange(/** @type {number} */ low, /** @type {number} */ high) {
      const { start, stop } = this.part;
      if (!this.cover) return [Math.min(stop, start + low), Math.min(stop, start + high)];
      const { owner } = this.cover;
      let a = low;
      while (a < high && owner[a] < 0) a++;
      let b = high - 1;
      while (b > a && owner[b] < 0) b--;
      if (a >= high || owner[a] < 0) return [start, start];
      return [start + owner[a], Math.min(stop, start + owner[b] + 1)];
    }

    /** The first position on a character, -1 for none. */
    positionOf(/** @type {number} */ character) {
      if (!this.cover) return this.part.start + character;
      const owner = this.cover.owner[character];
      return owner < 0 ? -1 : this.part.start + owner;
    }

    /** @private All positions on a character. */
    positionsOf(/** @type {number} */ character) {
      const first = this.positionOf(character);
      if (first < 0) return [];
      const more = this.cover ? this.cover.shared[character] : 0;
      return more ? Array.from({ length: more + 1 }, (_, i) => first + i) : [first];
    }

    /** Characters [low, high) that a position covers. */
    charactersOf(/** @type {number} */ position) {
      const i = position - this.part.start;
      if (!this.layout || !this.layout.nRows) return [0, 0];
      if (!this.cover) return [i, i + 1];
      return [this.cover.spans[2 * i], this.cover.spans[2 * i + 1]];
    }

    /** @param {any} paint see text_paint.js @param {boolean} marks spaces and newlines shown */
    setPaint(paint, marks) {
      this.paint = paint;
      this.marks = marks;
      this.version++;
      this.paintInSight();
    }

    /** Values have arrived: colours are out of date. */
    refresh() {
      this.version++;
      this.paintInSight();
    }

    /** Paint the blocks on screen, give the canvases of distant ones back. */
    paintInSight() {
      if (!this.layout || !this.blocks.length || !this.paint) return;
      const [first, last] = this.rowsInSight(40);
      for (const made of this.blocks) {
        if (!made.pre) continue;
        const near = made.block.row < last && made.block.row + made.block.nRows > first;
        if (near && made.painted !== this.version) this.paintBlock(made);
        else if (!near && made.canvas.width) this.releaseBlock(made);
      }
    }

    /** @private */
    releaseBlock(/** @type {any} */ made) {
      made.canvas.width = made.canvas.height = 0;
      if (made.fine) made.fine.remove();
      made.fine = null;
      made.painted = -1;
    }

    /** @private */
    paintBlock(/** @type {any} */ made) {
      const { canvas, block } = made;
      const width = this.columns + 1;
      const height = block.nRows * SUB_ROWS;
      if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
      }
      const context = canvas.getContext('2d');
      const image = context.createImageData(width, height);
      const pixels = new Uint32Array(image.data.buffer);
      paintRows(pixels, width, this.layout, block, (c) => this.positionOf(c), this.paint);
      context.putImageData(image, 0, 0);
      this.paintFine(made);
      made.painted = this.version;
    }

    /** @private Measured rows and marks, on a second canvas of device pixels. */
    paintFine(/** @type {any} */ made) {
      const { block } = made;
      const { measured } = this.layout;
      let needed = this.marks;
      for (let k = 0; k < block.nRows && !needed; k++) needed = measured[block.row + k] === 1;
      if (!needed) {
        if (made.fine) made.fine.remove();
        made.fine = null;
        return;
      }
      const canvas = made.fine || document.createElement('canvas');
      const cssWidth = (this.columns + 6) * this.cell;
      canvas.width = Math.ceil(cssWidth * this.ratio);
      canvas.height = Math.ceil(block.nRows * LINE_HEIGHT * this.ratio);
      if (!made.fine) {
        canvas.className = 'text-fine';
        canvas.setAttribute('aria-hidden', 'true');
        made.pre.before(canvas);
        made.fine = canvas;
      }
      canvas.style.cssText = `left:${this.left}px;width:${canvas.width / this.ratio}px;height:${canvas.height / this.ratio}px`;
      const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
      for (let k = 0; k < block.nRows; k++) {
        const row = block.row + k;
        if (measured[row] !== 1) continue;
        const places = this.placesOf(row);
        paintMeasuredRow(context, k * LINE_HEIGHT, LINE_HEIGHT, places, this.ratio, this.layout.start[row], (c) => this.positionsOf(c), this.paint);
      }
      if (this.marks) this.paintMarks(context, block);
    }

    /** @private */
    paintMarks(/** @type {CanvasRenderingContext2D} */ context, /** @type {any} */ block) {
      context.save();
      context.scale(this.ratio, this.ratio);
      context.font = /** @type {string} */ (this.font);
      context.textBaseline = 'middle';
      context.fillStyle = getComputedStyle(this.root).color;
      context.globalAlpha = 0.6;
      for (let k = 0; k < block.nRows; k++) {
        const row = block.row + k;
        const places = this.layout.measured[row] === 1 ? this.placesOf(row) : null;
        for (let c = this.layout.start[row]; c < this.layout.stop[row]; c++) {
          const mark = MARKS[/** @type {10} */ (this.layout.text.codePointAt(this.layout.offsetOf(c)))];
          if (!mark) continue;
          const column = c - this.layout.start[row];
          context.fillText(mark, places ? places.x0[column] : column * this.cell, (k + 0.5) * LINE_HEIGHT);
        }
      }
      context.restore();
    }

    /**
     * Where the browser put the characters of a measured row, CSS pixels from the text's left edge.
     * A cluster (letter and marks, joined emoji) is one place that its characters share.
     * @returns {{x0: Float64Array, x1: Float64Array}}
     */
    placesOf(/** @type {number} */ row) {
      const { layout } = this;
      const made = this.blocks[layout.blockOf(row)];
      made.places = made.places || new Map();
      const known = made.places.get(row);
      if (known) return known;
      const first = layout.start[row];
      const n = layout.stop[row] - first;
      const x0 = new Float64Array(n);
      const x1 = new Float64Array(n);
      const node = /** @type {Text} */ (made.pre.firstChild);
      const origin = made.pre.getBoundingClientRect().left;
      const base = layout.offsetInBlock(made.index, first);
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
        const width = isBreak ? this.cell : box.width;
        for (let k = 0; k < size; k++) {
          x0[c] = left + (width * k) / size;
          x1[c] = left + (width * (k + 1)) / size;
          c++;
        }
        right = Math.max(right, left + width);
      }
      const places = { x0, x1 };
      made.places.set(row, places);
      return places;
    }

    /** Rectangles of characters [low, high) in the sheet's coordinates, one per row at most. */
    boxesOf(/** @type {number} */ low, /** @type {number} */ high, most = 4) {
      const boxes = [];
      const { layout } = this;
      if (!layout || !layout.nRows || high <= low) return boxes;
      for (let row = layout.rowOf(low); row < layout.nRows && layout.start[row] < high && boxes.length < most; row++) {
        const a = Math.max(low, layout.start[row]) - layout.start[row];
        const b = Math.min(high, layout.stop[row]) - layout.start[row];
        if (b <= a) continue;
        let x0 = a * this.cell;
        let x1 = b * this.cell;
        if (layout.measured[row] === 1) {
          const places = this.placesOf(row);
          x0 = Math.min(...places.x0.slice(a, b));
          x1 = Math.max(...places.x1.slice(a, b));
        }
        boxes.push({ x: this.left + x0, y: row * LINE_HEIGHT, width: x1 - x0, height: LINE_HEIGHT });
      }
      return boxes;
    }

    /** The position under a point of the window, -1 for none. */
    positionAt(/** @type {number} */ clientX, /** @type {number} */ clientY) {
      const { layout } = this;
      if (!layout || !layout.nRows) return -1;
      const box = this.sheet.getBoundingClientRect();
      const row = Math.floor((clientY - box.top) / LINE_HEIGHT);
      if (row < 0 || row >= layout.nRows || layout.measured[row] === 2) return -1;
      const x = clientX - box.left - this.left;
      const n = layout.stop[row] - layout.start[row];
      if (layout.measured[row] === 0) {
        const column = Math.floor(x / this.cell);
        return column >= 0 && column < n ? this.positionOf(layout.start[row] + column) : -1;
      }
      const { x0, x1 } = this.placesOf(row);
      for (let k = 0; k < n; k++) {
        if (x < x0[k] || x >= x1[k]) continue;
        const positions = this.positionsOf(layout.start[row] + k);
        const share = Math.floor(((x - x0[k]) / (x1[k] - x0[k])) * positions.length);
        return positions.length ? positions[share] : -1;
      }
      return -1;
    }

    scrollToPosition(/** @type {number} */ position, centre = true) {
      if (!this.layout || !this.layout.nRows) return;
      const top = this.layout.rowOf(this.charactersOf(position)[0]) * LINE_HEIGHT;
      this.root.scrollTop = centre ? Math.max(0, top - this.root.clientHeight / 2) : top;
    }

    isInSight(/** @type {number} */ position) {
      const [start, stop] = this.positionsInSight(-1);
      return position >= start && position < stop;
    }

    /** The true text of what is selected, null when nothing of this text is. */
    selectedOffsets() {
      const chosen = document.getSelection();
      if (!chosen || !chosen.rangeCount || chosen.isCollapsed) return null;
      const range = chosen.getRangeAt(0);
      const a = this.offsetOfPoint(range.startContainer, range.startOffset, false);
      const b = this.offsetOfPoint(range.endContainer, range.endOffset, true);
      return a === null || b === null || b <= a ? null : [a, b];
    }

    /** @private */
    offsetOfPoint(/** @type {Node} */ node, /** @type {number} */ offset, /** @type {boolean} */ isEnd) {
      const made = this.blocks.find((candidate) => candidate.element.contains(node));
      if (!made) return node.contains(this.sheet) || this.sheet.contains(node) ? (isEnd ? this.layout.text.length : 0) : null;
      const inText = made.pre && made.pre.contains(node);
      if (inText && node.nodeType === Node.TEXT_NODE) return this.layout.offsetFromBlock(made.index, offset);
      const row = made.block.row + (isEnd && inText ? made.block.nRows : 0);
      return this.layout.offsetOf(row < this.layout.nRows ? this.layout.start[row] : this.layout.nCharacters);
    }
  }

  Object.assign(globalThis.interp, { TextView, LINE_HEIGHT });
})();
