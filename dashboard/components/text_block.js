// @ts-check
/**
 * A block of rows: one element with a gutter, real text in a `<pre>`, and canvases under it.
 *
 * Most rows are wrapped by the browser, at the last column. A row that had to be measured is broken
 * where the layout guessed; near the screen its text stands in an element of its own that generated
 * content ends, so that the page's text has no break there and Ctrl-F finds what goes on in the next
 * row. Far from the screen a block is one plain text node, and has no canvas.
 */
(function () {
  'use strict';
  const { SUB_ROWS, paintRows, paintMeasuredRow } = globalThis.interp.textPaint;
  const { SOFT } = globalThis.interp.textLayout;

  const LINE_HEIGHT = 20;
  const GUTTER_CELLS = 6;
  /** @type {Record<number, string>} */
  const MARKS = { 32: '·', 10: '↵', 9: '→' };

  /** @template {keyof HTMLElementTagNameMap} T @param {T} tag @param {string} className @param {Element} [parent] */
  function element(tag, className, parent) {
    const made = document.createElement(tag);
    made.className = className;
    if (parent) parent.append(made);
    return made;
  }

  class TextBlock {
    /** @param {any} view the TextView @param {any} block {row, nRows, heading} @param {number} index */
    constructor(view, block, index) {
      this.view = view;
      this.block = block;
      this.index = index;
      this.painted = -1; // version of the colours on its canvases
      this.isSplit = false;
      /** @type {Map<number, any>} */ this.places = new Map(); // of measured rows
      /** @type {HTMLCanvasElement|null} */ this.fine = null;
      /** @type {HTMLPreElement|null} null for a heading */ this.pre = null;
      const height = block.nRows * LINE_HEIGHT;
      this.element = element('div', 'text-block');
      this.element.style.cssText = `top:${block.row * LINE_HEIGHT}px;height:${height}px;contain-intrinsic-size:auto ${height}px`;
      this.canvas = document.createElement('canvas');
      if (block.heading !== null) this.buildHeading();
      else this.buildRows(height);
    }

    /** @private */
    buildHeading() {
      const heading = element('div', 'text-heading', this.element);
      heading.textContent = this.view.part.documents[this.block.heading].name;
      heading.setAttribute('role', 'heading');
      heading.setAttribute('aria-level', '3');
    }

    /** @private */
    buildRows(/** @type {number} */ height) {
      const { layout, left, columns, cell } = this.view;
      const gutter = element('pre', 'text-gutter', this.element);
      gutter.setAttribute('aria-hidden', 'true');
      gutter.style.width = `${(GUTTER_CELLS - 1) * cell}px`;
      gutter.textContent = layout.gutterText(this.index);
      this.canvas.className = 'text-canvas';
      this.canvas.width = this.canvas.height = 0;
      this.canvas.setAttribute('aria-hidden', 'true');
      this.canvas.style.cssText = `left:${left}px;width:${(columns + 1) * cell}px;height:${height}px`;
      this.element.append(this.canvas);
      this.pre = element('pre', 'text-pre', this.element);
      this.pre.style.cssText = `left:${left}px;width:${(columns + 0.5) * cell}px`;
      this.pre.textContent = layout.blockText(this.index);
    }

    /** Break the text where the layout breaks measured rows. */
    split() {
      if (this.isSplit || !this.pre) return;
      this.isSplit = true;
      const { layout } = this.view;
      const { row, nRows } = this.block;
      let rest = /** @type {Text} */ (this.pre.firstChild);
      let before = 0;
      for (let r = row; r < row + nRows; r++) {
        if (layout.forced[r] !== SOFT) continue;
        const end = layout.offsetInBlock(this.index, layout.stop[r]);
        const tail = rest.splitText(end - before);
        const wrapped = element('span', 'text-wrap');
        rest.replaceWith(wrapped);
        wrapped.append(rest);
        rest = tail;
        before = end;
      }
    }

    /** One plain text node again. */
    join() {
      if (!this.isSplit || !this.pre) return;
      this.isSplit = false;
      for (const wrapped of [...this.pre.children]) wrapped.replaceWith(...wrapped.childNodes);
      this.pre.normalize();
    }

    /** @private @returns {Text[]} in order */
    texts() {
      if (!this.pre) return [];
      return [...this.pre.childNodes].map((node) => /** @type {Text} */ (node instanceof Text ? node : node.firstChild)).filter(Boolean);
    }

    /** The text node that holds an offset in the block, and the offset in it. */
    pointAt(/** @type {number} */ offset) {
      let before = 0;
      const texts = this.texts();
      for (const node of texts) {
        if (offset < before + node.length) return { node, offset: offset - before };
        before += node.length;
      }
      const node = texts[texts.length - 1];
      return { node, offset: node.length };
    }

    /** The offset in the block of a point of its text, null for a point of something else. */
    offsetOfPoint(/** @type {Node} */ node, /** @type {number} */ offset) {
      let before = 0;
      for (const text of this.texts()) {
        if (text === node) return before + offset;
        if (text.parentNode === node && node !== this.pre) return before + (offset ? text.length : 0);
        before += text.length;
      }
      return null;
    }

    /** Give the canvases back. */
    release() {
      this.canvas.width = this.canvas.height = 0;
      if (this.fine) this.fine.remove();
      this.fine = null;
      this.painted = -1;
      this.join();
    }

    /** Colour the rows, if they are not coloured as they should be. */
    show() {
      const { view, canvas, block } = this;
      if (this.painted === view.version || !this.pre) return;
      this.split();
      const width = view.columns + 1;
      const height = block.nRows * SUB_ROWS;
      if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
      }
      const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
      const image = context.createImageData(width, height);
      const pixels = new Uint32Array(image.data.buffer);
      paintRows(pixels, width, view.layout, block, (/** @type {number} */ c) => view.positionOf(c), view.paint);
      context.putImageData(image, 0, 0);
      this.showFine();
      this.painted = view.version;
    }

    /** @private Measured rows and marks, on a second canvas of device pixels. */
    showFine() {
      const { view, block } = this;
      const { layout, ratio } = view;
      let needed = view.marks;
      for (let k = 0; k < block.nRows && !needed; k++) needed = layout.measured[block.row + k] === 1;
      if (!needed) {
        if (this.fine) this.fine.remove();
        this.fine = null;
        return;
      }
      const canvas = this.fine || this.addFine();
      canvas.width = Math.ceil((view.columns + 6) * view.cell * ratio);
      canvas.height = Math.ceil(block.nRows * LINE_HEIGHT * ratio);
      canvas.style.cssText = `left:${view.left}px;width:${canvas.width / ratio}px;height:${canvas.height / ratio}px`;
      const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
      for (let k = 0; k < block.nRows; k++) {
        const row = block.row + k;
        if (layout.measured[row] !== 1) continue;
        paintMeasuredRow(context, k * LINE_HEIGHT, LINE_HEIGHT, view.places.ofRow(row), ratio, layout.start[row], (/** @type {number} */ c) => view.positionsOf(c), view.paint);
      }
      if (view.marks) this.drawMarks(context);
    }

    /** @private */
    addFine() {
      const canvas = element('canvas', 'text-fine');
      canvas.setAttribute('aria-hidden', 'true');
      if (this.pre) this.pre.before(canvas);
      this.fine = canvas;
      return canvas;
    }

    /** @private Spaces, tabs and newlines. */
    drawMarks(/** @type {CanvasRenderingContext2D} */ context) {
      const { view, block } = this;
      const { layout } = view;
      context.save();
      context.scale(view.ratio, view.ratio);
      context.font = view.font;
      context.textBaseline = 'middle';
      context.fillStyle = getComputedStyle(view.root).color;
      context.globalAlpha = 0.6;
      for (let k = 0; k < block.nRows; k++) {
        const row = block.row + k;
        const places = layout.measured[row] === 1 ? view.places.ofRow(row) : null;
        for (let c = layout.start[row]; c < layout.stop[row]; c++) {
          const mark = MARKS[layout.text.codePointAt(layout.offsetOf(c))];
          if (!mark) continue;
          const column = c - layout.start[row];
          context.fillText(mark, places ? places.x0[column] : column * view.cell, (k + 0.5) * LINE_HEIGHT);
        }
      }
      context.restore();
    }
  }

  Object.assign(globalThis.interp, { TextBlock, LINE_HEIGHT, GUTTER_CELLS });
})();
