'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const path = require('node:path');
const interp = require('./load.js');
require(path.join(__dirname, '..', '..', '..', 'dashboard', 'components', 'attention_math.js'));

const { edgesByMass, combine, rollout, reaching, flowTo, strongest, readHeader, withResidual } = interp.attentionMath;
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

test('rollout of uniform attention has the known diagonal', () => {
  const [n, layers] = [8, 6];
  const uniform = new Float32Array(n * n).fill(1 / n);
  const rolled = rollout(Array(layers).fill(uniform), n)[layers - 1];
  const expected = 0.5 ** layers + (1 - 0.5 ** layers) / n;
  assert.ok(Math.abs(rolled[0] - expected) < 1e-6);
  for (let q = 0; q < n; q++) {
    assert.ok(Math.abs(rolled.subarray(q * n, (q + 1) * n).reduce((a, b) => a + b) - 1) < 1e-5);
  }
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

test('what flows to the target through a layer is its rollout', () => {
  const rng = (() => { let s = 7; return () => (s = (s * 16807) % 2147483647) / 2147483647; })();
  const n = 5;
  const layers = Array.from({ length: 3 }, () => {
    const out = Float32Array.from({ length: n * n }, rng);
    for (let q = 0; q < n; q++) {
      const sum = out.subarray(q * n, (q + 1) * n).reduce((a, b) => a + b);
      for (let k = 0; k < n; k++) out[q * n + k] /= sum;
    }
    return out;
  });
  const through = flowTo(layers, n, 3);
  const rolled = rollout(layers, n)[2];
  for (let k = 0; k < n; k++) {
    let arriving = 0;
    for (let q = 0; q < n; q++) arriving += through[0][q * n + k];
    assert.ok(arriving <= rolled[3 * n + k] + 1e-6); // what attention brings, without the residual path
    assert.equal(through[2][k * n + k], 0);
  }
});
