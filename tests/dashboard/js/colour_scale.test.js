'use strict';
const test = require('node:test');
const assert = require('node:assert');
const { colour, halves } = require('./load.js');
const { BLINDNESS, linearOf } = require('./seeing.js');

const { PALETTES, colourAt, colourOf, colourTable, contrast, formatValue, isBeyond, placeOnScale, scaleFor, toPixel } = colour;
const bitsOf = (value) => halves.VALUE_OF.findIndex((v) => Object.is(v, value));

test('halves decode as IEEE 754 says', () => {
  assert.deepStrictEqual([0, 0x3c00, 0xbc00, 0x3555, 0x7bff, 0x0001, 0x7c00].map(halves.decodeHalf), [0, 1, -1, 0.333251953125, 65504, 2 ** -24, Infinity]);
  assert.ok(Number.isNaN(halves.decodeHalf(0x7e00)));
});

test('a scale is symmetric around zero, which is the background', () => {
  const scale = { limit: 4 };
  assert.strictEqual(placeOnScale(0, scale), 0);
  assert.strictEqual(placeOnScale(-2, scale), -placeOnScale(2, scale));
  assert.deepStrictEqual(colourOf(0, scale, 'light'), PALETTES.light.background);
  assert.deepStrictEqual(colourOf(4, scale, 'light'), PALETTES.light.positive);
  assert.deepStrictEqual(colourOf(-9, scale, 'light'), PALETTES.light.negative);
});

test('a small positive value and a large negative one look different', () => {
  const scale = { limit: 5 };
  assert.ok(contrast(colourOf(0.1, scale, 'light'), colourOf(-5, scale, 'light')) > 1.5);
});

test('stretching keeps the ends and the sign and lifts small values', () => {
  const linear = { limit: 1, stretch: 'linear' };
  const root = { limit: 1, stretch: 'root' };
  assert.strictEqual(placeOnScale(1, root), 1);
  assert.strictEqual(placeOnScale(-0.25, root), -0.5);
  assert.ok(placeOnScale(0.04, root) > placeOnScale(0.04, linear));
});

test('what lies beyond the scale is marked', () => {
  assert.ok(isBeyond(1.1, { limit: 1 }) && isBeyond(-1.1, { limit: 1 }) && isBeyond(Infinity, { limit: 1 }));
  assert.ok(!isBeyond(1, { limit: 1 }) && !isBeyond(NaN, { limit: 1 }));
  assert.ok(isBeyond(-0.2, { limit: 1, oneSided: true }));
});

test('the table agrees with the colour of each value, NaN and infinities included', () => {
  for (const scale of [{ limit: 0.8 }, { limit: 1, oneSided: true }, { limit: 3, stretch: 'root' }]) {
    const { pixels, beyond } = colourTable(scale, 'dark');
    for (const value of [0, 0.5, -0.5, 1, -1, 3, NaN, Infinity]) {
      const bits = Number.isNaN(value) ? 0x7e00 : bitsOf(value);
      const [r, g, b] = [pixels[bits] & 255, (pixels[bits] >> 8) & 255, (pixels[bits] >> 16) & 255];
      colourOf(value, scale, 'dark').forEach((channel, k) => assert.ok(Math.abs(channel - [r, g, b][k]) <= 1));
      assert.strictEqual(!!beyond[bits], isBeyond(value, scale));
    }
  }
});

test('text keeps a contrast of 4.5 on every colour of every scale', () => {
  for (const theme of ['light', 'dark']) {
    const palette = PALETTES[theme];
    let worst = 21;
    for (let i = -200; i <= 200; i++) worst = Math.min(worst, contrast(palette.text, colourAt(i / 200, theme)));
    for (const hue of ['oneSided', 'loss']) {
      for (let i = 0; i <= 200; i++) worst = Math.min(worst, contrast(palette.text, colourAt(i / 200, theme, hue)));
    }
    worst = Math.min(worst, contrast(palette.text, palette.missing));
    assert.ok(worst >= 4.5, `${theme}: ${worst}`);
  }
});

function lab(rgb, matrix) {
  const seen = linearOf(rgb, matrix);
  const xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]].map((row) => row.reduce((sum, w, k) => sum + w * seen[k], 0));
  const f = [0.95047, 1, 1.08883].map((white, k) => (xyz[k] / white > 0.008856 ? Math.cbrt(xyz[k] / white) : 7.787 * (xyz[k] / white) + 16 / 116));
  return [116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])];
}

test('the two ends stay apart for every kind of colour blindness', () => {
  for (const theme of ['light', 'dark']) {
    for (const matrix of [null, ...Object.values(BLINDNESS)]) {
      const [a, b] = ['negative', 'positive'].map((end) => lab(PALETTES[theme][end], matrix));
      assert.ok(Math.hypot(...a.map((x, k) => x - b[k])) > 50, theme);
    }
  }
});

test('gates get a fixed scale, other signals their own or the locked one', () => {
  const state = { scale: null, stretch: 'linear' };
  assert.deepStrictEqual(scaleFor(state, { oneSided: true }, 0.2), { limit: 1, oneSided: true, stretch: 'linear' });
  assert.strictEqual(scaleFor(state, { oneSided: false }, 7.5).limit, 7.5);
  assert.strictEqual(scaleFor({ scale: 2, stretch: 'linear' }, { oneSided: false }, 7.5).limit, 2);
  assert.strictEqual(scaleFor({ scale: 0, stretch: 'linear' }, { oneSided: false }, 7.5).limit, 7.5);
});

test('numbers read well', () => {
  assert.deepStrictEqual([0, -0.5, 12.3456, NaN, -Infinity, -0.0001, 123456].map((v) => formatValue(v, 2)), ['0.00', '−0.50', '12.35', '–', '−∞', '0.00', '1.23e+5']);
  assert.strictEqual(formatValue(-0.0001, 4), '−1.00e-4');
});

test('a pixel is little-endian RGBA', () => {
  assert.strictEqual(toPixel([1, 2, 3]), 0xff030201);
});
