// @ts-check
/**
 * HeadLines: queries on the left, keys on the right, a line for each weight that matters; one colour a
 * head. Only the fewest edges are drawn that explain a share of each row, and it says so.
 */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection, attention } = interp;
  const { edgesByMass } = interp.attentionMath;

  const ROW = 18;
  const TOP = 30; // middle of the first row
  const COLUMNS = [72, 210]; // room for tokens on each side, at least and at most
  const GAP = 560; // between the columns, where there is room
  const FONT = 13; // pixels
  const MOST = 256; // tokens beyond which a line view tells nothing
  const PLENTY = 64; // tokens beyond which it says that lines are pruned
  /** Twelve colours that stay apart, also for colour-blind readers when neighbours differ in lightness. */
  const COLOURS = ['#2f5fd0', '#d9730d', '#0f8f74', '#9c4fc4', '#b8860b', '#0b7fab', '#c2416c', '#5b6b7a', '#6a8f1f', '#8c5a3c', '#4b4fc9', '#1f9e9e'];
  const KEYS = ['mapCount', 'place', 'keyPlace', 'asite', 'head', 'heads', 'hoverHead', 'look', 'theme', 'systemTheme', 'mass', 'bare', 'pos', 'key', 'hoverCell', 'view'];

  const colourOfHead = (/** @type {number} */ head) => COLOURS[head % COLOURS.length];

  /** Heads whose lines are drawn: a previewed one alone, else those picked, else the chosen one. */
  function shownHeads() {
    const { hoverHead, heads } = selection.get();
    const shown = attention.shownHead();
    if (!shown) return [];
    return hoverHead || !heads || !heads.length ? [shown.head] : heads.filter((/** @type {number} */ head) => head < shown.site.nHeads);
  }

  class LinesView extends interp.CanvasView {
    constructor(/** @type {HTMLElement} */ root) {
      super(root, KEYS);
      this.width = 0;
      this.column = COLUMNS[0];
      this.cache = new interp.LruMap(60);
    }

    /** The edges of one head, kept until something they depend on changes. */
    edges(/** @type {any} */ site, /** @type {number} */ head, /** @type {any} */ map) {
      const { mass, bare, place, keyPlace } = selection.get();
      const name = `${site.name}|${head}|${mass}|${bare}|${place.document}|${place.start}|${keyPlace.start}|${map.queries}`;
      let found = this.cache.get(name);
      if (!found) {
        found = edgesByMass(map.weights, map.queries, map.keys, mass, {
          skipKey: (/** @type {number} */ k) => interp.isHiddenToken(keyPlace, k, bare),
          skipQuery: (/** @type {number} */ q) => interp.isHiddenToken(place, q, bare),
        });
        this.cache.set(name, found);
      }
      return found;
    }

    draw() {
      const { view, place, keyPlace } = selection.get();
      const shown = attention.shownHead();
      if (view !== 'attention' || attention.look() !== 'lines' || !shown || !place || !keyPlace || !this.root.offsetParent) return;
      if (Math.max(place.tokens.length, keyPlace.tokens.length) > MOST) return;
      const heads = shownHeads();
      const maps = heads.map((/** @type {number} */ head) => attention.mapOf(shown.site, head));
      if (maps.some((/** @type {any} */ map) => !map)) return;
      const drawn = heads.map((/** @type {number} */ head, /** @type {number} */ i) => ({ head, edges: this.edges(shown.site, head, maps[i]) }));
      this.paint(drawn, place, keyPlace);
      const total = drawn.reduce((/** @type {any} */ sum, /** @type {any} */ { edges }) => ({ shown: sum.shown + edges.shown, possible: sum.possible + edges.possible, mass: sum.mass + edges.mass / drawn.length }), { shown: 0, possible: 0, mass: 0 });
      const before = selection.get().edgeCount;
      if (!before || ['shown', 'possible', 'mass'].some((name) => before[name] !== total[/** @type {'mass'} */ (name)])) selection.set({ edgeCount: total });
      this.root.dataset.painted = `${shown.site.name}:${heads.join(',')}|${total.shown}`;
    }

    paint(/** @type {any[]} */ drawn, /** @type {any} */ place, /** @type {any} */ keyPlace) {
      const rows = Math.max(place.tokens.length, keyPlace.tokens.length);
      this.column = this.room([...place.tokens, ...keyPlace.tokens]);
      const width = Math.max(2 * this.column + 120, Math.min(2 * this.column + GAP, this.root.clientWidth - 16));
      const height = rows * ROW + TOP;
      const context = this.sheet(width, height);
      this.width = width;
      const focus = this.focus();
      this.shade(context, drawn, focus);
      context.lineWidth = 1.5;
      for (const { head, edges } of drawn) this.strokes(context, head, edges, focus);
      context.globalAlpha = 1;
      this.words(context, place, keyPlace, focus);
      const { query, key } = attention.pinned();
      const row = query >= 0 ? query : key;
      this.reveal(`${query}|${key}`, null, row < 0 ? null : TOP + row * ROW, ROW);
    }

    /** Pixels that the tokens of a side need. */
    room(/** @type {string[]} */ tokens) {
      const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext('2d'));
      context.font = `700 ${FONT}px ${getComputedStyle(this.root).getPropertyValue('--mono')}`;
      const widest = Math.max(0, ...[...new Set(tokens)].map((token) => context.measureText(this.label(token)).width));
      return Math.round(Math.max(COLUMNS[0], Math.min(COLUMNS[1], widest + 24)));
    }

    label(/** @type {string} */ token) {
      return attention.short(token).slice(0, 26);
    }

    /** The token whose lines alone are shown: under the pointer, else pinned. */
    focus() {
      const { hoverCell } = selection.get();
      if (hoverCell) return { query: hoverCell.query, key: hoverCell.query === null ? hoverCell.key : null };
      const { query, key } = attention.pinned();
      return query >= 0 ? { query, key: null } : { query: null, key: key >= 0 ? key : null };
    }

    strokes(/** @type {CanvasRenderingContext2D} */ context, /** @type {number} */ head, /** @type {any} */ edges, /** @type {any} */ focus) {
      context.strokeStyle = colourOfHead(head);
      const [left, right] = [this.column, this.width - this.column];
      const one = focus.query !== null || focus.key !== null;
      const isDrawn = (/** @type {number} */ i) => !one || edges.query[i] === focus.query || edges.key[i] === focus.key;
      // Beside one token's lines nothing else is drawn: its strongest is drawn in full.
      const drawn = one ? Array.from({ length: edges.shown }, (_, i) => (isDrawn(i) ? edges.weight[i] : 0)) : [1];
      const largest = Math.max(1e-9, ...drawn);
      // Opacity in sixteen steps: one path each, instead of one per line.
      const steps = Array.from({ length: 17 }, () => new Path2D());
      for (let i = 0; i < edges.shown; i++) {
        if (!isDrawn(i)) continue;
        const path = steps[Math.ceil(16 * Math.min(1, edges.weight[i] / largest))];
        const [from, to] = [TOP + edges.query[i] * ROW, TOP + edges.key[i] * ROW];
        path.moveTo(left, from);
        path.bezierCurveTo(left + 60, from, right - 60, to, right, to);
      }
      steps.forEach((path, step) => {
        context.globalAlpha = step === 0 ? 0 : one ? Math.max(0.15, step / 16) : 0.75 * Math.max(0.06, step / 16);
        context.stroke(path);
      });
    }

    /** Behind the keys that the focused query looks at: how much, head by head. */
    shade(/** @type {CanvasRenderingContext2D} */ context, /** @type {any[]} */ drawn, /** @type {any} */ focus) {
      if (focus.query === null && focus.key === null) return;
      const isQuery = focus.query !== null;
      drawn.forEach(({ head, edges }, i) => {
        context.fillStyle = colourOfHead(head);
        for (let e = 0; e < edges.shown; e++) {
          if (isQuery ? edges.query[e] !== focus.query : edges.key[e] !== focus.key) continue;
          context.globalAlpha = 0.05 + 0.4 * Math.min(1, edges.weight[e]);
          const row = isQuery ? edges.key[e] : edges.query[e];
          const band = (this.column - 14) / drawn.length;
          context.fillRect((isQuery ? this.width - this.column + 4 : 4) + i * band, TOP - 8 + row * ROW, band, ROW - 2);
        }
      });
      context.globalAlpha = 1;
    }

    words(/** @type {CanvasRenderingContext2D} */ context, /** @type {any} */ place, /** @type {any} */ keyPlace, /** @type {any} */ focus) {
      const style = getComputedStyle(this.root);
      context.textBaseline = 'middle';
      context.fillStyle = style.getPropertyValue('--quiet');
      context.font = `11px ${style.fontFamily}`;
      context.textAlign = 'right';
      context.fillText('query', this.column - 8, 9);
      context.textAlign = 'left';
      context.fillText('key', this.width - this.column + 8, 9);
      const { bare } = selection.get();
      const column = (/** @type {any} */ where, /** @type {number|null} */ marked, /** @type {number} */ x, /** @type {CanvasTextAlign} */ align) => {
        context.textAlign = align;
        where.tokens.forEach((/** @type {string} */ token, /** @type {number} */ i) => {
          context.globalAlpha = interp.isHiddenToken(where, i, bare) ? 0.35 : 1;
          context.font = `${i === marked ? '700 ' : ''}${FONT}px ${style.getPropertyValue('--mono')}`;
          context.fillStyle = style.getPropertyValue(i === marked ? '--accent' : '--text');
          context.fillText(this.label(token), x, TOP + i * ROW, this.column - 16);
        });
        context.globalAlpha = 1;
      };
      column(place, focus.query, this.column - 8, 'right');
      column(keyPlace, focus.key, this.width - this.column + 8, 'left');
    }

    under(/** @type {MouseEvent} */ event) {
      const { place, keyPlace } = selection.get();
      if (!place || !this.width) return null;
      const box = this.canvas.getBoundingClientRect();
      const row = Math.floor((event.clientY - box.top - TOP + ROW / 2) / ROW);
      const [x] = [event.clientX - box.left];
      if (x < this.column && row >= 0 && row < place.tokens.length) return { query: row, key: null, weight: null };
      if (x > this.width - this.column && row >= 0 && row < keyPlace.tokens.length) return { query: null, key: row, weight: null };
      return null;
    }

    moved(/** @type {MouseEvent} */ event) {
      const cell = this.under(event);
      const { place } = selection.get();
      selection.set({ hoverCell: cell, hoverPos: cell && cell.query !== null ? place.first + place.start + cell.query : null, hoverFrom: 'lines' });
    }

    clicked(/** @type {MouseEvent} */ event) {
      const cell = this.under(event);
      const { place, keyPlace } = selection.get();
      if (!cell) selection.set({ pos: null, key: null }, { push: true });
      else if (cell.query !== null) selection.set({ pos: place.first + place.start + cell.query, key: null }, { push: true });
      else selection.set({ key: keyPlace.first + keyPlace.start + cell.key, pos: null }, { push: true });
    }
  }

  /** One chip per head of the layer: a click adds or removes it, a double click shows it alone, again all. */
  function HeadChips() {
    const { mass, edgeCount } = useSelection(['heads', 'asite', 'head', 'hoverHead', 'mass', 'edgeCount', 'attention', 'place']);
    const shown = attention.shownHead();
    if (!shown) return null;
    const on = shownHeads();
    const all = Array.from({ length: shown.site.nHeads }, (_, i) => i);
    const toggle = (/** @type {number} */ head) => {
      const next = on.includes(head) ? on.filter((/** @type {number} */ other) => other !== head) : [...on, head].sort((a, b) => a - b);
      if (next.length) selection.set({ heads: next, head: next.includes(shown.head) ? shown.head : next[0] }, { push: true });
    };
    const isolate = (/** @type {number} */ head) => selection.set(on.length === 1 && on[0] === head ? { heads: all, head } : { heads: [head], head }, { push: true });
    return h('div', { className: 'bar' },
      h('div', { className: 'head-chips', role: 'group', 'aria-label': 'Heads of this layer' }, all.map((head) => h(HeadChip, { key: head, head, isOn: on.includes(head), toggle, isolate }))),
      h('label', { className: 'inline', title: 'The fewest lines that explain this share of each row' }, `Top ${Math.round(100 * mass)} % of each row`,
        h('input', { type: 'range', min: 0, max: 1, step: 0.05, value: mass, onChange: (/** @type {any} */ event) => selection.set({ mass: Number(event.target.value) }) })),
      edgeCount && h('span', { className: 'badge', 'data-edges': edgeCount.shown }, `${edgeCount.shown.toLocaleString('en')} of ${edgeCount.possible.toLocaleString('en')} edges, ${Math.round(100 * edgeCount.mass)} % of mass`));
  }

  function HeadChip(/** @type {any} */ { head, isOn, toggle, isolate }) {
    const timer = React.useRef(0);
    // A double click is two clicks first: they wait a moment, so that it does not toggle twice on its way.
    const click = () => {
      clearTimeout(timer.current);
      timer.current = setTimeout(() => toggle(head), 220);
    };
    const double = () => {
      clearTimeout(timer.current);
      isolate(head);
    };
    return h('button', {
      type: 'button', className: isOn ? 'head-chip is-on' : 'head-chip', 'aria-pressed': isOn, style: { '--head': colourOfHead(head) },
      title: `Head ${head}: click to show or hide, double click to show alone or all`, onClick: click, onDoubleClick: double,
    }, String(head));
  }

  function HeadLines() {
    const ref = interp.useCanvasView(LinesView);
    const { place, keyPlace } = useSelection(['place', 'keyPlace']);
    const most = place && keyPlace ? Math.max(place.tokens.length, keyPlace.tokens.length) : 0;
    return h(React.Fragment, null, h(HeadChips),
      most > PLENTY && most <= MOST && h('p', { className: 'attention-note' }, `${most} tokens: lines are pruned to the weights that explain each row; the matrix shows every weight.`),
      most > MOST && h('div', { className: 'attention-note' }, `Lines between ${most} tokens would tell nothing. `,
        h('button', { type: 'button', className: 'link', onClick: () => selection.set({ look: 'matrix' }, { push: true }) }, 'Show the matrix'), ' or ',
        h('button', { type: 'button', className: 'link', onClick: () => selection.set({ tokens: 64 }, { push: true }) }, 'a window of 64 tokens'), '.'),
      h('div', { className: 'lines', ref, hidden: most > MOST, tabIndex: 0, role: 'region', 'aria-label': 'Attention as lines from queries to keys' }, h('canvas', { role: 'img', 'aria-label': 'Lines from queries on the left to keys on the right' })));
  }

  interp.addState({}, { edgeCount: null });
  Object.assign(interp, { HeadLines, colourOfHead });
})();
