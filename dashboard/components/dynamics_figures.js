// @ts-check
/** What a recurrent net does over time, in figures: saturation, timescales, gradients, spectra, fixed points. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { formatValue } = interp.colour;
  const { Chart } = interp;
  const { Table, openName } = interp.findingFigures;

  const words = (/** @type {string} */ name) => name.replace(/_/g, ' ');
  const count = (/** @type {number} */ n) => n.toLocaleString('en');
  const range = (/** @type {number} */ n) => Array.from({ length: n }, (_, i) => i);

  function Saturation(/** @type {any} */ { result }) {
    return h(React.Fragment, null,
      h('p', null, `Share of ${count(result.n_positions)} steps in which a gate is above 0.9 (right) and below 0.1 (left); one point a unit, ${result.n_documents} documents. A click shows the unit.`),
      h('div', { className: 'chart-grid' }, result.gates.map((/** @type {any} */ gate) => h('figure', { key: gate.site }, h('figcaption', null, gate.site),
        h(Chart, { label: `Saturation of ${gate.site}`, height: 260, x: { label: 'above 0.9', low: 0, high: 1 }, y: { label: 'below 0.1', low: 0, high: 1 },
          series: [{ name: words(gate.signal), x: gate.right, y: gate.left }],
          note: `${gate.n_always_right} units above 0.9 nearly always, ${gate.n_always_left} below 0.1.`,
          describe: (/** @type {any} */ _s, /** @type {number} */ i) => `unit ${i}: above 0.9 in ${(100 * gate.right[i]).toFixed(0)} %, below 0.1 in ${(100 * gate.left[i]).toFixed(0)} % of steps`,
          onPick: (/** @type {any} */ _s, /** @type {number} */ i) => openName(`${gate.site}:${i}`) })))));
  }

  function Timescales(/** @type {any} */ { result }) {
    return h(React.Fragment, null,
      h('p', null, `How long a unit remembers by its forget gate (−1 / mean ln f), and how long its state stays like itself (autocorrelation above 1/e); ${result.n_documents} documents.`),
      h('div', { className: 'chart-grid' }, result.layers.map((/** @type {any} */ layer) => h('figure', { key: layer.layer }, h('figcaption', null, `${layer.layer}: Spearman ${formatValue(layer.spearman, 2)}`),
        h(Chart, { label: `Timescales of ${layer.layer}`, height: 280, x: { label: 'from the gate, steps', log: true }, y: { label: 'from autocorrelation, steps', log: true },
          series: [{ name: layer.layer, x: layer.tau.map((/** @type {number|null} */ v) => (v === null ? NaN : v)), y: layer.autocorrelation_time }],
          note: `${layer.n_censored} units stay like themselves beyond ${result.max_lag} steps and are not drawn.`,
          describe: (/** @type {any} */ _s, /** @type {number} */ i) => `unit ${i}: ${formatValue(layer.tau[i], 1)} by the gate, ${formatValue(layer.autocorrelation_time[i], 1)} by autocorrelation`,
          onPick: (/** @type {any} */ _s, /** @type {number} */ i) => openName(`${layer.state}:${i}`) })))));
  }

  function Gradients(/** @type {any} */ { result }) {
    return h(React.Fragment, null,
      h('p', null, `Size of the gradient of the loss with respect to the input so many steps before; mean over ${result.n_windows} windows of ${result.n_documents} documents.`),
      h('div', { className: 'chart-grid' }, result.layers.map((/** @type {any} */ layer) => h('figure', { key: layer.layer }, h('figcaption', null, `${layer.layer}: × ${formatValue(layer.factor, 3)} a step`),
        h(Chart, { label: `Gradient by lag of ${layer.layer}`, height: 280, x: { label: 'steps before' }, y: { label: 'mean size', log: true },
          series: [
            { name: 'whole', kind: 'line', x: range(layer.mean.length), y: layer.mean },
            ...Object.entries(layer.truncated || {}).map(([window, values]) => ({ name: `truncated to ${window}`, kind: 'line', dashed: true, x: range(values.length), y: values })),
            ...(layer.clipped ? [{ name: 'clipped', kind: 'line', x: range(layer.clipped.length), y: layer.clipped }] : []),
          ] })))));
  }

  function Truncation(/** @type {any} */ { result }) {
    const mean = (/** @type {number[]} */ values) => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);
    const rows = result.updates.map((/** @type {any} */ u) => [u.window === null ? 'whole' : u.window, u.norm.length, formatValue(mean(u.norm), 3), formatValue(mean(u.clipped_norm), 3), `${(100 * u.share_clipped).toFixed(0)} %`, formatValue(u.cosine, 3), formatValue(u.relative_norm, 3)]);
    return h(React.Fragment, null, h('p', null, `What training sees of the same ${count(result.n_steps)} steps when back-propagation is cut to windows, and when gradients are clipped at ${result.clip_norm}; beside the whole gradient.`),
      h(Table, { label: 'Truncation', titles: ['window', 'updates', 'mean norm', 'clipped', 'share clipped', 'cosine to the whole', 'relative norm'], rows }));
  }

  function Weights(/** @type {any} */ { result }) {
    const rows = result.gates.map((/** @type {any} */ g) => [`${g.layer} ${words(g.gate)}`, formatValue(g.spectral_radius, 3), formatValue(g.norm, 2), formatValue(Math.max(...g.singular_values), 3)]);
    return h(React.Fragment, null,
      h(Chart, { label: 'Singular values of recurrent weights', x: { label: 'singular value, largest first' }, y: { label: 'size' }, height: 300,
        series: result.gates.map((/** @type {any} */ g) => ({ name: `${g.layer} ${words(g.gate)}`, kind: 'line', x: range(g.singular_values.length), y: g.singular_values })) }),
      h(Table, { label: 'Recurrent weights', titles: ['gate', 'spectral radius', 'Frobenius norm', 'largest singular value'], rows }));
  }

  /** Eigenvalues in the plane, with the unit circle. */
  function Spectrum(/** @type {any} */ { series, label, note }) {
    const turn = range(101).map((i) => (2 * Math.PI * i) / 100);
    const circle = { name: 'unit circle', kind: 'line', dashed: true, colour: '#8a93a3', x: turn.map(Math.cos), y: turn.map(Math.sin) };
    return h(Chart, { label, note, height: 320, x: { label: 'real part' }, y: { label: 'imaginary part' }, series: [circle, ...series] });
  }

  function Jacobian(/** @type {any} */ { result }) {
    return h('div', { className: 'chart-grid' }, result.layers.map((/** @type {any} */ layer) => h('figure', { key: layer.layer }, h('figcaption', null, `${layer.layer}, ${layer.real.length} positions`),
      h(Spectrum, { label: `Eigenvalues of one step of ${layer.layer}`, note: `Spectral radius ${formatValue(Math.min(...layer.spectral_radius), 2)} to ${formatValue(Math.max(...layer.spectral_radius), 2)}.`,
        series: [{ name: 'eigenvalues', x: layer.real.flat(), y: layer.imaginary.flat() }] }))));
  }

  function FixedPoints(/** @type {any} */ { result }) {
    const rows = result.points.map((/** @type {any} */ p, /** @type {number} */ i) => [i, p.is_stable ? 'stable' : `${p.n_unstable} unstable`, p.code ? p.code.join(' ') : '–', p.speed.toExponential(1), p.n_starts]);
    return h(React.Fragment, null, h('p', null, `${result.n_stable} stable fixed points and ${result.n_saddles} saddles, from ${count(result.n_starts)} starts.`),
      h(Spectrum, { label: 'Eigenvalues at the fixed points', series: [
        { name: 'stable', x: result.points.filter((/** @type {any} */ p) => p.is_stable).flatMap((/** @type {any} */ p) => p.real), y: result.points.filter((/** @type {any} */ p) => p.is_stable).flatMap((/** @type {any} */ p) => p.imaginary) },
        { name: 'saddles', x: result.points.filter((/** @type {any} */ p) => !p.is_stable).flatMap((/** @type {any} */ p) => p.real), y: result.points.filter((/** @type {any} */ p) => !p.is_stable).flatMap((/** @type {any} */ p) => p.imaginary) },
      ] }),
      h(Table, { label: 'Fixed points', titles: ['point', 'kind', 'output code', 'speed', 'starts'], left: 3, rows }));
  }

  const FIGURES = { saturation: Saturation, timescales: Timescales, gradients: Gradients, truncation: Truncation, weights: Weights, jacobian: Jacobian, fixed_points: FixedPoints };

  /** @param {{name: string, result: any}} props */
  function Dynamics({ name, result }) {
    const Figure = FIGURES[/** @type {'saturation'} */ (name)];
    return Figure ? h(Figure, { result }) : null;
  }

  interp.findingFigures.dynamics = Dynamics;
})();
