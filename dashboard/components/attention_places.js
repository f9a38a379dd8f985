// @ts-check
/**
 * Which document the attention page shows, and which window of it on each stream.
 *
 * Heads may read streams of different lengths: source and target of an encoder-decoder, grids of an
 * image at several resolutions. All windows are of one document; `pos` and `from` are about the stream
 * of the chosen head's queries, `key` and `keyfrom` about that of its keys. Without `keyfrom` a window of
 * keys begins where the chosen head looks; windows of streams that it does not read begin at 0.
 */
(function () {
  'use strict';
  const { interp } = globalThis;
  const { selection, attention } = interp;
  const { getJson, guarded } = interp.requests;

  const MOST_TOKENS = 1024; // of a window; dashboard/attention_queries.py says the same

  /** Streams that some head with maps reads. */
  function streamsInUse() {
    return [...new Set(attention.sitesWithMaps().flatMap((/** @type {any} */ site) => [site.stream, site.keyStream]))];
  }

  /** Positions of a stream's window; an image is shown whole. */
  function nTokens(/** @type {string} */ stream) {
    const { attention: known, tokens } = selection.get();
    return known.imageStreams.includes(stream) ? MOST_TOKENS : Math.max(1, Math.min(MOST_TOKENS, tokens));
  }

  /** Whether the window of the chosen head's queries shows what the address asks for. */
  function hasQueries(/** @type {any} */ own, /** @type {any} */ document, /** @type {number} */ n) {
    const { pos, doc, from } = selection.get();
    if (!own || from !== own.askedFrom || n !== own.asked) return false;
    if (pos === null) return doc === null || doc === document;
    return holds(own, pos);
  }

  /** Whether that of its keys does, where they are of another stream. */
  function hasKeys(/** @type {any} */ own, /** @type {any} */ site, /** @type {number} */ n) {
    const { key, keyfrom, head } = selection.get();
    if (site.stream === site.keyStream) return true;
    if (!own || keyfrom !== own.askedFrom || n !== own.asked) return false;
    const isElsewhere = key !== null && (key < own.first || key >= own.first + own.length); // in another document
    return (keyfrom !== null || own.length <= n || own.askedFor === `${site.name}:${head}`) && (key === null || isElsewhere || holds(own, key));
  }

  const holds = (/** @type {any} */ own, /** @type {number} */ at) => at >= own.first + own.start && at < own.first + own.start + own.tokens.length;

  /** What is asked of the server for the window of another stream than the queries'. */
  function argumentsOf(/** @type {string} */ stream, /** @type {any} */ site, /** @type {any} */ own) {
    const { about, head, key, keyfrom } = selection.get();
    const plain = { stream, document: own.document, n: nTokens(stream), v: about.fingerprint };
    if (stream !== site.keyStream) return plain;
    if (keyfrom !== null) return { ...plain, start: keyfrom };
    return { ...plain, hold: key, site: site.name, head, [`start:${site.stream}`]: own.start, [`n:${site.stream}`]: Math.max(1, own.tokens.length) };
  }

  /** What the address asks for beyond the end is said, and let go of. @param {any} site */
  function checkAddress(site) {
    const { about, tokens } = selection.get();
    const named = (/** @type {string} */ name) => about.streams.find((/** @type {any} */ s) => s.name === name);
    interp.session.settlePlaces(named(site.stream), ['pos', 'at', 'doc']);
    interp.session.settlePlaces(named(site.keyStream), ['key']);
    if (tokens > MOST_TOKENS) {
      selection.report(`A window holds at most ${MOST_TOKENS.toLocaleString('en')} positions, not ${tokens.toLocaleString('en')}.`);
      selection.set({ tokens: MOST_TOKENS });
    }
  }

  /** The same for where a window begins, once it is known how long the document is. @param {any} own @param {'from'|'keyfrom'} name */
  function checkStart(own, name) {
    const asked = selection.get()[name];
    if (!own || asked === null || asked <= own.start) return;
    selection.report(`The window cannot begin at ${asked.toLocaleString('en')}: ${own.name || `document ${own.document}`} has positions 0 to ${(own.length - 1).toLocaleString('en')}.`);
    selection.set({ [name]: null });
  }

  /** Which positions are in sight, in words. */
  const windowsIn = (/** @type {any} */ places) => JSON.stringify([places.document, Object.entries(places.of).map(([name, own]) => [name, own.start, own.tokens.length]).sort()]);

  /** @type {any} the site whose streams `pos` and `key` are about */
  let before = null;
  let asked = '';
  function loadPlaces() {
    const { about, attention: known, asite, places } = selection.get();
    const site = attention.siteNamed(asite);
    if (!attention.isOpen() || !known || !site) return;
    checkAddress(site);
    const n = nTokens(site.stream);
    const isCross = site.stream !== site.keyStream;
    if (places && hasQueries(places.of[site.stream], places.document, n) && hasKeys(places.of[site.keyStream], site, nTokens(site.keyStream))) return;
    const { pos, at, doc, from, head, key, keyfrom } = selection.get();
    const position = pos !== null ? pos : doc === null ? at : null;
    const parameters = { stream: site.stream, position, document: doc, start: from, n, v: about.fingerprint };
    const wanted = JSON.stringify({ ...parameters, recording: about.key, ...(isCross ? { site: site.name, head, key, keyfrom } : {}) });
    if (asked === wanted) return;
    asked = wanted;
    guarded(async () => {
      try {
        const own = await getJson(`${about.key}/place`, parameters);
        const others = streamsInUse().filter((name) => name !== site.stream);
        const found = await Promise.all(others.map((stream) => getJson(`${about.key}/place`, argumentsOf(stream, site, own))));
        if (asked !== wanted) return;
        /** @type {Record<string, any>} */
        const of = { [site.stream]: { ...own, stream: site.stream, asked: n, askedFrom: from } };
        others.forEach((stream, i) => {
          const isKeys = stream === site.keyStream;
          of[stream] = { ...found[i], stream, asked: nTokens(stream), askedFrom: isKeys ? keyfrom : null, askedFor: isKeys ? `${site.name}:${head}` : '' };
        });
        before = site;
        const next = { document: own.document, of };
        const now = selection.get().places;
        // Another head whose windows are the same ones: the thumbnails stay.
        if (!now || windowsIn(now) !== windowsIn(next)) selection.set({ headGrid: null, hoverCell: null });
        selection.set({ places: next });
        checkStart(of[site.stream], 'from');
        if (isCross) checkStart(of[site.keyStream], 'keyfrom');
      } finally {
        if (asked === wanted) asked = '';
      }
    });
  }

  /** The windows of the head that is shown: a previewed one may read other streams than the chosen one. */
  function settlePlace() {
    const { places } = selection.get();
    const shown = attention.shownHead();
    if (!places || !shown) return;
    selection.set({ place: places.of[shown.site.stream] || null, keyPlace: places.of[shown.site.keyStream] || null });
  }

  /** A position of one stream means nothing on another: a head there keeps the document alone. */
  function changeStream(/** @type {any} */ _state, /** @type {string[]} */ changed, /** @type {any} */ options) {
    const { asite, places } = selection.get();
    const site = attention.siteNamed(asite);
    const last = before;
    before = site;
    if (!site || !last || !places || options.restored) return;
    if (last.stream !== site.stream && !changed.includes('pos')) selection.set({ doc: places.document, pos: null, at: null, from: null });
    const isSameStream = last.keyStream === site.keyStream;
    const isSameKind = (last.stream === last.keyStream) === (site.stream === site.keyStream);
    if (!isSameStream && !changed.includes('key')) selection.set({ key: null });
    if (!(isSameStream && isSameKind) && !changed.includes('keyfrom')) selection.set({ keyfrom: null });
  }

  /** The same between the text's stream and that of the heads. */
  function changePage(/** @type {any} */ _state, /** @type {string[]} */ _changed, /** @type {any} */ options) {
    const { view, asite, places, pos, at, part, inSight } = selection.get();
    const site = attention.siteNamed(asite), text = selection.stream();
    if (options.restored || !site || !text || site.stream === text.name) return;
    if (view === 'explore' && places) selection.set({ doc: places.document, pos: null, at: null });
    else if (view === 'attention' && (pos !== null || at !== null)) {
      const current = interp.currentDocument(part, pos === null ? inSight : [pos]);
      selection.set({ doc: current ? current.index : 0, pos: null, at: null });
    }
  }

  /** Indices of the pinned query and key in the windows of the shown head, -1 for none: a pin belongs to the chosen head's streams. */
  function pinned() {
    const { pos, key, place, keyPlace, asite } = selection.get();
    const site = attention.siteNamed(asite);
    const within = (/** @type {number|null} */ at, /** @type {any} */ where, /** @type {string} */ stream) => {
      const index = at === null || !where || where.stream !== stream ? -1 : at - where.first - where.start;
      return index >= 0 && index < where.tokens.length ? index : -1;
    };
    return site ? { query: within(pos, place, site.stream), key: within(key, keyPlace, site.keyStream) } : { query: -1, key: -1 };
  }

  /** Show another document, or the nearest one there is. */
  function openDocument(/** @type {number} */ wanted) {
    const { place } = selection.get();
    const doc = Math.max(0, Math.min(place.nDocuments - 1, Math.round(wanted)));
    selection.set({ doc, at: null, pos: null, key: null, range: null, from: null, keyfrom: null }, { push: true });
  }

  Object.assign(attention, { openDocument, pinned });
  selection.subscribe(['asite'], changeStream);
  selection.subscribe(['view'], changePage);
  selection.subscribe(['asite', 'head', 'pos', 'key', 'doc', 'from', 'keyfrom', 'tokens', 'view', 'attention'], loadPlaces);
  selection.subscribe(['places', 'asite', 'head', 'hoverHead', 'attention'], settlePlace);
})();
