// @ts-check
/**
 * The text itself: real text in `<pre>` elements over canvases that CSS scales up.
 *
 * Finding, selecting, copying and reading aloud stay the browser's. Every block of rows is an element
 * that the browser lays out only near the screen (text_block.js); where characters are is text_places.js.
 */
(function () {
  'use strict';
  const { LINE_HEIGHT, GUTTER_CELLS, TextBlock, TextPlaces } = globalThis.interp;
  const { layoutText, simpleTest, coverText } = globalThis.interp.textLayout;

  const MAX_COLUMNS = 180;
  const MIN_COLUMNS = 20;
  const NEAR_ROWS = 40; // beyond the screen, painted

  /** @param {string} tag @param {string} className @param {Element} parent */
  function element(tag, className, parent) {
    const made = document.createElement(tag);
    made.className = className;
    parent.append(made);
    return made;
  }

  class TextView {
    /** @param {HTMLElement} root the scrolling element */
    constructor(root) {
      this.root = root;
      /** @type {any} */ this.part = { start: 0, stop: 0, text: '', documents: [] };
      /** @type {{spans: Int32Array, owner: Int32Array, shared: Uint8Array}|null} */
      this.cover = null; // which position covers which character; null: each its own
      this.width = 0; // of the root when the text was laid out
      this.columns = MIN_COLUMNS;
      this.cell = 1; // width of a column, CSS pixels
      this.left = 0; // of the text's first column
      this.ratio = 1; // device pixels per CSS pixel
      this.font = '';
      /** @type {(code: number) => boolean} */ this.isSimple = () => true;
      /** @type {any} */ this.layout = null;
      /** @type {any} */ this.paint = null;
      this.marks = false;
      /** @type {number[]|null} positions in sight of a stream that has no text */
      this.window = null;
      this.version = 0; // of the colours
      /** @type {any[]} TextBlocks */ this.blocks = [];
      this.places = new TextPlaces(this);
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
      this.window = null;
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
      if (this.cover) this.measureSharedRows(this.cover.shared);
      this.build();
    }

    /** @private Characters that several positions share need their place split: measure those rows. */
    measureSharedRows(/** @type {Uint8Array} */ shared) {
      const { measured, start, stop, nRows } = this.layout;
      for (let row = 0; row < nRows; row++) {
        if (measured[row]) continue;
        for (let c = start[row]; c < stop[row]; c++) {
          if (shared[c]) measured[row] = 1;
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
      this.isSimple = simpleTest((/** @type {string} */ character) => context.measureText(character).width, canvasCell);
    }

    /** @private */
    build() {
      this.left = GUTTER_CELLS * this.cell;
      this.ratio = window.devicePixelRatio || 1;
      this.blocks = this.layout.blocks.map((/** @type {any} */ block, /** @type {number} */ index) => new TextBlock(this, block, index));
      this.sheet.replaceChildren(...this.blocks.map((made) => made.element), this.overlay);
      this.sheet.style.height = `${this.layout.nRows * LINE_HEIGHT}px`;
      this.sheet.style.width = `${(this.columns + GUTTER_CELLS + 1) * this.cell}px`;
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
      if (this.window) return this.window;
      if (!this.layout || !this.layout.nRows) return [this.part.start, this.part.start];
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

    /** All positions on a character. */
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
      const [first, last] = this.rowsInSight(NEAR_ROWS);
      for (const made of this.blocks) {
        const { row, nRows } = made.block;
        if (row < last && row + nRows > first) made.show();
        else if (made.canvas.width) made.release();
      }
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
      const inBlock = made.offsetOfPoint(node, offset);
      if (inBlock !== null) return this.layout.offsetFromBlock(made.index, inBlock);
      const isText = made.pre && made.pre.contains(node);
      const row = made.block.row + (isEnd && isText ? made.block.nRows : 0);
      return this.layout.offsetOf(row < this.layout.nRows ? this.layout.start[row] : this.layout.nCharacters);
    }
  }

  Object.assign(globalThis.interp, { TextView });
})();
