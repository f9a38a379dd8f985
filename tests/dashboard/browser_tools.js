// What the browser tests ask of a page. They find characters and canvases by where they are on the
// screen, so that they share no arithmetic with the code under test.
(() => {
  const pixel = (canvas, x, y) => {
    const box = canvas.getBoundingClientRect();
    if (!canvas.width || x < box.left || x >= box.right || y < box.top || y >= box.bottom) return null;
    const px = Math.floor(((x - box.left) / box.width) * canvas.width);
    const py = Math.floor(((y - box.top) / box.height) * canvas.height);
    const [r, g, b, a] = canvas.getContext('2d', { willReadFrequently: true }).getImageData(px, py, 1, 1).data;
    return a ? [r, g, b] : null;
  };
  const colourAt = (block, x, y) => {
    const fine = block.querySelector('.text-fine');
    return (fine && pixel(fine, x, y)) || pixel(block.querySelector('.text-canvas'), x, y);
  };
  /** Clusters of the text on screen: {text, box, block}, in order. */
  const clusters = (most = 1e9) => {
    const out = [];
    for (const pre of document.querySelectorAll('.text-pre')) {
      const walker = document.createTreeWalker(pre, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        for (const { segment, index } of new Intl.Segmenter().segment(node.data)) {
          if (out.length >= most) return out;
          const range = document.createRange();
          range.setStart(node, index);
          range.setEnd(node, index + segment.length);
          out.push({ text: segment, box: range.getBoundingClientRect(), block: pre.parentElement });
        }
      }
    }
    return out;
  };
  window.tools = {
    pixel,
    clusters,
    /** Colours of the first characters, read below the mark and above the second track. */
    textColours: (n) => clusters(n).map(({ text, box, block }) => (text === '\n' ? null : colourAt(block, box.left + box.width / 2, box.top + 0.6 * box.height))),
    /** Clusters whose colour, one pixel inside either edge, is not `even` or `odd` in turn. */
    misaligned: (even, odd) => {
      const same = (a, b) => a && a.every((c, k) => Math.abs(c - b[k]) <= 2);
      const wrong = [];
      clusters().forEach(({ text, box, block }, i) => {
        if (text.includes('\n')) return;
        const y = box.top + 0.6 * box.height;
        const wanted = i % 2 ? odd : even;
        for (const x of box.width > 2 ? [box.left + 1, box.right - 1] : [box.left + box.width / 2]) {
          const found = colourAt(block, x, y);
          if (!same(found, wanted)) wrong.push({ i, text, x, found, wanted });
        }
      });
      return { wrong: wrong.slice(0, 5), nWrong: wrong.length, n: clusters().length };
    },
    /** Per step of one strip: the colour that fills most of its middle column, and the line's height. */
    strip: (site, n) => {
      const canvas = document.querySelector(`.strip[data-site="${site}"] canvas`);
      const context = canvas.getContext('2d');
      return Array.from({ length: n }, (_, k) => {
        const x = Math.floor(((k + 0.5) * canvas.width) / n);
        const data = context.getImageData(x, 0, 1, canvas.height).data;
        const counts = new Map();
        const dark = [];
        for (let y = 0; y < canvas.height; y++) {
          const key = [...data.slice(4 * y, 4 * y + 3)].join();
          counts.set(key, (counts.get(key) || 0) + 1);
          if (data[4 * y] + data[4 * y + 1] + data[4 * y + 2] < 260) dark.push(y);
        }
        const [colour] = [...counts].sort((a, b) => b[1] - a[1])[0];
        return { colour: colour.split(',').map(Number), line: dark.length ? dark[0] / canvas.height : null };
      });
    },
  };
})();
