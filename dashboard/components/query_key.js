// @ts-check
/** QueryKey: the textbook's steps for one query and one key, on the recorded numbers. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection, attention } = interp;
  const { colourAt, formatValue, toCss } = interp.colour;

  const SHOWN = 24; // keys of the row that are listed

  /** A row of small cells, one per dimension, diverging around zero. */
  function Cells(/** @type {{name: string, values: number[], limit: number, note: string}} */ { name, values, limit, note }) {
    const ref = React.useRef(null);
    const { theme, systemTheme } = useSelection(['theme', 'systemTheme']);
    React.useEffect(() => {
      const canvas = /** @type {HTMLCanvasElement|null} */ (ref.current);
      if (!canvas) return;
      Object.assign(canvas, { width: values.length, height: 1 });
      const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
      values.forEach((value, i) => {
        context.fillStyle = toCss(colourAt(Math.max(-1, Math.min(1, value / limit)), selection.theme()));
        context.fillRect(i, 0, 1, 1);
      });
    }, [values, limit, theme, systemTheme]);
    return h('div', { className: 'step-cells' }, h('span', { className: 'step-name' }, name),
      h('canvas', { ref, role: 'img', 'aria-label': `${name}: ${values.length} numbers`, title: values.map((value) => value.toFixed(3)).join('  ') }), h('span', { className: 'quiet' }, note));
  }

  function Row(/** @type {any} */ { token, at, isChosen, score, weight, onClick }) {
    return h('tr', { className: isChosen ? 'is-chosen' : '', onClick },
      h('td', null, h('button', { type: 'button', className: 'link step-token', onClick }, interp.visible(token))),
      h('td', { className: 'number' }, at.toLocaleString('en')),
      h('td', { className: 'number' }, formatValue(score, 2)),
      h('td', null, h('span', { className: 'loss-bar', style: { '--share': `${(100 * weight).toFixed(1)}%` } }, weight.toFixed(3))));
  }

  function Steps(/** @type {any} */ { steps, place, keyPlace, query, isPinned, at: key }) {
    const product = steps.query.map((/** @type {number} */ value, /** @type {number} */ i) => value * steps.keys[key][i]);
    const limit = Math.max(1e-6, ...[...steps.query, ...steps.keys[key]].map(Math.abs));
    const most = Math.max(1e-6, ...product.map(Math.abs));
    const order = steps.weight.map((/** @type {number} */ w, /** @type {number} */ k) => [w, k]).filter((/** @type {number[]} */ [w]) => w > 0).sort((/** @type {number[]} */ a, /** @type {number[]} */ b) => b[0] - a[0]);
    const listed = order.slice(0, SHOWN);
    if (!listed.some((/** @type {number[]} */ [, k]) => k === key)) listed.push([steps.weight[key], key]);
    const rest = order.slice(SHOWN).reduce((/** @type {number} */ sum, /** @type {number[]} */ [w]) => sum + w, 0);
    const choose = (/** @type {number} */ k) => selection.set({ key: keyPlace.first + keyPlace.start + k }, { push: true });
    const name = (/** @type {any} */ where, /** @type {number} */ i) => interp.visible(where.tokens[i]);
    return h('div', { className: 'steps' },
      !isPinned && h('p', { className: 'quiet' }, 'The last token of the window is the query. To pin another, click a row of the matrix, a token of the lines or of the steps.'),
      h('section', null, h('h3', null, `1 · query × key, number by number`),
        h(Cells, { name: 'q', values: steps.query, limit, note: name(place, query) }),
        h(Cells, { name: 'k', values: steps.keys[key], limit, note: name(keyPlace, key) }),
        h(Cells, { name: 'q × k', values: product, limit: most, note: `largest ${formatValue(Math.max(...product.map(Math.abs)), 2)}` })),
      h('section', null, h('h3', null, '2 · add them up, and scale by √d'),
        h('p', { className: 'step-sum' }, h('b', null, `q · k = ${formatValue(steps.dot[key], 3)}`), `, times 1/√${steps.query.length} = ${formatValue(steps.scale, 4)} gives the score `, h('b', { 'data-score': steps.score[key] }, formatValue(steps.score[key], 3)))),
      h('section', null, h('h3', null, '3 · softmax over all keys in sight'),
        h('table', { className: 'table steps-table' }, h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'key'), h('th', { scope: 'col', className: 'number' }, 'position'), h('th', { scope: 'col', className: 'number' }, 'score'), h('th', { scope: 'col' }, 'weight'))),
          h('tbody', null, listed.map((/** @type {number[]} */ [w, k]) => h(Row, { key: k, token: keyPlace.tokens[k], at: keyPlace.start + k, isChosen: k === key, score: steps.score[k], weight: w, onClick: () => choose(k) })))),
        h('p', { className: 'quiet' }, order.length > SHOWN ? `${order.length - SHOWN} more keys share ${(100 * rest).toFixed(1)} %. ` : '',
          steps.error < 0.005 ? `Softmax of these scores equals the recorded weights (largest difference ${steps.error.toExponential(1)}).`
            : `Softmax of these scores differs from the recorded weights by up to ${steps.error.toFixed(3)}: this model adds something to its scores (a position bias, a cap, another scale) that is not shown here, or the document was read in windows and these keys come from another one.`)));
  }

  function QueryKey() {
    const { place, keyPlace } = useSelection(['place', 'keyPlace', 'pos', 'key', 'asite', 'head', 'hoverHead', 'mapCount', 'theme', 'systemTheme']);
    const shown = attention.shownHead();
    if (!shown || !place || !keyPlace) return h('p', { className: 'quiet attention-note' }, 'Loading …');
    if (!shown.site.hasVectors) return h(interp.EmptyNote, { text: `Queries and keys of ${shown.site.module} were not recorded. Record them beside the weights: \`--sites '**/attention,**/query,**/key'\`.` });
    const pinned = attention.pinned();
    const isPinned = pinned.query >= 0;
    const query = isPinned ? pinned.query : place.tokens.length - 1;
    const steps = attention.queryKey(shown.site, shown.head, place.start + query);
    if (!steps) return h('p', { className: 'quiet attention-note' }, 'Loading …');
    const best = steps.weight.indexOf(Math.max(...steps.weight));
    return h(Steps, { steps, place, keyPlace, query, isPinned, at: pinned.key >= 0 && pinned.key < steps.keys.length ? pinned.key : best });
  }

  Object.assign(interp, { QueryKey });
})();
