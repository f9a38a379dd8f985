// @ts-check
/** Overview: what is in the recording, its documents with their losses, and where it comes from. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection } = interp;
  const { getJson, guarded } = interp.requests;

  const MOST_SITES = 500;

  function bytes(/** @type {number} */ n) {
    const units = ['B', 'kB', 'MB', 'GB', 'TB'];
    let k = 0;
    while (n >= 1000 && k < units.length - 1) {
      n /= 1000;
      k++;
    }
    return `${n.toFixed(n < 10 && k ? 1 : 0)} ${units[k]}`;
  }
  const count = (/** @type {number} */ n) => n.toLocaleString('en');

  /** Load once per recording. */
  function useLoaded(/** @type {any} */ about, /** @type {string} */ what, /** @type {any} */ parameters) {
    const [answer, setAnswer] = React.useState(null);
    const key = about ? `${about.key}|${about.fingerprint}|${what}|${JSON.stringify(parameters)}` : '';
    React.useEffect(() => {
      setAnswer(null);
      if (about) guarded(async () => setAnswer(await getJson(`${about.key}/${what}`, { ...parameters, v: about.fingerprint })));
    }, [key]);
    return answer;
  }

  function Facts(/** @type {any} */ { about }) {
    const rows = [
      ['File', about.path || 'in memory'],
      ['Size', bytes(about.size_bytes || 0)],
      ...about.streams.map((/** @type {any} */ s) => [`Stream ${s.name}`, `${count(s.nPositions)} positions in ${count(s.nDocuments)} documents${s.hasText ? (s.perCharacter ? ', a character each' : ', a token each') : ', no text'}`]),
      ['Annotations', about.annotations.map((/** @type {any} */ a) => a.name).join(', ') || 'None yet. The command interp annotate adds them.'],
      ['Fingerprint', about.fingerprint],
    ];
    return h('dl', { className: 'facts' }, rows.map(([name, value]) => h('div', { key: name }, h('dt', null, name), h('dd', null, value))));
  }

  /** A table whose first column leads to a site; the third holds numbers. @param {{label: string, titles: string[], rows: any[][], open: (name: string) => void}} props */
  function SiteTable({ label, titles, rows, open }) {
    const isNumber = (/** @type {number} */ i) => (i === 2 ? 'number' : '');
    return h(React.Fragment, null,
      h('div', { className: 'table-scroll', tabIndex: 0, role: 'region', 'aria-label': label }, h('table', { className: 'table' },
        h('thead', null, h('tr', null, titles.map((name, i) => h('th', { key: name, scope: 'col', className: isNumber(i) }, name)))),
        h('tbody', null, rows.slice(0, MOST_SITES).map(([name, ...cells]) => h('tr', { key: name },
          h('td', null, h('button', { type: 'button', className: 'link', onClick: () => open(name) }, name)),
          cells.map((cell, i) => h('td', { key: i, className: isNumber(i + 1) }, cell))))))),
      rows.length > MOST_SITES && h('p', { className: 'quiet' }, `${count(MOST_SITES)} of ${count(rows.length)} are listed.`));
  }

  function Sites(/** @type {any} */ { about }) {
    const rows = about.sites.map((/** @type {any} */ s) => [s.name, s.signal.replace(/_/g, ' '), count(s.nUnits), s.dtype, s.stream]);
    return h(SiteTable, { label: 'Sites', titles: ['site', 'signal', 'units', 'type', 'stream'], rows, open: (/** @type {string} */ site) => selection.set({ site, view: 'explore' }, { push: true }) });
  }

  /** How much of an attention site's maps was kept. */
  function kept(/** @type {any} */ site) {
    if (site.form === 'top-p') return `${Math.round(100 * (site.mass || 0))} % of each row`;
    return site.form === 'stats' ? 'statistics only' : 'full maps';
  }

  function AttentionSites(/** @type {any} */ { sites }) {
    const rows = sites.map((/** @type {any} */ s) => [s.name, s.stream === s.keyStream ? `${s.stream}, itself` : `${s.stream}, ${s.keyStream}`, count(s.nHeads), kept(s)]);
    return h(SiteTable, { label: 'Attention sites', titles: ['site', 'queries, keys', 'heads', 'recorded'], rows, open: (/** @type {string} */ asite) => selection.set({ asite, head: 0, heads: null, view: 'attention' }, { push: true }) });
  }

  /** Nested values as rows; long hashes are cut where they are read, the title has them whole. */
  function Tree(/** @type {any} */ { value, depth = 0 }) {
    if (value === null || typeof value !== 'object') {
      const text = value === null ? '–' : String(value);
      const unit = /^(.+):(\d+)$/.exec(text);
      if (unit && selection.site(unit[1])) {
        const open = () => selection.set({ site: unit[1], unit: Number(unit[2]), view: 'explore' }, { push: true });
        return h('button', { type: 'button', className: 'link', onClick: open }, text);
      }
      return h('span', { title: text.length > 80 ? text : undefined }, /^[0-9a-f]{40,}$/.test(text) ? `${text.slice(0, 12)}…` : text);
    }
    const entries = Array.isArray(value) ? value.map((item, i) => [String(i), item]) : Object.entries(value);
    if (Array.isArray(value) && value.every((item) => item === null || typeof item !== 'object')) return h('span', null, value.join(' ') || '–');
    const rows = entries.slice(0, 60).map(([name, item]) => h('div', { key: name }, h('dt', null, name.replace(/_/g, ' ')), h('dd', null, h(Tree, { value: item, depth: depth + 1 }))));
    return h('dl', { className: depth ? 'facts facts-inner' : 'facts' }, rows);
  }

  function Overview(/** @type {any} */ props) {
    const { about, view } = useSelection(['about', 'view']);
    const isOpen = view === 'overview' && about;
    const provenance = useLoaded(isOpen ? about : null, 'provenance', {});
    const attention = useLoaded(isOpen && about.nAttention ? about : null, 'attention_sites', {});
    if (!isOpen) return h('div', { id: props.id, hidden: true });
    const { model_card: card, ...origin } = provenance || {};
    const section = (/** @type {string} */ title, /** @type {any[]} */ ...inside) => h('section', { className: 'pane overview-pane', 'aria-label': title }, h('h2', null, title), ...inside);
    return h('div', { id: props.id, className: 'overview' },
      h('div', { className: 'overview-column' }, section('Recording', h('h3', null, about.name, about.is_complete === false && h('span', { className: 'badge badge-warn' }, `incomplete: ${about.done_segments} of ${about.n_segments} segments`)), h(Facts, { about })),
      section('Provenance', provenance ? (Object.keys(origin).length ? h(Tree, { value: origin }) : h('p', { className: 'quiet' }, 'Nothing was noted when this was recorded.')) : h('p', { className: 'quiet' }, 'Loading …')),
        card && section('Model card', typeof card === 'string' ? h('pre', { className: 'card-text' }, card) : h(Tree, { value: card }))),
      h('div', { className: 'overview-column' }, section('Documents', ...about.streams.map((/** @type {any} */ stream) => h('div', { key: stream.name }, about.streams.length > 1 && h('h3', { className: 'overview-stream' }, stream.name), h(interp.Documents, { stream })))),
      about.sites.length > 0 && section('Sites', h(Sites, { about })),
      attention && attention.sites.length > 0 && section('Attention', h(AttentionSites, { sites: attention.sites }))));
  }

  interp.addPage({ name: 'overview', title: 'Overview' });
  window.dashboard = Object.assign(window.dashboard || {}, { Overview });
})();
