// @ts-check
/**
 * ColouredText: a stream's text coloured by one unit, bound to the linked selection.
 *
 * Loads the part of the text that holds the position asked for, then values of what is in sight first;
 * hovering previews, clicking pins, Esc lets go.
 */
(function () {
  'use strict';
  const React = window.React;
  const { interp } = globalThis;
  const { selection, textValues } = interp;
  const { getJson, getBuffer, guarded } = interp.requests;
  const { trackOf, trackTable } = interp.trackScale;
  const { colourTable, scaleFor, PALETTES, toPixel } = interp.colour;

  const MARGIN_ROWS = 60;
  const POSITIONS_WITHOUT_TEXT = 500;

  class TextController {
    constructor(/** @type {HTMLElement} */ root) {
      this.root = root;
      this.view = new interp.TextView(root);
      this.search = new interp.TextSearch(this.view);
      this.partKey = '';
      this.lastPlace = ''; // where the text was last sent
      this.loadedKey = '';
      /** @type {number|null} the position at the top, when scrolling put it there */ this.ownAt = null;
      /** @type {{site: string, unit: number}|null} */ this.shown = null;
      this.timing = { key: 0, painted: 0 };
      /** @type {(() => void)[]} */
      this.stops = [];
      this.listen();
    }

    listen() {
      const { root } = this;
      const on = (/** @type {EventTarget} */ target, /** @type {string} */ type, /** @type {any} */ handler, /** @type {any} */ options = undefined) => {
        target.addEventListener(type, handler, options);
        this.stops.push(() => target.removeEventListener(type, handler, options));
      };
      let frame = 0;
      on(root, 'scroll', () => {
        if (frame) return;
        frame = requestAnimationFrame(() => {
          frame = 0;
          this.scrolled();
        });
      }, { passive: true });
      on(root, 'mousemove', (/** @type {MouseEvent} */ event) => this.hovered(event));
      on(root, 'mouseleave', () => selection.set({ hoverPos: null }));
      on(root, 'click', (/** @type {MouseEvent} */ event) => this.clicked(event));
      on(document, 'selectionchange', () => this.selected());
      on(root, 'copy', (/** @type {ClipboardEvent} */ event) => this.copied(event));
      const observer = new ResizeObserver(() => this.resized());
      observer.observe(root);
      this.stops.push(() => observer.disconnect());
      const listen = (/** @type {string[]} */ keys, /** @type {() => void} */ run) => this.stops.push(selection.subscribe(keys, run));
      listen(['about', 'site', 'doc', 'at', 'pos'], () => this.showPart());
      listen(['site', 'unit', 'hoverUnit'], () => this.showUnit());
      listen(['scale', 'stretch', 'theme', 'systemTheme', 'marks', 'limit', 'only', 'categories'], () => this.recolour());
      listen(['track'], () => this.showTrack());
      listen(['hoverPos', 'pos', 'range'], () => this.drawCursors());
      listen(['find', 'part'], () => this.search.run());
      listen(['view'], () => requestAnimationFrame(() => this.reappear()));
    }

    close() {
      this.stops.forEach((stop) => stop());
    }

    /** Load the part that holds the position the selection asks for, unless it is on screen. */
    showPart() {
      const state = selection.get();
      const stream = selection.stream();
      if (!state.about || !stream) return;
      const index = interp.session.wantedPart(stream, state);
      const key = `${state.about.key}|${state.about.fingerprint}|${stream.name}|${index}`;
      if (key === this.partKey) {
        this.follow();
        return;
      }
      this.partKey = key;
      guarded(async () => {
        const parameters = { stream: stream.name, part: index, v: state.about.fingerprint };
        const part = await getJson(`${state.about.key}/text`, parameters);
        const spans = part.hasSpans
          ? new Int32Array(await getBuffer(`${state.about.key}/spans`, parameters))
          : null;
        if (key !== this.partKey) return;
        if (this.about !== state.about) this.shown = null; // a unit of another recording
        this.about = state.about;
        this.stream = stream;
        this.view.setPart(part, spans);
        selection.set({ part: { ...part, text: undefined, index, isCut: this.view.layout.isCut } });
        this.lastPlace = '';
        // Nothing to read: the panel below gets the room.
        document.documentElement.dataset.text = stream.hasText ? 'some' : 'none';
        this.view.setNote(stream.hasText ? '' : 'This stream has positions without text. States and heat map below show them.');
        this.follow(true);
        this.drawCursors();
        this.showTrack();
        this.showUnit();
        this.scrolled();
      });
    }

    /** Scroll to where the selection is, when it was changed by somebody else. */
    follow(isFirst = false) {
      const { at, doc, pos } = selection.get();
      const place = `${at}|${doc}|${pos}`;
      if (!this.about || place === this.lastPlace) return;
      if (!this.stream.hasText) {
        this.lastPlace = place;
        this.slide(at !== null ? at : pos, doc);
        return;
      }
      const [lastAt, lastDoc, lastPos] = (this.lastPlace || '').split('|');
      this.lastPlace = place;
      const inPart = (/** @type {number|null} */ p) => p !== null && p >= this.view.part.start && p < this.view.part.stop;
      if (doc !== null && (String(doc) !== lastDoc || isFirst) && at === null) {
        const found = this.view.part.documents.find((/** @type {any} */ d) => d.index === doc);
        if (found) this.root.scrollTop = this.headingTop(found);
      } else if (inPart(at) && String(at) !== lastAt && at !== this.ownAt) {
        this.view.scrollToPosition(at, false);
      } else if (inPart(pos) && (String(pos) !== lastPos || isFirst) && !this.view.isInSight(pos)) {
        this.view.scrollToPosition(pos);
      }
    }

    /** Without text, a window of positions takes the place of the lines in sight. */
    slide(/** @type {number|null} */ at, /** @type {number|null} */ doc) {
      const { start, stop, documents } = this.view.part;
      const chosen = documents.find((/** @type {any} */ found) => found.index === doc);
      const wanted = at !== null ? at : chosen ? chosen.position : start;
      const from = Math.max(start, Math.min(stop - 1, wanted));
      this.view.window = [from, Math.min(stop, from + POSITIONS_WITHOUT_TEXT)];
      selection.set({ inSight: this.view.window });
      this.loadInSight();
    }

    headingTop(/** @type {any} */ found) {
      const row = this.view.layout.rowOf(found.character);
      return Math.max(0, row - interp.textLayout.HEADING_ROWS) * interp.LINE_HEIGHT;
    }

    resized() {
      const { view, root } = this;
      const same = root.clientWidth === view.width && view.ratio === window.devicePixelRatio;
      if (!view.layout || !root.clientWidth || same) return;
      if (!view.width) {
        this.reappear();
        return;
      }
      const [start] = this.view.positionsInSight();
      this.view.relayout();
      this.view.scrollToPosition(start, false);
      this.view.refresh();
      this.drawCursors();
    }

    /** On screen again, or for the first time: lay out what was loaded unseen, go where it says. */
    reappear() {
      const { view, root } = this;
      if (!view.layout || !root.clientWidth) return;
      if (view.width !== root.clientWidth) view.relayout();
      this.lastPlace = '';
      this.ownAt = null;
      this.follow(true);
      this.drawCursors();
      this.showUnit();
      this.scrolled();
    }

    scrolled() {
      if (!this.view.layout || !this.root.clientHeight) return;
      this.view.paintInSight();
      this.search.draw();
      const inSight = this.view.positionsInSight();
      selection.set({ inSight });
      this.loadInSight();
      if (this.root.scrollTop > 0 || selection.get().at !== null) {
        // Where the text begins is its reader's business; the address follows at rest.
        this.ownAt = inSight[0];
        if (selection.get().at !== inSight[0]) {
          const state = selection.get();
          this.lastPlace = `${inSight[0]}|null|${state.pos}`;
          selection.set({ at: inSight[0], doc: null });
        }
      }
    }

    /** Load what is on screen, then paint; the neighbourhood follows when the browser is idle. */
    showUnit() {
      const { site } = selection.get();
      const unit = selection.shownUnit();
      if (!this.about || !site || unit === null || this.about !== selection.get().about) return;
      if (this.abort) this.abort.abort();
      this.abort = new AbortController();
      const signal = this.abort.signal;
      this.timing.key = performance.now();
      guarded(async () => {
        const [start, stop] = this.view.positionsInSight(10);
        await textValues.load(this.about, [site], unit, start, stop, this.stream.nPositions, signal);
        if (signal.aborted || selection.shownUnit() !== unit || selection.get().site !== site) return;
        const piece = textValues.pieceAt(this.about, site, unit, start);
        this.shown = { site, unit };
        selection.set({ limit: piece ? piece.limit : 1 });
        this.recolour();
        this.root.dataset.unit = String(unit);
        this.root.dataset.site = site;
        this.timing.painted = performance.now();
        this.root.dataset.paintMs = (this.timing.painted - this.timing.key).toFixed(1);
        this.loadInSight();
        this.loadNextUnit();
      });
    }

    /** The likely next unit's values are here before the key. */
    loadNextUnit() {
      const next = interp.session.likelyUnit();
      if (next === null || !this.shown) return;
      const [start, stop] = this.view.positionsInSight(10);
      textValues.loadEarly(this.about, [this.shown.site], next, start, stop, this.stream.nPositions);
    }

    /** Values around what is on screen that are not here yet. */
    loadInSight() {
      if (!this.shown || this.loading) return;
      const { site, unit } = this.shown;
      const [start, stop] = this.view.positionsInSight(MARGIN_ROWS);
      const track = this.track;
      this.loading = true;
      guarded(async () => {
        await textValues.load(this.about, [site], unit, start, stop, this.stream.nPositions);
        if (track) await textValues.loadTrack(this.about, this.stream.name, track, start, stop, this.stream.nPositions);
      }).then(() => {
        this.loading = false;
        const key = `${this.partKey}|${site}|${unit}|${track}|${Math.floor(start / textValues.size)}|${Math.floor(stop / textValues.size)}`;
        if (key === this.loadedKey) return;
        this.loadedKey = key;
        this.view.refresh();
        selection.set({ loaded: key });
      });
    }

    showTrack() {
      const { track } = selection.get();
      // An underline that this recording does not have is no reason to fail.
      this.track = trackOf(this.about, this.stream, track) ? track : null;
      if (!this.about || !this.stream) return;
      this.loadedKey = '';
      this.recolour();
      this.loadInSight();
    }

    recolour() {
      if (!this.shown || !this.about) return;
      const state = selection.get();
      const theme = selection.theme();
      const scale = scaleFor(state, selection.site(this.shown.site), state.limit || 1);
      const table = colourTable(scale, theme);
      const drawn = interp.currentTrack();
      const track = drawn ? textValues.reader(this.about, `${this.stream.name}:${this.track}`, 'track') : null;
      const paint = {
        value: textValues.reader(this.about, this.shown.site, this.shown.unit),
        table,
        beyondPixel: toPixel(PALETTES[theme].beyond),
        track,
        trackTable: drawn ? trackTable(drawn, theme) : null,
      };
      this.view.setPaint(paint, state.marks);
    }

    hovered(/** @type {MouseEvent} */ event) {
      const position = this.view.places.positionAt(event.clientX, event.clientY);
      if (position < 0) selection.set({ hoverPos: null });
      else selection.set({ hoverPos: position, hoverFrom: 'text' });
    }

    clicked(/** @type {MouseEvent} */ event) {
      if (this.view.selectedOffsets()) return;
      const position = this.view.places.positionAt(event.clientX, event.clientY);
      if (position < 0) return;
      const pinned = selection.get().pos === position;
      selection.set({ pos: pinned ? null : position, range: null }, { push: true });
    }

    /** Selected text is a range of positions. */
    selected() {
      const chosen = this.view.layout && this.view.selectedOffsets();
      if (!chosen) return;
      const { layout } = this.view;
      const [start, stop] = this.view.positionRange(layout.characterAt(chosen[0]), layout.characterAt(chosen[1] - 1) + 1);
      if (stop > start) selection.set({ range: [start, stop] });
    }

    copied(/** @type {ClipboardEvent} */ event) {
      const chosen = this.view.selectedOffsets();
      if (!chosen || !event.clipboardData) return;
      event.clipboardData.setData('text/plain', this.view.layout.text.slice(chosen[0], chosen[1]));
      event.preventDefault();
    }

    drawCursors() {
      const { hoverPos, pos, range } = selection.get();
      const { view } = this;
      if (!view.layout) return;
      const boxes = [];
      const add = (/** @type {number|null} */ position, /** @type {string} */ className) => {
        if (position === null || position < view.part.start || position >= view.part.stop) return;
        const [low, high] = view.charactersOf(position);
        for (const box of view.places.boxesOf(low, high)) boxes.push({ ...box, className });
      };
      if (range) {
        const [a, b] = [Math.max(range[0], view.part.start), Math.min(range[1], view.part.stop)];
        if (b > a) {
          for (const box of view.places.boxesOf(view.charactersOf(a)[0], view.charactersOf(b - 1)[1], 200)) boxes.push({ ...box, className: 'range' });
        }
      }
      add(pos, 'pin');
      add(hoverPos, 'hover');
      const made = boxes.map(({ x, y, width, height, className }) => {
        const box = document.createElement('div');
        box.className = `cursor cursor-${className}`;
        box.style.cssText = `left:${x}px;top:${y}px;width:${width}px;height:${height}px`;
        return box;
      });
      view.overlay.replaceChildren(...made);
    }
  }

  /** The text of a position on screen, "" for others. */
  interp.tokenAt = (/** @type {number} */ position) => {
    const root = /** @type {any} */ (document.querySelector('.coloured-text'));
    const view = root && root.controller && root.controller.view;
    if (!view || !view.layout || position < view.part.start || position >= view.part.stop) return '';
    const [low, high] = view.charactersOf(position);
    return view.layout.text.slice(view.layout.offsetOf(low), view.layout.offsetOf(high));
  };

  /** @param {{id?: any, className?: string}} props */
  function ColouredText(props) {
    const ref = React.useRef(null);
    React.useEffect(() => {
      const controller = new TextController(ref.current);
      ref.current.controller = controller;
      controller.showPart();
      return () => controller.close();
    }, []);
    return React.createElement('div', {
      id: props.id,
      ref,
      className: `coloured-text ${props.className || ''}`,
      tabIndex: 0,
      role: 'region',
      'aria-label': 'Text coloured by the chosen unit',
    });
  }

  window.dashboard = Object.assign(window.dashboard || {}, { ColouredText });
})();
