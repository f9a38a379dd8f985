// @ts-check
/**
 * What happens when the page opens and when another recording or site is chosen: load its description,
 * and settle what the address left open.
 */
(function () {
  'use strict';
  const { interp } = globalThis;
  const { selection } = interp;
  const { getJson, guarded } = interp.requests;

  /** The site to begin with: the last layer's hidden states, else the last site there is. */
  function firstSite(/** @type {any} */ about) {
    const names = about.sites.map((/** @type {any} */ site) => site.name);
    const hidden = about.sites.filter((/** @type {any} */ site) => site.signal === 'hidden');
    return hidden.length ? hidden[hidden.length - 1].name : names[names.length - 1] || null;
  }

  /** @type {{about: any, stream: any}} what the text showed before the site changed */
  let before = { about: null, stream: null };

  /** Settle recording, site and unit so that each exists. */
  async function openRecording() {
    const { catalogue, run } = selection.get();
    if (!catalogue || !catalogue.length) return;
    let chosen = catalogue.find((/** @type {any} */ row) => row.key === run);
    if (run !== null && !chosen) {
      selection.report(`There is no recording named “${run}” here; showing “${catalogue[0].name}”.`);
    }
    chosen = chosen || catalogue[0];
    const current = selection.get().about;
    if (current && current.key === chosen.key) return;
    const about = await getJson(`${chosen.key}/about`);
    if (selection.get().run !== run) return;
    const isFirst = !current;
    selection.set({ about, run: chosen.key, statistics: null, limit: null, hoverUnit: null, hoverPos: null });
    settleSite(isFirst); // a site that only the recording before had was not asked for here
    before = { about, stream: selection.stream() };
    if (isFirst) settleTrack();
    if (isFirst && !document.querySelector('.coloured-text')) askEarly();
  }

  function settleSite(isAsked = true) {
    const { about, site, unit } = selection.get();
    if (!about) return;
    let found = about.sites.find((/** @type {any} */ s) => s.name === site);
    if (isAsked && site !== null && !found) selection.report(`This recording has no site “${site}”.`);
    const name = found ? site : firstSite(about);
    found = about.sites.find((/** @type {any} */ s) => s.name === name);
    const last = found ? found.nUnits - 1 : 0;
    if (isAsked && unit !== null && unit > last) selection.report(`Unit ${unit} does not exist: ${name} has units 0 to ${last}.`);
    selection.set({ site: name, unit: Math.min(unit === null ? 0 : unit, last) });
    // On a page of heads the position may be one of another stream.
    if (isAsked && selection.get().view === 'explore') settlePlaces(selection.stream(), ['pos', 'at', 'doc', 'range']);
  }

  /**
   * What the address asks for beyond the end of a stream is said, and let go of.
   * @param {any} stream @param {string[]} keys that count positions of it, or `doc`
   */
  function settlePlaces(stream, keys) {
    if (!stream) return;
    for (const key of keys) {
      const value = selection.get()[key];
      if (value === null) continue;
      const isDocument = key === 'doc';
      const n = isDocument ? stream.nDocuments : stream.nPositions;
      const last = Array.isArray(value) ? value[1] - 1 : value;
      if (last < n) continue;
      const [what, whose] = isDocument ? ['Document', 'documents'] : ['Position', 'positions'];
      selection.report(`${what} ${last.toLocaleString('en')} does not exist: the stream “${stream.name}” has ${n ? `${whose} 0 to ${(n - 1).toLocaleString('en')}` : `no ${whose}`}.`);
      selection.set({ [key]: null });
    }
  }

  /** An underline that the address asks for and the recording lacks. */
  function settleTrack() {
    const { about, track } = selection.get();
    if (!track || track === 'loss' || about.annotations.some((/** @type {any} */ info) => info.name === track)) return;
    selection.report(`This recording has no annotation “${track}”.`);
    selection.set({ track: null });
  }

  let step = 1; // of the walk through the units; 0 after a jump, which says nothing about the next
  /** @type {number|null} */
  let unitBefore = null;

  /** Which way the user walks through the units. */
  function followWalk() {
    const { unit } = selection.get();
    if (unitBefore !== null && unit !== null) step = Math.abs(unit - unitBefore) === 1 ? unit - unitBefore : 0;
    unitBefore = unit;
  }

  /** A position of one stream means nothing on another: a site there keeps the document alone. */
  function changeStream(/** @type {any} */ _state, /** @type {string[]} */ changed, /** @type {any} */ options) {
    const { about, pos, part, inSight, view } = selection.get();
    const last = before;
    before = { about, stream: selection.stream() };
    if (options.restored || view !== 'explore' || !last.stream || last.about !== about || last.stream === before.stream || changed.includes('pos')) return;
    const current = interp.currentDocument(part, pos === null ? inSight : [pos]);
    selection.set({ doc: current ? current.index : null, at: null, pos: null, range: null });
  }

  /** The unit that comes next if the walk goes on; null after a jump, at the end and in a preview. */
  function likelyUnit() {
    const { unit, hoverUnit } = selection.get();
    const site = selection.site();
    if (!site || unit === null || hoverUnit !== null || !step) return null;
    const next = unit + step;
    return next >= 0 && next < site.nUnits ? next : null;
  }

  /** The part of a stream that holds the position or document that the selection asks for. */
  function wantedPart(/** @type {any} */ stream, /** @type {any} */ state) {
    const wanted = state.at !== null ? state.at : state.doc !== null ? null : state.pos;
    const found = stream.parts.findIndex((/** @type {number[]} */ [start, stop, first, last]) =>
      wanted !== null ? wanted >= start && wanted < stop : state.doc !== null ? state.doc >= first && state.doc <= last : true,
    );
    return Math.max(0, found);
  }

  /** Ask for text and values while the page is still being made; the text's view takes them from here. */
  function askEarly() {
    const state = selection.get();
    const stream = selection.stream();
    if (!state.about || !stream || state.site === null || !stream.parts.length) return;
    const index = wantedPart(stream, state);
    const [start, stop] = stream.parts[index];
    interp.requests.askEarly(`${state.about.key}/text`, { stream: stream.name, part: index, v: state.about.fingerprint });
    const wanted = state.at !== null ? state.at : state.pos;
    const at = wanted !== null && wanted >= start && wanted < stop ? wanted : start;
    interp.textValues.loadEarly(state.about, [state.site], state.unit, at, at + 1, stream.nPositions);
  }

  /** Choose another recording: what belonged to the old one is let go of. */
  function chooseRecording(/** @type {string} */ key) {
    const { KEYS } = interp.urlState;
    const first = Object.fromEntries(interp.registry.resets.map((/** @type {string} */ name) => [name, KEYS[name].initial]));
    selection.set({ ...first, run: key }, { push: true });
  }

  function applyTheme() {
    const theme = selection.theme();
    document.documentElement.dataset.theme = theme;
    document.documentElement.setAttribute('data-ag-theme-mode', theme);
    document.documentElement.dataset.view = selection.get().view;
  }

  /** Called once, when the scripts are here: the first answers come while Dash still makes the page. */
  function start() {
    if (interp.started) return;
    interp.started = true;
    const dark = window.matchMedia('(prefers-color-scheme: dark)');
    const system = () => selection.set({ systemTheme: dark.matches ? 'dark' : 'light' });
    dark.addEventListener('change', system);
    interp.bindAddress(selection, window);
    system();
    applyTheme();
    selection.subscribe(['theme', 'systemTheme', 'view'], applyTheme);
    selection.subscribe(['run', 'catalogue'], () => guarded(openRecording));
    selection.subscribe(['site'], changeStream);
    selection.subscribe(['site', 'unit'], () => settleSite());
    selection.subscribe(['unit'], followWalk);
    guarded(async () => selection.set({ catalogue: await getJson('recordings') }));
  }

  /** A React state that follows some keys of the selection. */
  function useSelection(/** @type {string[]} */ keys) {
    const { useSyncExternalStore, useRef } = window.React;
    const shot = useRef(selection.get());
    const subscribe = useRef((/** @type {() => void} */ told) => selection.subscribe(keys, told));
    // The same object until one of the keys changes: React renders again for nothing else.
    return useSyncExternalStore(subscribe.current, () => {
      const state = selection.get();
      if (keys.some((key) => shot.current[key] !== state[key])) shot.current = state;
      return shot.current;
    });
  }

  Object.assign(interp, { session: { start, chooseRecording, firstSite, settleSite, settlePlaces, likelyUnit, wantedPart }, useSelection });
})();
