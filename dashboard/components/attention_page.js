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
    const { place, keyPlace, tokens, attention: known } = useSelection(['place', 'keyPlace', 'tokens', 'from', 'attention']);
    const [draft, setDraft] = React.useState(null);
    if (!place) return h('span', { className: 'quiet' }, 'Loading …');
    const next = (/** @type {any} */ where, /** @type {number} */ by) => Math.max(0, Math.min(where.length - 1, where.start + by));
    const move = (/** @type {number} */ by) => selection.set({ from: next(place, by), pos: null, key: null }, { push: true });
    const moveKeys = (/** @type {number} */ by) => selection.set({ keyfrom: next(keyPlace, by), key: null }, { push: true });
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
      place.length > place.tokens.length && h(Window, { where: place, what: '', move, step }),
      keyPlace && keyPlace.stream !== place.stream && keyPlace.length > keyPlace.tokens.length && h('label', { className: 'inline' }, keyPlace.stream, h(Window, { where: keyPlace, what: ` in the ${keyPlace.stream}`, move: moveKeys, step })),
      // An image is shown whole.
      !known.imageStreams.includes(place.stream) && h('label', { className: 'inline' }, 'Window', h('select', { value: SIZES.includes(tokens) ? tokens : '', onChange: (/** @type {any} */ event) => selection.set({ tokens: Number(event.target.value) }, { push: true }) },
        !SIZES.includes(tokens) && h('option', { value: '' }, `${tokens} tokens`),
        SIZES.map((size) => h('option', { key: size, value: size }, `${size} tokens`)))));
  }

  /** Which positions of a stream are in sight, and the ways to those before and after. */
  function Window(/** @type {any} */ { where, what, move, step }) {
    const n = where.tokens.length, half = Math.ceil(selection.get().tokens / 2);
    return h('div', { className: 'stepper' },
      step(`Earlier${what}`, '‹', where.start <= 0, () => move(-half)),
      h('span', { className: 'window-name count' }, `${where.start.toLocaleString('en')}–${(where.start + n - 1).toLocaleString('en')} of ${where.length.toLocaleString('en')}`),
      step(`Later${what}`, '›', where.start + n >= where.length, () => move(half)));
  }

  function Looks() {
    const { bare, ramp } = useSelection(['look', 'bare', 'ramp', 'attention']);
    const look = attention.look();
    const { sites, imageStreams } = selection.get().attention || { sites: [], imageStreams: [] };
    /** Forms of which the recording has nothing to show; they say what would be needed. */
    const empty = { patches: !imageStreams.length, query: !sites.some((/** @type {any} */ site) => site.hasVectors) };
    return h('div', { className: 'bar' },
      h('div', { role: 'tablist', className: 'tabs', 'aria-label': 'Form' }, attention.LOOKS.map((/** @type {'matrix'} */ name) => h('button', {
        key: name, type: 'button', role: 'tab', 'aria-selected': look === name, className: `tab${look === name ? ' is-on' : ''}${empty[/** @type {'query'} */ (name)] ? ' is-empty' : ''}`, onClick: () => selection.set({ look: name, hoverCell: null }, { push: true }),
      }, TITLES[name]))),
      (look === 'matrix' || look === 'lines') && h('button', { type: 'button', className: bare ? 'chip is-on' : 'chip', 'aria-pressed': bare, title: 'The first token of a document and special tokens draw much attention that says little', onClick: () => selection.set({ bare: !bare }, { push: true }) }, 'hide first and special tokens'),
      (look === 'matrix' || look === 'steps') && h(Scale, { ramp, isText: look === 'steps' }));
  }

  function Scale(/** @type {{ramp: string, isText: boolean}} */ { ramp, isText }) {
    const { toCss } = interp.colour;
    const stops = Array.from({ length: 25 }, (_, i) => toCss(attention.weightColour(ramp === 'root' ? Math.sqrt(i / 24) : i / 24, selection.theme())));
    // Behind text the colours are paler, so that it can be read.
    const gradient = isText ? interp.gradient({ limit: 1, oneSided: true, stretch: ramp }, selection.theme(), 'oneSided') : `linear-gradient(to right, ${stops.join(', ')})`;
    return h('div', { className: 'legend', role: 'group', 'aria-label': 'Colour scale from 0 to 1' },
      h('span', { className: 'legend-end' }, '0'), h('span', { className: 'legend-bar', style: { backgroundImage: gradient } }), h('span', { className: 'legend-end' }, '1'),
      h('button', { type: 'button', className: ramp === 'root' ? 'chip is-on' : 'chip', 'aria-pressed': ramp === 'root', title: 'Square root of the weight: shows small weights', onClick: () => selection.set({ ramp: ramp === 'root' ? 'linear' : 'root' }, { push: true }) }, ramp === 'root' ? 'stretched' : 'linear'));
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
        weight !== null && query !== null && at !== null && isInLine && h('span', { className: 'quiet' }, `distance ${Math.abs(place.start + query - keyPlace.start - at)}`),
        h(Strongest, { map, query, keyPlace })));
  }

  /** How an encoder-decoder head walks along its source, at the steps in sight and over all of the source. */
  function Alignment() {
    useSelection(['mapCount', 'asite', 'head', 'hoverHead', 'place']);
    const shown = attention.shownHead();
    const map = shown && shown.site.stream !== shown.site.keyStream && attention.mapOf(shown.site, shown.head);
    if (!map || !map.strongest) return null;
    const steps = map.strongest.slice(1).map((/** @type {number} */ key, /** @type {number} */ i) => [map.strongest[i], key]).filter((/** @type {number[]} */ [from, to]) => from >= 0 && to >= 0);
    if (!steps.length) return null;
    const rising = steps.filter((/** @type {number[]} */ [from, to]) => to > from).length;
    return h('div', { className: 'head-card' }, h('h3', null, 'Alignment'),
      h('p', { className: 'count', 'data-rising': rising }, `The strongest key moves strictly forward at ${rising} of ${steps.length} steps.`));
  }

  /** The way to a query's strongest key, where the window of another stream does not show it. */
  function Strongest(/** @type {{map: any, query: number|null, keyPlace: any}} */ { map, query, keyPlace }) {
    const at = map && map.strongest && query !== null && query >= 0 ? map.strongest[query] : -1;
    if (at === undefined || at < 0 || (at >= keyPlace.start && at < keyPlace.start + keyPlace.tokens.length)) return null;
    return h('button', { type: 'button', className: 'link', onClick: () => selection.set({ key: keyPlace.first + at, keyfrom: null, hoverCell: null }, { push: true }) }, `strongest key at ${at.toLocaleString('en')}, out of sight`);
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
