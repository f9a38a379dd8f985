// @ts-check
/**
 * CanvasView: what views that draw on one canvas share. They draw again when the selection or their size
 * changes, are told of the pointer and of keys, and let go of everything when they are closed.
 */
(function () {
  'use strict';
  const React = window.React;
  const { interp } = globalThis;
  const { selection } = interp;

  class CanvasView {
    /** @param {HTMLElement} root holds the canvas @param {string[]} keys of the selection that it is drawn from */
    constructor(root, keys) {
      this.root = root;
      this.revealed = '';
      this.canvas = /** @type {HTMLCanvasElement} */ (root.querySelector('canvas'));
      /** @type {(() => void)[]} */
      this.stops = [selection.subscribe(keys, () => this.draw())];
      const observer = new ResizeObserver(() => this.draw());
      observer.observe(root);
      this.stops.push(() => observer.disconnect());
      this.canvas.addEventListener('mousemove', (event) => this.moved(event));
      this.canvas.addEventListener('mouseleave', () => this.left());
      this.canvas.addEventListener('click', (event) => this.clicked(event));
      root.addEventListener('keydown', (event) => this.keyed(event));
    }

    draw() {}
    moved(/** @type {MouseEvent} */ _event) {}
    clicked(/** @type {MouseEvent} */ _event) {}
    keyed(/** @type {KeyboardEvent} */ _event) {}

    /** The pointer has left, or the view has gone from under it. */
    left() {
      selection.set({ hoverCell: null, hoverEdge: null, hoverPos: null });
    }

    close() {
      this.stops.forEach((stop) => stop());
      this.left();
    }

    /**
     * Scroll to what is chosen when it is another thing than before, and only then.
     * @param {string} name of it @param {number|null} x of its middle, null: wherever it is @param {number|null} y @param {number} size pixels that are to be in sight around it
     */
    reveal(name, x, y, size) {
      if (this.revealed === name) return;
      this.revealed = name;
      const { root } = this;
      if (y !== null && (y - size / 2 < root.scrollTop || y + size / 2 > root.scrollTop + root.clientHeight)) root.scrollTop = y - root.clientHeight / 2;
      if (x !== null && (x - size / 2 < root.scrollLeft || x + size / 2 > root.scrollLeft + root.clientWidth)) root.scrollLeft = x - root.clientWidth / 2;
    }

    /** Give the canvas a size in CSS pixels. @param {number} width @param {number} height @returns {CanvasRenderingContext2D} that counts in them */
    sheet(width, height) {
      const scale = window.devicePixelRatio || 1;
      Object.assign(this.canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
      Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
      const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext('2d'));
      context.setTransform(scale, 0, 0, scale, 0, 0);
      return context;
    }
  }

  /** A React reference whose element has a view for as long as it is on the page. @param {new (root: HTMLElement) => CanvasView} View */
  function useCanvasView(View) {
    const ref = React.useRef(null);
    React.useEffect(() => {
      const root = /** @type {any} */ (ref.current);
      root.controller = new View(root);
      root.controller.draw();
      return () => root.controller.close();
    }, []);
    return ref;
  }

  Object.assign(interp, { CanvasView, useCanvasView });
})();
