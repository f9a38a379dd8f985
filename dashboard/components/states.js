// @ts-check
/** States: cell, hidden and every gate of one unit on one time axis, for the steps in sight. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection, stripValues } = interp;
  const { guarded } = interp.requests;
  const { stepsInSight, stepAt, ticks, zoomed, FEWEST, MOST } = interp.timeAxis;
  const { paintStrip, habitOf } = interp.stripPaint;
  const { colourTable, formatValue, scaleFor } = interp.colour;
  const { VALUE_OF } = interp.halves;

  /** In the order in which an LSTM computes: what it forgets, takes in, keeps, and shows. */
  const ORDER = ['forget_gate', 'input_gate', 'cell_gate', 'cell', 'output_gate', 'hidden', 'reset_gate', 'update_gate', 'new_gate'];
  const MEANING = {
    forget_gate: 'f: how much of the old cell stays',
    input_gate: 'i: how much of the new is let in',
    cell_gate: 'g: what is new, −1 to 1',
    cell: 'c = f · c₋₁ + i · g: the memory',
    output_gate: 'o: how much of the cell shows',
    hidden: 'h = o · tanh(c): what the next layer sees',
    reset_gate: 'r: how much of the old state is heard',
    update_gate: 'z: how much of the old state stays',
    new_gate: 'n: what is new, −1 to 1',
  };
  const SCROLL_MS = 80;
  const STRIP_KEYS = ['about', 'site', 'unit', 'hoverUnit', 'inSight', 'pos', 'zoom', 'scale', 'stretch', 'theme', 'systemTheme', 'panel', 'view', 'range'];

  /** Sites that share the chosen unit, in order. */
  function stripSites() {
    const { about } = selection.get();
    const current = selection.site();
    if (!current) return [];
    const sites = about.sites.filter((/** @type {any} */ s) => s.group === current.group && s.nUnits === current.nUnits);
    const rank = (/** @type {any} */ s) => (ORDER.includes(s.signal) ? ORDER.indexOf(s.signal) : 99);
    return sites.sort((/** @type {any} */ a, /** @type {any} */ b) => rank(a) - rank(b)).slice(0, 12);
  }

  class StripsController {
    constructor(/** @type {HTMLElement} */ root, /** @type {(sites: any[]) => void} */ show) {
      this.root = root;
      this.show = show;
      /** @type {any[]} */ this.sites = [];
      this.steps = [0, 0];
      /** @type {(() => void)[]} */
      this.stops = [
        selection.subscribe(STRIP_KEYS, (/** @type {any} */ _state, /** @type {string[]} */ changed) => this.schedule(changed.every((key) => key === 'inSight' || key === 'at') ? SCROLL_MS : 0)),
        selection.subscribe(['hoverPos', 'pos', 'range'], () => this.drawCursor()),
      ];
      const observer = new ResizeObserver(() => this.schedule());
      observer.observe(root);
      this.stops.push(() => observer.disconnect());
      const on = (/** @type {string} */ type, /** @type {any} */ handler, /** @type {any} */ options = undefined) => root.addEventListener(type, handler, options);
      on('mousemove', (/** @type {MouseEvent} */ event) => this.moved(event));
      on('mouseleave', () => selection.set({ hoverPos: null }));
      on('mousedown', (/** @type {MouseEvent} */ event) => this.pressed(event));
      on('wheel', (/** @type {WheelEvent} */ event) => this.wheeled(event), { passive: false });
      on('keydown', (/** @type {KeyboardEvent} */ event) => this.keyed(event));
    }

    close() {
      this.stops.forEach((stop) => stop());
    }

    /** @param {number} [wait] scrolling must not wait for the strips: they follow a little later */
    schedule(wait = 0) {
      if (wait) {
        if (!this.timer) this.timer = window.setTimeout(() => this.schedule(), wait);
        return;
      }
      clearTimeout(this.timer);
      this.timer = 0;
      if (this.frame) return;
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.update();
      });
    }

    /** The part of the pane that stands for time: left edge and width. */
    track() {
      const first = this.root.querySelector('.strip-canvas');
      const box = (first || this.root).getBoundingClientRect();
      return { left: box.left, width: box.width };
    }

    update() {
      const state = selection.get();
      const stream = selection.stream();
      if (!state.about || !stream || state.panel !== 'states' || state.view !== 'explore' || !this.root.offsetParent) return;
      const sites = stripSites();
      const names = sites.map((/** @type {any} */ s) => s.name).join(' ');
      if (names !== this.names) {
        this.names = names;
        this.sites = sites;
        this.show(sites);
        this.schedule(); // once React has made the canvases
        return;
      }
      const unit = selection.shownUnit();
      this.steps = stepsInSight(state, stream.nPositions);
      const [start, stop] = this.steps;
      const asked = `${state.about.fingerprint}|${names}|${unit}|${start}|${stop}`;
      this.asked = asked;
      guarded(async () => {
        await stripValues.load(state.about, sites.map((/** @type {any} */ s) => s.name), unit, start, stop, stream.nPositions);
        if (this.asked !== asked) return;
        this.draw(unit);
        const next = interp.session.likelyUnit();
        if (next !== null) stripValues.loadEarly(state.about, sites.map((/** @type {any} */ s) => s.name), next, start, stop, stream.nPositions);
      });
    }

    draw(/** @type {number} */ unit) {
      const state = selection.get();
      const theme = selection.theme();
      const ratio = window.devicePixelRatio || 1;
      this.unit = unit;
      for (const row of this.root.querySelectorAll('.strip')) {
        const element = /** @type {HTMLElement} */ (row);
        const site = selection.site(element.dataset.site);
        const canvas = /** @type {HTMLCanvasElement} */ (row.querySelector('canvas'));
        if (!site || !canvas) continue;
        const width = Math.round(canvas.clientWidth * ratio);
        const height = Math.round(canvas.clientHeight * ratio);
        if (canvas.width !== width || canvas.height !== height) {
          canvas.width = width;
          canvas.height = height;
        }
        const piece = stripValues.pieceAt(state.about, site.name, unit, this.steps[0]);
        const scale = scaleFor(state, site, piece ? piece.limit : 1);
        const reader = stripValues.reader(state.about, site.name, unit);
        paintStrip(canvas, reader, this.steps, scale, colourTable(scale, theme), theme, ratio);
        element.dataset.limit = String(scale.limit);
        element.dataset.unit = String(unit);
        const habit = site.oneSided ? habitOf(reader, this.steps) : '';
        /** @type {HTMLElement} */ (row.querySelector('.strip-habit')).textContent = habit;
        /** @type {HTMLElement} */ (row.querySelector('.strip-range')).textContent = scale.oneSided ? '0 … 1' : `± ${formatValue(scale.limit, 2)}`;
      }
      this.root.dataset.steps = this.steps.join('-');
      this.drawAxis();
      this.drawCursor();
      selection.set({ stripSteps: [...this.steps] });
    }

    /** Characters under the strips while they fit, positions when they do not. */
    drawAxis() {
      const axis = /** @type {HTMLElement} */ (this.root.querySelector('.strip-axis'));
      if (!axis) return;
      const [start, stop] = this.steps;
      const width = axis.clientWidth;
      const each = width / (stop - start);
      axis.replaceChildren();
      const add = (/** @type {number} */ t, /** @type {string} */ text, /** @type {string} */ className) => {
        const label = document.createElement('span');
        label.className = className;
        label.textContent = text;
        label.style.left = `${(t - start + (className === 'tick-token' ? 0.5 : 0)) * each}px`;
        axis.append(label);
      };
      if (each >= 7 && selection.stream()?.hasText) {
        for (let t = start; t < stop; t++) {
          const token = interp.tokenAt(t);
          add(t, token === '\n' ? '↵' : token === ' ' ? '·' : token.length > 1 && each < 7 * token.length ? `${token.slice(0, 1)}…` : token, 'tick-token');
        }
      } else {
        for (const t of ticks([start, stop], width / 90)) add(t, t.toLocaleString('en'), 'tick');
      }
    }

    drawCursor() {
      const { hoverPos, pos, range, about } = selection.get();
      const [start, stop] = this.steps;
      const layer = /** @type {HTMLElement} */ (this.root.querySelector('.strip-cursors'));
      if (!layer || stop <= start) return;
      /** @type {HTMLElement[]} */
      const boxes = [];
      const add = (/** @type {number} */ from, /** @type {number} */ to, /** @type {string} */ kind) => {
        const a = Math.max(start, from);
        const b = Math.min(stop, to);
        if (b <= a) return;
        const box = document.createElement('div');
        box.className = `strip-cursor strip-${kind}`;
        box.style.left = `${(100 * (a - start)) / (stop - start)}%`;
        box.style.width = `${(100 * (b - a)) / (stop - start)}%`;
        boxes.push(box);
      };
      if (range) add(range[0], range[1], 'range');
      if (pos !== null) add(pos, pos + 1, 'pin');
      if (hoverPos !== null) add(hoverPos, hoverPos + 1, 'hover');
      layer.replaceChildren(...boxes);
      const at = hoverPos !== null ? hoverPos : pos;
      for (const row of this.root.querySelectorAll('.strip')) {
        const element = /** @type {HTMLElement} */ (row);
        const bits = at === null || !about ? -1 : stripValues.reader(about, element.dataset.site || '', this.unit || 0)(at);
        const value = /** @type {HTMLElement} */ (row.querySelector('.strip-value'));
        value.textContent = bits >= 0 && at !== null && at >= start && at < stop ? formatValue(VALUE_OF[bits]) : '';
      }
    }

    positionOf(/** @type {MouseEvent} */ event) {
      const { left, width } = this.track();
      return stepAt(event.clientX - left, width, /** @type {[number, number]} */ (this.steps));
    }

    moved(/** @type {MouseEvent} */ event) {
      const position = this.positionOf(event);
      if (position >= 0) selection.set({ hoverPos: position, hoverFrom: 'states' });
    }

    /** A click pins; a drag selects a range, written as it goes and pushed at its end. */
    pressed(/** @type {MouseEvent} */ event) {
      const from = this.positionOf(event);
      if (from < 0 || event.button !== 0) return;
      event.preventDefault();
      this.root.focus({ preventScroll: true });
      let dragged = false;
      const drag = (/** @type {MouseEvent} */ next) => {
        const { left, width } = this.track();
        const x = Math.max(0, Math.min(width - 1, next.clientX - left));
        const to = stepAt(x, width, /** @type {[number, number]} */ (this.steps));
        if (to !== from) dragged = true;
        if (dragged) selection.set({ range: [Math.min(from, to), Math.max(from, to) + 1], hoverPos: to });
      };
      const release = () => {
        document.removeEventListener('mousemove', drag);
        document.removeEventListener('mouseup', release);
        if (dragged) selection.set({ range: [...selection.get().range] }, { push: true });
        else selection.set({ pos: selection.get().pos === from ? null : from, range: null }, { push: true });
      };
      document.addEventListener('mousemove', drag);
      document.addEventListener('mouseup', release);
    }

    wheeled(/** @type {WheelEvent} */ event) {
      const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (event.ctrlKey) {
        event.preventDefault();
        interp.zoomBy(event.deltaY > 0 ? 1.25 : 0.8);
      } else if (sideways || event.shiftKey) {
        event.preventDefault();
        this.pan((sideways ? event.deltaX : event.deltaY) / this.track().width);
      }
    }

    /** Move by a share of the steps in sight; the text moves along. */
    pan(/** @type {number} */ share) {
      const [start, stop] = this.steps;
      const stream = selection.stream();
      const { inSight } = selection.get();
      const by = Math.round(share * (stop - start)) || Math.sign(share);
      const at = Math.max(0, Math.min(stream.nPositions - 1, (inSight ? inSight[0] : start) + by));
      selection.set({ at, doc: null });
    }

    keyed(/** @type {KeyboardEvent} */ event) {
      if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
      const by = event.key === 'ArrowLeft' ? -1 : 1;
      const { pos } = selection.get();
      const [start, stop] = this.steps;
      selection.set({ pos: Math.max(0, Math.min(selection.stream().nPositions - 1, (pos === null ? Math.floor((start + stop) / 2) : pos) + by)), range: null });
      event.preventDefault();
      event.stopPropagation();
    }
  }

  interp.zoomBy = (/** @type {number} */ factor) => {
    const steps = selection.get().stripSteps;
    if (steps) selection.set({ zoom: zoomed(steps[1] - steps[0], factor) });
  };

  function Strip(/** @type {any} */ { site, isChosen }) {
    return h('div', { className: isChosen ? 'strip is-chosen' : 'strip', 'data-site': site.name },
      h('button', {
        type: 'button', className: 'strip-label', title: `${MEANING[/** @type {'cell'} */ (site.signal)] || site.name}. Click: colour the text by it.`,
        'aria-pressed': isChosen, onClick: () => selection.set({ site: site.name }, { push: true }),
      },
        h('span', { className: 'strip-symbol' }, interp.SYMBOLS[site.signal] || site.signal.slice(0, 3)),
        h('span', { className: 'strip-name' }, site.signal.replace(/_/g, ' ')),
        h('span', { className: 'strip-value' }), h('span', { className: 'strip-range' })),
      h('div', { className: 'strip-body' },
        h('canvas', { className: 'strip-canvas', role: 'img', 'aria-label': `${site.signal.replace(/_/g, ' ')} over time` }),
        h('span', { className: 'strip-habit' })));
  }

  function ZoomBar() {
    const { stripSteps, zoom, range } = useSelection(['stripSteps', 'zoom', 'range', 'panel']);
    if (!stripSteps) return null;
    const n = stripSteps[1] - stripSteps[0];
    const slide = (/** @type {any} */ event) => selection.set({ zoom: Math.round(Math.exp(Number(event.target.value))) });
    return h('div', { className: 'zoom' },
      range && h('span', { className: 'badge' }, `${(range[1] - range[0]).toLocaleString('en')} positions selected`),
      h('label', { className: 'inline' }, h('span', { className: 'quiet count' }, `${n.toLocaleString('en')} steps`),
        h('input', { type: 'range', 'aria-label': 'Steps in sight', min: Math.log(FEWEST), max: Math.log(MOST), step: 0.01, value: Math.log(n), onChange: slide })),
      h('button', { type: 'button', className: zoom === null ? 'chip is-on' : 'chip', 'aria-pressed': zoom === null, onClick: () => selection.set({ zoom: null }, { push: true }) }, 'lines in sight'));
  }

  function States(/** @type {any} */ props) {
    const ref = React.useRef(null);
    const [sites, setSites] = React.useState([]);
    const { site, panel } = useSelection(['site', 'panel', 'about']);
    React.useEffect(() => {
      const controller = new StripsController(ref.current, setSites);
      ref.current.controller = controller;
      controller.schedule();
      return () => controller.close();
    }, []);
    return h('div', { id: props.id, ref, className: 'strips', hidden: panel !== 'states', tabIndex: 0, role: 'region', 'aria-label': 'States of the chosen unit over time' },
      h('div', { className: 'strips-body' },
        sites.map((/** @type {any} */ s) => h(Strip, { key: s.name, site: s, isChosen: s.name === site })),
        h('div', { className: 'strip-overlay', 'aria-hidden': true }, h('div', { className: 'strip-cursors' }))),
      h('div', { className: 'strip-axis-row' }, h('div', { className: 'strip-axis', 'aria-hidden': true })));
  }

  interp.addPanel({ name: 'states', title: 'States', Bar: ZoomBar });
  Object.assign(interp, { ZoomBar, stripSites });
  window.dashboard = Object.assign(window.dashboard || {}, { States });
})();
