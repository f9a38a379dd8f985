// @ts-check
/** Track: what is drawn under the text, chosen in the text's bar, with a legend in a line of its own. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection } = interp;
  const { getJson, guarded } = interp.requests;
  const { CATEGORY_COLOURS, nameOf, slotsOf, trackOf } = interp.trackScale;
  const { formatValue, toCss, PALETTES } = interp.colour;

  /** Names of a categorical track, loaded when it is chosen. */
  function loadCategories() {
    const { about, track } = selection.get();
    const stream = selection.stream();
    const found = trackOf(about, stream, track);
    const key = found && found.kind === 'categorical' ? `${about.key}|${about.fingerprint}|${stream.name}|${track}` : '';
    const known = selection.get().categories;
    if (!key || key === loadCategories.asked || (known && known.key === key)) return;
    loadCategories.asked = key;
    guarded(async () => {
      const categories = await getJson(`${about.key}/categories`, { stream: stream.name, name: track, v: about.fingerprint });
      if (selection.get().track === track) selection.set({ categories: { ...categories, key, track } });
    }).finally(() => (loadCategories.asked = ''));
  }
  loadCategories.asked = '';

  /** The track on screen, null for none. */
  function currentTrack() {
    const { about, track, categories, only } = selection.get();
    return trackOf(about, selection.stream(), track, categories && categories.track === track ? categories : null, only);
  }

  /** What a track says at a position, in words; '' where it says nothing. */
  function trackWords(/** @type {any} */ track, /** @type {string} */ name, /** @type {number} */ bits) {
    if (!track || bits < 0 || track.kind === 'loss') return '';
    if (track.kind === 'categorical') return !track.categories ? '' : bits === interp.trackScale.NO_CATEGORY ? `no ${name}` : `${name}: ${nameOf(track.categories, bits)}`;
    const value = interp.halves.VALUE_OF[bits];
    if (track.kind === 'binary') return value ? name : `not ${name}`;
    return `${name}: ${formatValue(value, Number.isInteger(value) ? 0 : 3)}`;
  }

  function TrackSelect() {
    const { track } = useSelection(['track', 'about', 'site']);
    const { about } = selection.get();
    const stream = selection.stream();
    if (!about || !stream) return null;
    const own = about.annotations.filter((/** @type {any} */ a) => a.stream === stream.name).map((/** @type {any} */ a) => a.name);
    const names = stream.hasLoss && !own.includes('loss') ? ['loss', ...own] : own;
    if (!names.length) return null;
    return h('select', {
      className: 'track', 'aria-label': 'Second track, under the text', value: track || '',
      onChange: (/** @type {any} */ event) => selection.set({ track: event.target.value || null, only: null, listsort: null }, { push: true }),
    },
      h('option', { value: '' }, 'No underline'),
      names.map((/** @type {string} */ name) => h('option', { key: name, value: name }, `Underline: ${name}`)));
  }

  const Swatch = (/** @type {any} */ { colour }) => h('i', { className: 'swatch', style: { background: toCss(colour) } });

  /** One button per coloured category; the others behind a list. Choosing one singles it out. */
  function CategoryLegend(/** @type {any} */ { track }) {
    const theme = selection.theme();
    const slots = slotsOf(track.categories, track.only);
    const single = (/** @type {string|null} */ name) => selection.set({ only: name === selection.get().only ? null : name }, { push: true });
    const nColours = CATEGORY_COLOURS.light.length;
    const others = slots.slice(nColours);
    const button = (/** @type {any} */ { name, share, slot, code }) => h('button', {
      key: code, type: 'button', className: track.only === name ? 'chip is-on' : 'chip', 'aria-pressed': track.only === name,
      title: `${name}: ${(100 * share).toFixed(share < 0.01 ? 2 : 0)} % of the positions. Click to show it alone.`, onClick: () => single(name),
    }, h(Swatch, { colour: slot >= 0 ? CATEGORY_COLOURS[theme][slot] : PALETTES[theme].missing }), name);
    const singledOther = others.find((/** @type {any} */ slot) => slot.name === track.only);
    return h(React.Fragment, null,
      slots.slice(0, nColours).map(button),
      singledOther && button(singledOther),
      others.length > 0 && h('label', { className: 'inline' }, h(Swatch, { colour: PALETTES[theme].missing }),
        h('select', { 'aria-label': 'Show one of the other categories', value: '', onChange: (/** @type {any} */ event) => event.target.value && single(event.target.value) },
          h('option', { value: '' }, `${(track.categories.nUsed - nColours).toLocaleString('en')} others in grey`),
          others.map((/** @type {any} */ other) => h('option', { key: other.code, value: other.name }, other.name)))));
  }

  function TrackLegend() {
    const { track: name } = useSelection(['track', 'only', 'categories', 'about', 'site', 'theme', 'systemTheme']);
    React.useEffect(loadCategories);
    const track = currentTrack();
    if (!track) return null;
    const theme = selection.theme();
    /** @type {Record<string, string[]>} */
    const endsOf = { loss: ['0', `${track.limit} nats or more`], numeric: [track.isSigned ? `−${formatValue(track.limit, 1)}` : '0', formatValue(track.limit, 1)] };
    const ends = endsOf[track.kind];
    const scale = { limit: track.limit, oneSided: !track.isSigned, stretch: 'linear' };
    return h('div', { className: 'bar track-legend', role: 'group', 'aria-label': `Legend of the underline: ${name}` },
      h('span', { className: 'quiet' }, 'Underline'),
      track.kind === 'binary' && h('span', { className: 'inline' }, h(Swatch, { colour: PALETTES[theme].loss }), h('b', null, name)),
      track.kind !== 'binary' && h('b', null, name),
      ends && h('span', { className: 'inline' }, ends[0], h('span', { className: 'legend-bar', style: { backgroundImage: interp.gradient(scale, theme, track.isSigned ? undefined : 'loss') } }), ends[1]),
      track.kind === 'categorical' && (track.categories ? h(CategoryLegend, { track }) : h('span', { className: 'quiet' }, 'Loading …')));
  }

  interp.addState({ only: { ...interp.urlState.kinds.TEXT, initial: null } }, { categories: null });
  interp.addReset(['only']);
  Object.assign(interp, { TrackSelect, TrackLegend, currentTrack, trackWords });
})();
