// @ts-check
/** HeadMatrix: one head's weights, queries down the side, keys along the top, tokens on both. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, attention } = interp;
  const { toPixel } = interp.colour;

  const LABELS = { across: [78, 124], above: [54, 124] }; // room for tokens on each axis, at least and at most
  const MARGIN = 16;
  const LARGEST = 40; // pixels of a cell where a document is short
  const STRETCHED = 4; // how much longer than wide a cell may be where two texts differ in length
  const SMALLEST_TEXT = 9; // pixels between tokens below which only some are named
  const KEYS = ['mapCount', 'place', 'keyPlace', 'asite', 'head', 'hoverHead', 'look', 'theme', 'systemTheme', 'ramp', 'pos', 'key', 'bare', 'view'];

  /** Weights of hidden tokens are left out, and the rest is shown as it is. */
  function isHidden(/** @type {any} */ place, /** @type {number} */ index, /** @type {boolean} */ bare) {
    return bare && ((place.start + index === 0) || place.special.includes(index));
  }

  const label = (/** @type {string} */ token) => attention.short(token).slice(0, 13);

  class MatrixView extends interp.CanvasView {
    constructor(/** @type {HTMLElement} */ root) {
      super(root, KEYS);
      // All in CSS pixels: a cell's sides, and where the first one begins.
      this.wide = this.high = 1;
      this.originX = this.originY = 0;
      /** @type {any} */ this.map = null;
      this.overlay = /** @type {HTMLElement} */ (root.querySelector('.matrix-overlay'));
      this.stops.push(selection.subscribe(['hoverCell', 'hoverPos'], () => this.drawCursor()));
    }

    draw() {
      const { view, place, keyPlace } = selection.get();
      const shown = attention.shownHead();
      if (view !== 'attention' || attention.look() !== 'matrix' || !shown || !place || !keyPlace || !this.root.offsetParent) return;
      const map = attention.mapOf(shown.site, shown.head);
      if (!map) return; // what stands there stays until the new one has come
      this.map = map;
      this.arrange(map, place.tokens, keyPlace.tokens);
      this.paint(map, place, keyPlace);
      this.drawCursor();
      const { query, key } = attention.pinned();
      this.reveal(`${query}|${key}`, key < 0 ? null : this.originX + (key + 0.5) * this.wide, query < 0 ? null : this.originY + (query + 0.5) * this.high, Math.min(this.wide, this.high));
      this.root.dataset.painted = `${shown.site.name}:${shown.head}|${map.queries}x${map.keys}`;
    }

    /** Choose the cells' sides and the room for tokens. */
    arrange(/** @type {any} */ map, /** @type {string[]} */ queries, /** @type {string[]} */ keys) {
      const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext('2d'));
      const place = (/** @type {string[]} */ tokens, /** @type {number[]} */ [least, most]) => {
        const widest = Math.max(0, ...[...new Set(tokens)].map((token) => context.measureText(label(token)).width));
        return Math.round(Math.max(least, Math.min(most, widest + 12)));
      };
      const side = (/** @type {number} */ room, /** @type {number} */ n) => Math.max(1, Math.min(LARGEST, Math.floor(room / n)));
      // What tokens need depends on how large they are written, which depends on the cells.
      context.font = this.font(13);
      for (let round = 0; round < 2; round++) {
        this.originX = place(queries, LABELS.across);
        this.originY = place(keys, LABELS.above);
        this.wide = side(this.root.clientWidth - this.originX - MARGIN, map.keys);
        this.high = side(this.root.clientHeight - this.originY - MARGIN, map.queries);
        if (map.keys === map.queries) this.wide = this.high = Math.min(this.wide, this.high);
        this.wide = Math.min(this.wide, STRETCHED * this.high);
        this.high = Math.min(this.high, STRETCHED * this.wide);
        context.font = this.font(this.wide);
      }
    }

    /** The font of tokens beside cells of a size. */
    font(/** @type {number} */ cell) {
      return `${Math.max(9, Math.min(13, cell - 1))}px ${getComputedStyle(this.root).getPropertyValue('--mono')}`;
    }

    paint(/** @type {any} */ map, /** @type {any} */ place, /** @type {any} */ keyPlace) {
      const { bare, ramp } = selection.get();
      const theme = selection.theme();
      const [width, height] = [this.originX + map.keys * this.wide, this.originY + map.queries * this.high];
      const context = this.sheet(width, height);
      const picture = new OffscreenCanvas(map.keys, map.queries);
      const inside = /** @type {OffscreenCanvasRenderingContext2D} */ (picture.getContext('2d'));
      inside.putImageData(this.image(map, place, keyPlace, bare, ramp, theme, inside), 0, 0);
      context.imageSmoothingEnabled = false;
      context.drawImage(picture, this.originX, this.originY, map.keys * this.wide, map.queries * this.high);
      this.labels(context, place.tokens, keyPlace.tokens, map);
    }

    image(/** @type {any} */ map, /** @type {any} */ place, /** @type {any} */ keyPlace, /** @type {boolean} */ bare, /** @type {string} */ ramp, /** @type {string} */ theme, /** @type {OffscreenCanvasRenderingContext2D} */ inside) {
      const colours = Uint32Array.from({ length: 1025 }, (_, i) => toPixel(attention.weightColour(ramp === 'root' ? Math.sqrt(i / 1024) : i / 1024, theme)));
      const missing = toPixel(attention.weightColour(NaN, theme));
      const image = inside.createImageData(map.keys, map.queries);
      const out = new Uint32Array(image.data.buffer);
      const hidden = Uint8Array.from({ length: map.keys }, (_, k) => (isHidden(keyPlace, k, bare) ? 1 : 0));
      for (let i = 0; i < out.length; i++) {
        const weight = map.weights[i];
        out[i] = Number.isNaN(weight) ? missing : hidden[i % map.keys] ? colours[0] : colours[Math.round(Math.min(1, weight) * 1024)];
      }
      return image;
    }

    labels(/** @type {CanvasRenderingContext2D} */ context, /** @type {string[]} */ queries, /** @type {string[]} */ keys, /** @type {any} */ map) {
      const style = getComputedStyle(this.root);
      const { originX: left, originY: top, wide, high } = this;
      context.fillStyle = style.getPropertyValue('--text');
      context.textBaseline = 'middle';
      const every = (/** @type {number} */ side) => Math.max(1, Math.ceil(SMALLEST_TEXT / side));
      const [everyQuery, everyKey] = [every(high), every(wide)];
      context.font = this.font(high);
      context.textAlign = 'right';
      for (let q = 0; q < map.queries; q += everyQuery) context.fillText(label(queries[q]), left - 5, top + (q + 0.5) * high, left - 8);
      context.font = this.font(wide);
      context.textAlign = 'left';
      for (let k = 0; k < map.keys; k += everyKey) {
        context.save();
        context.translate(left + (k + 0.5) * wide, top - 5);
        context.rotate(-Math.PI / 2);
        context.fillText(label(keys[k]), 0, 0, top - 8);
        context.restore();
      }
      context.fillStyle = style.getPropertyValue('--quiet');
      context.font = `11px ${style.fontFamily}`;
      context.textAlign = 'right';
      const named = Math.max(everyQuery, everyKey);
      if (named > 1) context.fillText(`1 in ${named} named`, left - 5, top - 44);
      context.fillText('key →', left - 5, top - 28);
      context.fillText('query ↓', left - 5, top - 12);
    }

    /** Query, key and weight under the pointer, as indices of the window. */
    under(/** @type {MouseEvent} */ event) {
      if (!this.map) return null;
      const box = this.canvas.getBoundingClientRect();
      const key = Math.floor((event.clientX - box.left - this.originX) / this.wide);
      const query = Math.floor((event.clientY - box.top - this.originY) / this.high);
      const isKey = key >= 0 && key < this.map.keys, isQuery = query >= 0 && query < this.map.queries;
      if (!isQuery && !isKey) return null;
      return { query: isQuery ? query : null, key: isKey ? key : null, weight: isKey && isQuery ? this.map.weights[query * this.map.keys + key] : null };
    }

    moved(/** @type {MouseEvent} */ event) {
      const cell = this.under(event);
      const { place } = selection.get();
      selection.set({ hoverCell: cell, hoverPos: cell && cell.query !== null ? place.first + place.start + cell.query : null, hoverFrom: 'matrix' });
    }

    clicked(/** @type {MouseEvent} */ event) {
      const cell = this.under(event);
      const { place, keyPlace } = selection.get();
      if (!cell) return;
      const patch = {};
      if (cell.query !== null) patch.pos = place.first + place.start + cell.query;
      if (cell.key !== null) patch.key = keyPlace.first + keyPlace.start + cell.key;
      selection.set(patch, { push: true });
    }

    drawCursor() {
      const { hoverCell, place, keyPlace } = selection.get();
      if (!place || !keyPlace || !this.map) return;
      /** @type {any[][]} */
      const boxes = [];
      const { originX: left, originY: top, wide, high } = this;
      const band = (/** @type {number|null} */ index, /** @type {boolean} */ isQuery, /** @type {string} */ name) => {
        if (index === null || index < 0 || index >= (isQuery ? this.map.queries : this.map.keys)) return;
        boxes.push(isQuery ? [0, top + index * high, left + this.map.keys * wide, high, name] : [left + index * wide, 0, wide, top + this.map.queries * high, name]);
      };
      const pinned = attention.pinned();
      band(pinned.query, true, 'matrix-pin');
      band(pinned.key, false, 'matrix-pin');
      if (hoverCell) {
        band(hoverCell.query, true, 'matrix-hover');
        band(hoverCell.key, false, 'matrix-hover');
      }
      this.overlay.replaceChildren(...boxes.map(([x, y, width, height, name]) => {
        const box = document.createElement('div');
        box.className = String(name);
        box.style.cssText = `left:${x}px;top:${y}px;width:${width}px;height:${height}px`;
        return box;
      }));
    }

    /** Up and down move the pinned query, left and right the pinned key. */
    keyed(/** @type {KeyboardEvent} */ event) {
      const move = { ArrowUp: ['pos', -1], ArrowDown: ['pos', 1], ArrowLeft: ['key', -1], ArrowRight: ['key', 1] }[event.key];
      const { place, keyPlace } = selection.get();
      if (!move || !place || !this.map) return;
      event.preventDefault();
      event.stopPropagation();
      const [name, by] = /** @type {[string, number]} */ (move);
      const [where, n] = name === 'pos' ? [place, this.map.queries] : [keyPlace, this.map.keys];
      const first = where.first + where.start;
      const now = selection.get()[name];
      const next = now === null ? first : Math.max(first, Math.min(first + n - 1, now + by));
      const query = (name === 'pos' ? next : selection.get().pos) - place.first - place.start;
      const key = (name === 'key' ? next : selection.get().key) - keyPlace.first - keyPlace.start;
      const isInside = query >= 0 && query < this.map.queries && key >= 0 && key < this.map.keys;
      selection.set({ [name]: next, hoverCell: isInside ? { query, key, weight: this.map.weights[query * this.map.keys + key] } : null });
    }
  }

  function HeadMatrix() {
    const ref = interp.useCanvasView(MatrixView);
    return h('div', { className: 'matrix', ref, tabIndex: 0, role: 'region', 'aria-label': 'Weights of one head: arrow keys move query and key' },
      h('div', { className: 'matrix-sheet' }, h('canvas', { role: 'img', 'aria-label': 'Attention matrix, queries by keys' }), h('div', { className: 'matrix-overlay', 'aria-hidden': true })));
  }

  Object.assign(interp, { HeadMatrix, isHiddenToken: isHidden });
})();
