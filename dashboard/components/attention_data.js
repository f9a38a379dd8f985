// @ts-check
/**
 * What the attention page shows and where its numbers come from: the keys of the address, thumbnails and
 * maps, each loaded once and kept for a while. Which window of which document: attention_places.js.
 *
 * @typedef {{name: string, module: string, nHeads: number, stream: string, keyStream: string, form: string, mass: number|null, hasVectors: boolean}} AttentionSite
 * @typedef {{document: number, nDocuments: number, name: string, first: number, length: number, start: number, tokens: string[], special: number[], written: number[], stream: string}} Place
 * @typedef {{queries: number, keys: number, weights: Float32Array, strongest: number[]|null}} HeadMap strongest: of each query, in the document; null where the window is one of queries and keys
 */
(function () {
  'use strict';
  const { interp } = globalThis;
  const { selection, LruMap } = interp;
  const { getBuffer, getJson, guarded } = interp.requests;
  const { readHeader, fromHalves } = interp.attentionMath;
  const { kinds } = interp.urlState;
  const { oneOf } = kinds;

  const METRICS = ['relative_entropy', 'first', 'previous', 'self', 'distance', 'confidence'];
  const LOOKS = ['matrix', 'lines', 'graph', 'query', 'steps', 'patches'];

  interp.addState(
    {
      asite: { ...kinds.TEXT, initial: null }, // attention site
      head: { ...kinds.WHOLE, initial: null },
      look: { ...oneOf(LOOKS), initial: null }, // null: the image where heads look at one, else the matrix
      tokens: { ...kinds.WHOLE, initial: 128 }, // positions in the window
      from: { ...kinds.WHOLE, initial: null }, // first of them in the document; null: where `pos` is
      key: { ...kinds.WHOLE, initial: null }, // pinned key, in the key stream
      keyfrom: { ...kinds.WHOLE, initial: null }, // first key of the window where keys are of another stream; null: where the head looks
      heads: { ...kinds.UNITS, initial: null }, // heads of the lines; null: the chosen one
      order: { ...kinds.TEXT, initial: 'model' }, // of the grid: a metric of the window, or "all " and a stored one
      tint: { ...kinds.TEXT, initial: 'none' }, // bars under the thumbnails, likewise
      mass: { ...kinds.REAL, initial: 0.7 }, // share of each row that the lines explain
      join: { ...oneOf(['mean', 'max', 'rollout', 'head']), initial: 'mean' }, // heads of a layer in the graph
      cut: { ...kinds.REAL, initial: 0.1 }, // weakest edge of the graph
      bare: { ...kinds.FLAG, initial: false }, // without the first and special tokens
      ramp: { ...oneOf(['root', 'linear']), initial: 'root' }, // of weights to colours; the root, as in thumbnails, shows small ones
    },
    {
      attention: null, // {sites, stored, imageStreams} of the open recording
      places: null, // {document, stream, asked, of: {stream: Place}}: the window of each stream of the document
      place: null, // that of the shown head's queries
      keyPlace: null, // and that of its keys: the same one, but for cross-attention
      headGrid: null, // {heads, pixels} thumbnails of the window
      hoverHead: null, // {site, head}: a preview
      hoverCell: null, // {query, key, weight}, positions within the window
      mapCount: 0, // grows when a map has come
    },
  );
  interp.addReset(['asite', 'head', 'heads', 'key', 'from', 'keyfrom']);

  /** Colours of weights where no text lies on them, from nothing to 1: stronger than the text's own. */
  const ENDS = { light: [10, 110, 92], dark: [94, 226, 196] };

  /** @param {number} place 0 to 1, or NaN @param {string} theme @returns {[number, number, number]} */
  function weightColour(place, theme) {
    const { PALETTES } = interp.colour;
    const { background, missing } = PALETTES[theme];
    if (Number.isNaN(place)) return missing;
    const end = ENDS[/** @type {'light'} */ (theme)];
    return /** @type {[number, number, number]} */ (background.map((/** @type {number} */ from, /** @type {number} */ i) => Math.round(from + place * (end[i] - from))));
  }

  /** A token where room is short: white space as one sign instead of its name. */
  function short(/** @type {string} */ token) {
    const signs = { ' ': '·', '\n': '↵', '\t': '→' };
    return token in signs ? signs[/** @type {' '} */ (token)] : interp.visible(token);
  }

  /** The form in which the head is shown. */
  function look() {
    const { look: chosen, attention } = selection.get();
    if (chosen !== null) return chosen;
    return attention && attention.sites.length && attention.sites.every(looksAtImage) ? 'patches' : 'matrix';
  }

  /** Whether a head's keys are patches of an image. @param {AttentionSite} site */
  const looksAtImage = (site) => selection.get().attention.imageStreams.includes(site.keyStream);

  const isOpen = () => selection.get().view === 'attention' && !!selection.get().about;
  const maps = new LruMap(400);
  const layers = new LruMap(6);

  /** @returns {AttentionSite|null} */
  function siteNamed(/** @type {string|null} */ name) {
    const { attention } = selection.get();
    return (attention && attention.sites.find((/** @type {AttentionSite} */ site) => site.name === name)) || null;
  }

  /** Sites whose maps were recorded, in the model's order. */
  const sitesWithMaps = () => (selection.get().attention ? selection.get().attention.sites : []).filter((/** @type {AttentionSite} */ site) => site.form !== 'stats');

  /** The number of a site's layer: its place among those whose heads look from the same stream at the same one. */
  function layerOf(/** @type {string} */ name) {
    const own = siteNamed(name);
    return sitesWithMaps().filter((/** @type {AttentionSite} */ site) => own && site.stream === own.stream && site.keyStream === own.keyStream).findIndex((/** @type {AttentionSite} */ site) => site.name === name);
  }

  /** The head that is shown: a previewed one before the chosen one. @returns {{site: AttentionSite, head: number}|null} */
  function shownHead() {
    const { hoverHead, asite, head } = selection.get();
    const chosen = hoverHead || { site: asite, head };
    const site = siteNamed(chosen.site);
    return site && chosen.head !== null && chosen.head < site.nHeads ? { site, head: chosen.head } : null;
  }

  /** Arguments of the window in sight of some streams, null before it is known. @param {string[]} streams */
  function windowArguments(streams) {
    const { about, places } = selection.get();
    if (!places || streams.some((name) => !places.of[name])) return null;
    /** @type {Record<string, any>} */
    const found = { document: places.document };
    for (const name of streams) {
      const { start, tokens } = places.of[name];
      Object.assign(found, { [`start:${name}`]: start, [`n:${name}`]: Math.max(1, tokens.length) });
    }
    return { ...found, v: about.fingerprint };
  }

  /** Streams that a head reads. @param {AttentionSite} site */
  const streamsOf = (site) => [...new Set([site.stream, site.keyStream])];

  /** Load something once; `again` is told when it has come. */
  function once(/** @type {any} */ cache, /** @type {string} */ key, /** @type {() => Promise<any>} */ load) {
    const known = cache.get(key);
    if (known !== undefined) return known === 'coming' ? null : known;
    cache.set(key, 'coming');
    guarded(async () => {
      try {
        cache.set(key, await load());
      } catch (error) {
        cache.delete(key);
        throw error;
      }
      selection.set({ mapCount: selection.get().mapCount + 1 });
    });
    return null;
  }

  /** One head's map in the window in sight; null while it is on its way. @returns {HeadMap|null} */
  function mapOf(/** @type {AttentionSite} */ site, /** @type {number} */ head) {
    const asked = windowArguments(streamsOf(site));
    const { about } = selection.get();
    if (!asked || site.form === 'stats') return null;
    const parameters = { site: site.name, head, ...asked };
    return once(maps, `${about.key}|${JSON.stringify(parameters)}`, async () => {
      const buffer = await getBuffer(`${about.key}/attention_map`, parameters);
      const { header, offset } = readHeader(buffer);
      const [queries, keys] = header.shape;
      return { queries, keys, weights: fromHalves(buffer, offset, queries * keys), strongest: header.strongest || null };
    });
  }

  /** The stream whose self-attention the graph follows: the shown head's own, else its queries', else the first; null without any. */
  function graphStream() {
    const { attention } = selection.get();
    const shown = shownHead();
    const found = attention ? attention.sites.filter((/** @type {AttentionSite} */ site) => site.stream === site.keyStream && site.form !== 'stats') : [];
    if (!found.length) return null;
    return shown && found.some((/** @type {AttentionSite} */ site) => site.stream === shown.site.stream) ? shown.site.stream : found[0].stream;
  }

  /** Every head of every layer, for the graph: `{sites, n, start, stream}`. */
  function layersInSight() {
    const { about, places, attention } = selection.get();
    const stream = graphStream();
    if (!places || !attention || stream === null || !places.of[stream]) return null;
    const place = places.of[stream];
    const parameters = { stream, document: place.document, start: place.start, n: Math.min(64, Math.max(1, place.tokens.length)), v: about.fingerprint };
    return once(layers, `${about.key}|${JSON.stringify(parameters)}`, async () => {
      const buffer = await getBuffer(`${about.key}/attention_layers`, parameters);
      const { header, offset } = readHeader(buffer);
      const size = header.n * header.n;
      let at = offset;
      const sites = header.sites.map((/** @type {any} */ site) => {
        const found = Array.from({ length: site.nHeads }, (_, head) => fromHalves(buffer, at + 2 * size * head, size));
        at += 2 * size * site.nHeads;
        return { ...site, maps: found };
      });
      return { sites, n: header.n, start: header.start, stream };
    });
  }

  /** The steps from query and keys to one row of weights. */
  function queryKey(/** @type {AttentionSite} */ site, /** @type {number} */ head, /** @type {number} */ query) {
    const { about } = selection.get();
    const asked = windowArguments(streamsOf(site));
    if (!asked) return null;
    const parameters = { site: site.name, head, query, ...asked };
    return once(maps, `${about.key}|steps|${JSON.stringify(parameters)}`, () => getJson(`${about.key}/query_key`, parameters));
  }

  /** What heads are sorted by, if this recording has it. @param {string[]} stored @param {boolean} isAsked by the address */
  function settleMeasures(stored, isAsked) {
    for (const key of ['order', 'tint']) {
      const measure = selection.get()[key];
      const isKnown = ['model', 'none', ...METRICS, ...stored.map((name) => `all ${name}`)].includes(measure);
      if (isKnown) continue;
      if (isAsked) selection.report(`This recording has no measure of heads “${measure.replace(/^all /, '')}”.`);
      selection.set({ [key]: interp.urlState.KEYS[key].initial });
    }
  }

  /** @type {boolean|null} whether the recording before showed images */
  let wasImage = null;
  let askedSites = '';
  function loadSites() {
    if (!isOpen()) return;
    const { about } = selection.get();
    const wanted = `${about.key}|${about.fingerprint}`;
    if (askedSites === wanted) return;
    askedSites = wanted;
    selection.set({ attention: null, places: null, place: null, keyPlace: null, headGrid: null, hoverHead: null, hoverCell: null });
    guarded(async () => {
      const attention = await getJson(`${about.key}/attention_sites`, { v: about.fingerprint });
      if (askedSites !== wanted) return;
      const isImage = attention.imageStreams.length > 0;
      // How the heads of a text were shown is no way to show those of an image, and the reverse.
      if (wasImage !== null && wasImage !== isImage) selection.set({ look: null });
      if (attention.sites.length) settleMeasures(attention.stored, wasImage === null);
      wasImage = isImage;
      selection.set({ attention });
      settleHead();
    });
  }

  /** Settle site and head so that each exists. */
  function settleHead() {
    const { attention, asite, head, pos, at } = selection.get();
    if (!attention || !attention.sites.length) return;
    const named = siteNamed(asite);
    if (asite !== null && !named) selection.report(`This recording has no attention site “${asite}”.`);
    // A position of the text, chosen before, is shown on heads that read this text.
    const text = selection.stream();
    const near = text && (pos !== null || at !== null) && attention.sites.find((/** @type {AttentionSite} */ s) => s.stream === text.name);
    const site = named || near || attention.sites[0];
    if (head !== null && head >= site.nHeads) selection.report(`Head ${head} does not exist: ${site.name} has heads 0 to ${site.nHeads - 1}.`);
    selection.set({ asite: site.name, head: Math.min(head === null ? 0 : head, site.nHeads - 1) });
  }

  let askedGrid = '';
  function loadGrid() {
    const { about, places, attention } = selection.get();
    if (!isOpen() || !places || !attention) return;
    const parameters = windowArguments(Object.keys(places.of));
    const wanted = `${about.key}|${JSON.stringify(parameters)}`;
    const { headGrid: now } = selection.get();
    if (askedGrid === wanted || (now && now.name === wanted)) return;
    askedGrid = wanted;
    guarded(async () => {
      const buffer = await getBuffer(`${about.key}/heads`, parameters);
      if (askedGrid !== wanted) return;
      askedGrid = '';
      const { header, offset } = readHeader(buffer);
      let at = offset;
      const heads = header.heads.map((/** @type {any} */ head) => {
        const size = head.shape[0] * head.shape[1];
        const codes = new Uint8Array(buffer, at, size);
        at += size;
        return { ...head, codes };
      });
      selection.set({ headGrid: { heads, name: wanted } });
      // The pictures are on screen before the numbers are asked for.
      const numbers = await getJson(`${about.key}/heads_in_numbers`, parameters);
      const { headGrid } = selection.get();
      if (!headGrid || headGrid.name !== wanted) return;
      const rows = heads.map((/** @type {any} */ head, /** @type {number} */ i) => ({ ...head, ...numbers.heads[i] }));
      selection.set({ headGrid: { heads: rows, name: wanted, hasNumbers: true } });
    });
  }

  /** Choose a head; a click locks what hovering previewed. */
  function chooseHead(/** @type {string} */ site, /** @type {number} */ head) {
    selection.set({ asite: site, head, heads: null, hoverHead: null }, { push: true });
  }

  /** A recording of heads alone has nothing to colour text by: it opens here. */
  function openHere() {
    const { about, view } = selection.get();
    if (about && view === 'explore' && !about.sites.length && about.nAttention) selection.set({ view: 'attention' });
  }

  selection.subscribe(['about'], openHere);
  selection.subscribe(['about', 'view'], loadSites);
  selection.subscribe(['asite', 'head'], settleHead);
  selection.subscribe(['places'], loadGrid);

  interp.addPage({
    name: 'attention',
    title: 'Attention',
    needs: (/** @type {any} */ about) => (about.nAttention === 0 ? 'This recording holds no attention. If its model computes any, record it with --sites "**/attention".' : ''),
  });
  interp.attention = { look, layerOf, sitesWithMaps, short, weightColour, METRICS, LOOKS, siteNamed, shownHead, mapOf, layersInSight, graphStream, queryKey, chooseHead, isOpen };
})();
