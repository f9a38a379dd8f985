// @ts-check
/** HeatMap: many units by time for the steps in sight, on one canvas. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection } = interp;
  const { getBuffer, guarded } = interp.requests;
  const { colourAt, formatValue, toPixel } = interp.colour;
  const { stepsInSight, stepAt } = interp.timeAxis;
  const { formatUnits } = interp.urlState;

  const HEAT_KEYS = ['about', 'site', 'unit', 'inSight', 'pos', 'zoom', 'sort', 'units', 'scale', 'stretch', 'theme', 'systemTheme', 'panel', 'view'];
  const LOWEST_ROW = 3; // CSS pixels

  /**
   * @param {ArrayBuffer} buffer as heat.py packs it
   * @returns {{rows: number, columns: number, steps: number, limit: number, units: Int32Array, keys: Float32Array, levels: Int8Array}}
   */
  function unpackHeat(buffer) {
    const view = new DataView(buffer);
    const [rows, columns, steps] = [0, 4, 8].map((at) => view.getInt32(at, true));
    const units = new Int32Array(buffer.slice(16, 16 + 4 * rows));
    const keys = new Float32Array(buffer.slice(16 + 4 * rows, 16 + 8 * rows));
    const levels = new Int8Array(buffer, 16 + 8 * rows, rows * columns);
    return { rows, columns, steps, limit: view.getFloat32(12, true), units, keys, levels };
  }

  /** Pixels of all 256 levels under a scale. */
  function levelPixels(/** @type {any} */ heat, /** @type {any} */ scale, /** @type {string} */ theme) {
    const hue = scale.oneSided ? 'oneSided' : undefined;
    return Uint32Array.from({ length: 256 }, (_, i) => {
      const level = i - 128;
      const value = level === -128 ? NaN : (level / 127) * heat.limit;
      return toPixel(colourAt(interp.colour.placeOnScale(value, scale), theme, hue));
    });
  }

  class HeatController {
    constructor(/** @type {HTMLElement} */ root) {
      this.root = root;
      this.canvas = /** @type {HTMLCanvasElement} */ (root.querySelector('canvas'));
      this.marker = /** @type {HTMLElement} */ (root.querySelector('.heat-row'));
      this.cursor = /** @type {HTMLElement} */ (root.querySelector('.heat-column'));
      /** @type {any} */ this.heat = null;
      /** @type {[number, number]|null} */ this.steps = null;
      this.rowHeight = LOWEST_ROW;
      this.shownKey = ''; // of the picture on screen
      /** @type {(() => void)[]} */
      this.stops = [
        selection.subscribe(HEAT_KEYS, () => this.schedule()),
        selection.subscribe(['hoverPos', 'hoverUnit', 'unit', 'pos'], () => this.drawCursor()),
      ];
      const observer = new ResizeObserver(() => this.draw());
      observer.observe(root);
      this.stops.push(() => observer.disconnect());
      this.canvas.addEventListener('mousemove', (event) => this.moved(event));
      this.canvas.addEventListener('mouseleave', () => selection.set({ hoverPos: null, hoverUnit: null, heatValue: null }));
      this.canvas.addEventListener('click', (event) => this.clicked(event));
      root.addEventListener('keydown', (event) => this.keyed(event));
    }

    close() {
      this.stops.forEach((stop) => stop());
    }

    schedule() {
      if (this.timer) return;
      this.timer = setTimeout(() => {
        this.timer = 0;
        this.update();
      }, 60);
    }

    update() {
      const state = selection.get();
      const stream = selection.stream();
      if (!state.about || !stream || !state.site || state.unit === null || state.panel !== 'heat' || state.view !== 'explore') return;
      const [start, stop] = stepsInSight(state, stream.nPositions);
      this.steps = /** @type {[number, number]} */ ([start, stop]);
      const columns = Math.max(50, Math.min(1024, this.canvas.clientWidth || 800));
      const parameters = {
        site: state.site, start, stop, sort: state.sort, columns, v: state.about.fingerprint,
        // Only sorting by correlation depends on the chosen unit: others need no new picture for it.
        unit: state.sort === 'correlation' ? state.unit : 0,
        units: state.units && state.units.length ? formatUnits(state.units) : null,
      };
      const asked = JSON.stringify(parameters) + state.about.key;
      if (asked === this.shownKey) {
        this.draw();
        return;
      }
      this.asked = asked;
      guarded(async () => {
        const heat = unpackHeat(await getBuffer(`${state.about.key}/heat`, parameters));
        if (this.asked !== asked) return;
        this.heat = heat;
        this.shownKey = asked;
        selection.set({ heatInfo: { rows: heat.rows, steps: heat.steps, limit: heat.limit }, stripSteps: [start, stop] });
        this.draw();
      });
    }

    draw() {
      const { heat, canvas } = this;
      if (!heat || !this.root.offsetParent) return;
      const state = selection.get();
      const site = selection.site();
      const limit = state.scale !== null && state.scale > 0 ? state.scale : site.oneSided ? 1 : heat.limit;
      const pixels = levelPixels(heat, { limit, oneSided: site.oneSided, stretch: state.stretch }, selection.theme());
      canvas.width = heat.columns;
      canvas.height = heat.rows;
      const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
      const image = context.createImageData(heat.columns, heat.rows);
      const out = new Uint32Array(image.data.buffer);
      for (let i = 0; i < out.length; i++) out[i] = pixels[heat.levels[i] + 128];
      context.putImageData(image, 0, 0);
      const room = this.root.clientHeight - 2;
      this.rowHeight = Math.max(LOWEST_ROW, Math.min(24, Math.floor(room / heat.rows)));
      canvas.style.height = `${this.rowHeight * heat.rows}px`;
      this.root.dataset.rows = String(heat.rows);
      this.root.dataset.steps = (this.steps || []).join('-');
      this.drawCursor();
    }

    rowOf(/** @type {number|null} */ unit) {
      return this.heat && unit !== null ? this.heat.units.indexOf(unit) : -1;
    }

    drawCursor() {
      if (!this.heat || !this.steps) return;
      const { hoverPos, pos, hoverUnit, unit } = selection.get();
      const row = this.rowOf(hoverUnit !== null ? hoverUnit : unit);
      this.marker.hidden = row < 0;
      this.marker.style.top = `${row * this.rowHeight}px`;
      this.marker.style.height = `${this.rowHeight}px`;
      this.marker.dataset.unit = String(hoverUnit !== null ? hoverUnit : unit);
      const at = hoverPos !== null ? hoverPos : pos;
      const [start, stop] = this.steps;
      this.cursor.hidden = at === null || at < start || at >= stop;
      if (at !== null) {
        this.cursor.style.left = `${this.canvas.offsetLeft + ((at - start) / (stop - start)) * this.canvas.clientWidth}px`;
        this.cursor.style.height = this.canvas.style.height;
      }
    }

    /** Unit, position and value under the pointer. */
    under(/** @type {MouseEvent} */ event) {
      if (!this.steps) return null;
      const box = this.canvas.getBoundingClientRect();
      const position = stepAt(event.clientX - box.left, box.width, this.steps);
      const row = Math.floor((event.clientY - box.top) / this.rowHeight);
      if (position < 0 || row < 0 || row >= this.heat.rows) return null;
      const column = Math.min(this.heat.columns - 1, Math.floor((position - this.steps[0]) / this.heat.steps));
      const level = this.heat.levels[row * this.heat.columns + column];
      return { position, unit: this.heat.units[row], key: this.heat.keys[row], value: level === -128 ? NaN : (level / 127) * this.heat.limit };
    }

    moved(/** @type {MouseEvent} */ event) {
      const found = this.heat && this.under(event);
      if (!found) return;
      selection.set({ hoverPos: found.position, hoverFrom: 'heat', heatValue: found });
      clearTimeout(this.preview);
      // A pointer on its way somewhere should not recolour the text.
      this.preview = setTimeout(() => selection.get().hoverFrom === 'heat' && selection.get().heatValue && selection.set({ hoverUnit: found.unit }), 60);
    }

    clicked(/** @type {MouseEvent} */ event) {
      const found = this.heat && this.under(event);
      if (!found) return;
      clearTimeout(this.preview);
      selection.set({ unit: found.unit, hoverUnit: null, pos: found.position }, { push: true });
    }

    /** Up and down go through the rows as they are sorted. */
    keyed(/** @type {KeyboardEvent} */ event) {
      const by = event.key === 'ArrowUp' ? -1 : event.key === 'ArrowDown' ? 1 : 0;
      if (!by || !this.heat) return;
      event.preventDefault();
      event.stopPropagation();
      const row = Math.max(0, Math.min(this.heat.rows - 1, this.rowOf(selection.get().unit) + by));
      selection.set({ unit: this.heat.units[row] });
      this.marker.scrollIntoView({ block: 'nearest' });
    }
  }

  function HeatBar() {
    const { sort, units, heatInfo, heatValue } = useSelection(['sort', 'units', 'heatInfo', 'heatValue', 'about', 'site']);
    const site = selection.site();
    const sorts = [['variance', 'most variable first'], ['correlation', 'correlation with the chosen unit'], ['index', 'index']];
    return h('div', { className: 'heat-bar' },
      h('label', { className: 'inline' }, 'Sort', h('select', { value: sort, onChange: (/** @type {any} */ event) => selection.set({ sort: event.target.value }, { push: true }) },
        sorts.map(([value, text]) => h('option', { key: value, value }, text)))),
      units && units.length > 0 && h('button', { type: 'button', className: 'chip is-on', title: 'Show all units again', onClick: () => selection.set({ units: null }, { push: true }) }, `${units.length} units picked ×`),
      heatInfo && heatInfo.steps > 1 && h('span', { className: 'badge', title: 'More steps than columns: each column is a mean.' }, `mean of ${heatInfo.steps} steps per column`),
      heatInfo && site && !units && heatInfo.rows < site.nUnits && h('span', { className: 'badge badge-warn' }, `${heatInfo.rows.toLocaleString('en')} of ${site.nUnits.toLocaleString('en')} units`),
      heatInfo && !heatValue && h('span', { className: 'quiet count heat-note', title: 'Rows are units, columns are positions from left to right' }, `${heatInfo.rows.toLocaleString('en')} rows`),
      heatValue && h('span', { className: 'quiet count heat-note' }, `unit ${heatValue.unit} · ${formatValue(heatValue.value, 2)}`));
  }

  function HeatMap(/** @type {any} */ props) {
    const ref = React.useRef(null);
    const { panel } = useSelection(['panel']);
    React.useEffect(() => {
      const controller = new HeatController(ref.current);
      ref.current.controller = controller;
      controller.schedule();
      return () => controller.close();
    }, []);
    return h('div', { id: props.id, ref, className: 'heat', hidden: panel !== 'heat', tabIndex: 0, role: 'region', 'aria-label': 'Units by time' },
      h('canvas', { role: 'img', 'aria-label': 'Heat map of units by time' }),
      h('div', { className: 'heat-row', hidden: true, 'aria-hidden': true }), h('div', { className: 'heat-column', hidden: true, 'aria-hidden': true }));
  }

  interp.addPanel({ name: 'heat', title: 'Heat map', Bar: () => h(React.Fragment, null, h(HeatBar), h(interp.ZoomBar)) });
  interp.unpackHeat = unpackHeat;
  window.dashboard = Object.assign(window.dashboard || {}, { HeatMap });
})();
