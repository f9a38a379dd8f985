// @ts-check
/** Search: a concept or the selected text becomes a list of units; choosing one colours the text. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection } = interp;
  const { getJson, guarded } = interp.requests;
  const { formatValue } = interp.colour;

  const PAUSE = 250; // ms between questions how far it is

  interp.addState(
    {
      concept: { ...interp.urlState.kinds.TEXT, initial: null }, // what is searched for; '': the selected text
      scope: { ...interp.urlState.kinds.oneOf(['states', 'site', 'all']), initial: 'states' },
    },
    { concepts: null, searchJob: null },
  );
  interp.addReset(['concept']);

  /** What the page asks for, null when nothing can be asked. */
  function question() {
    const { about, concept, scope, site, range } = selection.get();
    if (!about || concept === null) return null;
    const stream = selection.stream();
    if (concept === '') return range && stream ? { stream: stream.name, start: range[0], stop: range[1], scope, site } : null;
    return { concept, scope, site };
  }

  let asked = 0;

  /** Start a search, and ask how far it is until it is over. */
  function run() {
    const parameters = question();
    const { about } = selection.get();
    if (!parameters) return;
    const mine = ++asked;
    const started = performance.now();
    const next = () => guarded(async () => {
      try {
        const job = await getJson(`${about.key}/search`, parameters);
        if (mine !== asked) return;
        const firstMs = job.result && !(selection.get().searchJob || {}).firstMs ? performance.now() - started : (selection.get().searchJob || {}).firstMs;
        selection.set({ searchJob: { ...job, parameters, firstMs } });
        if (job.state === 'waiting' || job.state === 'running') setTimeout(next, PAUSE);
      } catch (error) {
        if (mine === asked) selection.set({ searchJob: { state: 'failed', error: /** @type {Error} */ (error).message, parameters } });
      }
    });
    selection.set({ searchJob: { state: 'waiting', done: 0, total: 0, parameters } });
    next();
  }

  function cancel() {
    const { about, searchJob } = selection.get();
    if (!searchJob) return;
    asked++;
    guarded(async () => {
      await getJson(`${about.key}/search_cancel`, searchJob.parameters);
      selection.set({ searchJob: { ...selection.get().searchJob, state: 'cancelled' } });
    });
  }

  function loadConcepts() {
    const { about, panel, view, concepts } = selection.get();
    if (!about || panel !== 'search' || view !== 'explore' || (concepts && concepts.key === about.key)) return;
    selection.set({ concepts: { key: about.key, annotations: {}, builtIn: [] } });
    guarded(async () => {
      const found = await getJson(`${about.key}/concepts`);
      selection.set({ concepts: { key: about.key, ...found } });
    });
  }

  function SearchBar() {
    const { concept, scope, range, searchJob, concepts } = useSelection(['concept', 'scope', 'range', 'searchJob', 'concepts', 'about', 'site']);
    const isBusy = searchJob && (searchJob.state === 'waiting' || searchJob.state === 'running');
    const names = concepts ? Object.entries(concepts.annotations) : [];
    const choose = (/** @type {any} */ event) => {
      selection.set({ concept: event.target.value === 'none' ? null : event.target.value }, { push: true });
      run();
    };
    return h('div', { className: 'heat-bar' },
      h('label', { className: 'inline' }, 'Units that tell', h('select', { value: concept === null ? 'none' : concept, onChange: choose, 'aria-label': 'Concept' },
        h('option', { value: 'none' }, 'Choose …'),
        h('option', { value: '' }, range ? `the selected text (${range[1] - range[0]})` : 'selected text'),
        names.length > 0 && h('optgroup', { label: 'annotations' }, names.map(([name]) => h('option', { key: name, value: name }, name))),
        concepts && concepts.builtIn.length > 0 && h('optgroup', { label: 'built in' }, concepts.builtIn.map((/** @type {string} */ name) => h('option', { key: name, value: name }, name))))),
      h('label', { className: 'inline' }, 'in', h('select', { value: scope, onChange: (/** @type {any} */ event) => selection.set({ scope: event.target.value }, { push: true }) },
        h('option', { value: 'states' }, 'hidden states and cells'), h('option', { value: 'site' }, 'this site'), h('option', { value: 'all' }, 'all sites'))),
      isBusy
        ? h('button', { type: 'button', className: 'chip', onClick: cancel }, 'Cancel')
        : h('button', { type: 'button', className: 'chip', disabled: !question(), onClick: run }, 'Search'),
      isBusy && h('progress', { className: 'search-progress', max: searchJob.total || 1, value: searchJob.total ? searchJob.done : undefined, 'aria-label': 'Progress of the search' }),
      isBusy && h('span', { className: 'quiet count' }, !searchJob.total ? 'Starting …' : searchJob.done < searchJob.total ? `${searchJob.done.toLocaleString('en')} of ${searchJob.total.toLocaleString('en')} units` : 'Intervals of the best units …'));
  }

  /** One unit of the list. */
  function UnitRow(/** @type {any} */ { row, isChosen }) {
    const match = /^(.+):(\d+)$/.exec(row.unit) || ['', '', '0'];
    const choose = () => selection.set({ site: match[1], unit: Number(match[2]), hoverUnit: null }, { push: true });
    return h('tr', { className: isChosen ? 'is-chosen' : '' },
      h('td', null, h('button', { type: 'button', className: 'link', onClick: choose }, row.unit)),
      h('td', null, row.sign > 0 ? 'on' : 'off'),
      h('td', { className: 'number' }, formatValue(row.score, 3)),
      row.interval && h('td', { className: 'number quiet' }, `${formatValue(row.interval[0], 3)} – ${formatValue(row.interval[1], 3)}`),
      row.precision !== undefined && h('td', { className: 'number' }, formatValue(row.precision, 3)),
      row.p !== undefined && row.p !== null && h('td', { className: 'number' }, row.p < 0.01 ? `≤ ${row.p.toFixed(3)}` : row.p.toFixed(2)));
  }

  function Units(/** @type {any} */ { found }) {
    const { site, unit } = useSelection(['site', 'unit']);
    const first = found.units[0] || {};
    const titles = ['unit', 'inside', found.measure, ...(first.interval ? ['95 % interval'] : []), ...(first.precision !== undefined ? ['avg. precision'] : []), ...(first.p !== undefined && first.p !== null ? ['p'] : [])];
    return h('div', { className: 'table-scroll search-units', tabIndex: 0, role: 'region', 'aria-label': 'Units found' },
      h('table', { className: 'table' },
        h('thead', null, h('tr', null, titles.map((title, i) => h('th', { key: title, scope: 'col', className: i > 1 ? 'number' : '' }, title)))),
        h('tbody', null, found.units.map((/** @type {any} */ row) => h(UnitRow, { key: row.unit, row, isChosen: row.unit === `${site}:${unit}` })))));
  }

  /** A piece of text with the places that matter in it marked; a click goes there. */
  function Snippet(/** @type {any} */ { row, note, meaning }) {
    const go = () => selection.set({ at: Math.max(0, row.position - 200), pos: row.position, doc: null }, { push: true });
    const show = (/** @type {string} */ text) => interp.textLayout.displayText(text).replace(/\n/g, '↵').replace(/\t/g, '→');
    return h('li', { className: 'snippet' },
      h('button', { type: 'button', className: 'snippet-text', onClick: go, title: `${row.document}, position ${row.position.toLocaleString('en')}` },
        h('span', { className: 'quiet snippet-before' }, show(row.before)), h('mark', null, show(row.inside)), h('span', { className: 'quiet' }, show(row.after))),
      h('span', { className: 'quiet count', title: meaning }, note));
  }

  /** What stands behind the figures. */
  function Behind(/** @type {any} */ { job }) {
    const found = job.result;
    if (found.isDraft) return h('p', { className: 'search-note', 'data-draft': true }, h('span', { className: 'badge badge-warn' }, 'draft'), ` From ${found.nPositions.toLocaleString('en')} positions of ${found.nDocuments.toLocaleString('en')} documents. Scores on unseen documents, intervals and the null are being worked out.`);
    if (found.places) return h('p', { className: 'search-note' }, 'Units further on their side in the selected text than anywhere else, and than right around it; where else the first five of them are so, on the right.');
    const null95 = found.null95 === null || found.null95 === undefined ? '' : ` The best of ${found.nUnits.toLocaleString('en')} units reaches ${found.null95.toFixed(3)} with labels swapped between documents.`;
    return h('p', { className: 'search-note' }, `Chosen on ${found.nSelection} documents, scored on ${found.nDocuments} others.${null95} `, ...found.warnings.map((/** @type {string} */ text) => h('span', { key: text, className: 'badge badge-warn' }, text)));
  }

  function Search(/** @type {any} */ props) {
    const { panel, view, searchJob, concept, range } = useSelection(['panel', 'view', 'searchJob', 'concept', 'range', 'about']);
    React.useEffect(() => {
      const stops = [
        selection.subscribe(['about', 'panel', 'view'], loadConcepts),
        selection.subscribe(['about'], () => { asked++; selection.set({ searchJob: null }); }),
      ];
      loadConcepts();
      return () => stops.forEach((stop) => stop());
    }, []);
    // A link carries the concept: the answer is worked out again, or found where it was left.
    React.useEffect(() => {
      if (panel === 'search' && view === 'explore' && concept && !selection.get().searchJob && selection.get().about) run();
    });
    if (panel !== 'search' || view !== 'explore') return h('div', { id: props.id, hidden: true });
    let body = h(interp.EmptyNote, { text: 'Choose a concept, or select text and choose “the selected text”: the units that tell it are listed here, and a click on one colours the text.' });
    if (concept === '' && !range) body = h(interp.EmptyNote, { text: 'Select some text first: drag over it.' });
    else if (searchJob && searchJob.state === 'failed') body = h('p', { className: 'empty-note', role: 'alert' }, searchJob.error);
    else if (searchJob && searchJob.state === 'cancelled') body = h(interp.EmptyNote, { text: 'Cancelled. “Search” starts again.' });
    else if (searchJob && searchJob.result) {
      body = h('div', { className: 'search-body' },
        h('div', { className: 'search-side' }, h(Behind, { job: searchJob }), h(Units, { found: searchJob.result })),
        searchJob.result.places && h('div', { className: 'search-side' }, h('p', { className: 'search-note' }, `Similar places in ${searchJob.result.nDocuments} documents.`),
          h('ul', { className: 'snippets' }, searchJob.result.places.map((/** @type {any} */ row) => h(Snippet, { key: row.position, row, note: row.score.toFixed(2), meaning: 'How far the units agree with the selected text: 0 as anywhere, 1 as far on their sides as ever' })))));
    } else if (searchJob) body = h('p', { className: 'quiet search-note' }, 'Looking through the units …');
    const state = searchJob ? `${searchJob.state}${searchJob.result && searchJob.result.isDraft ? '-draft' : ''}` : '';
    return h('div', { id: props.id, className: 'search-panel', 'data-state': state }, body);
  }

  interp.addPanel({ name: 'search', title: 'Search', Bar: SearchBar });
  Object.assign(interp, { Snippet });
  window.dashboard = Object.assign(window.dashboard || {}, { Search });
})();
