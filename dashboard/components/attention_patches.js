// @ts-check
/**
 * AttentionPatches: the recorded image twice, as it is with the query's patch framed, and tinted by the
 * weights that this query gives to each patch.
 */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection, attention } = interp;
  const { getBuffer, guarded } = interp.requests;
  const { readHeader } = interp.attentionMath;
  const { toCss } = interp.colour;

  const SIZE = 400; // CSS pixels of the longer side
  const GREY = 0.55; // brightness of what is not looked at
  const TINT = [64, 224, 184]; // of the largest weight
  const images = new interp.LruMap(20);

  /** @typedef {{width: number, height: number, pixels: Uint8ClampedArray<ArrayBuffer>, greys: Uint8ClampedArray<ArrayBuffer>, rectangles: number[][]}} Picture */

  /** @returns {Promise<Picture>} */
  async function loadImage(/** @type {any} */ about, /** @type {string} */ stream, /** @type {number} */ document) {
    const buffer = await getBuffer(`${about.key}/image`, { stream, document, v: about.fingerprint });
    const { header, offset } = readHeader(buffer);
    const [height, width] = header.shape;
    const rgb = new Uint8Array(buffer, offset, height * width * 3);
    const pixels = new Uint8ClampedArray(height * width * 4).fill(255);
    const greys = new Uint8ClampedArray(height * width * 4).fill(255);
    for (let i = 0; i < height * width; i++) {
      const [r, g, b] = rgb.subarray(3 * i, 3 * i + 3);
      pixels.set([r, g, b], 4 * i);
      greys.fill(GREY * (0.3 * r + 0.59 * g + 0.11 * b), 4 * i, 4 * i + 3);
    }
    return { width, height, pixels, greys, rectangles: header.rectangles };
  }

  /** The picture of a window's document as one of its streams cuts it; null on its way. @returns {Picture|null} */
  function imageOf(/** @type {any} */ about, /** @type {any} */ place, /** @type {() => void} */ told) {
    const { stream, document } = place;
    const key = `${about.key}|${about.fingerprint}|${stream}|${document}`;
    const known = images.get(key);
    if (known !== undefined) return known === 'coming' ? null : known;
    images.set(key, 'coming');
    guarded(async () => {
      try {
        images.set(key, await loadImage(about, stream, document));
      } catch (error) {
        images.delete(key);
        throw error;
      }
      told();
    });
    return null;
  }

  const hasPlace = (/** @type {number[]|undefined} */ rectangle) => !!rectangle && rectangle[2] > rectangle[0];

  /** The patch whose weights are shown unless one is chosen: the class token, else the one in the middle. */
  function usualQuery(/** @type {Picture} */ image) {
    if (!hasPlace(image.rectangles[0])) return 0;
    return Math.max(0, patchAt(image, image.width / 2, image.height / 2));
  }

  function patchAt(/** @type {Picture} */ image, /** @type {number} */ x, /** @type {number} */ y) {
    return image.rectangles.findIndex(([left, top, right, bottom]) => x >= left && x < right && y >= top && y < bottom);
  }

  /**
   * @param {HTMLCanvasElement} canvas @param {Picture} image
   * @param {{weights: Float32Array|null, most: number, framed: number, marked: number}} shown
   *   framed: the query's patch, the whole picture where it has no place; marked: a key
   */
  function draw(canvas, image, { weights, most, framed, marked }) {
    const factor = SIZE / Math.max(image.width, image.height);
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(image.width * factor), Math.round(image.height * factor)];
    Object.assign(canvas, { width: width * scale, height: height * scale });
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.imageSmoothingEnabled = image.width > 64;
    const picture = new OffscreenCanvas(image.width, image.height);
    const data = new ImageData(weights ? image.greys : image.pixels, image.width, image.height);
    /** @type {OffscreenCanvasRenderingContext2D} */ (picture.getContext('2d')).putImageData(data, 0, 0);
    context.drawImage(picture, 0, 0, width, height);
    image.rectangles.forEach(([left, top, right, bottom], key) => {
      if (!weights || right <= left || key >= weights.length) return;
      context.fillStyle = `rgba(${TINT.join()}, ${((0.85 * weights[key]) / most).toFixed(3)})`;
      context.fillRect(left * factor, top * factor, (right - left) * factor, (bottom - top) * factor);
    });
    const frame = (/** @type {number[]} */ [left, top, right, bottom], /** @type {string} */ colour) => {
      context.lineWidth = 3;
      context.strokeStyle = colour;
      context.strokeRect(left * factor + 1.5, top * factor + 1.5, (right - left) * factor - 3, (bottom - top) * factor - 3);
    };
    if (marked >= 0 && hasPlace(image.rectangles[marked])) frame(image.rectangles[marked], '#ffffff');
    if (framed >= 0) frame(hasPlace(image.rectangles[framed]) ? image.rectangles[framed] : [0, 0, image.width, image.height], '#ff9d3c');
  }

  /** One of the two pictures. */
  function Sheet(/** @type {any} */ { name, label, image, weights, most, framed, marked, onPoint, onPick }) {
    const ref = React.useRef(null);
    React.useEffect(() => {
      draw(ref.current, image, { weights, most, framed, marked });
      ref.current.dataset.painted = name;
    });
    const told = (/** @type {any} */ event, /** @type {(patch: number) => void} */ run) => {
      const box = ref.current.getBoundingClientRect();
      const patch = patchAt(image, ((event.clientX - box.left) / box.width) * image.width, ((event.clientY - box.top) / box.height) * image.height);
      if (patch >= 0) run(patch);
    };
    return h('canvas', {
      ref, role: 'img', 'aria-label': label, onMouseMove: (/** @type {any} */ event) => told(event, onPoint), onClick: (/** @type {any} */ event) => told(event, onPick),
      onMouseLeave: () => selection.set({ hoverCell: null, hoverPos: null }),
    });
  }

  /** How the tint reads: from no weight to the largest of this row. */
  function Tints(/** @type {{most: number}} */ { most }) {
    const grey = /** @type {[number, number, number]} */ ([70, 70, 70]);
    const end = /** @type {[number, number, number]} */ (grey.map((from, i) => Math.round(from + 0.85 * (TINT[i] - from))));
    return h('div', { className: 'legend', role: 'group', 'aria-label': `Tint from 0 to the largest weight, ${most.toFixed(3)}` },
      h('span', { className: 'legend-end' }, '0'), h('span', { className: 'legend-bar', style: { backgroundImage: `linear-gradient(to right, ${toCss(grey)}, ${toCss(end)})` } }),
      h('span', { className: 'legend-end', 'data-most': most }, `${most.toFixed(3)}, the largest weight of this row`));
  }

  /** The class token has no place in the picture: a button chooses it, its weight stands in words. */
  function withoutPlace(/** @type {Picture} */ image) {
    return image.rectangles.map((rectangle, i) => (hasPlace(rectangle) ? -1 : i)).filter((i) => i >= 0);
  }

  function Query(/** @type {any} */ { place, image, query, choose, point }) {
    if (!image) {
      return h('div', { className: 'patch-tokens' }, h(interp.TokenFlow, { place, weights: null, step: query, isQuery: true, onPick: choose, theme: selection.theme(), stretch: 'linear' }));
    }
    return h(React.Fragment, null,
      h(Sheet, { name: `query|${place.document}|${query}`, label: 'Image: click a patch to choose the query', image, weights: null, most: 1, framed: query, marked: -1, onPoint: point, onPick: choose }),
      h('p', null, withoutPlace(image).map((i) => h('button', { key: i, type: 'button', className: i === query ? 'chip is-on' : 'chip', 'aria-pressed': i === query, onClick: () => choose(i) }, place.tokens[i] || String(i)))));
  }

  function AttentionPatches() {
    const { about, place, keyPlace, hoverCell, attention: known } = useSelection(['attention', 'about', 'place', 'keyPlace', 'pos', 'key', 'hoverCell', 'asite', 'head', 'hoverHead', 'mapCount', 'theme', 'systemTheme']);
    const [, again] = React.useReducer((/** @type {number} */ n) => n + 1, 0);
    const shown = attention.shownHead();
    if (!shown || !place || !keyPlace) return h('p', { className: 'quiet attention-note' }, 'Loading …');
    if (!known.imageStreams.includes(keyPlace.stream)) {
      return h(interp.EmptyNote, { text: known.imageStreams.length ? 'This head does not look at an image. Choose one that does on the left.'
        : `This recording has no images. Record a vision model, such as \`interp record zoo:digits-vit digits:test -o digits.h5 --sites '**/attention'\`.` });
    }
    const image = imageOf(about, keyPlace, again);
    const isQueryImage = known.imageStreams.includes(place.stream);
    const queryImage = isQueryImage ? imageOf(about, place, again) : null;
    const map = attention.mapOf(shown.site, shown.head);
    if (!image || (isQueryImage && !queryImage) || !map) return h('p', { className: 'quiet attention-note' }, 'Loading …');
    const pinned = attention.pinned();
    const wanted = hoverCell && hoverCell.query !== null ? hoverCell.query : pinned.query >= 0 ? pinned.query : queryImage ? usualQuery(queryImage) : 0;
    const query = Math.min(wanted, map.queries - 1);
    const key = hoverCell && hoverCell.key !== null ? hoverCell.key : pinned.key;
    const weights = map.weights.subarray(query * map.keys, (query + 1) * map.keys);
    const most = Math.max(1e-9, ...[...weights].filter((_, k) => hasPlace(image.rectangles[k])));
    const aside = withoutPlace(image).filter((k) => k < map.keys);
    const choose = (/** @type {number} */ i) => selection.set({ pos: place.first + place.start + i }, { push: true });
    const point = (/** @type {number} */ i) => selection.set({ hoverPos: place.first + place.start + i, hoverCell: { query: i, key: null, weight: null }, hoverFrom: 'patches' });
    return h('div', { className: 'patches', 'data-painted': `${place.document}|${query}|${most.toFixed(4)}` },
      h('figure', null, h('figcaption', null, h('h3', null, 'Query: ', h('span', { className: 'step-token' }, interp.visible(place.tokens[query]))), h('p', { className: 'quiet' }, isQueryImage ? 'Point at a patch to look from there, click to choose it.' : 'Choose the token to look from.')),
        h(Query, { place, image: queryImage, query, choose, point })),
      h('figure', null, h('figcaption', null, h('h3', null, 'Where it looks'), h(Tints, { most })),
        h(Sheet, {
          name: `keys|${keyPlace.document}|${query}|${key}`, label: 'Image tinted by the weight of each patch', image, weights, most, framed: -1, marked: key,
          onPoint: (/** @type {number} */ k) => selection.set({ hoverCell: { query, key: k, weight: weights[k] }, hoverFrom: 'patches' }),
          onPick: (/** @type {number} */ k) => selection.set({ key: keyPlace.first + keyPlace.start + k }, { push: true }),
        }),
        aside.map((k) => h('p', { key: k, className: 'count' }, `${weights[k].toFixed(3)} on ${interp.visible(keyPlace.tokens[k])}, which has no place in the picture`)),
        map.keys < image.rectangles.length && h('p', { className: 'count' }, h('span', { className: 'badge badge-warn' }, `${map.keys.toLocaleString('en')} of ${image.rectangles.length.toLocaleString('en')} patches`))));
  }

  Object.assign(interp, { AttentionPatches });
})();
