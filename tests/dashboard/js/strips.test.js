'use strict';
const test = require('node:test');
const assert = require('node:assert');
const { timeAxis, stripPaint, halves, LruMap, ValueStore, splitValues } = require('./load.js');

const { stepsInSight, stepAt, ticks, zoomed } = timeAxis;
const bitsOf = (value) => halves.VALUE_OF.findIndex((v) => Object.is(v, Math.fround(value)));

test('the steps in sight are the lines in sight, within 50 and 5,000', () => {
  const state = (patch) => ({ inSight: [100, 700], pos: null, zoom: null, ...patch });
  assert.deepStrictEqual(stepsInSight(state({}), 10000), [100, 700]);
  assert.deepStrictEqual(stepsInSight(state({ inSight: [0, 9000] }), 10000), [0, 5000]);
  assert.deepStrictEqual(stepsInSight(state({ inSight: [100, 110] }), 10000), [80, 130]);
  assert.deepStrictEqual(stepsInSight(state({ inSight: [0, 10] }), 30), [0, 30]);
});

test('zooming keeps the pinned position in the middle, and the ends of the stream at the ends', () => {
  assert.deepStrictEqual(stepsInSight({ inSight: [100, 700], pos: 300, zoom: 100 }, 10000), [250, 350]);
  assert.deepStrictEqual(stepsInSight({ inSight: [100, 700], pos: 9000, zoom: 100 }, 10000), [350, 450]);
  assert.deepStrictEqual(stepsInSight({ inSight: [0, 20], pos: 3, zoom: 100 }, 10000), [0, 100]);
  assert.deepStrictEqual([zoomed(100, 0.1), zoomed(100, 1.5), zoomed(4000, 2)], [50, 150, 5000]);
});

test('a place leads to its step and back', () => {
  for (const [start, stop, width] of [[10, 110, 500], [0, 5000, 700], [3, 53, 50]]) {
    for (let t = start; t < stop; t += 7) {
      const x = ((t - start + 0.5) / (stop - start)) * width;
      assert.strictEqual(stepAt(x, width, [start, stop]), t);
    }
  }
  assert.strictEqual(stepAt(-1, 100, [0, 10]), -1);
  assert.strictEqual(stepAt(100, 100, [0, 10]), -1);
});

test('tick labels are round and few', () => {
  assert.deepStrictEqual(ticks([120, 560], 5), [200, 300, 400, 500]);
  assert.ok(ticks([0, 5000], 8).length <= 8);
  assert.deepStrictEqual(ticks([3, 4], 5), [3]);
});

test('where a pixel holds several steps no peak is lost', () => {
  const values = Array.from({ length: 1000 }, () => 0.25);
  values[501] = -2;
  const { low, high, far } = stripPaint.columnsOf((t) => bitsOf(values[t]), [0, 1000], 100);
  assert.strictEqual(low[50], -2);
  assert.strictEqual(high[50], 0.25);
  assert.strictEqual(halves.VALUE_OF[far[50]], -2);
  assert.strictEqual(halves.VALUE_OF[far[51]], 0.25);
});

test('where a step holds several pixels each shows its value; what is not here yet shows nothing', () => {
  const { low, far } = stripPaint.columnsOf((t) => (t === 2 ? -1 : bitsOf(t)), [0, 4], 8);
  assert.deepStrictEqual([...low], [0, 0, 1, 1, NaN, NaN, 3, 3]);
  assert.strictEqual(far[4], -1);
});

test('heights follow the scale and stay inside', () => {
  assert.deepStrictEqual([-2, -1, 0, 1, 5].map((v) => stripPaint.heightOf(v, { limit: 1 })), [0, 0, 0.5, 1, 1]);
  assert.deepStrictEqual([-1, 0, 0.25, 1].map((v) => stripPaint.heightOf(v, { limit: 1, oneSided: true })), [0, 0, 0.25, 1]);
});

test('a gate that is nearly always open or shut is said to be', () => {
  const gate = (values) => stripPaint.habitOf((t) => bitsOf(values[t]), [0, values.length]);
  assert.match(gate([...Array(95).fill(1), ...Array(5).fill(0.5)]), /^nearly always open \(95 %/);
  assert.match(gate(Array(100).fill(0)), /^nearly always shut \(100 %/);
  assert.strictEqual(gate([...Array(50).fill(1), ...Array(50).fill(0)]), '');
});

test('values are split per site', () => {
  const buffer = new ArrayBuffer(2 * (4 + 4));
  const view = new DataView(buffer);
  view.setFloat32(0, 2, true);
  view.setUint16(4, 0x3c00, true);
  view.setUint16(6, 0xbc00, true);
  view.setFloat32(8, 5, true);
  const [a, b] = splitValues(buffer, 2, 2);
  assert.deepStrictEqual([a.limit, [...a.bits], b.limit], [2, [0x3c00, 0xbc00], 5]);
  assert.throws(() => splitValues(buffer, 3, 2));
});

test('a reader finds pieces that come later', () => {
  const store = new ValueStore(10, 4);
  const about = { key: 'a', fingerprint: 'f' };
  const read = store.reader(about, 'site', 0);
  assert.strictEqual(read(12), -1);
  store.pieces.set(store.key(about, 'site', 0, 1), { limit: 1, bits: Uint16Array.from({ length: 10 }, (_, i) => i) });
  assert.deepStrictEqual([12, 19, 20, 12].map(read), [2, 9, -1, 2]);
});

test('the oldest piece goes first', () => {
  const map = new LruMap(2);
  map.set('a', 1).set('b', 2);
  map.get('a');
  map.set('c', 3);
  assert.deepStrictEqual([...map.keys()], ['a', 'c']);
});
