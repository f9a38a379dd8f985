'use strict';
const test = require('node:test');
const assert = require('node:assert');
const { textLayout, textPaint, occurrences } = require('./load.js');

const { characterOffsets, coverText, displayText, layoutText, simpleTest } = textLayout;
// A font in which everything up to U+24FF is one cell wide and all else two.
const isSimple = simpleTest((character) => (character.codePointAt(0) < 0x2500 ? 1 : 2), 1);
const single = () => [{ index: 0, name: 'a', position: 0, character: 0 }];
const layOut = (text, columns = 20, documents = single()) => layoutText({ text, documents, columns, isSimple });

/** What stands on the screen, row by row, without headings. */
function rows(layout) {
  const out = [];
  for (let r = 0; r < layout.nRows; r++) {
    if (layout.measured[r] !== 2) out.push(layout.text.slice(layout.offsetOf(layout.start[r]), layout.offsetOf(layout.stop[r])));
  }
  return out;
}

test('lines end at newlines and wrap at the last column', () => {
  assert.deepStrictEqual(rows(layOut('ab\n\ncdefgh\ni', 4)), ['ab\n', '\n', 'cdef', 'gh\n', 'i']);
  assert.deepStrictEqual(rows(layOut('abcd\ne', 4)), ['abcd\n', 'e']);
  assert.deepStrictEqual(rows(layOut('', 4)), []);
});

test('line numbers stand where a line begins, and start again in each document', () => {
  const documents = [{ index: 0, name: 'a', position: 0, character: 0 }, { index: 1, name: 'b', position: 4, character: 4 }];
  const layout = layOut('a\nb\nlonger', 4, documents);
  assert.deepStrictEqual([...layout.line], [0, 0, 1, 2, 0, 0, 1, 0]);
});

test('every character is on exactly one row, for any text', () => {
  const pieces = ['a', ' ', '\n', '\t', 'é', '漢', '\u{1f468}\u200d\u{1f469}', 'e\u0301', 'שלום', '\u0000', '\ud800', '\r\n', 'x'.repeat(50)];
  let seed = 7;
  for (let trial = 0; trial < 300; trial++) {
    let text = '';
    for (let k = 0; k < 30; k++) {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      text += pieces[(seed >>> 16) % pieces.length];
    }
    const layout = layOut(text, 4 + (trial % 20));
    assert.strictEqual(rows(layout).join(''), text);
    assert.strictEqual(layout.nCharacters, [...text].length);
    for (let c = 0; c < layout.nCharacters; c++) {
      const row = layout.rowOf(c);
      assert.ok(layout.start[row] <= c && c < layout.stop[row]);
    }
    for (let r = 0; r < layout.nRows; r++) if (layout.measured[r] === 0) assert.ok(layout.stop[r] - layout.start[r] <= layout.columns + 1);
    checkBlocks(layout, text);
  }
});

/** Blocks hold the whole text, and offsets in them lead back to it. */
function checkBlocks(layout, text) {
  let whole = '';
  layout.blocks.forEach((block, index) => {
    const shown = layout.blockText(index);
    for (let offset = 0; offset < shown.length; offset++) {
      const at = layout.offsetFromBlock(index, offset);
      assert.ok(at >= 0 && at <= text.length);
    }
    for (let r = block.row; r < block.row + block.nRows; r++) {
      for (let c = layout.start[r]; c < layout.stop[r]; c++) {
        const offset = layout.offsetInBlock(index, c);
        assert.strictEqual(displayText(text)[layout.offsetOf(c)], shown[offset]);
        assert.strictEqual(layout.offsetFromBlock(index, offset), layout.offsetOf(c));
      }
    }
    whole += shown;
  });
  assert.strictEqual(whole.replace(/\n/g, ''), displayText(text).replace(/\n/g, ''));
}

test('what cannot be seen, or would turn the line around, gets a stand-in of its own length', () => {
  const hostile = 'a\u0000\u001b\u007f\u202e\ufeff\ud800b\u{1f600}';
  const shown = displayText(hostile);
  assert.strictEqual(shown.length, hostile.length);
  assert.strictEqual(shown, 'a\u2400\u241b\u2421\u25ca\u25ca\ufffdb\u{1f600}');
  assert.strictEqual(displayText('plain\ttext\n'), 'plain\ttext\n');
});

test('a line of one megabyte is cut into few blocks', () => {
  const layout = layOut('x'.repeat(1e6), 100);
  assert.ok(layout.blocks.length <= 420);
  assert.strictEqual(rows(layout).length, 10000);
});

test('a million newlines stay within what a browser can show, and say so', () => {
  const layout = layOut('\n'.repeat(1e6), 100);
  assert.ok(layout.nRows <= 700000 && layout.isCut && layout.blocks.length < 420);
});

test('characters are code points', () => {
  assert.strictEqual(characterOffsets('plain'), null);
  assert.deepStrictEqual([...characterOffsets('a\u{1f600}b')], [0, 1, 3, 4]);
  const layout = layOut('a\u{1f600}b');
  assert.deepStrictEqual([0, 1, 2, 3].map((offset) => layout.characterAt(offset)), [0, 1, 1, 2]);
});

test('tokens cover characters; several may share one', () => {
  // "ab" is a token, "é" is two bytes and so two tokens, "c" belongs to nobody.
  const cover = coverText(Int32Array.from([0, 2, 2, 3, 2, 3]), 4);
  assert.deepStrictEqual([...cover.owner], [0, 0, 1, -1]);
  assert.deepStrictEqual([...cover.shared], [0, 0, 1, 0]);
  assert.strictEqual(coverText(null, 4), null);
});

test('pixels are where the characters are', () => {
  const text = 'ab\ncdefg\n';
  const layout = layOut(text, 4);
  const stride = 5;
  const block = { row: 2, nRows: layout.nRows - 2 };
  const pixels = new Uint32Array(stride * block.nRows * textPaint.SUB_ROWS);
  const table = { pixels: Uint32Array.from({ length: 65536 }, (_, i) => i + 1), beyond: new Uint8Array(65536) };
  table.beyond[3] = 1;
  const paint = { value: (p) => (p === 4 ? -1 : p), table, beyondPixel: 999, track: (p) => 100 + p, trackTable: table };
  textPaint.paintRows(pixels, stride, layout, block, (c) => c, paint);
  const at = (row, column, sub) => pixels[(row * textPaint.SUB_ROWS + sub) * stride + column];
  assert.deepStrictEqual([0, 1, 2, 3].map((k) => at(0, k, 4)), [1, 2, 3, 0]); // a b newline nothing
  assert.strictEqual(at(1, 0, 4), 4); // c
  assert.strictEqual(at(1, 0, 0), 999); // and its mark
  assert.strictEqual(at(1, 1, 4), 0); // d has not come yet
  assert.strictEqual(at(1, 0, 9), 104); // the second track
  assert.strictEqual(at(2, 0, 4), 8); // g, wrapped
});

test('searching ignores case and stops in time', () => {
  assert.deepStrictEqual(occurrences('Self self SELF', 'self', 10), [0, 5, 10]);
  assert.deepStrictEqual(occurrences('aaaa', 'aa', 10), [0, 2]);
  assert.deepStrictEqual(occurrences('İself', 'self', 10), [1]);
  assert.strictEqual(occurrences('a'.repeat(100), 'a', 5).length, 5);
  assert.deepStrictEqual(occurrences('abc', '', 5), []);
});
