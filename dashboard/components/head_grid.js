// @ts-check
/** HeadGrid: every head of every layer as a thumbnail; hovering previews a head, a click locks it. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection, attention } = interp;
  const { colourAt, formatValue, toCss, toPixel } = interp.colour;

  const GAP = 4;
  const BAR = 4; // under each thumbnail, where a metric tints it
  const TOP = 16;
  const LEFT = 26;
  const HEADING = 16; // above rows whose heads read other streams than those before

  /** Names and meanings of what heads are sorted by; see dashboard/head_numbers.py. */
  const METRIC_TEXT = {
    relative_entropy: ['entropy', 'How spread out a row is: 0 for one key, 1 for all that it can see alike'],
    first: ['first token', 'Weight on the first token of the window'],
    previous: ['previous token', 'Weight on the position before'],
    self: ['itself', 'Weight on the position itself'],
    distance: ['distance', 'Mean number of positions between query and key'],
    confidence: ['confidence', 'Largest weight of a row'],
  };

  /** How far a metric reaches to the right of its bar, 0 to 1. */
  function share(/** @type {any[]} */ heads, /** @type {string} */ metric, /** @type {number|null|undefined} */ value) {
    if (value === null || value === undefined) return 0;
    // Most lie in 0 to 1; nats and positions are shown beside the largest.
    const most = Math.max(1, ...heads.map((head) => head[metric] || 0));
    return Math.max(0, value / most);
  }

  /** Pixels of all 256 codes. A code is the square root of a weight, and is shown as it is: a thumbnail tells patterns. */
  const codePixels = (/** @type {string} */ theme) => Uint32Array.from({ length: 256 }, (_, code) => toPixel(attention.weightColour(code / 255, theme)));

  /** Which streams a layer's heads read, in words. */
  function streamsIn(/** @type {string} */ name) {
    const site = attention.siteNamed(name);
    return site ? (site.stream === site.keyStream ? `${site.stream} looks at itself` : `${site.stream} looks at ${site.keyStream}`) : '';
  }

  /** The same where it changes from layer to layer: row to words. */
  function headingsOf(/** @type {string[]} */ sites) {
    const words = sites.map(streamsIn);
    if (new Set(words).size < 2) return new Map();
    return new Map(words.map((text, row) => /** @type {[number, string]} */ ([row, text])).filter(([row, text]) => row === 0 || words[row - 1] !== text));
  }

  /** Where each head stands: rows are layers, or the heads in their order from left to right. */
  function arrange(/** @type {any[]} */ heads, /** @type {string} */ order, /** @type {number} */ width) {
    const sites = [...new Set(heads.map((head) => head.site))];
    const perRow = Math.max(...sites.map((site) => heads.filter((head) => head.site === site).length));
    const cell = Math.max(22, Math.min(72, Math.floor((width - LEFT) / perRow) - GAP));
    if (order === 'model') {
      return { cell, sites, headings: headingsOf(sites), rows: sites.length, perRow, places: heads.map((head) => ({ head, row: sites.indexOf(head.site), column: head.head })) };
    }
    const rank = (/** @type {number|null|undefined} */ value) => (value === null || value === undefined ? -1 : value);
    // Sorted heads fill the rows; those without a number come last.
    const sorted = [...heads].sort((a, b) => rank(b[order]) - rank(a[order]));
    return { cell, sites: null, headings: new Map(), perRow, rows: Math.ceil(heads.length / perRow), places: sorted.map((head, i) => ({ head, row: Math.floor(i / perRow), column: i % perRow })) };
  }

  class GridView extends interp.CanvasView {
    constructor(/** @type {HTMLElement} */ root) {
      super(root, ['headGrid', 'order', 'tint', 'asite', 'head', 'hoverHead', 'theme', 'systemTheme', 'view']);
      /** @type {any} */ this.layout = null;
      this.pitch = 1; // pixels from row to row
    }

    left() {
      this.preview(null);
    }

    clicked(/** @type {MouseEvent} */ event) {
      const found = this.under(event);
      if (found) attention.chooseHead(found.site, found.head);
    }

    draw() {
      const { headGrid, order, tint, asite, head, hoverHead } = selection.get();
      if (!headGrid || !headGrid.heads.length || !this.root.offsetParent) return;
      const theme = selection.theme();
      // A link may ask for a measure that this recording has no result of.
      const isKnown = headGrid.heads.some((/** @type {any} */ row) => row[order] !== undefined);
      const layout = arrange(headGrid.heads, isKnown ? order : 'model', this.root.clientWidth - 14);
      this.layout = layout;
      const pitch = layout.cell + GAP + (tint === 'none' ? 0 : BAR);
      this.pitch = pitch;
      const [width, height] = [LEFT + layout.perRow * (layout.cell + GAP), this.top(layout.rows)];
      const context = this.sheet(width, height);
      context.imageSmoothingQuality = 'high';
      const style = getComputedStyle(this.root);
      const pixels = codePixels(theme);
      for (const place of layout.places) this.drawHead(context, place, pixels, tint, theme, style);
      this.drawLabels(context, layout, style);
      this.drawFrame(context, asite, head, style.getPropertyValue('--accent'), 2);
      if (hoverHead) this.drawFrame(context, hoverHead.site, hoverHead.head, style.getPropertyValue('--cursor'), 1);
      const chosen = layout.places.find((/** @type {any} */ p) => p.head.site === asite && p.head.head === head);
      if (chosen) this.reveal(`${asite}:${head}`, LEFT + (chosen.column + 0.5) * (layout.cell + GAP), this.top(chosen.row) + pitch / 2, pitch + 2 * GAP);
      this.root.dataset.painted = `${headGrid.name}|${order}|${tint}|${headGrid.hasNumbers ? 'numbers' : ''}`;
    }

    /** Where a row begins, in pixels. */
    top(/** @type {number} */ row) {
      const above = [...this.layout.headings.keys()].filter((/** @type {number} */ at) => at <= row).length;
      return TOP + row * this.pitch + above * HEADING;
    }

    drawHead(/** @type {CanvasRenderingContext2D} */ context, /** @type {any} */ { head, row, column }, /** @type {Uint32Array} */ pixels, /** @type {string} */ tint, /** @type {string} */ theme, /** @type {CSSStyleDeclaration} */ style) {
      const [rows, columns] = head.shape;
      const picture = new OffscreenCanvas(columns, rows);
      const inside = /** @type {OffscreenCanvasRenderingContext2D} */ (picture.getContext('2d'));
      const image = inside.createImageData(columns, rows);
      const out = new Uint32Array(image.data.buffer);
      for (let i = 0; i < out.length; i++) out[i] = pixels[head.codes[i]];
      inside.putImageData(image, 0, 0);
      const [x, y] = [LEFT + column * (this.layout.cell + GAP), this.top(row)];
      context.imageSmoothingEnabled = columns > this.layout.cell * (window.devicePixelRatio || 1);
      context.drawImage(picture, x, y, this.layout.cell, this.layout.cell);
      context.strokeStyle = style.getPropertyValue('--line');
      context.lineWidth = 1;
      context.strokeRect(x - 0.5, y - 0.5, this.layout.cell + 1, this.layout.cell + 1);
      if (tint !== 'none') {
        // The colour is found at a glance over many heads, the width compared between neighbours.
        const part = share(selection.get().headGrid.heads, tint, head[tint]);
        context.fillStyle = toCss(colourAt(0.3 + 0.7 * part, theme, 'loss'));
        context.fillRect(x, y + this.layout.cell + 2, this.layout.cell * part, BAR - 1);
      }
    }

    drawLabels(/** @type {CanvasRenderingContext2D} */ context, /** @type {any} */ layout, /** @type {CSSStyleDeclaration} */ style) {
      context.fillStyle = style.getPropertyValue('--quiet');
      context.font = `11px ${style.fontFamily}`;
      context.textBaseline = 'middle';
      context.textAlign = 'right';
      if (layout.sites) {
        for (let row = 0; row < layout.rows; row++) context.fillText(String(attention.layerOf(layout.sites[row])), LEFT - 6, this.top(row) + layout.cell / 2);
        context.textAlign = 'left';
        for (const [row, text] of layout.headings) context.fillText(text, LEFT, this.top(row) - HEADING / 2 - 1);
        context.textAlign = 'center';
        const every = layout.cell < 24 ? 2 : 1;
        for (let i = 0; i < layout.perRow; i += every) context.fillText(String(i), LEFT + i * (layout.cell + GAP) + layout.cell / 2, TOP / 2);
      }
    }

    drawFrame(/** @type {CanvasRenderingContext2D} */ context, /** @type {string} */ site, /** @type {number} */ head, /** @type {string} */ colour, /** @type {number} */ width) {
      const place = this.layout.places.find((/** @type {any} */ p) => p.head.site === site && p.head.head === head);
      if (!place) return;
      context.strokeStyle = colour;
      context.lineWidth = width;
      const [x, y] = [LEFT + place.column * (this.layout.cell + GAP), this.top(place.row)];
      context.strokeRect(x - 1.5, y - 1.5, this.layout.cell + 3, this.layout.cell + 3);
    }

    /** The head under the pointer. */
    under(/** @type {MouseEvent} */ event) {
      if (!this.layout) return null;
      const box = this.canvas.getBoundingClientRect();
      const column = Math.floor((event.clientX - box.left - LEFT) / (this.layout.cell + GAP));
      const y = event.clientY - box.top;
      const place = this.layout.places.find((/** @type {any} */ p) => p.column === column && y >= this.top(p.row) && y < this.top(p.row) + this.layout.cell + GAP);
      return place ? place.head : null;
    }

    moved(/** @type {MouseEvent} */ event) {
      const found = this.under(event);
      clearTimeout(this.timer);
      // A pointer on its way elsewhere should not fetch every head it crosses.
      this.timer = setTimeout(() => this.preview(found), found ? 40 : 0);
    }

    preview(/** @type {any} */ found) {
      clearTimeout(this.timer);
      selection.set({ hoverHead: found ? { site: found.site, head: found.head } : null });
    }

    /** Arrow keys walk through the grid as it stands. */
    keyed(/** @type {KeyboardEvent} */ event) {
      const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!by || !this.layout) return;
      event.preventDefault();
      event.stopPropagation();
      const { asite, head } = selection.get();
      const { places } = this.layout;
      const now = places.find((/** @type {any} */ p) => p.head.site === asite && p.head.head === head);
      const next = now && places.find((/** @type {any} */ p) => p.row === now.row + by[0] && p.column === now.column + by[1]);
      if (next) selection.set({ asite: next.head.site, head: next.head.head, heads: null, hoverHead: null });
    }
  }

  /** What the shown head does in the window, in numbers. */
  function HeadCard() {
    const { headGrid } = useSelection(['headGrid', 'asite', 'head', 'hoverHead', 'attention']);
    const shown = attention.shownHead();
    if (!shown) return null;
    const row = headGrid && headGrid.heads.find((/** @type {any} */ head) => head.site === shown.site.name && head.head === shown.head);
    const isOne = new Set(attention.sitesWithMaps().map((/** @type {any} */ site) => streamsIn(site.name))).size < 2;
    // Of what cannot be said of this head, such as the position before between two texts, nothing is shown.
    const measured = attention.METRICS.filter((/** @type {string} */ metric) => !row || row[metric] !== null);
    const numbers = measured.map((/** @type {'self'|'distance'} */ metric) => h('div', { key: metric, title: METRIC_TEXT[metric][1] },
      h('dt', null, METRIC_TEXT[metric][0]), h('dd', null, row ? formatValue(row[metric], metric === 'distance' ? 1 : 2) : '–')));
    return h('div', { className: 'head-card' },
      h('h2', null, `Layer ${attention.layerOf(shown.site.name)}, head ${shown.head}`, !isOne && h('span', { className: 'quiet head-streams' }, streamsIn(shown.site.name))),
      // The end of a module's name tells more than its beginning: that is what is cut.
      h('p', { className: 'quiet head-site', title: shown.site.name }, h('bdi', null, shown.site.module)),
      h('dl', { className: 'numbers' }, numbers),
      h('p', { className: 'quiet head-note' }, measured.length ? `Means over the rows of the window in sight, ${measured.includes('distance') ? 'distance in positions, all else in' : 'all in'} 0 to 1.` : 'No row in sight has any weight.'));
  }

  function HeadTools() {
    const { order, tint, attention: known } = useSelection(['order', 'tint', 'attention']);
    const stored = known ? known.stored : [];
    const options = [
      h('optgroup', { key: 'window', label: 'in this window' }, attention.METRICS.map((/** @type {'self'|'distance'} */ metric) => h('option', { key: metric, value: metric }, METRIC_TEXT[metric][0]))),
      stored.length > 0 && h('optgroup', { key: 'stored', label: 'over all documents' }, stored.map((/** @type {string} */ metric) => h('option', { key: metric, value: `all ${metric}` }, metric.replace(/_/g, ' ')))),
    ];
    const set = (/** @type {string} */ key) => (/** @type {any} */ event) => selection.set({ [key]: event.target.value }, { push: true });
    return h('div', { className: 'bar' },
      h('label', { className: 'inline' }, 'Sort', h('select', { value: order, onChange: set('order') }, h('option', { value: 'model' }, 'layers × heads'), options)),
      h('label', { className: 'inline' }, 'Bars', h('select', { value: tint, onChange: set('tint') }, h('option', { value: 'none' }, 'none'), options)));
  }

  function HeadGrid() {
    const ref = interp.useCanvasView(GridView);
    const { headGrid } = useSelection(['headGrid']);
    return h('div', { className: 'head-grid', ref, tabIndex: 0, role: 'region', 'aria-label': 'All heads: arrow keys choose one' },
      !headGrid && h('p', { className: 'quiet' }, 'Loading heads …'),
      h('canvas', { role: 'img', 'aria-label': 'Thumbnails of all heads, layers as rows' }));
  }

  Object.assign(interp, { HeadGrid, HeadCard, HeadTools, arrangeHeads: arrange });
})();
