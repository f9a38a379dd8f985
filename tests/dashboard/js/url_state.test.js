'use strict';
const test = require('node:test');
const assert = require('node:assert');
const { urlState, Selection, addPage, addPanel, addState, registry } = require('./load.js');

const { KEYS, kinds, decode, encode, initialState, formatUnits, parseUnits } = urlState;

/** A small seeded generator, so that a failure can be repeated. */
function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const TEXTS = ['', 'a', '0', 'lstm/l0/cell', 'h.0.attn/x', 'a b&c=d%', '“ü”\u{1f600}', '</script>', '+', '#?'];
for (const name of ['states', 'heat']) addPanel({ name, title: name });

/** Values of every kind of key; a key of a new kind has to be added here. */
function arbitraryValue(spec, next) {
  const whole = () => Math.floor(next() * (next() < 0.3 ? 2 : 1e9));
  const pick = (values) => values[Math.floor(next() * values.length)];
  const start = whole();
  return {
    whole,
    text: () => pick(TEXTS),
    real: () => pick([0, 0.5, 1e-7, 12.25, 3e20]),
    flag: () => next() < 0.5,
    range: () => [start, start + 1 + whole()],
    units: () => (next() < 0.2 ? [] : Array.from({ length: Math.floor(next() * 400) }, whole)),
    choice: () => pick(spec.values),
  }[spec.kind]();
}

function arbitraryState(next) {
  const state = initialState();
  for (const [key, spec] of Object.entries(KEYS)) if (next() < 0.7) state[key] = arbitraryValue(spec, next);
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

test('views add pages, panels and keys of the address', () => {
  const before = initialState();
  addPage({ name: 'heads', title: 'Heads', needs: (about) => (about.heads ? '' : 'Record attention first.') });
  addState({ head: { ...kinds.WHOLE, initial: null } }, { hoverHead: null });
  try {
    assert.deepStrictEqual(decode('?view=heads&head=0'), { ...before, view: 'heads', head: 0 });
    const page = registry.pages.find((place) => place.name === 'heads');
    assert.strictEqual(registry.lackOf(page, {}), 'Record attention first.');
    assert.strictEqual(registry.lackOf(page, { heads: 2 }), '');
    assert.strictEqual(registry.lackOf(registry.pages[0], {}), '');
    assert.throws(() => addState({ head: { ...kinds.TEXT, initial: null } }), /two views use the key head/);
  } finally {
    delete KEYS.head;
  }
});
