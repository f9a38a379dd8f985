// @ts-check
/** Findings: the results that lie beside the recording; the list on the left, one of them on the right. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection } = interp;
  const { getJson, guarded } = interp.requests;

  interp.addState({ finding: { ...interp.urlState.kinds.TEXT, initial: null } }, { results: null, result: null });
  interp.addReset(['finding']);


  function nothingYet() {
    const { about } = selection.get();
    const file = about?.path ? about.path.split('/').pop() : 'run.h5';
    const first = about?.streams.some((/** @type {any} */ stream) => stream.hasText) ? `rank ${file} --concept string` : `heads ${file}`;
    return `Nothing has been computed from this recording yet. Begin with \`interp ${first}\`: what \`interp rank\`, \`probe\`, \`ablate\`, \`dynamics\` and \`heads\` find appears here.`;
  }

  const isThere = (/** @type {any[] | null} */ results, /** @type {string} */ file) => (results || []).some((row) => row.file === file);

  function loadList() {
    const { about, view } = selection.get();
    if (!about || view !== 'findings') return;
    guarded(async () => {
      const { results } = await getJson(`${about.key}/results`);
      if (selection.get().about !== about) return;
      selection.set({ results });
      const { finding } = selection.get();
      if (finding === null && results.length) selection.set({ finding: results[0].file });
      else loadOne();
    });
  }

  let asked = '';
  function loadOne() {
    const { about, finding, view, results } = selection.get();
    if (!about || view !== 'findings' || finding === null || !isThere(results, finding)) return;
    const wanted = `${about.key}|${finding}`;
    asked = wanted;
    guarded(async () => {
      const result = await getJson(`${about.key}/result`, { file: finding });
      if (asked === wanted) selection.set({ result: { ...result, file: finding } });
    });
  }

  function List() {
    const { results, finding } = useSelection(['results', 'finding']);
    const groups = [...new Set(results.map((/** @type {any} */ row) => row.group))];
    return h('nav', { className: 'pane pane-results', 'aria-label': 'Results' }, groups.map((group) => h('div', { key: group, className: 'result-group' }, h('h3', null, group),
      h('ul', { className: 'plain-list' }, results.filter((/** @type {any} */ row) => row.group === group).map((/** @type {any} */ row) => h('li', { key: row.file },
        h('button', { type: 'button', className: row.file === finding ? 'result-name is-on' : 'result-name', 'aria-current': row.file === finding ? 'true' : undefined, onClick: () => selection.set({ finding: row.file }, { push: true }) },
          row.title.replace(/_/g, ' '), row.nDocuments !== null && h('span', { className: 'quiet' }, ` ${row.nDocuments} documents`))))))));
  }

  function Shown() {
    const { result, finding, results } = useSelection(['result', 'finding', 'results']);
    if (finding === null) return null;
    if (!isThere(results, finding)) return h('section', { className: 'pane pane-result', 'aria-label': 'Result' }, h(interp.EmptyNote, { text: `The result \`${finding}\` does not lie beside this recording. Choose one from the list.` }));
    if (!result || result.file !== finding) return h('section', { className: 'pane pane-result', 'aria-label': 'Result' }, h('p', { className: 'quiet search-note' }, 'Loading …'));
    const Figure = interp.findingFigures[result.kind];
    return h('section', { className: 'pane pane-result', 'aria-label': 'Result', 'data-shown': result.file, tabIndex: 0 },
      h('h2', null, `${result.kind} · ${result.title.replace(/_/g, ' ')}`),
      (result.result.warnings || []).map((/** @type {string} */ text) => h('p', { key: text }, h('span', { className: 'badge badge-warn' }, text))),
      Figure ? h(Figure, { key: result.file, result: result.result, name: result.name }) : h('pre', { className: 'card-text' }, JSON.stringify(result.result, null, 1).slice(0, 20000)),
      h('details', { className: 'result-parameters' }, h('summary', null, 'How it was computed'), h('pre', { className: 'card-text' }, JSON.stringify(result.parameters, null, 1))));
  }

  function Findings(/** @type {any} */ props) {
    const { view, results } = useSelection(['view', 'results', 'about']);
    React.useEffect(() => {
      const stops = [
        selection.subscribe(['about'], () => selection.set({ results: null, result: null })),
        selection.subscribe(['about', 'view'], loadList),
        selection.subscribe(['finding'], loadOne),
      ];
      loadList();
      return () => stops.forEach((stop) => stop());
    }, []);
    if (view !== 'findings') return h('div', { id: props.id, hidden: true });
    if (!results) return h('div', { id: props.id, className: 'findings' }, h('p', { className: 'quiet' }, 'Loading …'));
    if (!results.length) return h('div', { id: props.id, className: 'findings' }, h(interp.EmptyNote, { text: nothingYet() }));
    return h('div', { id: props.id, className: 'findings' }, h(List), h(Shown));
  }

  interp.addPage({ name: 'findings', title: 'Findings' });
  window.dashboard = Object.assign(window.dashboard || {}, { Findings });
})();
