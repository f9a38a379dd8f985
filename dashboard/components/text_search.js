// @ts-check
/** Searching the text on screen: counts matches, draws those in sight, jumps from one to the next. */
(function () {
  'use strict';
  const { interp } = globalThis;
  const { lowerBound } = interp.textLayout;

  const MOST = 20000;
  const DRAWN = 300;

  /**
   * UTF-16 offsets of a text's occurrences, letters of either case alike.
   * @param {string} text @param {string} wanted @param {number} most
   */
  function occurrences(text, wanted, most) {
    /** @type {number[]} */
    const found = [];
    if (!wanted) return found;
    const low = text.toLowerCase();
    // Some capitals change their length in lower case; then only exact matches can be placed.
    const [where, what] = low.length === text.length ? [low, wanted.toLowerCase()] : [text, wanted];
    for (let at = where.indexOf(what); at >= 0 && found.length < most; at = where.indexOf(what, at + what.length)) found.push(at);
    return found;
  }

  class TextSearch {
    /** @param {any} view a TextView */
    constructor(view) {
      this.view = view;
      /** @type {number[]} */ this.matches = [];
      this.current = 0;
      this.wanted = '';
      interp.nextMatch = (/** @type {number} */ by) => this.step(by);
    }

    run() {
      const { find } = interp.selection.get();
      if (!this.view.layout) return;
      const wanted = find || '';
      this.matches = occurrences(this.view.layout.text, wanted, MOST);
      const offset = this.view.layout.offsetOf(this.view.layout.start[this.view.rowsInSight()[0]] || 0);
      this.current = Math.min(lowerBound(this.matches, offset), Math.max(0, this.matches.length - 1));
      this.jumped = false;
      this.wanted = wanted;
      this.tell();
      this.draw();
    }

    /** @private */
    tell() {
      const found = { n: this.matches.length, current: this.current, more: this.matches.length >= MOST };
      interp.selection.set({ found: this.wanted ? found : null });
    }

    /** Jump to the next match; the first jump goes to the one nearest to what is in sight. */
    step(/** @type {number} */ by) {
      const n = this.matches.length;
      if (!n) return;
      if (this.jumped) this.current = (this.current + by + n) % n;
      this.jumped = true;
      const position = this.view.positionOf(this.view.layout.characterAt(this.matches[this.current]));
      this.tell();
      if (position >= 0) interp.selection.set({ pos: position, range: null });
      this.draw();
    }

    /** Boxes around the matches in sight. */
    draw() {
      for (const old of this.view.sheet.querySelectorAll('.cursor-match')) old.remove();
      if (!this.matches.length) return;
      const { layout } = this.view;
      const [first, last] = this.view.rowsInSight(5);
      if (first >= layout.nRows) return;
      const from = lowerBound(this.matches, layout.offsetOf(layout.start[first]));
      const end = layout.offsetOf(layout.stop[Math.max(first, last - 1)]);
      const fragment = document.createDocumentFragment();
      for (let i = from; i < Math.min(this.matches.length, from + DRAWN) && this.matches[i] < end; i++) {
        const low = layout.characterAt(this.matches[i]);
        const high = layout.characterAt(this.matches[i] + this.wanted.length - 1) + 1;
        for (const box of this.view.places.boxesOf(low, high)) {
          const made = document.createElement('div');
          made.className = `cursor cursor-match${i === this.current ? ' is-current' : ''}`;
          made.style.cssText = `left:${box.x}px;top:${box.y}px;width:${box.width}px;height:${box.height}px;pointer-events:none`;
          fragment.append(made);
        }
      }
      this.view.sheet.append(fragment);
    }
  }

  Object.assign(interp, { TextSearch, occurrences });
})();
