/** Runs in the page: how long from an event until its pixels are on the screen. */
window.bench = {
  frames: () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
  async until(holds) {
    const start = performance.now();
    while (!holds()) await new Promise((done) => setTimeout(done));
    await bench.frames();
    return performance.now() - start;
  },
  painted: (selector) => document.querySelector(selector)?.dataset.painted || '',
  async window(patch) {
    const before = bench.painted('.head-grid').split('|')[1];
    interp.selection.set(patch);
    return bench.until(() => !['', before].includes(bench.painted('.head-grid').split('|')[1] || ''));
  },
  async look(patch, selector, part) {
    const shown = document.querySelector(selector);
    if (shown) delete shown.dataset.painted;
    interp.selection.set(patch);
    return bench.until(() => bench.painted(selector) !== '' && bench.painted(selector).includes(part));
  },
  async head(layer, head, part) {
    const name = `h.${layer}.attn/attention:${head}|${part}`;
    const done = bench.until(() => bench.painted('.matrix') === name);
    interp.attention.chooseHead(`h.${layer}.attn/attention`, head);
    return done;
  },
  async hover(share) {
    const canvas = document.querySelector('.matrix canvas');
    const box = canvas.getBoundingClientRect();
    const event = { clientX: box.left + 92 + share * (box.width - 92), clientY: box.top + 92 + share * (box.height - 92), bubbles: true };
    const start = performance.now();
    canvas.dispatchEvent(new MouseEvent('mousemove', event));
    await bench.frames();
    const cell = interp.selection.get().hoverCell;
    return cell && cell.weight !== null && document.querySelector('.matrix-hover') ? performance.now() - start : Infinity;
  },
};
