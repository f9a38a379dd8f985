// @ts-check
/** Toolbar: which recording, site and unit; theme and help. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection, session, registry } = interp;

  const SYMBOLS = {
    hidden: 'h', cell: 'c', input_gate: 'i', forget_gate: 'f', cell_gate: 'g', output_gate: 'o',
    reset_gate: 'r', update_gate: 'z', new_gate: 'n', output: 'y', input: 'x',
  };

  function Select(/** @type {any} */ { label, value, options, onChange, className }) {
    return h('label', { className: `field ${className || ''}` },
      h('span', { className: 'field-label' }, label),
      h('select', { value: value || '', onChange: (/** @type {any} */ event) => onChange(event.target.value) },
        options.map((/** @type {any} */ option) => h('option', { key: option.value, value: option.value }, option.text))));
  }

  function Recording() {
    const { catalogue, about } = useSelection(['catalogue', 'about']);
    if (!catalogue) return h('span', { className: 'quiet' }, 'Opening …');
    if (!catalogue.length) return h('span', { className: 'quiet' }, 'No recording is open.');
    return h(React.Fragment, null,
      h(Select, {
        label: 'Recording', className: 'field-recording', value: about ? about.key : '',
        options: catalogue.map((/** @type {any} */ row) => ({ value: row.key, text: row.name })),
        onChange: session.chooseRecording,
      }),
      about && about.is_complete === false && h('span', {
        className: 'badge badge-warn badge-toolbar',
        title: `It was stopped after ${about.done_segments} of ${about.n_segments} segments: what is missing has no values. The same command with interp record --resume goes on.`,
      }, 'incomplete'));
  }

  /** Layer first, then one button per signal: all of a layer's signals share their units. */
  function Site() {
    const { about, site } = useSelection(['about', 'site']);
    if (!about || !site) return null;
    const current = selection.site();
    const groups = [...new Set(about.sites.map((/** @type {any} */ s) => s.group))];
    const signals = about.sites.filter((/** @type {any} */ s) => s.group === current.group);
    const choose = (/** @type {string} */ name) => selection.set({ site: name, hoverUnit: null }, { push: true });
    const chooseGroup = (/** @type {string} */ group) => {
      const inside = about.sites.filter((/** @type {any} */ s) => s.group === group);
      const same = inside.find((/** @type {any} */ s) => s.signal === current.signal);
      choose((same || inside[inside.length - 1]).name);
    };
    return h(React.Fragment, null,
      h(Select, { label: 'Layer', value: current.group, options: groups.map((group) => ({ value: group, text: group })), onChange: chooseGroup }),
      h('div', { className: 'field' },
        h('span', { className: 'field-label', id: 'signal-label' }, 'Signal'),
        h('div', { className: 'segments', role: 'radiogroup', 'aria-labelledby': 'signal-label' },
          signals.map((/** @type {any} */ s) => h('button', {
            key: s.name, type: 'button', role: 'radio', 'aria-checked': s.name === site, title: `${s.name} · ${s.nUnits} units · ${s.dtype}`,
            className: s.name === site ? 'is-on' : '', onClick: () => choose(s.name),
          }, s.signal.replace('_', ' '))))));
  }

  function Unit() {
    const { about, site, unit } = useSelection(['about', 'site', 'unit']);
    const [draft, setDraft] = React.useState(null);
    const current = about && site && selection.site();
    if (!current || unit === null) return null;
    const step = (/** @type {number} */ by) => selection.chooseUnit(unit + by);
    const commit = () => {
      if (draft !== null && draft.trim() !== '') selection.chooseUnit(Number(draft));
      setDraft(null);
    };
    return h('div', { className: 'field' },
      h('label', { className: 'field-label', htmlFor: 'unit-number' }, `Unit of ${current.nUnits.toLocaleString('en')}`),
      h('div', { className: 'stepper' },
        h('button', { type: 'button', 'aria-label': 'Previous unit', title: 'Previous unit  [', disabled: unit <= 0, onClick: () => step(-1) }, '‹'),
        h('input', {
          id: 'unit-number', inputMode: 'numeric', value: draft === null ? String(unit) : draft,
          onChange: (/** @type {any} */ event) => setDraft(event.target.value.replace(/\D/g, '')),
          onBlur: commit,
          onKeyDown: (/** @type {any} */ event) => event.key === 'Enter' && commit(),
        }),
        h('button', { type: 'button', 'aria-label': 'Next unit', title: 'Next unit  ]', disabled: unit >= current.nUnits - 1, onClick: () => step(1) }, '›')));
  }

  function Views() {
    const { view, about } = useSelection(['view', 'about']);
    return h('nav', { className: 'tabs', 'aria-label': 'Pages' }, registry.pages.map((/** @type {any} */ { name, title, ...place }) => {
      const lack = registry.lackOf(place, about);
      return h('button', {
        key: name, type: 'button', 'aria-current': view === name ? 'page' : undefined, title: lack || undefined,
        className: `tab${view === name ? ' is-on' : ''}${lack ? ' is-empty' : ''}`,
        // Without units there is no text to colour: a message says what to do.
        onClick: () => (lack && name === 'explore' ? selection.report(lack) : selection.set({ view: name }, { push: true })),
      }, title);
    }));
  }

  function Buttons() {
    useSelection(['theme', 'systemTheme']);
    const dark = selection.theme() === 'dark';
    return h('div', { className: 'buttons' },
      h('button', {
        type: 'button', className: 'icon', title: dark ? 'Light theme' : 'Dark theme', 'aria-label': dark ? 'Light theme' : 'Dark theme',
        onClick: () => selection.set({ theme: dark ? 'light' : 'dark' }, { push: true }),
      }, dark ? '☀' : '☾'),
      h('button', { type: 'button', className: 'icon', title: 'Help  ?', 'aria-label': 'Help', onClick: () => selection.set({ help: true }) }, '?'));
  }

  function Toolbar(/** @type {any} */ props) {
    return h('div', { id: props.id, className: 'toolbar' }, h(Views), h(Recording), h('div', { className: 'toolbar-unit' }, h(Site), h(Unit)), h(Buttons));
  }

  interp.SYMBOLS = SYMBOLS;
  window.dashboard = Object.assign(window.dashboard || {}, { Toolbar });
})();
