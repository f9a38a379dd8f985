'use strict';
const test = require('node:test');
const assert = require('node:assert');
const { urlState, Selection } = require('./load.js');

const { KEYS, decode, encode, initialState, formatUnits, parseUnits } = urlState;

/** A small seeded generator, so that a failure can be repeated. */
function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function arbitraryState(next) {
  const whole = () => Math.floor(next() * (next() < 0.3 ? 2 : 1e9));
  const text = () => ['', 'a', '0', 'lstm/l0/cell', 'h.0.attn/x', 'a b&c=d%', '“ü”\u{1f600}', '</script>', '+', '#?'][Math.floor(next() * 10)];
  const start = whole();
  const make = {
    run: text, site: text, track: text, find: text,
    unit: whole, doc: whole, at: whole, pos: whole, zoom: whole,
    range: () => [start, start + 1 + whole()],
    scale: () => [0, 0.5, 1e-7, 12.25, 3e20][Math.floor(next() * 5)],
    units: () => (next() < 0.2 ? [] : Array.from({ length: Math.floor(next() * 400) }, whole)),
    marks: () => next() < 0.5,
    view: () => ['explore', 'overview'][Math.floor(next() * 2)],
    panel: () => ['states', 'heat'][Math.floor(next() * 2)],
    stretch: () => ['linear', 'root'][Math.floor(next() * 2)],
    sort: () => ['index', 'variance', 'correlation'][Math.floor(next() * 3)],
    theme: () => ['light', 'dark'][Math.floor(next() * 2)],
  };
  assert.deepStrictEqual(Object.keys(make).sort(), Object.keys(KEYS).sort(), 'every key is tried');
  const state = initialState();
  for (const key of Object.keys(KEYS)) if (next() < 0.7) state[key] = make[key]();
  return state;
}

test('every state comes back from its address', () => {
  const next = random(20261120);
  for (let i = 0; i < 2000; i++) {
    const state = arbitraryState(next);
    assert.deepStrictEqual(decode(encode(state)), state);
  }
});

test('0, false, empty text, an empty list and 300 units survive', () => {
  const units = Array.from({ length: 300 }, (_, i) => 3 * i);
  for (const patch of [{ unit: 0 }, { pos: 0 }, { scale: 0 }, { marks: false }, { find: '' }, { track: '' }, { units: [] }, { units }]) {
    const state = { ...initialState(), ...patch };
    assert.deepStrictEqual(decode(encode(state)), state);
  }
  assert.ok(encode({ ...initialState(), units }).length < 2000);
});

test('an address is never an error', () => {
  for (const search of ['?unit=-1', '?unit=1e3', '?unit=', '?scale=NaN', '?range=9-3', '?range=3', '?units=5-2', '?units=a', '?marks=yes', '?view=x', '?theme=red', '?nothing=1', '?__proto__=1', '?unit=%zz', '?units=0-999999999']) {
    assert.deepStrictEqual(decode(search), initialState(), search);
  }
});

test('units are written as runs', () => {
  assert.strictEqual(formatUnits([0, 1, 2, 5, 7, 8]), '0-2,5,7-8');
  assert.deepStrictEqual(parseUnits('0-2,5,7-8'), [0, 1, 2, 5, 7, 8]);
});

test('the selection tells only who listens to what changed', () => {
  const selection = new Selection();
  const told = [];
  const stop = selection.subscribe(['unit'], (state) => told.push(state.unit));
  selection.set({ unit: 3 });
  selection.set({ unit: 3 });
  selection.set({ pos: 9 });
  stop();
  selection.set({ unit: 4 });
  assert.deepStrictEqual(told, [3]);
});

test('a preview is shown before the chosen unit, and Esc lets go of it', () => {
  const selection = new Selection();
  selection.set({ unit: 3, hoverUnit: 8, pos: 5, range: [1, 2] });
  assert.strictEqual(selection.shownUnit(), 8);
  selection.set({ help: true });
  selection.clear();
  assert.deepStrictEqual([selection.get().help, selection.get().pos], [false, 5]);
  selection.clear();
  assert.strictEqual(selection.shownUnit(), 3);
  assert.deepStrictEqual([selection.get().pos, selection.get().range], [null, null]);
});

test('units stay within the site', () => {
  const selection = new Selection();
  selection.set({ about: { sites: [{ name: 'a', nUnits: 4 }], streams: [] }, site: 'a', unit: 0 });
  selection.chooseUnit(99);
  assert.strictEqual(selection.get().unit, 3);
  selection.chooseUnit(-1);
  assert.strictEqual(selection.get().unit, 0);
  selection.chooseUnit(NaN);
  assert.strictEqual(selection.get().unit, 0);
});
