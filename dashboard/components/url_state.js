// @ts-check
/**
 * The page's state in its address, and back.
 *
 * A key at its default is left out; a key that is present and empty means empty, so 0, false, an
 * empty text and an empty list survive a copy of the address. Unknown keys are kept by nobody, and a
 * value that cannot be read counts as absent: an address is never an error.
 */
(function () {
  'use strict';

  /** @param {number[]} units @returns {string} such as "0-5,9" */
  function formatUnits(units) {
    const pieces = [];
    for (let i = 0; i < units.length; ) {
      let end = i;
      while (end + 1 < units.length && units[end + 1] === units[end] + 1) end++;
      pieces.push(end > i ? `${units[i]}-${units[end]}` : String(units[i]));
      i = end + 1;
    }
    return pieces.join(',');
  }

  /** @param {string} text @returns {number[]|undefined} */
  function parseUnits(text) {
    if (text === '') return [];
    const units = [];
    for (const piece of text.split(',')) {
      const match = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(piece);
      if (!match) return undefined;
      const low = Number(match[1]);
      const high = match[2] === undefined ? low : Number(match[2]);
      if (high < low || units.length + high - low > 100000) return undefined;
      for (let unit = low; unit <= high; unit++) units.push(unit);
    }
    return units;
  }

  /** @param {string} text */
  const parseWhole = (text) => (/^\d{1,15}$/.test(text) ? Number(text) : undefined);
  /** @param {string} text */
  function parseReal(text) {
    const value = /^-?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) ? Number(text) : NaN;
    return Number.isFinite(value) ? value : undefined;
  }
  /** @param {string} text */
  function parseRange(text) {
    const match = /^(\d{1,15})-(\d{1,15})$/.exec(text);
    return match && Number(match[1]) < Number(match[2]) ? [Number(match[1]), Number(match[2])] : undefined;
  }

  /**
   * How a value is written in the address, by kind; `kind` also tells tests which values to try.
   * @typedef {{kind: string, read: (text: string) => any, write: (value: any) => string, values?: string[]}} Kind
   * @type {Record<'WHOLE'|'REAL'|'TEXT'|'FLAG'|'UNITS'|'RANGE', Kind>}
   */
  const KINDS = {
    WHOLE: { kind: 'whole', read: parseWhole, write: String },
    REAL: { kind: 'real', read: parseReal, write: String },
    TEXT: { kind: 'text', read: (text) => text, write: String },
    FLAG: { kind: 'flag', read: (text) => (text === '1' ? true : text === '0' ? false : undefined), write: (value) => (value ? '1' : '0') },
    UNITS: { kind: 'units', read: parseUnits, write: formatUnits },
    RANGE: { kind: 'range', read: parseRange, write: (range) => `${range[0]}-${range[1]}` },
  };
  const { WHOLE, REAL, TEXT, FLAG, UNITS, RANGE } = KINDS;

  /** One of some words; more may be added to `values` until the address is read. @param {string[]} values @returns {Kind} */
  const oneOf = (values) => ({
    kind: 'choice',
    values,
    read: (text) => (values.includes(text) ? text : undefined),
    write: String,
  });

  /**
   * Every key of the address: how it is written and what its absence means. The frame's own are here,
   * views add theirs (registry.js).
   * @type {Record<string, Kind & {initial: any}>}
   */
  const KEYS = {
    run: { ...TEXT, initial: null }, // recording
    view: { ...oneOf(['explore']), initial: 'explore' }, // page
    site: { ...TEXT, initial: null },
    unit: { ...WHOLE, initial: null },
    doc: { ...WHOLE, initial: null }, // document to open at, where `at` does not say more
    at: { ...WHOLE, initial: null }, // first position in sight
    pos: { ...WHOLE, initial: null }, // pinned position
    range: { ...RANGE, initial: null }, // selected positions
    scale: { ...REAL, initial: null }, // locked limit; null: each unit's own
    stretch: { ...oneOf(['linear', 'root']), initial: 'linear' },
    theme: { ...oneOf(['light', 'dark']), initial: null }, // null: as the system has it
    panel: { ...oneOf([]), initial: 'states' }, // below the text
    zoom: { ...WHOLE, initial: null }, // steps in sight of the strips; null: the lines in sight
    sort: { ...oneOf(['variance', 'correlation', 'index']), initial: 'variance' },
    units: { ...UNITS, initial: null }, // rows of the heat map; null: all
    marks: { ...FLAG, initial: false }, // spaces and newlines
    track: { ...TEXT, initial: null }, // second track under the text
    find: { ...TEXT, initial: null }, // search text; null: search closed
  };

  /** @returns {Record<string, any>} */
  const initialState = () => Object.fromEntries(Object.entries(KEYS).map(([key, spec]) => [key, spec.initial]));

  /** @param {string} search with or without its question mark @returns {Record<string, any>} */
  function decode(search) {
    const state = initialState();
    for (const [key, text] of new URLSearchParams(search)) {
      if (!Object.hasOwn(KEYS, key)) continue;
      const value = KEYS[key].read(text);
      if (value !== undefined) state[key] = value;
    }
    return state;
  }

  /** @param {Record<string, any>} state @returns {string} with its question mark, or "" */
  function encode(state) {
    const query = new URLSearchParams();
    for (const [key, spec] of Object.entries(KEYS)) {
      const value = state[key];
      if (value !== undefined && value !== null && value !== spec.initial) query.set(key, spec.write(value));
    }
    // Commas, slashes and colons are plain in a query and easier to read.
    const text = query.toString().replace(/%2F/g, '/').replace(/%2C/g, ',').replace(/%3A/g, ':');
    return text ? `?${text}` : '';
  }

  globalThis.interp.urlState = { KEYS, kinds: { ...KINDS, oneOf }, initialState, decode, encode, formatUnits, parseUnits };
})();
