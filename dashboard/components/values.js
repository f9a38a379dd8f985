// @ts-check
/**
 * Values of units, fetched in aligned pieces and kept for a while.
 *
 * A piece belongs to (recording, site, unit, number); what is in sight is asked for first and the
 * neighbours when the browser is idle. Values stay half-precision bit patterns (see halves.js).
 */
(function () {
  'use strict';
  const { getBuffer } = globalThis.interp.requests;

  class LruMap extends Map {
    constructor(/** @type {number} */ most) {
      super();
      this.most = most;
    }
    get(/** @type {any} */ key) {
      const value = super.get(key);
      if (value !== undefined) {
        super.delete(key);
        super.set(key, value);
      }
      return value;
    }
    set(/** @type {any} */ key, /** @type {any} */ value) {
      super.delete(key);
      super.set(key, value);
      if (this.size > this.most) super.delete(this.keys().next().value);
      return this;
    }
  }

  /**
   * @param {ArrayBuffer} buffer per site a float32 limit, then `n` halves
   * @param {number} n @param {number} nSites
   * @returns {{limit: number, bits: Uint16Array}[]}
   */
  function splitValues(buffer, n, nSites) {
    const view = new DataView(buffer);
    const size = 4 + 2 * n;
    if (buffer.byteLength !== size * nSites) throw new Error('The server sent a wrong number of values.');
    return Array.from({ length: nSites }, (_, i) => ({
      limit: view.getFloat32(i * size, true),
      bits: new Uint16Array(buffer.slice(i * size + 4, (i + 1) * size)),
    }));
  }

  class ValueStore {
    /** @param {number} size positions per piece @param {number} most pieces kept */
    constructor(size, most) {
      this.size = size;
      this.pieces = new LruMap(most);
      /** @type {Map<string, Promise<any>>} */
      this.pending = new Map();
    }

    /** @param {any} about @param {string} what @param {number|string} unit @param {number} number */
    key(about, what, unit, number) {
      return `${about.key}|${about.fingerprint}|${what}|${unit}|${number}`;
    }

    /** @returns {{limit: number, bits: Uint16Array}|undefined} the piece that holds a position */
    pieceAt(/** @type {any} */ about, /** @type {string} */ site, /** @type {any} */ unit, /** @type {number} */ position) {
      return this.pieces.get(this.key(about, site, unit, Math.floor(position / this.size)));
    }

    /**
     * Make sure that [start, stop) of one unit at some sites is here.
     * @param {any} about @param {string[]} sites @param {number} unit
     * @param {number} start @param {number} stop @param {number} nPositions @param {AbortSignal} [signal]
     */
    async load(about, sites, unit, start, stop, nPositions, signal) {
      const waits = [];
      for (let i = Math.floor(start / this.size); i * this.size < stop; i++) {
        const missing = sites.filter((site) => !this.pieces.has(this.key(about, site, unit, i)));
        const asked = missing.filter((site) => !this.pending.has(this.key(about, site, unit, i)));
        for (const site of missing) {
          if (!asked.includes(site)) waits.push(this.pending.get(this.key(about, site, unit, i)));
        }
        if (asked.length) waits.push(this.fetchPiece(about, asked, unit, i, nPositions, signal));
      }
      await Promise.all(waits);
    }

    /**
     * The same for a unit that may be wanted soon: nobody is told when it fails, and whoever wants it
     * before it is here waits for this request instead of sending another.
     * @param {any} about @param {string[]} sites @param {number} unit
     * @param {number} start @param {number} stop @param {number} nPositions
     */
    loadEarly(about, sites, unit, start, stop, nPositions) {
      for (let i = Math.floor(start / this.size); i * this.size < stop; i++) {
        const keys = sites.map((site) => this.key(about, site, unit, i));
        if (keys.some((key) => this.pieces.has(key) || this.pending.has(key))) continue;
        const coming = this.fetchPiece(about, sites, unit, i, nPositions);
        keys.forEach((key) => this.pending.set(key, coming));
        coming.catch(() => {}).finally(() => keys.forEach((key) => this.pending.delete(key)));
      }
    }

    /** @private */
    async fetchPiece(/** @type {any} */ about, /** @type {string[]} */ sites, /** @type {number} */ unit, /** @type {number} */ i, /** @type {number} */ nPositions, /** @type {AbortSignal|undefined} */ signal = undefined) {
      const start = i * this.size;
      const stop = Math.min(nPositions, start + this.size);
      if (stop <= start) return;
      const parameters = { site: sites.join(' '), unit, start, stop, v: about.fingerprint };
      const buffer = await getBuffer(`${about.key}/values`, parameters, signal);
      splitValues(buffer, stop - start, sites.length).forEach((piece, k) => {
        this.pieces.set(this.key(about, sites[k], unit, i), piece);
      });
    }

    /** The same for a track: the loss or an annotation of a stream. */
    async loadTrack(/** @type {any} */ about, /** @type {string} */ stream, /** @type {string} */ name, /** @type {number} */ start, /** @type {number} */ stop, /** @type {number} */ nPositions, /** @type {AbortSignal|undefined} */ signal) {
      for (let i = Math.floor(start / this.size); i * this.size < stop; i++) {
        const key = this.key(about, `${stream}:${name}`, 'track', i);
        if (this.pieces.has(key)) continue;
        const from = i * this.size;
        const to = Math.min(nPositions, from + this.size);
        const parameters = { stream, name, start: from, stop: to, v: about.fingerprint };
        const buffer = await getBuffer(`${about.key}/track`, parameters, signal);
        this.pieces.set(key, { limit: 1, bits: new Uint16Array(buffer) });
      }
    }

    /**
     * A fast reader of one unit's bits by position; -1 where they are not here yet.
     * @param {any} about @param {string} what @param {number|string} unit
     * @returns {(position: number) => number}
     */
    reader(about, what, unit) {
      let number = -1;
      /** @type {Uint16Array|null} */
      let bits = null;
      return (position) => {
        const wanted = Math.floor(position / this.size);
        // A piece that was missing may have come since.
        if (wanted !== number || !bits) {
          number = wanted;
          const piece = this.pieces.get(this.key(about, what, unit, number));
          bits = piece ? piece.bits : null;
        }
        const offset = position - number * this.size;
        return bits && offset < bits.length ? bits[offset] : -1;
      };
    }
  }

  Object.assign(globalThis.interp, {
    LruMap, ValueStore, splitValues,
    textValues: new ValueStore(16384, 400),
    stripValues: new ValueStore(4096, 1200),
  });
})();
