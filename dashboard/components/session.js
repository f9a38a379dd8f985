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
    selection.set({ about, run: chosen.key, statistics: null, limit: null, hoverUnit: null, hoverPos: null });
    settleSite();
  }

  function settleSite() {
    const { about, site, unit } = selection.get();
    if (!about) return;
    let found = about.sites.find((/** @type {any} */ s) => s.name === site);
    if (site !== null && !found) selection.report(`This recording has no site “${site}”.`);
    const name = found ? site : firstSite(about);
    found = about.sites.find((/** @type {any} */ s) => s.name === name);
    const last = found ? found.nUnits - 1 : 0;
    if (unit !== null && unit > last) selection.report(`Unit ${unit} does not exist: ${name} has units 0 to ${last}.`);
    selection.set({ site: name, unit: Math.min(unit === null ? 0 : unit, last) });
  }

  /** Choose another recording: what belonged to the old one is let go of. */
  function chooseRecording(/** @type {string} */ key) {
    selection.set({ run: key, site: null, doc: null, at: null, pos: null, range: null, units: null, track: null }, { push: true });
  }

  function applyTheme() {
    const theme = selection.theme();
    document.documentElement.dataset.theme = theme;
    document.documentElement.setAttribute('data-ag-theme-mode', theme);
    document.documentElement.dataset.view = selection.get().view;
  }

  /** Called once, by the first component on the page. */
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
    selection.subscribe(['site', 'unit'], () => settleSite());
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

  Object.assign(interp, { session: { start, chooseRecording, firstSite, settleSite }, useSelection });
})();
