// @ts-check
/**
 * Chart: points and lines on one canvas, with axes, the value under the pointer and a click.
 *
 * @typedef {{name: string, x: number[], y: (number|null)[], kind?: 'points'|'line', colour?: string, low?: number[], high?: number[], dashed?: boolean}} Series
 * @typedef {{label: string, log?: boolean, low?: number, high?: number, ticks?: string[], at?: number[]}} Axis
 */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { useSelection } = interp;

  const MARGIN = { left: 58, right: 16, top: 12, bottom: 44 };
  const NEAR = 14;

  /** Round numbers that divide a range. @param {number} low @param {number} high @returns {number[]} */
  function ticksOf(low, high) {
    const raw = (high - low) / 5 || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = power * ([1, 2, 5, 10].find((f) => f * power >= raw) || 10);
    const ticks = [];
    for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + 1e-9 * step; tick += step) ticks.push(Math.abs(tick) < step / 1e6 ? 0 : tick);
    return ticks;
  }

  /** Powers of ten, or all round numbers of a decade where there are few. @param {number} low @param {number} high */
  function logTicks(low, high) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) ticks.push(10 ** power);
    const inside = ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
    if (inside.length > 2) return inside;
    return ticks.flatMap((tick) => [tick, 2 * tick, 5 * tick]).filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  }

  /** The range of an axis: as asked for, else what the finite values need. @param {Axis} axis @param {number[]} values */
  function rangeOf(axis, values) {
    const finite = values.filter((v) => Number.isFinite(v) && (!axis.log || v > 0));
    let low = axis.low !== undefined ? axis.low : Math.min(...finite);
    let high = axis.high !== undefined ? axis.high : Math.max(...finite);
    if (!finite.length) [low, high] = [axis.log ? 0.1 : 0, 1];
    if (low === high) [low, high] = axis.log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
    return [low, high];
  }

  const brief = (/** @type {number} */ value) => (Math.abs(value) >= 1e4 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(0) : String(Number(value.toPrecision(3))));

  class ChartController {
    constructor(/** @type {HTMLElement} */ root) {
      this.root = root;
      this.canvas = /** @type {HTMLCanvasElement} */ (root.querySelector('canvas'));
      /** @type {any} */ this.props = null;
      this.width = this.height = 0; // CSS pixels
      this.xRange = this.yRange = [0, 1];
      /** @type {{series: number, index: number}|null} */ this.near = null;
      const observer = new ResizeObserver(() => this.draw());
      observer.observe(root);
      this.close = () => observer.disconnect();
      this.canvas.addEventListener('mousemove', (event) => this.moved(event));
      this.canvas.addEventListener('mouseleave', () => this.point(null));
      this.canvas.addEventListener('click', () => this.near && this.props.onPick && this.props.onPick(this.near.series, this.near.index));
    }

    show(/** @type {any} */ props) {
      this.props = props;
      const all = props.series.flatMap((/** @type {Series} */ s) => s.x);
      this.xRange = rangeOf(props.x, all);
      this.yRange = rangeOf(props.y, props.series.flatMap((/** @type {Series} */ s) => [...s.y, ...(s.low || []), ...(s.high || [])]).filter((/** @type {any} */ v) => v !== null));
      this.draw();
    }

    place(/** @type {number} */ value, /** @type {Axis} */ axis, /** @type {number[]} */ range, /** @type {number} */ from, /** @type {number} */ to) {
      const t = axis.log ? Math.log(value / range[0]) / Math.log(range[1] / range[0]) : (value - range[0]) / (range[1] - range[0]);
      return from + t * (to - from);
    }

    px(/** @type {number} */ value) {
      return this.place(value, this.props.x, this.xRange, MARGIN.left, this.width - MARGIN.right);
    }

    py(/** @type {number} */ value) {
      return this.place(value, this.props.y, this.yRange, this.height - MARGIN.bottom, MARGIN.top);
    }

    draw() {
      if (!this.props || !this.root.offsetParent) return;
      const scale = window.devicePixelRatio || 1;
      [this.width, this.height] = [this.root.clientWidth, this.props.height || 300];
      Object.assign(this.canvas, { width: this.width * scale, height: this.height * scale });
      Object.assign(this.canvas.style, { width: `${this.width}px`, height: `${this.height}px` });
      const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext('2d'));
      context.setTransform(scale, 0, 0, scale, 0, 0);
      const style = getComputedStyle(this.root);
      this.axes(context, style);
      context.save();
      context.beginPath();
      context.rect(MARGIN.left - 4, MARGIN.top - 4, this.width - MARGIN.left - MARGIN.right + 8, this.height - MARGIN.top - MARGIN.bottom + 8);
      context.clip();
      this.props.series.forEach((/** @type {Series} */ series, /** @type {number} */ i) => this.series(context, series, i));
      context.restore();
      if (this.near) this.mark(context, style);
      this.root.dataset.painted = `${this.props.series.map((/** @type {Series} */ s) => s.x.length).join()}`;
    }

    axes(/** @type {CanvasRenderingContext2D} */ context, /** @type {CSSStyleDeclaration} */ style) {
      const { x, y } = this.props;
      context.font = `11px ${style.fontFamily}`;
      context.fillStyle = style.getPropertyValue('--quiet');
      context.strokeStyle = style.getPropertyValue('--line');
      context.lineWidth = 1;
      context.textAlign = 'center';
      context.textBaseline = 'top';
      const xTicks = x.at ? x.at : x.ticks ? x.ticks.map((/** @type {string} */ _, /** @type {number} */ i) => i) : x.log ? logTicks(this.xRange[0], this.xRange[1]) : ticksOf(this.xRange[0], this.xRange[1]);
      for (const tick of xTicks) {
        context.fillText(x.ticks ? x.ticks[tick] : brief(tick), this.px(tick), this.height - MARGIN.bottom + 6, x.ticks ? (this.width - MARGIN.left) / x.ticks.length - 4 : undefined);
      }
      context.textAlign = 'right';
      context.textBaseline = 'middle';
      for (const tick of y.log ? logTicks(this.yRange[0], this.yRange[1]) : ticksOf(this.yRange[0], this.yRange[1])) {
        const at = this.py(tick);
        context.beginPath();
        context.moveTo(MARGIN.left, at);
        context.lineTo(this.width - MARGIN.right, at);
        context.stroke();
        context.fillText(brief(tick), MARGIN.left - 6, at);
      }
      context.textAlign = 'center';
      context.fillStyle = style.getPropertyValue('--text');
      context.fillText(x.label, (MARGIN.left + this.width - MARGIN.right) / 2, this.height - 9);
      context.save();
      context.translate(11, (MARGIN.top + this.height - MARGIN.bottom) / 2);
      context.rotate(-Math.PI / 2);
      context.fillText(y.label, 0, 0);
      context.restore();
    }

    series(/** @type {CanvasRenderingContext2D} */ context, /** @type {Series} */ series, /** @type {number} */ i) {
      const colour = series.colour || interp.colourOfHead(i);
      context.strokeStyle = context.fillStyle = colour;
      if (series.kind === 'line') {
        context.lineWidth = 2;
        context.setLineDash(series.dashed ? [5, 4] : []);
        context.beginPath();
        let isDown = false;
        series.x.forEach((x, k) => {
          const y = series.y[k];
          if (y === null || !Number.isFinite(y) || (this.props.y.log && y <= 0)) isDown = false;
          else if (isDown) context.lineTo(this.px(x), this.py(y));
          else {
            context.moveTo(this.px(x), this.py(y));
            isDown = true;
          }
        });
        context.stroke();
        context.setLineDash([]);
      }
      if (series.low && series.high) {
        context.lineWidth = 1;
        series.x.forEach((x, k) => {
          context.beginPath();
          context.moveTo(this.px(x), this.py(/** @type {number[]} */ (series.low)[k]));
          context.lineTo(this.px(x), this.py(/** @type {number[]} */ (series.high)[k]));
          context.stroke();
        });
      }
      if (series.dashed || (series.kind === 'line' && series.x.length > 40)) return;
      context.globalAlpha = series.kind === 'line' ? 1 : 0.55;
      series.x.forEach((x, k) => {
        const y = series.y[k];
        if (y === null || !Number.isFinite(y) || !Number.isFinite(x)) return;
        context.beginPath();
        context.arc(this.px(x), this.py(y), 3, 0, 2 * Math.PI);
        context.fill();
      });
      context.globalAlpha = 1;
    }

    mark(/** @type {CanvasRenderingContext2D} */ context, /** @type {CSSStyleDeclaration} */ style) {
      const { series, index } = /** @type {{series: number, index: number}} */ (this.near);
      const found = this.props.series[series];
      if (!found || found.y[index] === null || found.y[index] === undefined) return;
      context.strokeStyle = style.getPropertyValue('--cursor');
      context.lineWidth = 2;
      context.beginPath();
      context.arc(this.px(found.x[index]), this.py(found.y[index]), 6, 0, 2 * Math.PI);
      context.stroke();
    }

    moved(/** @type {MouseEvent} */ event) {
      const box = this.canvas.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      /** @type {{series: number, index: number}|null} */
      let best = null;
      let least = NEAR;
      this.props.series.forEach((/** @type {Series} */ s, /** @type {number} */ series) => s.x.forEach((value, index) => {
        if (s.y[index] === null) return;
        const away = Math.hypot(x - this.px(value), y - this.py(/** @type {number} */ (s.y[index])));
        if (away < least) [best, least] = [{ series, index }, away];
      }));
      this.point(best);
    }

    point(/** @type {{series: number, index: number}|null} */ near) {
      if (JSON.stringify(near) === JSON.stringify(this.near)) return;
      this.near = near;
      this.draw();
      const note = /** @type {HTMLElement} */ (this.root.querySelector('.chart-note'));
      if (!near) note.textContent = this.props.note || '';
      else {
        const s = this.props.series[near.series];
        note.textContent = this.props.describe ? this.props.describe(near.series, near.index) : `${s.name}: ${brief(s.x[near.index])}, ${brief(s.y[near.index])}`;
      }
    }
  }

  /** @param {{series: Series[], x: Axis, y: Axis, height?: number, note?: string, label: string, describe?: (series: number, index: number) => string, onPick?: (series: number, index: number) => void}} props */
  function Chart(props) {
    const ref = React.useRef(null);
    const { theme, systemTheme } = useSelection(['theme', 'systemTheme']);
    React.useEffect(() => {
      const root = /** @type {any} */ (ref.current);
      root.controller = new ChartController(root);
      return () => root.controller.close();
    }, []);
    React.useEffect(() => /** @type {any} */ (ref.current).controller.show(props), [props.series, theme, systemTheme]);
    const named = props.series.filter((s) => s.name);
    return h('div', { className: 'chart', ref },
      named.length > 1 && h('div', { className: 'chart-names' }, props.series.map((s, i) => s.name && h('span', { key: s.name }, h('i', { style: { background: s.colour || interp.colourOfHead(i) } }), s.name))),
      h('canvas', { role: 'img', 'aria-label': props.label }), h('p', { className: 'quiet chart-note' }, props.note || ''));
  }

  Object.assign(interp, { Chart, chartTicks: { ticksOf, logTicks, rangeOf } });
})();
