// @ts-check
/**
 * Colours of what is drawn under the text: the loss, a binary, a numeric or a categorical annotation.
 * Pure.
 *
 * Categories get one colour each, the frequent ones first; when there are more of them than colours the
 * rest share a grey, and any one can be singled out. The colours differ for all three kinds of colour
 * blindness (at least 0.08 in OKLab, about four times what is just noticeable), and letters that reach
 * down into them keep their contrast.
 *
 * @typedef {{names: string[], order: number[], share: number[], nUsed: number}} Categories
 * @typedef {{kind: string, limit: number, isSigned: boolean, categories: Categories|null, only: string|null}} Track
 */
(function () {
  'use strict';
  const { colourTable, toPixel, PALETTES } = globalThis.interp.colour;

  const NO_CATEGORY = 0xffff;
  const LOSS_LIMIT = 6; // nats: what an even guess among 400 costs

  /** @type {Record<string, [number, number, number][]>} */
  const CATEGORY_COLOURS = {
    light: [[128, 118, 206], [236, 177, 31], [1, 164, 115], [255, 107, 165], [138, 237, 140], [181, 124, 7], [205, 151, 255]],
    dark: [[6, 82, 184], [175, 91, 42], [23, 126, 163], [171, 7, 60], [128, 93, 221], [107, 28, 11], [77, 40, 124]],
  };

  const nameOf = (/** @type {Categories} */ categories, /** @type {number} */ code) => categories.names[code] ?? `category ${code}`;

  /**
   * Who gets which colour.
   * @param {Categories} categories @param {string|null} only the one singled out
   * @returns {{code: number, name: string, share: number, slot: number}[]} slot -1: the common grey
   */
  function slotsOf(categories, only) {
    const nColours = CATEGORY_COLOURS.light.length;
    return categories.order.map((code, rank) => {
      const name = nameOf(categories, code);
      const own = rank < nColours ? rank : -1;
      const slot = only === null ? own : name === only ? Math.max(0, own) : -1;
      return { code, name, share: categories.share[rank], slot };
    });
  }

  /** @param {Categories} categories @param {string} theme @param {string|null} only @returns {{pixels: Uint32Array, beyond: Uint8Array}} */
  function categoryTable(categories, theme, only) {
    const pixels = new Uint32Array(65536).fill(toPixel(PALETTES[theme].missing));
    pixels[NO_CATEGORY] = 0; // nothing is drawn
    for (const { code, slot } of slotsOf(categories, only)) {
      if (slot >= 0) pixels[code] = toPixel(CATEGORY_COLOURS[theme][slot]);
    }
    return { pixels, beyond: new Uint8Array(65536) };
  }

  /**
   * The track that a name stands for, null when the recording has none of it.
   * @param {any} about @param {any} stream @param {string|null} name
   * @param {Categories|null} [categories] @param {string|null} [only]
   * @returns {Track|null}
   */
  function trackOf(about, stream, name, categories = null, only = null) {
    if (!about || !stream || !name) return null;
    if (name === 'loss' && stream.hasLoss) return { kind: 'loss', limit: LOSS_LIMIT, isSigned: false, categories: null, only: null };
    const found = about.annotations.find((/** @type {any} */ info) => info.name === name && info.stream === stream.name);
    return found ? { kind: found.kind, limit: found.limit, isSigned: found.isSigned, categories, only } : null;
  }

  /** The colour of every bit pattern of a track; null while its categories are on their way. @param {Track} track @param {string} theme */
  function trackTable(track, theme) {
    if (track.kind === 'categorical') return track.categories && categoryTable(track.categories, theme, track.only);
    const scale = { limit: track.limit, oneSided: !track.isSigned, stretch: 'linear' };
    return colourTable(scale, theme, track.isSigned ? undefined : 'loss');
  }

  globalThis.interp.trackScale = { CATEGORY_COLOURS, LOSS_LIMIT, NO_CATEGORY, categoryTable, nameOf, slotsOf, trackOf, trackTable };
})();
