// @ts-check
/**
 * The one linked selection that every view reads and writes.
 *
 * Keys of the address (see url_state.js) are state that a link carries; the rest is fleeting: what
 * the pointer is over, which lines are in sight, what has been loaded. Views subscribe to keys and are
 * told once per change, so hovering never passes through Python.
 */
(function () {
  'use strict';
  const { KEYS, decode, encode, initialState } = globalThis.interp.urlState;

  const FLEETING = {
    hoverPos: null, // position under the pointer
    hoverUnit: null, // unit under the pointer: a preview
    hoverFrom: null, // the view the pointer is in
    part: null, // the piece of text on screen: {start, stop, documents, index, isCut}
    inSight: null, // [start, stop) of the text's lines in sight
    catalogue: null, // rows of /api/recordings
    about: null, // the open recording
    statistics: null, // {site, ...} of the unit list
    limit: null, // the shown unit's own scale
    systemTheme: 'light',
    errors: [], // [{id, text}] shown in the page
    loaded: '', // what values have come last
    stripSteps: null, // [start, stop) of strips and heat map
    heatInfo: null, // what the heat map shows: {rows, steps, limit}
    heatValue: null, // {unit, position, value} under the pointer in the heat map
    histogram: null, // {site, unit, counts, low, high, nPositions}
    found: null, // {n, current, more} of the search
    going: false, // the dialog that asks for a position
    help: false,
  };

  const MOST_ERRORS = 6; // an address may be wrong in several ways

  class Selection {
    constructor() {
      /** @type {Record<string, any>} */
      this.state = { ...initialState(), ...FLEETING };
      /** @type {Set<{keys: string[]|null, listener: Function}>} */
      this.listeners = new Set();
      this.errorNumber = 0;
    }

    get() {
      return this.state;
    }

    /**
     * Change some keys and tell who listens to them.
     * @param {Record<string, any>} patch
     * @param {{push?: boolean, restored?: boolean}} [options] push: a step that the back button should
     *   undo; restored: the address says so already
     */
    set(patch, options = {}) {
      const changed = Object.keys(patch).filter((key) => !same(this.state[key], patch[key]));
      if (!changed.length) return;
      this.state = { ...this.state, ...patch };
      for (const { keys, listener } of [...this.listeners]) {
        if (!keys || keys.some((key) => changed.includes(key))) listener(this.state, changed, options);
      }
    }

    /**
     * @param {string[]|null} keys null: every key
     * @param {(state: Record<string, any>, changed: string[], options: {push?: boolean, restored?: boolean}) => void} listener
     * @returns {() => void} stops listening
     */
    subscribe(keys, listener) {
      const entry = { keys, listener };
      this.listeners.add(entry);
      return () => this.listeners.delete(entry);
    }

    /** The unit that views show: a previewed one before the chosen one. */
    shownUnit() {
      const { hoverUnit, unit } = this.state;
      return hoverUnit !== null ? hoverUnit : unit;
    }

    /** @param {string} [name] @returns {any} the site's description, or null */
    site(name = this.state.site) {
      const about = this.state.about;
      return (about && about.sites.find((/** @type {any} */ site) => site.name === name)) || null;
    }

    /** @returns {any} the stream of the chosen site */
    stream() {
      const site = this.site();
      const about = this.state.about;
      if (!about) return null;
      return about.streams.find((/** @type {any} */ s) => !site || s.name === site.stream) || null;
    }

    theme() {
      return this.state.theme || this.state.systemTheme;
    }

    /** Choose a unit, within what the site has. */
    chooseUnit(/** @type {number} */ unit, options = { push: true }) {
      const site = this.site();
      if (!site || !Number.isFinite(unit)) return;
      const last = site.nUnits - 1;
      this.set({ unit: Math.max(0, Math.min(last, Math.round(unit))), hoverUnit: null }, options);
    }

    /** Show an error in the page until it is dismissed. */
    report(/** @type {string} */ text) {
      if (this.state.errors.some((/** @type {any} */ error) => error.text === text)) return;
      this.set({ errors: [...this.state.errors.slice(1 - MOST_ERRORS), { id: ++this.errorNumber, text }] });
    }

    dismiss(/** @type {number} */ id) {
      this.set({ errors: this.state.errors.filter((/** @type {any} */ error) => error.id !== id) });
    }

    /** Esc: close a dialog, or let go of previews and of what is locked. */
    clear() {
      if (this.state.help || this.state.going) {
        this.set({ help: false, going: false });
        return;
      }
      this.set({ hoverPos: null, hoverUnit: null });
      this.set({ pos: null, range: null, find: null }, { push: true });
    }

    fromAddress(/** @type {string} */ search) {
      this.set(decode(search));
    }

    toAddress() {
      return encode(this.state);
    }
  }

  /** @param {any} a @param {any} b */
  function same(a, b) {
    if (Object.is(a, b)) return true;
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, i) => Object.is(item, b[i]));
  }

  /**
   * Keep the address and the selection the same: dragging and scrolling replace, a committed choice
   * pushes, the back button restores.
   * @param {Selection} selection @param {Window} window
   */
  function bindAddress(selection, window) {
    const keys = Object.keys(KEYS);
    let timer = 0;
    let pushing = false;
    const write = () => {
      timer = 0;
      const search = selection.toAddress();
      if (search !== window.location.search) {
        const address = window.location.pathname + search;
        if (pushing) window.history.pushState(null, '', address);
        else window.history.replaceState(null, '', address);
      }
      pushing = false;
    };
    selection.fromAddress(window.location.search);
    selection.subscribe(keys, (_state, _changed, options) => {
      if (options.restored) return;
      // Browsers refuse more than about 100 history calls in 10 s, so a drag is written at rest.
      if (options.push) {
        if (timer) window.clearTimeout(timer);
        if (timer && !pushing) write();
        pushing = true;
        timer = window.setTimeout(write, 60);
      } else if (!timer) {
        timer = window.setTimeout(write, 250);
      }
    });
    window.addEventListener('popstate', () => {
      if (timer) window.clearTimeout(timer);
      timer = 0;
      selection.set(decode(window.location.search), { restored: true });
    });
  }

  Object.assign(globalThis.interp, { Selection, bindAddress, selection: new Selection() });
})();
