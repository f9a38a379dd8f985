'use strict';
const test = require('node:test');
const assert = require('node:assert');
const { colour, trackScale } = require('./load.js');
const { asOklab, BLINDNESS } = require('./seeing.js');

const { CATEGORY_COLOURS, NO_CATEGORY, categoryTable, slotsOf, trackOf, trackTable } = trackScale;
const { PALETTES, contrast, toPixel } = colour;

const many = {
  names: Array.from({ length: 12 }, (_, i) => `kind ${i}`),
  order: [4, 2, 0, 1, 3, 5, 6, 7, 8, 9],
  share: [0.3, 0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05],
  nUsed: 10,
};

test('colours of categories stay apart for every kind of colour blindness, and from the grey', () => {
  for (const theme of ['light', 'dark']) {
    const all = [...CATEGORY_COLOURS[theme], PALETTES[theme].missing];
    for (const matrix of [null, ...Object.values(BLINDNESS)]) {
      all.forEach((a, i) => all.slice(0, i).forEach((b) => {
        const [x, y] = [asOklab(a, matrix), asOklab(b, matrix)];
        assert.ok(Math.hypot(...x.map((v, k) => v - y[k])) > 0.08, `${theme}: ${a} and ${b}`);
      }));
    }
  }
});

test('text keeps a contrast of 4.5 on every colour of a category', () => {
  for (const theme of ['light', 'dark']) {
    for (const found of CATEGORY_COLOURS[theme]) assert.ok(contrast(PALETTES[theme].text, found) >= 4.5, `${theme} ${found}`);
  }
});

test('the frequent categories get colours, the others the grey, none gets nothing', () => {
  const { pixels } = categoryTable(many, 'light', null);
  many.order.slice(0, 7).forEach((code, rank) => assert.strictEqual(pixels[code], toPixel(CATEGORY_COLOURS.light[rank])));
  for (const code of [7, 8, 9, 11, 4000]) assert.strictEqual(pixels[code], toPixel(PALETTES.light.missing));
  assert.strictEqual(pixels[NO_CATEGORY], 0);
});

test('one that is singled out has a colour, whatever its rank, and all others the grey', () => {
  const rare = categoryTable(many, 'dark', 'kind 9').pixels;
  assert.strictEqual(rare[9], toPixel(CATEGORY_COLOURS.dark[0]));
  assert.strictEqual(rare[4], toPixel(PALETTES.dark.missing));
  assert.deepStrictEqual(slotsOf(many, 'kind 2').map(({ slot }) => slot), [-1, 1, -1, -1, -1, -1, -1, -1, -1, -1]);
});

test('tracks of every kind', () => {
  const about = { annotations: [
    { name: 'inside', stream: 'text', kind: 'binary', limit: 1, isSigned: false },
    { name: 'change', stream: 'text', kind: 'numeric', limit: 2, isSigned: true },
    { name: 'elsewhere', stream: 'image', kind: 'binary', limit: 1, isSigned: false },
    { name: 'kind', stream: 'text', kind: 'categorical', limit: 1, isSigned: false },
  ] };
  const stream = { name: 'text', hasLoss: true };
  assert.strictEqual(trackOf(about, stream, 'elsewhere'), null);
  assert.strictEqual(trackOf(about, stream, ''), null);
  assert.strictEqual(trackOf(about, { name: 'text', hasLoss: false }, 'loss'), null);
  assert.strictEqual(trackOf(about, stream, 'loss').limit, 6);
  assert.strictEqual(trackTable(trackOf(about, stream, 'kind'), 'light'), null);
  assert.ok(trackTable(trackOf(about, stream, 'kind', many, null), 'light').pixels[4]);
  const signed = trackTable(trackOf(about, stream, 'change'), 'light').pixels;
  assert.strictEqual(signed[0xc000], toPixel(PALETTES.light.negative)); // -2
  assert.strictEqual(signed[0x4000], toPixel(PALETTES.light.positive)); // +2
  assert.strictEqual(trackTable(trackOf(about, stream, 'inside'), 'light').pixels[0x3c00], toPixel(PALETTES.light.loss));
});
