'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const path = require('node:path');
const interp = require('./load.js');
require(path.join(__dirname, '..', '..', '..', 'dashboard', 'components', 'attention_math.js'));

const { edgesByMass, combine, reaching, flowTo, strongest, readHeader, withResidual } = interp.attentionMath;
const map = (...rows) => Float32Array.from(rows.flat());

test('a header and what follows it are taken apart', () => {
  const text = '{"n":2}  ';
  const padded = text.padEnd(Math.ceil(text.length / 4) * 4);
  const buffer = new ArrayBuffer(4 + padded.length + 4);
  new DataView(buffer).setUint32(0, padded.length, true);
  new Uint8Array(buffer).set(new TextEncoder().encode(padded), 4);
  assert.deepEqual(readHeader(buffer), { header: { n: 2 }, offset: 4 + padded.length });
});

test('the fewest edges of each row that reach the share are kept', () => {
  const weights = map([0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [1, 0, 0]);
  const edges = edgesByMass(weights, 3, 3, 0.7);
  assert.deepEqual([...edges.query], [0, 0, 1, 1, 2]);
  assert.deepEqual([...edges.key], [0, 1, 2, 0, 0]);
  assert.equal(edges.shown, 5);
  assert.equal(edges.possible, 7);
  assert.ok(Math.abs(edges.mass - (0.9 + 0.8 + 1) / 3) < 1e-6);
});

test('a share of 1 keeps every edge with weight, none without; 0 keeps the largest', () => {
  const weights = map([0.5, 0.5, 0], [0.1, 0.2, 0.7]);
  assert.equal(edgesByMass(weights, 2, 3, 1).shown, 5);
  assert.deepEqual([...edgesByMass(weights, 2, 3, 0).key], [0, 2]);
});

test('hidden keys and queries take no part, and rows of nothing are no error', () => {
  const weights = map([1, 0], [0.9, 0.1]);
  const edges = edgesByMass(weights, 2, 2, 1, { skipKey: (k) => k === 0 });
  assert.deepEqual([[...edges.query], [...edges.key]], [[1], [1]]);
  assert.equal(edges.mass, 1);
  assert.equal(edgesByMass(new Float32Array(4), 2, 2, 0.7).mass, 0);
  assert.equal(edgesByMass(weights, 2, 2, 1, { skipQuery: (q) => q === 1 }).shown, 1);
});

test('heads combine to their mean and their largest weight', () => {
  const maps = [map([0.2, 0.8]), map([0.6, 0.4])];
  assert.deepEqual([...combine(maps, 'max')].map((x) => x.toFixed(2)), ['0.60', '0.80']);
  assert.deepEqual([...combine(maps, 'mean')].map((x) => x.toFixed(2)), ['0.40', '0.60']);
  assert.deepEqual([...strongest(maps)], [1, 0]);
});

test('the residual path makes rows sum to 1, also those of nothing', () => {
  const step = withResidual(map([1, 0], [0, 0]), 2);
  assert.deepEqual([...step], [1, 0, 0, 1]);
});

test('only what reaches the target is kept', () => {
  // Two layers over three tokens: 2 looks at 1 in the second layer, 1 at 0 in the first.
  const first = map([1, 0, 0], [0.9, 0.1, 0], [0, 0, 1]);
  const second = map([1, 0, 0], [0, 1, 0], [0, 0.95, 0.05]);
  const { edges, reached } = reaching([first, second], 3, 2, 0.5);
  assert.deepEqual(edges.map((e) => [e.level, e.query, e.key]), [[1, 2, 1], [0, 1, 0], [0, 2, 2]]);
  assert.deepEqual(reached.map((r) => [...r]), [[1, 1, 1], [0, 1, 1], [0, 0, 1]]);
  assert.deepEqual(reaching([first, second], 3, 0, 0.5).edges.map((e) => e.query), [0, 0]);
});

test('what flows to the target is known where attention is uniform', () => {
  const [n, depth, target] = [8, 6, 3];
  const through = flowTo(Array(depth).fill(new Float32Array(n * n).fill(1 / n)), n, target);
  for (let level = 0; level < depth; level++) {
    // Above this layer the target is where it stays with a half each time, and even elsewhere.
    const stays = 0.5 ** (depth - 1 - level);
    for (let q = 0; q < n; q++) {
      const above = (q === target ? stays : 0) + (1 - stays) / n;
      for (let k = 0; k < n; k++) {
        assert.ok(Math.abs(through[level][q * n + k] - (above * 0.5) / n) < 1e-7);
      }
    }
  }
});
