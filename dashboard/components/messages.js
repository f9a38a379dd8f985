// @ts-check
/** Messages: errors in the page, the help dialog, and what every key does. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection, registry } = interp;

  const KEYS = [
    ['[  ]', 'previous, next unit'],
    ['j  k', 'next, previous line'],
    ['J  K', 'next, previous document'],
    ['←  →', 'move the pinned position'],
    ['g', 'go to a position'],
    ['/', 'search the text; Enter jumps on'],
    ['s', 'next panel below the text'],
    ['+  −', 'fewer, more steps in the strips'],
    ['t', 'light or dark'],
    ['Esc', 'let go of previews and pins'],
    ['?', 'this help'],
  ];

  /** The stream whose positions `pos` counts: that of the text, or of the chosen head's queries. */
  function streamOnPage() {
    const { view, asite, about } = selection.get();
    const head = view === 'attention' && interp.attention.siteNamed(asite);
    return head ? about.streams.find((/** @type {any} */ stream) => stream.name === head.stream) : selection.stream();
  }

  function move(/** @type {number} */ by) {
    const { pos, inSight } = selection.get();
    const stream = streamOnPage();
    if (!stream) return;
    const from = pos !== null ? pos : inSight ? inSight[0] - by : 0;
    selection.set({ pos: Math.max(0, Math.min(stream.nPositions - 1, from + by)), range: null });
  }

  function moveDocument(/** @type {number} */ by) {
    const { view, places } = selection.get();
    if (view === 'attention' && places) {
      interp.attention.openDocument(places.document + by);
      return;
    }
    const { part, inSight } = selection.get();
    const stream = selection.stream();
    const current = interp.currentDocument(part, inSight);
    if (!current) return;
    const doc = Math.max(0, Math.min(stream.nDocuments - 1, current.index + by));
    selection.set({ doc, at: null, pos: null, range: null }, { push: true });
  }

  function moveLine(/** @type {number} */ by) {
    const root = document.querySelector('.coloured-text');
    if (root) root.scrollTop += by * interp.LINE_HEIGHT;
  }

  function nextPanel() {
    const names = registry.panels.map((/** @type {any} */ place) => place.name);
    selection.set({ panel: names[(names.indexOf(selection.get().panel) + 1) % names.length] }, { push: true });
  }

  /** @type {Record<string, () => void>} */
  const ACTIONS = {
    '[': () => selection.chooseUnit(selection.get().unit - 1, { push: false }),
    ']': () => selection.chooseUnit(selection.get().unit + 1, { push: false }),
    j: () => moveLine(1),
    k: () => moveLine(-1),
    J: () => moveDocument(1),
    K: () => moveDocument(-1),
    ArrowLeft: () => move(-1),
    ArrowRight: () => move(1),
    g: () => selection.set({ going: true }),
    '/': () => selection.set({ find: selection.get().find || '', view: 'explore' }, { push: true }),
    s: nextPanel,
    '+': () => interp.zoomBy && interp.zoomBy(1 / 1.5),
    '=': () => interp.zoomBy && interp.zoomBy(1 / 1.5),
    '-': () => interp.zoomBy && interp.zoomBy(1.5),
    t: () => selection.set({ theme: selection.theme() === 'dark' ? 'light' : 'dark' }, { push: true }),
    '?': () => selection.set({ help: !selection.get().help }),
    Escape: () => selection.clear(),
  };

  function pressed(/** @type {KeyboardEvent} */ event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = /** @type {HTMLElement} */ (event.target);
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName);
    if (typing && event.key !== 'Escape') return;
    // Arrow keys belong to a control that has the focus, such as a list or a table.
    if (event.key.startsWith('Arrow') && target.closest('[role="grid"],[role="treegrid"],[role="radiogroup"],[role="tablist"],.strips')) return;
    const added = registry.actions.find((/** @type {any} */ known) => known.key === event.key);
    const action = ACTIONS[event.key] || (added && added.run);
    if (!action) return;
    event.preventDefault();
    action();
  }

  /** The frame's keys and those of views, help last. */
  function keysShown() {
    const added = registry.actions.map((/** @type {any} */ known) => [known.shown, known.text]);
    return [...KEYS.slice(0, -2), ...added, ...KEYS.slice(-2)];
  }

  /** A dialog that takes the focus and gives it back. */
  function Dialog(/** @type {any} */ { title, onClose, children }) {
    const ref = React.useRef(null);
    React.useEffect(() => {
      const dialog = ref.current;
      dialog.showModal();
      return () => dialog.close();
    }, []);
    return h('dialog', { ref, className: 'dialog', 'aria-label': title, onClose, onCancel: onClose, onClick: (/** @type {any} */ event) => event.target === ref.current && onClose() },
      h('div', { className: 'dialog-inside' }, h('h2', null, title), children));
  }

  function Help() {
    const { help } = useSelection(['help']);
    if (!help) return null;
    return h(Dialog, { title: 'Keys', onClose: () => selection.set({ help: false }) },
      h('dl', { className: 'keys' }, keysShown().map(([key, text]) => h(React.Fragment, { key },
        h('dt', null, key.split('  ').map((/** @type {string} */ k) => h('kbd', { key: k }, k))), h('dd', null, text)))),
      h('p', { className: 'quiet' }, 'Hover previews, click locks, Esc lets go. The address holds all of it: copy it to come back, or to show someone.'),
      h('button', { type: 'button', className: 'plain', autoFocus: true, onClick: () => selection.set({ help: false }) }, 'Close'));
  }

  function GoTo() {
    const { going, pos } = useSelection(['going']);
    const stream = streamOnPage();
    if (!going || !stream) return null;
    const close = () => selection.set({ going: false });
    const submit = (/** @type {any} */ event) => {
      event.preventDefault();
      const text = new FormData(event.target).get('position');
      const wanted = Number(String(text).replace(/[ ,]/g, ''));
      if (Number.isInteger(wanted) && wanted >= 0 && wanted < stream.nPositions && text !== '') selection.set({ pos: wanted, at: null, doc: null }, { push: true });
      else selection.report(`There is no position ${text}: this stream has positions 0 to ${stream.nPositions - 1}.`);
      close();
    };
    return h(Dialog, { title: 'Go to a position', onClose: close },
      h('form', { onSubmit: submit },
        h('label', { className: 'field' }, h('span', { className: 'field-label' }, `0 to ${(stream.nPositions - 1).toLocaleString('en')}`),
          h('input', { name: 'position', inputMode: 'numeric', autoFocus: true, defaultValue: pos === null ? '' : pos })),
        h('button', { type: 'submit', className: 'plain' }, 'Go')));
  }

  function Errors() {
    const { errors } = useSelection(['errors']);
    return h('div', { className: 'errors', role: 'alert' }, errors.map((/** @type {any} */ error) =>
      h('div', { key: error.id, className: 'error' }, h('span', null, error.text),
        h('button', { type: 'button', 'aria-label': 'Dismiss', onClick: () => selection.dismiss(error.id) }, '×'))));
  }

  function Messages(/** @type {any} */ props) {
    React.useEffect(() => {
      document.addEventListener('keydown', pressed);
      return () => document.removeEventListener('keydown', pressed);
    }, []);
    return h('div', { id: props.id }, h(Errors), h(Help), h(GoTo));
  }

  window.dashboard = Object.assign(window.dashboard || {}, { Messages });
})();
