// @ts-check
/** TextBar: above the text: which document, what is drawn under it, search, the colour scale. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection } = interp;

  const LISTED_DOCUMENTS = 500;

  /** The document whose text is at the top of what is in sight. */
  function currentDocument(/** @type {any} */ part, /** @type {any} */ inSight) {
    if (!part || !part.documents.length) return null;
    const at = inSight ? inSight[0] : part.start;
    let found = part.documents[0];
    for (const document of part.documents) if (document.position <= at) found = document;
    return found;
  }

  function Documents() {
    const { part, inSight } = useSelection(['part', 'inSight', 'about']);
    const stream = selection.stream();
    if (!part || !stream) return h('span', { className: 'quiet' }, 'Loading text …');
    const current = currentDocument(part, inSight);
    if (!current) return h('span', { className: 'quiet' }, 'This recording has no documents.');
    const go = (/** @type {number} */ doc) => selection.set({ doc, at: null, pos: null, range: null }, { push: true });
    const many = part.documents.length > LISTED_DOCUMENTS;
    return h('div', { className: 'documents' },
      h('button', { type: 'button', className: 'chip', 'aria-label': 'Previous document', disabled: current.index <= 0, onClick: () => go(current.index - 1) }, '↑'),
      many
        ? h('span', { className: 'document-name' }, current.name)
        : h('select', { 'aria-label': 'Document', value: current.index, onChange: (/** @type {any} */ event) => go(Number(event.target.value)) },
          part.documents.map((/** @type {any} */ d) => h('option', { key: d.index, value: d.index }, d.name))),
      h('button', { type: 'button', className: 'chip', 'aria-label': 'Next document', disabled: current.index >= stream.nDocuments - 1, onClick: () => go(current.index + 1) }, '↓'),
      h('span', { className: 'quiet count' }, `${current.index + 1} of ${stream.nDocuments.toLocaleString('en')}`),
      stream.parts.length > 1 && h('span', { className: 'badge', title: 'Long streams are shown in parts; the arrows and links cross over.' }, `part ${part.index + 1} of ${stream.parts.length}`),
      part.isCut && h('span', { className: 'badge badge-warn', title: 'A browser cannot show a page this tall.' }, 'end of part not shown'));
  }

  function Marks() {
    const { marks } = useSelection(['marks']);
    return h('button', {
      type: 'button', className: marks ? 'chip is-on' : 'chip', 'aria-pressed': marks, title: 'Show spaces, tabs and newlines',
      onClick: () => selection.set({ marks: !marks }, { push: true }),
    }, '·↵');
  }

  function Find() {
    const { find, found } = useSelection(['find', 'found']);
    const field = React.useRef(null);
    const open = find !== null;
    React.useEffect(() => {
      if (open && document.activeElement && document.activeElement.tagName !== 'INPUT') field.current.focus();
    }, [open]);
    if (!open) {
      return h('button', { type: 'button', className: 'chip', title: 'Search the text  /', onClick: () => selection.set({ find: '' }, { push: true }) }, 'Search');
    }
    const keys = (/** @type {any} */ event) => {
      if (event.key === 'Enter') interp.nextMatch(event.shiftKey ? -1 : 1);
      if (event.key === 'Escape') {
        selection.set({ find: null });
        event.stopPropagation();
      }
    };
    const count = !find ? 'Enter jumps on.' : !found || !found.n ? 'No match.' : `${found.current + 1} of ${found.n.toLocaleString('en')}${found.more ? '+' : ''}`;
    return h('div', { className: 'find', role: 'search' },
      h('input', { ref: field, type: 'search', 'aria-label': 'Search the text', placeholder: 'Search this text', value: find, onKeyDown: keys, onChange: (/** @type {any} */ event) => selection.set({ find: event.target.value }) }),
      h('span', { className: 'quiet count', role: 'status' }, count));
  }

  function TextBar(/** @type {any} */ props) {
    return h('div', { id: props.id },
      h('div', { className: 'bar' }, h(Documents), h(Find), h(interp.TrackSelect), h(Marks), h(interp.Legend)),
      h(interp.TrackLegend));
  }

  interp.currentDocument = currentDocument;
  window.dashboard = Object.assign(window.dashboard || {}, { TextBar });
})();
