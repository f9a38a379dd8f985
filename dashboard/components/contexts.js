// @ts-check
/** Contexts: the chosen unit's highest, lowest, middle and random places, and what is known of it. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection } = interp;
  const { getJson, guarded } = interp.requests;
  const { formatValue } = interp.colour;

  const GROUPS = [['highest', 'Highest'], ['lowest', 'Lowest'], ['middle', 'In the middle'], ['anywhere', 'Drawn at random']];

  interp.addState({}, { contexts: null, unitFacts: null });

  let asked = '';
  function load() {
    const { about, site, unit, panel, view } = selection.get();
    if (!about || !site || unit === null || panel !== 'unit' || view !== 'explore') return;
    const wanted = `${about.key}|${about.fingerprint}|${site}|${unit}`;
    if (asked === wanted) return;
    asked = wanted;
    const parameters = { site, unit, v: about.fingerprint };
    guarded(async () => {
      const contexts = await getJson(`${about.key}/contexts`, parameters);
      if (asked === wanted) selection.set({ contexts: { ...contexts, name: wanted } });
    });
    guarded(async () => {
      const facts = await getJson(`${about.key}/unit_facts`, { site, unit });
      if (asked === wanted) selection.set({ unitFacts: { ...facts, name: wanted } });
    });
  }

  function Facts(/** @type {any} */ { facts }) {
    const { results, concepts } = facts;
    return h('div', { className: 'contexts-group unit-facts' },
      h('h3', null, 'Concepts'),
      concepts.length ? h('ul', { className: 'plain-list' }, concepts.slice(0, 6).map((/** @type {any} */ row) => h('li', { key: row.name },
        h('b', null, row.name), ` ${row.sign > 0 ? 'on' : 'off'} inside, AUROC ${formatValue(row.auroc, 3)} `, h('span', { className: 'quiet' }, `(${(100 * row.baseRate).toFixed(1)} % of positions)`))))
        : h('p', { className: 'quiet' }, 'No yes-or-no annotation yet. The command interp annotate adds them.'),
      concepts.length > 0 && h('p', { className: 'quiet' }, 'A first look at a sample; Search scores on unseen documents.'),
      results.length > 0 && h('h3', null, 'Results'),
      results.length > 0 && h('ul', { className: 'plain-list' }, results.map((/** @type {any} */ row, /** @type {number} */ i) => h('li', { key: i }, h('b', null, row.what), ` ${row.text}`,
        row.nDocuments !== null && h('span', { className: 'quiet' }, ` · ${row.nDocuments} documents`)))));
  }

  function Contexts(/** @type {any} */ props) {
    const { panel, view, contexts, unitFacts } = useSelection(['panel', 'view', 'contexts', 'unitFacts', 'site', 'unit']);
    React.useEffect(() => {
      const stop = selection.subscribe(['about', 'site', 'unit', 'panel', 'view'], load);
      load();
      return stop;
    }, []);
    if (panel !== 'unit' || view !== 'explore') return h('div', { id: props.id, hidden: true });
    if (!contexts) return h('div', { id: props.id, className: 'contexts' }, h('p', { className: 'quiet search-note' }, 'Loading …'));
    return h('div', { id: props.id, className: 'contexts', 'data-unit': contexts.name, tabIndex: 0, role: 'region', 'aria-label': 'Places of the chosen unit' },
      unitFacts && h(Facts, { facts: unitFacts }),
      GROUPS.map(([group, title]) => h('div', { key: group, className: 'contexts-group', 'data-group': group }, h('h3', null, title),
        h('ul', { className: 'snippets' }, contexts[group].map((/** @type {any} */ row) => h(interp.Snippet, { key: row.position, row, note: `${formatValue(row.value, 2)}${row.times > 1 ? ` ×${row.times}` : ''}`, meaning: row.times > 1 ? `Value of the unit; this piece of text occurs ${row.times} times` : 'Value of the unit' }))))));
  }

  interp.addPanel({ name: 'unit', title: 'Unit' });
  window.dashboard = Object.assign(window.dashboard || {}, { Contexts });
})();
