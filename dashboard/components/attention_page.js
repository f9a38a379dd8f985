// @ts-check
/** Attention: the page with all heads on the left and one of them in several forms on the right. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection, attention } = interp;

  const SIZES = [16, 32, 64, 128, 256, 512, 1024];
  const TITLES = { matrix: 'Matrix', lines: 'Lines', graph: 'Graph', query: 'Query · key', steps: 'Steps', patches: 'Image' };
  const BODIES = {
    matrix: () => h(interp.HeadMatrix), lines: () => h(interp.HeadLines), graph: () => h(interp.AttentionGraph),
    query: () => h(interp.QueryKey), steps: () => h(interp.AttentionSteps), patches: () => h(interp.AttentionPatches),
  };

  /** Which document, and which window of it. */
  function Where() {
    const { place, tokens, attention: known } = useSelection(['place', 'tokens', 'from', 'attention']);
    const [draft, setDraft] = React.useState(null);
    if (!place) return h('span', { className: 'quiet' }, 'Loading …');
    const n = place.tokens.length;
    const move = (/** @type {number} */ by) => selection.set({ from: Math.max(0, Math.min(place.length - 1, place.start + by)), pos: null, key: null }, { push: true });
    const commit = () => {
      const wanted = Number(draft);
      if (draft !== null && draft.trim() !== '' && Number.isFinite(wanted)) attention.openDocument(wanted);
      setDraft(null);
    };
    const step = (/** @type {string} */ label, /** @type {string} */ sign, /** @type {boolean} */ off, /** @type {() => void} */ run) => h('button', { type: 'button', 'aria-label': label, title: label, disabled: off, onClick: run }, sign);
    return h(React.Fragment, null,
      h('div', { className: 'stepper' },
        step('Previous document', '‹', place.document <= 0, () => attention.openDocument(place.document - 1)),
        h('input', { inputMode: 'numeric', 'aria-label': 'Document', value: draft === null ? String(place.document) : draft, onChange: (/** @type {any} */ event) => setDraft(event.target.value.replace(/\D/g, '')), onBlur: commit, onKeyDown: (/** @type {any} */ event) => event.key === 'Enter' && commit() }),
        step('Next document', '›', place.document >= place.nDocuments - 1, () => attention.openDocument(place.document + 1))),
      h('span', { className: 'document-name', title: place.name }, place.name),
      place.length > n && h('div', { className: 'stepper' },
        step('Earlier', '‹', place.start <= 0, () => move(-Math.ceil(tokens / 2))),
        h('span', { className: 'window-name count' }, `${place.start.toLocaleString('en')}–${(place.start + n - 1).toLocaleString('en')} of ${place.length.toLocaleString('en')}`),
        step('Later', '›', place.start + n >= place.length, () => move(Math.ceil(tokens / 2)))),
      // An image is shown whole.
      !known.imageStreams.includes(place.stream) && h('label', { className: 'inline' }, 'Window', h('select', { value: SIZES.includes(tokens) ? tokens : '', onChange: (/** @type {any} */ event) => selection.set({ tokens: Number(event.target.value) }, { push: true }) },
        !SIZES.includes(tokens) && h('option', { value: '' }, `${tokens} tokens`),
        SIZES.map((size) => h('option', { key: size, value: size }, `${size} tokens`)))));
  }

  function Looks() {
    const { bare, stretch } = useSelection(['look', 'bare', 'stretch', 'attention']);
    const look = attention.look();
    return h('div', { className: 'bar' },
      h('div', { role: 'tablist', className: 'tabs', 'aria-label': 'Form' }, attention.LOOKS.map((/** @type {'matrix'} */ name) => h('button', {
        key: name, type: 'button', role: 'tab', 'aria-selected': look === name, className: look === name ? 'tab is-on' : 'tab', onClick: () => selection.set({ look: name, hoverCell: null }, { push: true }),
      }, TITLES[name]))),
      (look === 'matrix' || look === 'lines') && h('button', { type: 'button', className: bare ? 'chip is-on' : 'chip', 'aria-pressed': bare, title: 'The first token of a document and special tokens draw much attention that says little', onClick: () => selection.set({ bare: !bare }, { push: true }) }, 'hide first and special tokens'),
      (look === 'matrix' || look === 'steps') && h(Scale, { stretch, isText: look === 'steps' }));
  }

  function Scale(/** @type {{stretch: string, isText: boolean}} */ { stretch, isText }) {
    const { toCss } = interp.colour;
    const stops = Array.from({ length: 25 }, (_, i) => toCss(attention.weightColour(stretch === 'root' ? Math.sqrt(i / 24) : i / 24, selection.theme())));
    // Behind text the colours are paler, so that it can be read.
    const gradient = isText ? interp.gradient({ limit: 1, oneSided: true, stretch }, selection.theme(), 'oneSided') : `linear-gradient(to right, ${stops.join(', ')})`;
    return h('div', { className: 'legend', role: 'group', 'aria-label': 'Colour scale from 0 to 1' },
      h('span', { className: 'legend-end' }, '0'), h('span', { className: 'legend-bar', style: { backgroundImage: gradient } }), h('span', { className: 'legend-end' }, '1'),
      h('button', { type: 'button', className: stretch === 'root' ? 'chip is-on' : 'chip', 'aria-pressed': stretch === 'root', title: 'Square root of the weight: shows small weights', onClick: () => selection.set({ stretch: stretch === 'root' ? 'linear' : 'root' }, { push: true }) }, stretch === 'root' ? 'stretched' : 'linear'));
  }

  /** One line: from which token to which, and how much. */
  function Line() {
    const { place, keyPlace, hoverCell } = useSelection(['place', 'keyPlace', 'hoverCell', 'pos', 'key', 'asite', 'head', 'hoverHead', 'mapCount', 'look']);
    const shown = attention.shownHead();
    if (!shown || !place || !keyPlace) return h('div', { className: 'readout quiet' }, '');
    const pinned = attention.pinned();
    const query = hoverCell && hoverCell.query !== null ? hoverCell.query : pinned.query < 0 ? null : pinned.query;
    const at = hoverCell && hoverCell.key !== null ? hoverCell.key : pinned.key < 0 ? null : pinned.key;
    const map = attention.mapOf(shown.site, shown.head);
    const isPair = map && query !== null && at !== null && query >= 0 && at >= 0 && query < map.queries && at < map.keys;
    const word = (/** @type {any} */ where, /** @type {number|null} */ i) => (i !== null && i >= 0 && i < where.tokens.length ? h('span', { className: 'readout-token' }, interp.visible(where.tokens[i])) : h('span', { className: 'quiet' }, '–'));
    // Positions of one text are so far apart; those of an image lie in a plane.
    const isInLine = place.stream === keyPlace.stream && !selection.get().attention.imageStreams.includes(place.stream);
    const weight = isPair ? map.weights[/** @type {number} */ (query) * map.keys + /** @type {number} */ (at)] : null;
    return h('div', { className: 'readout' },
      query === null && at === null ? h('span', { className: 'quiet' }, 'Point at a weight to read it; click to pin query and key.') : h(React.Fragment, null,
        h('span', { className: 'quiet' }, 'query'), word(place, query), h('span', { className: 'quiet' }, '→ key'), word(keyPlace, at),
        weight !== null && h('span', { className: 'quiet' }, 'weight'), weight !== null && h('b', { className: 'count', 'data-weight': weight }, weight.toFixed(4)),
        weight !== null && query !== null && at !== null && isInLine && h('span', { className: 'quiet' }, `distance ${Math.abs(place.start + query - keyPlace.start - at)}`)));
  }

  /** How an encoder-decoder head walks along its source, in the window in sight. */
  function Alignment() {
    useSelection(['mapCount', 'asite', 'head', 'hoverHead', 'place']);
    const shown = attention.shownHead();
    if (!shown || shown.site.stream === shown.site.keyStream) return null;
    const map = attention.mapOf(shown.site, shown.head);
    if (!map || map.queries < 2) return null;
    const best = Array.from({ length: map.queries }, (_, q) => {
      const row = map.weights.subarray(q * map.keys, (q + 1) * map.keys);
      return row.indexOf(Math.max(...row));
    });
    const rising = best.slice(1).filter((key, i) => key > best[i]).length;
    return h('div', { className: 'head-card' }, h('h3', null, 'Alignment'),
      h('p', { className: 'count', 'data-rising': rising }, `The strongest key moves strictly forward at ${rising} of ${map.queries - 1} steps.`));
  }

  /** Why a head has nothing to show here, if it has not. */
  function Nothing() {
    const { about, headGrid } = useSelection(['about', 'headGrid', 'asite', 'head', 'hoverHead']);
    const shown = attention.shownHead();
    const row = shown && headGrid && headGrid.hasNumbers && headGrid.heads.find((/** @type {any} */ head) => head.site === shown.site.name && head.head === shown.head);
    if (!row || attention.METRICS.some((/** @type {string} */ metric) => row[metric] !== null)) return null;
    const text = about.is_complete === false ? 'No weights are recorded here: the recording was stopped before it came to this document.' : 'No row in sight has a weight on a key in sight.';
    return h('p', { className: 'attention-note', role: 'note' }, text);
  }

  function Attention(/** @type {any} */ props) {
    const { view, attention: known } = useSelection(['view', 'attention', 'look', 'about']);
    const look = attention.look();
    if (view !== 'attention') return h('div', { id: props.id, hidden: true });
    if (known && !known.sites.length) {
      return h('div', { id: props.id, className: 'attention' }, h(interp.EmptyNote, { text: `This recording holds no attention. If its model computes any, record it with \`--sites '**/attention'\`.` }));
    }
    const onlyStats = known && known.sites.every((/** @type {any} */ site) => site.form === 'stats');
    if (onlyStats) {
      return h('div', { id: props.id, className: 'attention' }, h(interp.EmptyNote, { text: 'This recording keeps statistics of its heads, not their maps. Record with `--attention full` or `--attention top-p:0.95` to see them; `interp heads` shows the statistics.' }));
    }
    const shown = attention.shownHead();
    return h('div', { id: props.id, className: 'attention' },
      h('section', { className: 'pane pane-heads', 'aria-label': 'Heads' }, h('div', { className: 'bar' }, h(Where)), h(interp.HeadTools), h(interp.HeadGrid), h(interp.HeadCard), h(Alignment)),
      h('section', { className: 'pane pane-head', 'aria-label': 'One head' }, h(Looks),
        shown && shown.site.form === 'top-p' && h('p', { className: 'attention-note' }, `Only the largest weights were recorded: ${Math.round(100 * (shown.site.mass || 0))} % of each row; what is missing reads as 0.`),
        h(Nothing),
        h('div', { className: `look look-${look}` }, known && BODIES[/** @type {'matrix'} */ (look)]()), h(Line)));
  }

  interp.addKeys([{ key: 'a', shown: 'a', text: 'attention, or back to the text', run: () => selection.set({ view: selection.get().view === 'attention' && selection.get().about.sites.length ? 'explore' : 'attention' }, { push: true }) }]);
  window.dashboard = Object.assign(window.dashboard || {}, { Attention });
})();
