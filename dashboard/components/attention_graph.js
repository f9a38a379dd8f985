// @ts-check
/**
 * AttentionGraph: tokens by layers; for one token at the top, the paths of attention that reach it.
 *
 * It shows where heads look, not what they contribute: values and the other parts of a layer are not in it.
 */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection, attention } = interp;
  const { combine, flowTo, reaching, strongest } = interp.attentionMath;

  const BOTTOM = 84; // room for tokens
  const TOP = 26;
  const LEFT = 34;
  const NEAR = 8; // pixels within which an edge is under the pointer
  const KEYS = ['mapCount', 'places', 'place', 'asite', 'head', 'hoverHead', 'look', 'theme', 'systemTheme', 'join', 'cut', 'pos', 'view', 'hoverEdge'];

  /** One map per layer, as the state asks for, and which head is the strongest at each edge. */
  function layerMaps(/** @type {any} */ found, /** @type {string} */ join, /** @type {number} */ head, /** @type {number} */ target) {
    const heads = found.sites.map((/** @type {any} */ site) => strongest(site.maps));
    if (join === 'head') return { maps: found.sites.map((/** @type {any} */ site) => site.maps[Math.min(head, site.nHeads - 1)]), heads: found.sites.map((/** @type {any} */ site) => new Float32Array(found.n * found.n).fill(Math.min(head, site.nHeads - 1))) };
    const maps = found.sites.map((/** @type {any} */ site) => combine(site.maps, join === 'max' ? 'max' : 'mean'));
    return { maps: join === 'rollout' ? flowTo(maps, found.n, target) : maps, heads };
  }

  class GraphView extends interp.CanvasView {
    constructor(/** @type {HTMLElement} */ root) {
      super(root, KEYS);
      this.stepX = this.stepY = 1; // CSS pixels
      /** @type {any} */ this.found = null;
      /** @type {any} {name, edges, reached} */ this.shown = null;
    }

    /** Index of the token whose sources are shown: the pinned one, else the last. */
    target() {
      const { query } = attention.pinned();
      const shown = attention.shownHead();
      const isHere = shown && shown.site.stream === this.found.stream && query >= 0 && query < this.found.n;
      return isHere ? query : this.found.n - 1;
    }

    draw() {
      const { view, places, join, cut } = selection.get();
      if (view !== 'attention' || attention.look() !== 'graph' || !places || !this.root.offsetParent) return;
      const found = attention.layersInSight();
      if (!found) return;
      const place = places.of[found.stream];
      this.place = place;
      this.found = found;
      const shown = attention.shownHead();
      const target = this.target();
      const name = [found.stream, place.document, found.start, found.n, join, cut, target, join === 'head' && shown ? shown.head : '', found.sites.map((/** @type {any} */ s) => s.name).join()].join('|');
      if (!this.shown || this.shown.name !== name) {
        const { maps, heads } = layerMaps(found, join, shown ? shown.head : 0, target);
        this.shown = { name, ...reaching(maps, found.n, target, Math.max(1e-6, cut), heads) };
        const possible = maps.reduce((/** @type {number} */ sum, /** @type {Float32Array} */ map) => sum + map.reduce((n, w) => n + (w > 0 ? 1 : 0), 0), 0);
        selection.set({ graphCount: { shown: this.shown.edges.length, possible } });
      }
      this.paint(place, target);
      this.reveal(`${place.document}|${found.start + target}`, this.x(target), null, 2 * this.stepX);
      this.root.dataset.painted = name;
    }

    paint(/** @type {any} */ place, /** @type {number} */ target) {
      const { found } = this;
      const levels = found.sites.length + 1;
      const width = Math.max(this.root.clientWidth - 20, LEFT + found.n * 14);
      this.stepX = Math.min(64, (width - LEFT - 12) / found.n);
      const room = this.root.clientHeight - BOTTOM - TOP - 20;
      this.stepY = Math.max(30, Math.min(120, room / Math.max(1, levels - 1)));
      const height = TOP + BOTTOM + this.stepY * (levels - 1);
      const context = this.sheet(width, height);
      const style = getComputedStyle(this.root);
      this.residual(context, style);
      this.edges(context, style);
      this.nodes(context, style, target);
      this.words(context, style, place, target);
    }

    x(/** @type {number} */ token) {
      return LEFT + (token + 0.5) * this.stepX;
    }

    y(/** @type {number} */ level) {
      return TOP + this.stepY * (this.found.sites.length - level);
    }

    residual(/** @type {CanvasRenderingContext2D} */ context, /** @type {CSSStyleDeclaration} */ style) {
      context.strokeStyle = style.getPropertyValue('--line-strong');
      context.lineWidth = 1;
      context.setLineDash([2, 3]);
      context.beginPath();
      const { reached } = /** @type {any} */ (this.shown);
      for (let level = 0; level < this.found.sites.length; level++) {
        for (let token = 0; token < this.found.n; token++) {
          if (!reached[level + 1][token]) continue;
          context.moveTo(this.x(token), this.y(level));
          context.lineTo(this.x(token), this.y(level + 1));
        }
      }
      context.stroke();
      context.setLineDash([]);
    }

    edges(/** @type {CanvasRenderingContext2D} */ context, /** @type {CSSStyleDeclaration} */ style) {
      const { hoverEdge } = selection.get();
      context.strokeStyle = style.getPropertyValue('--graph');
      const largest = Math.max(1e-9, .../** @type {any} */ (this.shown).edges.map((/** @type {any} */ e) => e.weight));
      for (const edge of /** @type {any} */ (this.shown).edges) {
        const share = edge.weight / largest;
        context.globalAlpha = 0.15 + 0.85 * share;
        context.lineWidth = 0.6 + 2.6 * share;
        context.beginPath();
        this.trace(context, edge);
        context.stroke();
      }
      context.globalAlpha = 1;
      if (hoverEdge) {
        context.strokeStyle = style.getPropertyValue('--cursor');
        context.lineWidth = 2.5;
        context.beginPath();
        this.trace(context, hoverEdge);
        context.stroke();
      }
    }

    trace(/** @type {CanvasRenderingContext2D} */ context, /** @type {any} */ edge) {
      const [x0, y0, x1, y1] = [this.x(edge.key), this.y(edge.level), this.x(edge.query), this.y(edge.level + 1)];
      context.moveTo(x0, y0);
      if (edge.key === edge.query) context.bezierCurveTo(x0 + this.stepX * 0.6, y0 - this.stepY * 0.3, x1 + this.stepX * 0.6, y1 + this.stepY * 0.3, x1, y1);
      else context.lineTo(x1, y1);
    }

    nodes(/** @type {CanvasRenderingContext2D} */ context, /** @type {CSSStyleDeclaration} */ style, /** @type {number} */ target) {
      const { reached } = /** @type {any} */ (this.shown);
      const radius = Math.max(1.5, Math.min(4, this.stepX / 4));
      for (let level = 0; level < reached.length; level++) {
        for (let token = 0; token < this.found.n; token++) {
          const isTarget = level === reached.length - 1 && token === target;
          context.fillStyle = style.getPropertyValue(isTarget ? '--accent' : reached[level][token] ? '--graph' : '--line');
          context.beginPath();
          context.arc(this.x(token), this.y(level), isTarget ? radius + 2.5 : radius, 0, 2 * Math.PI);
          context.fill();
        }
      }
    }

    words(/** @type {CanvasRenderingContext2D} */ context, /** @type {CSSStyleDeclaration} */ style, /** @type {any} */ place, /** @type {number} */ target) {
      context.textBaseline = 'middle';
      context.fillStyle = style.getPropertyValue('--quiet');
      context.font = `11px ${style.fontFamily}`;
      context.textAlign = 'right';
      for (let level = 0; level < this.found.sites.length; level++) context.fillText(`L${level}`, LEFT - 10, this.y(level + 0.5));
      const every = Math.max(1, Math.ceil(11 / this.stepX));
      const first = this.found.start - place.start;
      for (let token = 0; token < this.found.n; token++) {
        if (token % every && token !== target) continue;
        context.save();
        context.translate(this.x(token), this.y(0) + 10);
        context.rotate(-Math.PI / 2);
        context.fillStyle = style.getPropertyValue(token === target ? '--accent' : '--text');
        context.font = `${token === target ? '700 ' : ''}12px ${style.getPropertyValue('--mono')}`;
        context.fillText(attention.short(place.tokens[first + token] || '').slice(0, 11), 0, 0, BOTTOM - 14);
        context.restore();
      }
    }

    /** The edge or the token under the pointer. */
    under(/** @type {MouseEvent} */ event) {
      if (!this.shown) return null;
      const box = this.canvas.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      const token = Math.max(0, Math.min(this.found.n - 1, Math.floor((x - LEFT) / this.stepX)));
      let best = null, least = NEAR;
      for (const edge of this.shown.edges) {
        const [x0, y0, x1, y1] = [this.x(edge.key), this.y(edge.level), this.x(edge.query), this.y(edge.level + 1)];
        const along = Math.max(0, Math.min(1, ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2)));
        const bend = edge.key === edge.query ? this.stepX * 0.45 * 4 * along * (1 - along) : 0;
        const away = Math.hypot(x - x0 - along * (x1 - x0) - bend, y - y0 - along * (y1 - y0));
        if (away < least) [best, least] = [edge, away];
      }
      const isNode = Math.abs(y - this.y(this.found.sites.length)) < 12 || y > this.y(0) + 4;
      return { edge: isNode ? null : best, token };
    }

    moved(/** @type {MouseEvent} */ event) {
      const found = this.under(event);
      const { place } = this;
      selection.set({ hoverEdge: found ? found.edge : null, hoverPos: found ? place.first + this.found.start + (found.edge ? found.edge.query : found.token) : null, hoverFrom: 'graph' });
    }

    clicked(/** @type {MouseEvent} */ event) {
      const found = this.under(event);
      if (!found) return;
      const base = this.place.first + this.found.start;
      const chosen = attention.siteNamed(selection.get().asite);
      // The target is a position of the graph's stream, whose heads may be others than the chosen one.
      const isHere = chosen && chosen.stream === this.found.stream;
      if (!found.edge) selection.set({ ...(isHere ? {} : { asite: this.found.sites[0].name, head: 0, heads: null }), pos: base + found.token }, { push: true });
      else {
        const site = this.found.sites[found.edge.level];
        selection.set({ asite: site.name, head: found.edge.head, heads: null, look: 'matrix', pos: base + found.edge.query, key: base + found.edge.key, hoverEdge: null }, { push: true });
      }
    }

    /** Left and right choose the target token. */
    keyed(/** @type {KeyboardEvent} */ event) {
      const by = event.key === 'ArrowLeft' ? -1 : event.key === 'ArrowRight' ? 1 : 0;
      if (!by || !this.found) return;
      event.preventDefault();
      event.stopPropagation();
      selection.set({ pos: this.place.first + this.found.start + Math.max(0, Math.min(this.found.n - 1, this.target() + by)) });
    }
  }

  const JOINS = [['mean', 'mean of heads'], ['max', 'largest head'], ['rollout', 'rollout to the target'], ['head', 'the chosen head number']];

  function GraphTools() {
    const { join, cut, graphCount, hoverEdge, places } = useSelection(['join', 'cut', 'graphCount', 'hoverEdge', 'places', 'place']);
    const stream = attention.graphStream();
    const place = places && stream !== null ? places.of[stream] : null;
    return h('div', { className: 'bar' },
      h('label', { className: 'inline' }, 'Heads', h('select', { value: join, onChange: (/** @type {any} */ event) => selection.set({ join: event.target.value }, { push: true }) },
        JOINS.map(([value, text]) => h('option', { key: value, value }, text)))),
      h('label', { className: 'inline' }, `Weights from ${cut.toFixed(2)}`, h('input', { type: 'range', min: 0, max: 1, step: 0.01, value: cut, onChange: (/** @type {any} */ event) => selection.set({ cut: Number(event.target.value) }) })),
      graphCount && h('span', { className: 'badge', 'data-edges': graphCount.shown }, `${graphCount.shown.toLocaleString('en')} of ${graphCount.possible.toLocaleString('en')} edges reach the target`),
      place && place.tokens.length > 64 && h('span', { className: 'badge badge-warn' }, 'first 64 tokens of the window'),
      h('span', { className: 'quiet count' }, hoverEdge && place ? `layer ${hoverEdge.level}, head ${hoverEdge.head}: ${hoverEdge.weight.toFixed(3)}` : 'attention, not contribution'));
  }

  function AttentionGraph() {
    const { attention: known } = useSelection(['attention']);
    const isFollowed = (/** @type {any} */ site) => site.stream === site.keyStream && site.form !== 'stats';
    if (!known || known.sites.some(isFollowed)) return h(SelfAttention);
    return h(interp.EmptyNote, { text: 'The graph follows self-attention from layer to layer, and this recording has none: its heads look from one stream at another. Matrix, lines and steps show them.' });
  }

  function SelfAttention() {
    const ref = interp.useCanvasView(GraphView);
    return h(React.Fragment, null, h(GraphTools),
      h('p', { className: 'attention-note' }, 'Click a token to see what reaches it, an edge to open its head. Lines say where heads look, not how much that contributes to the prediction.'),
      h('div', { className: 'graph', ref, tabIndex: 0, role: 'region', 'aria-label': 'Attention graph: left and right choose the target token' }, h('canvas', { role: 'img', 'aria-label': 'Tokens by layers with the attention that reaches the target' })));
  }

  interp.addState({}, { hoverEdge: null, graphCount: null });
  Object.assign(interp, { AttentionGraph });
})();
