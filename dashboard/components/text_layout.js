// @ts-check
/**
 * Where every character of a text goes: lines, soft wraps, blocks. Pure: no document, no canvas.
 *
 * Three counts meet here. A *position* is a row of the recording; a *character* is a code point; an
 * *offset* is a UTF-16 index, which JavaScript strings and DOM ranges use. `layoutText` works in
 * characters. A row is *simple* when each of its characters is exactly one cell wide, so that column
 * times cell width is its place; the browser is asked to measure all other rows.
 *
 * @typedef {{index: number, name: string, position: number, character: number}} DocumentStart
 * @typedef {{start: number, stop: number, nRows: number, row: number, heading: number|null}} Block
 */
(function () {
  'use strict';

  const NEWLINE = 10;
  const TAB = 9;
  const HEADING_ROWS = 2;
  const MAX_HEADINGS = 400;
  const MAX_BLOCKS = 400;
  const MIN_BLOCK_ROWS = 50;
  const HARD = 1;
  const SOFT = 2;
  const MAX_ROWS = 700000; // a taller element than 14 million pixels is not painted by any browser

  /** Characters that would be invisible or would reorder the line are shown as a visible stand-in. */
  function standIn(/** @type {number} */ code) {
    if (code < 32 && code !== NEWLINE && code !== TAB) return 0x2400 + code;
    if (code === 127) return 0x2421;
    if ((code >= 0x80 && code < 0xa0) || code === 0xad || code === 0xfeff) return 0x25ca;
    if (code >= 0x202a && code <= 0x202e) return 0x25ca; // bidirectional overrides
    if (code >= 0x2066 && code <= 0x2069) return 0x25ca;
    if (code === 0x2028 || code === 0x2029 || code === 0x85) return 0x25ca;
    if (code >= 0xd800 && code < 0xe000) return 0xfffd; // half of a pair, alone
    return code;
  }

  const NEEDS_STAND_IN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\ufeff\u2028\u2029\u202a-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

  /** @param {string} text @returns {string} of the same length in UTF-16 */
  const displayText = (text) => text.replace(NEEDS_STAND_IN, (c) => String.fromCharCode(standIn(c.charCodeAt(0))));

  const UNUSUAL = /\p{M}|\p{Cf}|\p{Script=Hebrew}|\p{Script=Arabic}|\p{Script=Syriac}|\p{Script=Thaana}|\p{Script=Devanagari}|\p{Script=Bengali}|\p{Script=Tamil}|\p{Script=Thai}|\p{Script=Hangul}|\p{Extended_Pictographic}|\p{Regional_Indicator}/u;

  /**
   * A test for characters that are exactly one cell wide and stand for themselves.
   * @param {(character: string) => number} advance measures one character @param {number} cell
   * @returns {(code: number) => boolean}
   */
  function simpleTest(advance, cell) {
    const known = new Map();
    return (code) => {
      if (code < 0x300) {
        if (code >= 0x20 && code < 0x7f) return true;
        if (code >= 0xa1 && code !== 0xad) return true;
        if (code === NEWLINE) return true;
        if (code === TAB) return false;
      }
      let simple = known.get(code);
      if (simple === undefined) {
        const shown = String.fromCodePoint(standIn(code));
        const stands = standIn(code) !== code;
        simple = (stands || !UNUSUAL.test(shown)) && Math.abs(advance(shown) - cell) < 0.01;
        known.set(code, simple);
      }
      return simple;
    };
  }

  const WIDE = /\p{Extended_Pictographic}|\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|[\uff01-\uff60\u3000-\u303f]/u;
  const ZERO = /\p{M}|\u200d|[\ufe00-\ufe0f]/u;

  /** A guess of a character's width in cells, on the safe side; it only decides where lines break. */
  function guessedCells(/** @type {number} */ code, /** @type {number} */ column) {
    if (code === TAB) return 4 - (column % 4);
    if (code < 0x300) return 1;
    const character = String.fromCodePoint(code);
    if (ZERO.test(character)) return 0;
    return WIDE.test(character) ? 2.2 : 1.3;
  }

  /** Characters of a text: offsets of their starts, or null when they are the UTF-16 indices. */
  function characterOffsets(/** @type {string} */ text) {
    let pairs = 0;
    for (let i = 0; i + 1 < text.length; i++) if (isPair(text, i)) (pairs++, i++);
    if (!pairs) return null;
    const offsets = new Uint32Array(text.length - pairs + 1);
    let n = 0;
    for (let i = 0; i < text.length; i++) {
      offsets[n++] = i;
      if (isPair(text, i)) i++;
    }
    offsets[n] = text.length;
    return offsets;
  }

  function isPair(/** @type {string} */ text, /** @type {number} */ i) {
    const first = text.charCodeAt(i);
    if (first < 0xd800 || first > 0xdbff || i + 1 >= text.length) return false;
    const second = text.charCodeAt(i + 1);
    return second >= 0xdc00 && second <= 0xdfff;
  }

  /**
   * @param {{text: string, documents: DocumentStart[], columns: number, isSimple: (code: number) => boolean}} options
   * @returns {TextLayout}
   */
  function layoutText({ text, documents, columns, isSimple }) {
    const offsets = characterOffsets(text);
    const nCharacters = offsets ? offsets.length - 1 : text.length;
    const offsetOf = (/** @type {number} */ c) => (offsets ? offsets[c] : c);
    const codeAt = (/** @type {number} */ c) => /** @type {number} */ (text.codePointAt(offsetOf(c)));
    const withHeadings = documents.length <= MAX_HEADINGS;
    /** @type {number[]} */ const start = [];
    /** @type {number[]} */ const stop = [];
    /** @type {number[]} */ const measured = [];
    /** @type {number[]} */ const line = []; // number of the logical line that begins on the row, 0 where one goes on
    /** @type {number[]} */ const forced = []; // HARD: a break must be written although the text has none; SOFT: shown only
    /** @type {number[]} */ const rowDocument = [];
    const firstRows = []; // rows at which a block must begin

    const addRow = (/** @type {number} */ a, /** @type {number} */ b, /** @type {number} */ how, /** @type {number} */ number, /** @type {number} */ doc, /** @type {number} */ force) => {
      start.push(a);
      stop.push(b);
      measured.push(how);
      line.push(number);
      rowDocument.push(doc);
      forced.push(force);
    };

    for (let d = 0; d < documents.length && start.length < MAX_ROWS; d++) {
      const from = documents[d].character;
      const to = d + 1 < documents.length ? documents[d + 1].character : nCharacters;
      if (withHeadings) {
        firstRows.push(start.length);
        for (let k = 0; k < HEADING_ROWS; k++) addRow(from, from, 2, 0, d, 0);
        firstRows.push(start.length);
      }
      let number = 0;
      let c = from;
      while (c < to && start.length < MAX_ROWS) {
        let end = c;
        let simple = true;
        while (end < to) {
          const code = codeAt(end);
          end++;
          if (code === NEWLINE) break;
          if (simple && !isSimple(code)) simple = false;
        }
        number++;
        const endsInNewline = codeAt(end - 1) === NEWLINE;
        const body = endsInNewline ? end - 1 : end;
        let rowStart = c;
        let first = number;
        while (true) {
          const rowStop = simple ? Math.min(body, rowStart + columns) : breakAt(rowStart, body);
          const last = rowStop >= body;
          const documentEnds = last && !endsInNewline;
          addRow(rowStart, last ? end : rowStop, simple ? 0 : 1, first, d, documentEnds ? HARD : !last && !simple ? SOFT : 0);
          first = 0;
          rowStart = rowStop;
          if (last) break;
        }
        c = end;
      }
    }

    function breakAt(/** @type {number} */ from, /** @type {number} */ body) {
      let cells = 0;
      let c = from;
      while (c < body) {
        cells += guessedCells(codeAt(c), Math.floor(cells));
        if (cells > columns && c > from) break;
        c++;
      }
      // Marks stay with the character they sit on.
      while (c < body && c > from && ZERO.test(String.fromCodePoint(codeAt(c)))) c++;
      return c;
    }

    return new TextLayout({
      text, offsets, nCharacters, columns, documents,
      start: Uint32Array.from(start),
      stop: Uint32Array.from(stop),
      measured: Uint8Array.from(measured),
      line: Uint32Array.from(line),
      forced: Uint8Array.from(forced),
      rowDocument: Uint32Array.from(rowDocument),
      blocks: cutBlocks(start.length, firstRows, (row) => line[row] > 0, (row) => (measured[row] === 2 ? rowDocument[row] : null)),
    });
  }

  /**
   * Runs of rows that become one element each: few elements, each cheap to lay out. A line is not cut
   * unless it is long: what is searched for may go on in its next row.
   * @param {number} nRows @param {number[]} firstRows @param {(row: number) => boolean} beginsLine
   * @param {(row: number) => number|null} headingOf
   * @returns {{row: number, nRows: number, heading: number|null}[]}
   */
  function cutBlocks(nRows, firstRows, beginsLine, headingOf) {
    const rowsPerBlock = Math.max(MIN_BLOCK_ROWS, Math.ceil(nRows / MAX_BLOCKS));
    const blocks = [];
    const edges = [...new Set([0, ...firstRows, nRows])].sort((a, b) => a - b);
    for (let i = 0; i + 1 < edges.length; i++) {
      let row = edges[i];
      while (row < edges[i + 1]) {
        let end = Math.min(row + rowsPerBlock, edges[i + 1]);
        const latest = Math.min(end + rowsPerBlock, edges[i + 1]);
        let next = end;
        while (next < latest && !beginsLine(next)) next++;
        if (next < latest || latest === edges[i + 1]) end = next;
        blocks.push({ row, nRows: end - row, heading: headingOf(row) });
        row = end;
      }
    }
    return blocks;
  }

  class TextLayout {
    /** @param {any} parts */
    constructor(parts) {
      /** @type {string} */ this.text = parts.text;
      /** @type {Uint32Array|null} */ this.offsets = parts.offsets;
      /** @type {number} */ this.nCharacters = parts.nCharacters;
      /** @type {number} */ this.columns = parts.columns;
      /** @type {DocumentStart[]} */ this.documents = parts.documents;
      /** @type {Uint32Array} */ this.start = parts.start;
      /** @type {Uint32Array} */ this.stop = parts.stop;
      /** @type {Uint8Array} 0 simple, 1 measured, 2 heading */ this.measured = parts.measured;
      /** @type {Uint32Array} */ this.line = parts.line;
      /** @type {Uint8Array} */ this.forced = parts.forced;
      /** @type {Uint32Array} */ this.rowDocument = parts.rowDocument;
      /** @type {{row: number, nRows: number, heading: number|null}[]} */ this.blocks = parts.blocks;
      this.nRows = this.start.length;
      /** Whether the text was too tall to be shown to its end. */
      this.isCut = this.nRows > 0 && this.stop[this.nRows - 1] < this.nCharacters;
    }

    offsetOf(/** @type {number} */ character) {
      return this.offsets ? this.offsets[character] : character;
    }

    /** The character that holds a UTF-16 offset. */
    characterAt(/** @type {number} */ offset) {
      if (!this.offsets) return offset;
      return Math.max(0, lowerBound(this.offsets, offset + 1) - 1);
    }

    /** The row of a character; the last row for characters beyond the end. */
    rowOf(/** @type {number} */ character) {
      let row = Math.min(this.nRows, lowerBound(this.stop, character + 1));
      while (row < this.nRows && this.start[row] === this.stop[row]) row++; // headings hold nothing
      return Math.min(row, this.nRows - 1);
    }

    blockOf(/** @type {number} */ row) {
      let low = 0;
      let high = this.blocks.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (this.blocks[middle].row <= row) low = middle;
        else high = middle - 1;
      }
      return low;
    }

    /** What stands in the element of a block: the true text, stand-ins and forced breaks included. */
    blockText(/** @type {number} */ index) {
      const { row, nRows } = this.blocks[index];
      let out = '';
      let from = row;
      for (let r = row; r < row + nRows; r++) {
        if (this.forced[r] !== HARD && r + 1 < row + nRows) continue;
        out += this.text.slice(this.offsetOf(this.start[from]), this.offsetOf(this.stop[r]));
        if (this.forced[r] === HARD) out += '\n';
        from = r + 1;
      }
      return displayText(out);
    }

    /** Offset of a character in its block's element. */
    offsetInBlock(/** @type {number} */ index, /** @type {number} */ character) {
      const { row } = this.blocks[index];
      let forcedBreaks = 0;
      for (let r = row; r < this.nRows && this.stop[r] <= character; r++) forcedBreaks += Number(this.forced[r] === HARD);
      return this.offsetOf(character) - this.offsetOf(this.start[row]) + forcedBreaks;
    }

    /** UTF-16 offset in the whole text of an offset in a block's element. */
    offsetFromBlock(/** @type {number} */ index, /** @type {number} */ offset) {
      const { row, nRows } = this.blocks[index];
      const base = this.offsetOf(this.start[row]);
      let forcedBreaks = 0;
      for (let r = row; r < row + nRows; r++) {
        const end = this.offsetOf(this.stop[r]) - base + forcedBreaks;
        if (offset <= end) break;
        forcedBreaks += Number(this.forced[r] === HARD);
      }
      return Math.min(base + offset - forcedBreaks, this.offsetOf(this.stop[row + nRows - 1]));
    }

    /** Numbers of the lines beside a block, one per row. */
    gutterText(/** @type {number} */ index) {
      const { row, nRows } = this.blocks[index];
      let out = '';
      for (let r = row; r < row + nRows; r++) out += (this.line[r] || '') + '\n';
      return out;
    }
  }

  /** First index whose item is at least `value`. */
  function lowerBound(/** @type {ArrayLike<number>} */ items, /** @type {number} */ value) {
    let low = 0;
    let high = items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (items[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * Which position covers which character, for positions that are tokens.
   * @param {Int32Array|null} spans (n, 2) flat, characters of the part; null: a position per character
   * @param {number} nCharacters
   */
  function coverText(spans, nCharacters) {
    if (!spans) return null;
    const n = spans.length / 2;
    const owner = new Int32Array(nCharacters).fill(-1); // first position on a character
    const shared = new Uint8Array(nCharacters); // how many more positions share it
    for (let i = 0; i < n; i++) {
      for (let c = spans[2 * i]; c < spans[2 * i + 1]; c++) {
        if (owner[c] < 0) owner[c] = i;
        else if (shared[c] < 255) shared[c] += 1;
      }
    }
    return { spans, owner, shared };
  }

  globalThis.interp.textLayout = {
    HEADING_ROWS, SOFT, TextLayout, characterOffsets, coverText, displayText, guessedCells, layoutText,
    lowerBound, simpleTest, standIn,
  };
})();
