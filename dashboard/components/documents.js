// @ts-check
/**
 * Documents: the overview's list of a stream's documents. The server filters and sorts; only the rows
 * in sight are here, so a hundred thousand documents cost no more than a hundred.
 */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection } = interp;
  const { getJson, guarded } = interp.requests;

  const PAGE = 100;
  const ROW = 29; // CSS pixels; views.css says the same
  const HEIGHT = 360;
  const MOST_ROWS = 400000; // a taller element is not painted by any browser
  const SORTS = ['index', 'length', '-length', 'loss', '-loss'];
  const count = (/** @type {number} */ n) => n.toLocaleString('en');

  /** The pages that hold some rows. @param {number} first @param {number} last @returns {number[]} */
  function pagesOf(first, last) {
    const out = [];
    for (let page = Math.floor(first / PAGE); page * PAGE < last; page++) out.push(page);
    return out;
  }

  /**
   * Rows by index of a list that is loaded as it is looked at.
   * @param {any} about @param {any} stream @param {string} find @param {string} sort @param {number[]} inSight
   */
  function usePages(about, stream, find, sort, inSight) {
    const key = JSON.stringify([about.key, about.fingerprint, stream.name, find, sort]);
    const kept = React.useRef({ key: '', total: null, worst: 0, rows: new Map(), asked: new Set() });
    const [, again] = React.useReducer((/** @type {number} */ n) => n + 1, 0);
    if (kept.current.key !== key) kept.current = { ...kept.current, key, rows: new Map(), asked: new Set() };
    React.useEffect(() => {
      const list = kept.current;
      for (const page of pagesOf(inSight[0], inSight[1])) {
        if (list.asked.has(page)) continue;
        list.asked.add(page);
        const parameters = { stream: stream.name, find, sort, start: page * PAGE, rows: PAGE, v: about.fingerprint };
        guarded(async () => {
          const found = await getJson(`${about.key}/documents`, parameters);
          list.total = found.nMatching;
          list.worst = found.worst;
          found.rows.forEach((/** @type {any} */ row, /** @type {number} */ i) => list.rows.set(page * PAGE + i, row));
          if (kept.current === list) again();
        });
      }
    });
    return kept.current;
  }

  /** A heading that sorts: first upwards, then downwards, then not at all. */
  function Sorting(/** @type {any} */ { name, text, sort }) {
    const next = { [name]: `-${name}`, [`-${name}`]: 'index' }[sort] || name;
    const arrow = sort === name ? '↑' : sort === `-${name}` ? '↓' : '↕';
    return h('th', { scope: 'col', className: 'number', 'aria-sort': sort === name ? 'ascending' : sort === `-${name}` ? 'descending' : 'none' },
      h('button', { type: 'button', className: 'link', onClick: () => selection.set({ docsort: next }, { push: true }) }, `${text} ${arrow}`));
  }

  function Row(/** @type {any} */ { row, worst, hasLoss }) {
    if (!row) return h('tr', { className: 'is-coming' }, h('td', { colSpan: hasLoss ? 3 : 2 }, '…'));
    // A recording of heads alone has no text to colour.
    const view = selection.get().about.sites.length ? 'explore' : 'attention';
    const open = () => selection.set({ doc: row.index, at: null, pos: null, key: null, from: null, range: null, view }, { push: true });
    const share = row.loss === null ? 0 : (100 * row.loss) / Math.max(1e-9, worst);
    return h('tr', null,
      h('td', null, h('button', { type: 'button', className: 'link', title: row.name, onClick: open }, row.name || `Document ${row.index}`)),
      h('td', { className: 'number' }, count(row.nPositions)),
      hasLoss && h('td', null, h('span', { className: 'loss-bar', style: { '--share': `${share}%` } }, row.loss === null ? '–' : row.loss.toFixed(2))));
  }

  /** @param {{stream: any}} props */
  function Documents({ stream }) {
    const { about, docfind, docsort } = useSelection(['about', 'docfind', 'docsort']);
    const [top, setTop] = React.useState(0);
    const box = React.useRef(null);
    const first = Math.max(0, Math.floor(top / ROW) - 10);
    const last = first + Math.ceil(HEIGHT / ROW) + 20;
    const list = usePages(about, stream, docfind, docsort, [first, last]);
    React.useEffect(() => {
      if (box.current) box.current.scrollTop = 0;
      setTop(0);
    }, [docfind, docsort]);
    const total = list.total === null ? Math.min(stream.nDocuments, last) : list.total;
    const shown = Math.min(total, MOST_ROWS);
    const rows = Array.from({ length: Math.max(0, Math.min(shown, last) - first) }, (_, i) => first + i);
    const spacer = (/** @type {string} */ key, /** @type {number} */ n) => n > 0 && h('tr', { key, 'aria-hidden': true, style: { height: `${n * ROW}px` } }, h('td', { colSpan: stream.hasLoss ? 3 : 2 }));
    const words = total === stream.nDocuments ? `${count(total)} documents` : `${count(total)} of ${count(stream.nDocuments)} documents`;
    return h(React.Fragment, null,
      h('div', { className: 'table-tools' },
        h('input', { type: 'search', placeholder: 'Filter by name', 'aria-label': 'Filter documents', value: docfind, onChange: (/** @type {any} */ event) => selection.set({ docfind: event.target.value }) }),
        h('span', { className: 'quiet', role: 'status' }, shown < total ? `${words}; filter to see those after ${count(MOST_ROWS)}` : words)),
      h('div', { ref: box, className: 'table-scroll documents-scroll', tabIndex: 0, style: { height: `${Math.min(HEIGHT, (shown + 1) * ROW + 2)}px` }, role: 'region', 'aria-label': 'Documents', onScroll: (/** @type {any} */ event) => setTop(event.target.scrollTop) },
        h('table', { className: 'table table-fixed', 'aria-rowcount': total },
          h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'document'),
            h(Sorting, { name: 'length', text: 'positions', sort: docsort }),
            stream.hasLoss && h(Sorting, { name: 'loss', text: 'loss, nats', sort: docsort }))),
          h('tbody', null, spacer('above', first), rows.map((i) => h(Row, { key: i, row: list.rows.get(i), worst: list.worst, hasLoss: stream.hasLoss })), spacer('below', shown - first - rows.length)))));
  }

  const { TEXT, oneOf } = interp.urlState.kinds;
  interp.addState({ docfind: { ...TEXT, initial: '' }, docsort: { ...oneOf(SORTS), initial: 'index' } });
  interp.addReset(['docfind', 'docsort']);
  Object.assign(interp, { Documents });
})();
