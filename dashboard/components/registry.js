// @ts-check
/**
 * What views bring along, told while their scripts load, before the address is read: pages, panels,
 * keys of the address, keys of the keyboard. The frame's own bars are drawn from this.
 *
 * @typedef {{name: string, title: string, needs?: (about: any) => string, Bar?: any}} Tab  `needs` says in a sentence what a recording lacks and what to do, '' when nothing;
 *   `Bar` is a React component beside the tabs
 * @typedef {{key: string, shown: string, text: string, run: () => void}} KeyAction
 */
(function () {
  'use strict';
  const { interp } = globalThis;
  const { KEYS } = interp.urlState;
  const { selection } = interp;

  /** @type {Tab[]} */
  const pages = [{ name: 'explore', title: 'Explore', needs: (about) => (!about.sites || about.sites.length ? '' : "This recording holds no units. Record some with --sites '**/hidden' or '**/output'.") }];
  /** @type {Tab[]} */
  const panels = [];
  /** @type {KeyAction[]} */
  const actions = [];
  /** Keys of the address that belong to one recording. */
  const resets = ['site', 'doc', 'at', 'pos', 'range', 'units', 'track'];

  /** @param {Tab[]} places @param {Tab} place @param {string[]|undefined} values of the address's key */
  function addPlace(places, place, values) {
    places.push(place);
    if (values && !values.includes(place.name)) values.push(place.name);
  }

  /** A page of its own: a tab in the header, `view=NAME` in the address. @param {Tab} page */
  const addPage = (page) => addPlace(pages, page, KEYS.view.values);

  /** A panel below the text: a tab there, `panel=NAME` in the address. @param {Tab} panel */
  const addPanel = (panel) => addPlace(panels, panel, KEYS.panel.values);

  /**
   * State of a view.
   * @param {Record<string, any>} address keys of the address, such as `{head: {...kinds.WHOLE, initial: null}}`
   * @param {Record<string, any>} [fleeting] keys that no link carries, with their first values
   */
  function addState(address, fleeting = {}) {
    for (const [key, spec] of Object.entries(address)) {
      if (Object.hasOwn(KEYS, key)) throw new Error(`two views use the key ${key} of the address`);
      KEYS[key] = spec;
      selection.state[key] = spec.initial;
    }
    Object.assign(selection.state, fleeting);
  }

  /** Keys of the keyboard, listed in the help. @param {KeyAction[]} more */
  const addKeys = (more) => actions.push(...more);

  /** Keys of the address that are let go of when another recording is chosen. @param {string[]} keys */
  const addReset = (keys) => resets.push(...keys);

  /** What a place lacks in the open recording, '' for nothing. @param {Tab} place @param {any} about */
  const lackOf = (place, about) => (place.needs && about ? place.needs(about) : '');

  interp.registry = { pages, panels, actions, resets, lackOf };
  Object.assign(interp, { addPage, addPanel, addState, addKeys, addReset });
})();
