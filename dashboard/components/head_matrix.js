// @ts-check
/** HeadMatrix: one head's weights, queries down the side, keys along the top, tokens on both. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, attention } = interp;
  const { toPixel } = interp.colour;

  const LABELS = 92; // room for tokens on each axis
  const LARGEST = 40; // pixels of a cell where a document is short
  const SMALLEST_TEXT = 9; // pixels between tokens below which only some are named
  const KEYS = ['mapCount', 'place', 'keyPlace', 'asite', 'head', 'hoverHead', 'look', 'theme', 'systemTheme', 'stretch', 'pos', 'key', 'bare', 'view'];

  /** Weights of hidden tokens are left out, and the rest is shown as it is. */
  function isHidden(/** @type {any} */ place, /** @type {number} */ index, /** @type {boolean} */ bare) {
    return bare && ((place.start + index === 0) || place.special.includes(index));
  }

  class MatrixView extends interp.CanvasView {
    constructor(/** @type {HTMLElement} */ root) {
      super(root, KEYS);
      this.cell = 1; // CSS pixels
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
      const room = Math.min((this.root.clientWidth - LABELS - 16) / map.keys, (this.root.clientHeight - LABELS - 16) / map.queries);
      this.cell = Math.max(1, Math.min(LARGEST, room > 1 ? Math.floor(room) : 1));
      this.paint(map, place, keyPlace);
      this.drawCursor();
      this.root.dataset.painted = `${shown.site.name}:${shown.head}|${map.queries}x${map.keys}`;
    }

    paint(/** @type {any} */ map, /** @type {any} */ place, /** @type {any} */ keyPlace) {
      const { bare, stretch } = selection.get();
      const theme = selection.theme();
      const [width, height] = [LABELS + map.keys * this.cell, LABELS + map.queries * this.cell];
      const context = this.sheet(width, height);
      const picture = new OffscreenCanvas(map.keys, map.queries);
      const inside = /** @type {OffscreenCanvasRenderingContext2D} */ (picture.getContext('2d'));
      inside.putImageData(this.image(map, place, keyPlace, bare, stretch, theme, inside), 0, 0);
      context.imageSmoothingEnabled = false;
      context.drawImage(picture, LABELS, LABELS, map.keys * this.cell, map.queries * this.cell);
      this.labels(context, place.tokens, keyPlace.tokens, map);
    }

    image(/** @type {any} */ map, /** @type {any} */ place, /** @type {any} */ keyPlace, /** @type {boolean} */ bare, /** @type {string} */ stretch, /** @type {string} */ theme, /** @type {OffscreenCanvasRenderingContext2D} */ inside) {
      const ramp = Uint32Array.from({ length: 1025 }, (_, i) => toPixel(attention.weightColour(stretch === 'root' ? Math.sqrt(i / 1024) : i / 1024, theme)));
      const missing = toPixel(attention.weightColour(NaN, theme));
      const image = inside.createImageData(map.keys, map.queries);
      const out = new Uint32Array(image.data.buffer);
      const hidden = Uint8Array.from({ length: map.keys }, (_, k) => (isHidden(keyPlace, k, bare) ? 1 : 0));
      for (let i = 0; i < out.length; i++) {
        const weight = map.weights[i];
        out[i] = Number.isNaN(weight) ? missing : hidden[i % map.keys] ? ramp[0] : ramp[Math.round(Math.min(1, weight) * 1024)];
      }
      return image;
    }

    labels(/** @type {CanvasRenderingContext2D} */ context, /** @type {string[]} */ queries, /** @type {string[]} */ keys, /** @type {any} */ map) {
      const style = getComputedStyle(this.root);
      const size = Math.max(9, Math.min(13, this.cell - 1));
      context.font = `${size}px ${style.getPropertyValue('--mono')}`;
      context.fillStyle = style.getPropertyValue('--text');
      context.textBaseline = 'middle';
      const every = Math.max(1, Math.ceil(SMALLEST_TEXT / this.cell));
      const short = (/** @type {string} */ token) => attention.short(token).slice(0, 13);
      context.textAlign = 'right';
      for (let q = 0; q < map.queries; q += every) context.fillText(short(queries[q]), LABELS - 5, LABELS + (q + 0.5) * this.cell, LABELS - 8);
      context.textAlign = 'left';
      for (let k = 0; k < map.keys; k += every) {
        context.save();
        context.translate(LABELS + (k + 0.5) * this.cell, LABELS - 5);
        context.rotate(-Math.PI / 2);
        context.fillText(short(keys[k]), 0, 0, LABELS - 8);
        context.restore();
      }
      context.fillStyle = style.getPropertyValue('--quiet');
      context.font = `11px ${style.fontFamily}`;
      context.textAlign = 'left';
      if (every > 1) context.fillText(`1 in ${every} named`, 2, LABELS - 46);
      context.fillText('key →', 34, LABELS - 28);
      context.fillText('query ↓', 34, LABELS - 12);
    }

    /** Query, key and weight under the pointer, as indices of the window. */
    under(/** @type {MouseEvent} */ event) {
      if (!this.map) return null;
      const box = this.canvas.getBoundingClientRect();
      const key = Math.floor((event.clientX - box.left - LABELS) / this.cell);
      const query = Math.floor((event.clientY - box.top - LABELS) / this.cell);
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
      const { cell } = this;
      const band = (/** @type {number|null} */ index, /** @type {boolean} */ isQuery, /** @type {string} */ name) => {
        if (index === null || index < 0 || index >= (isQuery ? this.map.queries : this.map.keys)) return;
        const along = LABELS + index * cell;
        boxes.push(isQuery ? [0, along, LABELS + this.map.keys * cell, cell, name] : [along, 0, cell, LABELS + this.map.queries * cell, name]);
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
