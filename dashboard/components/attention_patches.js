// @ts-check
/** AttentionPatches: the recorded image with the weights of one query laid over its patches. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection, attention } = interp;
  const { getBuffer, guarded } = interp.requests;
  const { readHeader } = interp.attentionMath;

  const SIZE = 420; // CSS pixels of the longer side
  const images = new interp.LruMap(20);

  /** The image of the document in sight: `{width, height, pixels, rectangles}`; null on its way. */
  function imageOf(/** @type {any} */ about, /** @type {any} */ place, /** @type {string} */ stream, /** @type {() => void} */ told) {
    const key = `${about.fingerprint}|${stream}|${place.document}`;
    const known = images.get(key);
    if (known !== undefined) return known === 'coming' ? null : known;
    images.set(key, 'coming');
    guarded(async () => {
      const buffer = await getBuffer(`${about.key}/image`, { stream, document: place.document, v: about.fingerprint });
      const { header, offset } = readHeader(buffer);
      const [height, width] = header.shape;
      const rgb = new Uint8Array(buffer, offset, height * width * 3);
      const pixels = new Uint8ClampedArray(height * width * 4).fill(255);
      for (let i = 0; i < height * width; i++) pixels.set(rgb.subarray(3 * i, 3 * i + 3), 4 * i);
      images.set(key, { width, height, pixels, rectangles: header.rectangles });
      told();
    });
    return null;
  }

  class PatchesController {
    constructor(/** @type {HTMLElement} */ root) {
      this.root = root;
      this.canvas = /** @type {HTMLCanvasElement} */ (root.querySelector('canvas'));
      this.factor = 1;
      this.canvas.addEventListener('mousemove', (event) => this.told(event, false));
      this.canvas.addEventListener('click', (event) => this.told(event, true));
      this.canvas.addEventListener('mouseleave', () => selection.set({ hoverCell: null, hoverPos: null }));
    }

    /** @param {any} image @param {Float32Array} weights of the keys @param {number} query @param {any} place */
    draw(image, weights, query, place) {
      this.image = image;
      this.place = place;
      const factor = SIZE / Math.max(image.width, image.height);
      this.factor = factor;
      const scale = window.devicePixelRatio || 1;
      const [width, height] = [Math.round(image.width * factor), Math.round(image.height * factor)];
      Object.assign(this.canvas, { width: width * scale, height: height * scale });
      Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
      const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext('2d'));
      context.setTransform(scale, 0, 0, scale, 0, 0);
      context.imageSmoothingEnabled = image.width > 64;
      const picture = new OffscreenCanvas(image.width, image.height);
      /** @type {OffscreenCanvasRenderingContext2D} */ (picture.getContext('2d')).putImageData(new ImageData(image.pixels, image.width, image.height), 0, 0);
      context.drawImage(picture, 0, 0, width, height);
      const most = Math.max(1e-9, ...this.inside(weights));
      for (let key = 0; key < weights.length; key++) {
        const [left, top, right, bottom] = image.rectangles[key];
        if (right <= left) continue;
        // Bright where the head looks, dark elsewhere: the image itself stays to be seen.
        context.fillStyle = `rgba(12, 16, 28, ${(0.72 * (1 - weights[key] / most)).toFixed(3)})`;
        context.fillRect(left * factor, top * factor, (right - left) * factor, (bottom - top) * factor);
        // A black patch cannot be bright: its border says that the head looks there.
        context.strokeStyle = `rgba(64, 208, 176, ${Math.max(0, weights[key] / most).toFixed(3)})`;
        context.lineWidth = 2;
        context.strokeRect(left * factor + 1, top * factor + 1, (right - left) * factor - 2, (bottom - top) * factor - 2);
      }
      const [left, top, right, bottom] = image.rectangles[query] || [0, 0, 0, 0];
      if (right > left) {
        context.strokeStyle = '#ff9d3c';
        context.lineWidth = 3;
        context.strokeRect(left * factor + 1.5, top * factor + 1.5, (right - left) * factor - 3, (bottom - top) * factor - 3);
      }
      this.root.dataset.painted = `${place.document}|${query}|${most.toFixed(4)}`;
    }

    /** Weights on patches that have a place in the image. */
    inside(/** @type {Float32Array} */ weights) {
      return [...weights].filter((_, key) => this.image.rectangles[key][2] > this.image.rectangles[key][0]);
    }

    told(/** @type {MouseEvent} */ event, /** @type {boolean} */ isClick) {
      if (!this.image) return;
      const box = this.canvas.getBoundingClientRect();
      const [x, y] = [(event.clientX - box.left) / this.factor, (event.clientY - box.top) / this.factor];
      const patch = this.image.rectangles.findIndex((/** @type {number[]} */ [left, top, right, bottom]) => x >= left && x < right && y >= top && y < bottom);
      if (patch < 0) return;
      const position = this.place.first + this.place.start + patch;
      if (isClick) selection.set({ pos: position }, { push: true });
      else selection.set({ hoverPos: position, hoverCell: { query: patch, key: null, weight: null }, hoverFrom: 'patches' });
    }
  }

  function AttentionPatches() {
    const ref = React.useRef(null);
    const { about, place, pos, hoverCell, attention: known } = useSelection(['attention', 'about', 'place', 'keyPlace', 'pos', 'hoverCell', 'asite', 'head', 'hoverHead', 'mapCount', 'theme', 'systemTheme']);
    const [, again] = React.useReducer((/** @type {number} */ n) => n + 1, 0);
    const shown = attention.shownHead();
    const isImage = shown && known.imageStreams.includes(shown.site.keyStream);
    const image = isImage && place ? imageOf(about, place, shown.site.keyStream, again) : null;
    const map = shown && place ? attention.mapOf(shown.site, shown.head) : null;
    const pinned = pos === null || !place ? 0 : pos - place.first - place.start;
    const query = hoverCell && hoverCell.query !== null ? hoverCell.query : pinned >= 0 && map && pinned < map.queries ? pinned : 0;
    React.useEffect(() => {
      if (!ref.current || !image || !map) return;
      ref.current.controller = ref.current.controller || new PatchesController(ref.current);
      ref.current.controller.draw(image, map.weights.subarray(query * map.keys, (query + 1) * map.keys), query, place);
    });
    if (!isImage) return h(interp.EmptyNote, { text: `This recording has no images. Record a vision model, such as \`interp record zoo:digits-vit digits:test -o digits.h5 --sites '**/attention'\`` });
    const hasPlace = image && image.rectangles[query] && image.rectangles[query][2] > image.rectangles[query][0];
    return h('div', { className: 'patches', ref },
      h('p', { className: 'attention-note' }, hasPlace ? 'Where the framed patch looks. ' : 'Where the class token looks: it stands for the whole image. ', 'Point at a patch to look from there; a click pins it.',
        ' ', h('button', { type: 'button', className: 'link', onClick: () => selection.set({ pos: place.first }, { push: true }) }, 'Class token')),
      !image && h('p', { className: 'quiet' }, 'Loading …'),
      h('canvas', { role: 'img', 'aria-label': 'Image with attention over its patches' }));
  }

  Object.assign(interp, { AttentionPatches });
})();
