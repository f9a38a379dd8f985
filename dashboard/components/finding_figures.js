// @ts-check
/** What each kind of result looks like: tables and charts, linked to units and heads where they name them. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection } = interp;
  const { formatValue } = interp.colour;
  const { Chart } = interp;

  const percent = (/** @type {number|null} */ share) => (share === null || share === undefined ? '–' : `${(100 * share).toFixed(1)} %`);
  const interval = (/** @type {number[]|null} */ pair) => (pair ? `${formatValue(pair[0], 3)} – ${formatValue(pair[1], 3)}` : '–');

  /** Open what a result names: a unit in the text, a head on the attention page. */
  function open(/** @type {string} */ name) {
    const match = /^(.+):(\d+)$/.exec(name);
    if (!match) return;
    const { attention } = selection.get();
    if (/\/attention$/.test(match[1]) && (!attention || attention.sites.some((/** @type {any} */ s) => s.name === match[1]))) {
      selection.set({ asite: match[1], head: Number(match[2]), heads: null, view: 'attention' }, { push: true });
    } else if (selection.site(match[1])) selection.set({ site: match[1], unit: Number(match[2]), view: 'explore' }, { push: true });
    else selection.report(`This recording does not hold ${match[1]}, so ${name} cannot be shown.`);
  }

  const Name = (/** @type {{name: string}} */ { name }) => (/:\d+$/.test(name) ? Link({ name }) : h('span', null, name)); // several units have no page
  const Link = (/** @type {{name: string}} */ { name }) => h('button', { type: 'button', className: 'link', onClick: () => open(name) }, name);

  /** @param {{titles: string[], rows: any[][], label: string, left?: number}} props `left` columns are words */
  function Table({ titles, rows, label, left = 1 }) {
    const kind = (/** @type {number} */ i) => (i < left ? '' : 'number');
    return h('div', { className: 'table-scroll', tabIndex: 0, role: 'region', 'aria-label': label }, h('table', { className: 'table' },
      h('thead', null, h('tr', null, titles.map((title, i) => h('th', { key: title + i, scope: 'col', className: kind(i) }, title)))),
      h('tbody', null, rows.map((row, r) => h('tr', { key: r }, row.map((cell, i) => h('td', { key: i, className: kind(i) }, cell)))))));
  }

  function Ranked(/** @type {any} */ { result }) {
    const isBinary = result.scores.length > 0 && result.scores[0].auroc !== null;
    const rows = result.scores.map((/** @type {any} */ s) => [h(Name, { name: s.unit }), s.sign > 0 ? 'on' : 'off', formatValue(isBinary ? s.auroc : s.spearman, 3), interval(s.interval), isBinary ? formatValue(s.average_precision, 3) : '–', formatValue(s.mutual_information, 3), s.p_value === null ? '–' : s.p_value.toFixed(3)]);
    const null95 = result.null_95 === null ? '' : ` The best of ${result.n_units.toLocaleString('en')} units reaches ${result.null_95.toFixed(3)} in 5 % of swaps of labels between documents.`;
    return h(React.Fragment, null,
      h('p', null, `Chosen on ${result.n_selection_documents} documents, scored on ${result.n_documents} others${isBinary ? `, ${percent(result.scores[0].base_rate)} of positions inside` : ''}.${null95}`),
      h(Table, { label: 'Units', left: 2, titles: ['unit', 'inside', isBinary ? 'AUROC' : 'Spearman', '95 % interval', 'avg. precision', 'information', 'p'], rows }),
      result.curve.length > 0 && h(React.Fragment, null, h('h3', null, 'Best units together'),
        h(Chart, { label: 'Score of a probe by number of units', x: { label: 'units', log: true, at: result.curve.map((/** @type {any} */ p) => p.n_units) }, y: { label: isBinary ? 'AUROC' : 'R²' }, height: 240,
          series: [{ name: 'probe', kind: 'line', x: result.curve.map((/** @type {any} */ p) => p.n_units), y: result.curve.map((/** @type {any} */ p) => p.score), low: result.curve.map((/** @type {any} */ p) => p.interval[0]), high: result.curve.map((/** @type {any} */ p) => p.interval[1]) }] })));
  }

  const title = (/** @type {string} */ metric) => (metric === 'auroc' ? 'AUROC' : metric === 'r_squared' ? 'R²' : metric.replace(/_/g, ' '));

  function Probed(/** @type {any} */ { result }) {
    const reports = result.reports || [result];
    const names = reports.map((/** @type {any} */ r) => r.sites.join(' + '));
    const score = (/** @type {any} */ r) => r.scores[r.metric];
    const { metric } = reports[0];
    const baselines = Object.keys(reports[0].baselines);
    const at = reports.map((/** @type {any} */ _, /** @type {number} */ i) => i);
    const series = [
      { name: reports[0].probe, kind: 'line', x: at, y: reports.map(score), low: reports.map((/** @type {any} */ r) => r.interval[0]), high: reports.map((/** @type {any} */ r) => r.interval[1]) },
      ...baselines.map((name) => ({ name: name.replace(/_/g, ' '), kind: 'line', dashed: true, x: at, y: reports.map((/** @type {any} */ r) => r.baselines[name][metric]) })),
    ];
    const rows = reports.map((/** @type {any} */ r, /** @type {number} */ i) => [names[i], r.n_units, formatValue(score(r), 3), interval(r.interval), ...baselines.map((name) => formatValue(r.baselines[name][metric], 3)), r.control ? formatValue(r.control.selectivity, 3) : '–']);
    return h(React.Fragment, null,
      h('p', null, `${reports[0].concept}: fitted on ${reports[0].n_fit_documents} documents, scored on ${reports[0].n_documents} others.`),
      reports.length > 1 && h(Chart, { label: 'Score by layer', x: { label: 'site', ticks: names, low: -0.4, high: names.length - 0.6 }, y: { label: title(metric) }, series }),
      h(Table, { label: 'Probes', titles: ['sites', 'units', title(metric), '95 % interval', ...baselines.map((name) => name.replace(/_/g, ' ')), 'selectivity'], rows }));
  }

  function Clamped(/** @type {any} */ { result }) {
    const control = (/** @type {any} */ found) => (found ? `${formatValue(found.highest, 3)} (${found.effects.length})` : '–');
    const rows = Object.entries(result.effects).map(([place, e]) => [place.replace(/_/g, ' '), formatValue(e.effect, 3), interval(e.interval), control(e.random), control(e.matched), e.n_positions.toLocaleString('en'), e.n_documents]);
    return h(React.Fragment, null,
      h('p', null, h(Name, { name: result.unit }), ` held at its ${result.mode}${result.value.length === 1 ? ` (${formatValue(result.value[0], 3)})` : ''} in the model, ${result.concept}: change of the loss in nats, read from ${result.n_documents} documents.`),
      h(Table, { label: 'Change of the loss', titles: ['where', 'nats', '95 % interval', 'worst random unit', 'worst of like variance', 'predictions', 'documents'], rows }));
  }

  function Steered(/** @type {any} */ { result }) {
    const said = (/** @type {any[]} */ next) => next.slice(0, 6).map(([token, p], /** @type {number} */ i) => h(React.Fragment, { key: i }, h('code', null, interp.visible(token)), ` ${percent(p)} `));
    const points = (/** @type {number} */ v) => `${v < 0 ? '−' : '+'}${Math.abs(100 * v).toFixed(2)}`;
    const fine = (/** @type {number} */ v) => `${(100 * v).toFixed(2)} %`; // changes are small
    const rows = result.tokens.map((/** @type {any} */ t) => [h('code', null, interp.visible(t.token)), fine(t.before), fine(t.after), t.interval.map(points).join(' to '), t.random_highest === null ? '–' : (100 * t.random_highest).toFixed(2), t.ends >= 0.005 ? percent(t.ends) : '–']);
    return h(React.Fragment, null,
      h('p', null, h(Name, { name: result.unit }), ` held as ${result.to} the concept ${result.concept.replace(/_/g, ' ')}${result.value.length === 1 ? ` (${formatValue(result.value[0], 3)})` : ''} where the text is ${result.places}: probability of the next token, mean over ${result.n_positions.toLocaleString('en')} positions of ${result.n_documents} documents.`),
      h(Table, { label: 'Next tokens', titles: ['next', 'before', 'after', '95 % of the change, points', 'most by a random unit', 'of the ends'], rows }),
      result.text && h(React.Fragment, null, h('h3', null, 'Behind ', h('code', null, interp.visible(result.text))), h('p', null, 'before: ', said(result.next_before)), h('p', null, 'after: ', said(result.next_after))));
  }

  function Heads(/** @type {any} */ { result }) {
    if (result.heads) {
      const entries = Object.entries(result.heads);
      const keys = entries.length ? Object.keys(entries[0][1]).filter((key) => typeof entries[0][1][key] === 'number') : [];
      return h(Table, { label: 'Alignment', titles: ['head', ...keys.map((key) => key.replace(/_/g, ' '))], rows: entries.map(([head, row]) => [h(Name, { name: head }), ...keys.map((key) => formatValue(row[key], 3))]) });
    }
    const metrics = [...new Set(result.scores.map((/** @type {any} */ s) => s.metric))];
    return h(HeadScores, { scores: result.scores, metrics });
  }

  /** One metric of all heads at a time, largest first. */
  function HeadScores(/** @type {any} */ { scores, metrics }) {
    const [metric, setMetric] = React.useState(metrics[0]);
    const rows = scores.filter((/** @type {any} */ s) => s.metric === metric).sort((/** @type {any} */ a, /** @type {any} */ b) => (b.value === null ? -1 : b.value) - (a.value === null ? -1 : a.value));
    return h(React.Fragment, null,
      h('label', { className: 'inline' }, 'Metric', h('select', { value: metric, onChange: (/** @type {any} */ event) => setMetric(event.target.value) }, metrics.map((/** @type {string} */ name) => h('option', { key: name, value: name }, name.replace(/_/g, ' '))))),
      h(Table, { label: 'Heads', titles: ['head', metric.replace(/_/g, ' '), '95 % interval', 'chance', 'best offset', 'rows', 'documents'],
        rows: rows.map((/** @type {any} */ s) => [h(Name, { name: s.head }), s.value === null ? s.reason || '–' : formatValue(s.value, 3), interval(s.interval), formatValue(s.chance, 3), formatValue(s.baseline, 3), (s.n_rows || 0).toLocaleString('en'), s.n_documents]) }));
  }

  interp.findingFigures = { Table, Name, openName: open, interval, percent, rank: Ranked, probe: Probed, sweep: Probed, ablate: Clamped, steer: Steered, heads: Heads };
})();
