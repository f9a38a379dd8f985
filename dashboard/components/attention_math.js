// @ts-check
/**
 * Arithmetic of attention maps: which edges matter, how heads and layers combine, what reaches a token.
 *
 * A map is a Float32Array of queries × keys, row after row.
 * @typedef {{query: Int32Array, key: Int32Array, weight: Float32Array, shown: number, possible: number, mass: number}} Edges
 * @typedef {{level: number, query: number, key: number, weight: number, head: number}} GraphEdge
 */
(function () {
  'use strict';
  const { VALUE_OF } = globalThis.interp.halves;

  /**
   * A body made by dashboard/attention.py: a JSON header, then bytes.
   * @param {ArrayBuffer} buffer @returns {{header: any, offset: number}}
   */
  function readHeader(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    return { header, offset: 4 + length };
  }

  /** @param {ArrayBuffer} buffer @param {number} offset @param {number} n @returns {Float32Array} */
  function fromHalves(buffer, offset, n) {
    const bits = new Uint16Array(buffer, offset, n);
    const out = new Float32Array(n);
    for (let i = 0; i < n; i++) out[i] = VALUE_OF[bits[i]];
    return out;
  }

  /**
   * The fewest edges that explain a share of each row's weight.
   *
   * Rows that attend outside the window sum to less than 1: the share is of what is here.
   * @param {Float32Array} weights @param {number} queries @param {number} keys
   * @param {number} share 0 to 1; 1 keeps every edge that has weight
   * @param {{skipKey?: (key: number) => boolean, skipQuery?: (query: number) => boolean}} [options]
   * @returns {Edges}
   */
  function edgesByMass(weights, queries, keys, share, options = {}) {
    const { skipKey, skipQuery } = options;
    const query = [], key = [], weight = [];
    let possible = 0, all = 0, kept = 0;
    const order = new Int32Array(keys);
    for (let q = 0; q < queries; q++) {
      if (skipQuery && skipQuery(q)) continue;
      const row = weights.subarray(q * keys, (q + 1) * keys);
      let n = 0, sum = 0;
      for (let k = 0; k < keys; k++) {
        if (!(row[k] > 0) || (skipKey && skipKey(k))) continue;
        order[n++] = k;
        sum += row[k];
      }
      possible += n;
      all += sum;
      const best = order.subarray(0, n).slice().sort((a, b) => row[b] - row[a] || a - b);
      let reached = 0;
      for (const k of best) {
        if (reached >= share * sum - 1e-9 && reached > 0) break;
        query.push(q);
        key.push(k);
        weight.push(row[k]);
        reached += row[k];
      }
      kept += reached;
    }
    return {
      query: Int32Array.from(query), key: Int32Array.from(key), weight: Float32Array.from(weight),
      shown: query.length, possible, mass: all ? kept / all : 0,
    };
  }

  /**
   * One map from several: the mean, or the largest weight.
   * @param {Float32Array[]} maps @param {'mean'|'max'} how @returns {Float32Array}
   */
  function combine(maps, how) {
    const out = Float32Array.from(maps[0]);
    for (const map of maps.slice(1)) {
      for (let i = 0; i < out.length; i++) out[i] = how === 'max' ? Math.max(out[i], map[i]) : out[i] + map[i];
    }
    if (how === 'mean') for (let i = 0; i < out.length; i++) out[i] /= maps.length;
    return out;
  }

  /** Half a map, half the residual path, each row made to sum to 1. @param {Float32Array} map @param {number} n */
  function withResidual(map, n) {
    const out = new Float32Array(n * n);
    for (let q = 0; q < n; q++) {
      let sum = 1;
      for (let k = 0; k < n; k++) sum += map[q * n + k];
      for (let k = 0; k < n; k++) out[q * n + k] = (map[q * n + k] + (q === k ? 1 : 0)) / sum;
    }
    return out;
  }

  /**
   * The edges along which something reaches one token at the top: from above, layer by layer, only
   * from nodes that were reached themselves. The residual path leads straight down.
   * @param {Float32Array[]} layers one map per layer, the first layer first
   * @param {number} n @param {number} target @param {number} threshold
   * @param {Float32Array[]} [heads] same length: which head is the largest at each edge
   * @returns {{edges: GraphEdge[], reached: Uint8Array[]}} reached has one entry more than layers
   */
  function reaching(layers, n, target, threshold, heads) {
    const reached = Array.from({ length: layers.length + 1 }, () => new Uint8Array(n));
    /** @type {GraphEdge[]} */
    const edges = [];
    reached[layers.length][target] = 1;
    for (let level = layers.length - 1; level >= 0; level--) {
      const map = layers[level];
      for (let q = 0; q < n; q++) {
        if (!reached[level + 1][q]) continue;
        reached[level][q] = 1;
        for (let k = 0; k < n; k++) {
          const weight = map[q * n + k];
          if (weight < threshold || weight === 0) continue;
          reached[level][k] = 1;
          edges.push({ level, query: q, key: k, weight, head: heads ? heads[level][q * n + k] : -1 });
        }
      }
    }
    return { edges, reached };
  }

  /**
   * What each edge passes on to one token at the top, by attention rollout (Abnar & Zuidema 2020): the
   * share of the target's rollout that flows through it, if attention and the residual path were all.
   * @param {Float32Array[]} layers @param {number} n @param {number} target @returns {Float32Array[]}
   */
  function flowTo(layers, n, target) {
    const out = new Array(layers.length);
    let above = new Float32Array(n);
    above[target] = 1;
    for (let level = layers.length - 1; level >= 0; level--) {
      const step = withResidual(layers[level], n);
      const through = new Float32Array(n * n);
      const below = new Float32Array(n);
      for (let q = 0; q < n; q++) {
        if (above[q] === 0) continue;
        for (let k = 0; k < n; k++) {
          const passed = above[q] * step[q * n + k];
          below[k] += passed;
          // The residual path is drawn by itself; an edge to oneself is only what attention adds.
          const own = layers[level][q * n + k];
          through[q * n + k] = q === k ? (passed * own) / (own + 1) : passed;
        }
      }
      out[level] = through;
      above = below;
    }
    return out;
  }

  /** Index of the head with the largest weight at each place. @param {Float32Array[]} maps */
  function strongest(maps) {
    const out = new Float32Array(maps[0].length);
    const best = Float32Array.from(maps[0]);
    maps.forEach((map, head) => {
      for (let i = 0; i < map.length; i++) {
        if (map[i] > best[i]) {
          best[i] = map[i];
          out[i] = head;
        }
      }
    });
    return out;
  }

  globalThis.interp.attentionMath = { readHeader, fromHalves, edgesByMass, combine, withResidual, reaching, flowTo, strongest };
})();
