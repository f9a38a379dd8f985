// @ts-check
/**
 * AttentionSteps: one step of reading or writing at a time: where the head looks from there, and what the
 * model expects next.
 */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection, attention } = interp;
  const { colourAt, toCss } = interp.colour;

  const BARS = 8;

  /** The tokens as running text, the keys tinted by the weight that the step gives them. */
  function TokenFlow(/** @type {any} */ { place, weights, step, isQuery, onPick, theme, stretch }) {
    return h('div', { className: 'token-flow', role: 'group', 'aria-label': isQuery ? 'Positions: choose a step' : 'Keys' },
      place.tokens.map((/** @type {string} */ token, /** @type {number} */ i) => {
        const weight = weights ? weights[i] : 0;
        const place01 = stretch === 'root' ? Math.sqrt(Math.max(0, weight)) : Math.max(0, weight);
        return h('button', {
          key: i, type: 'button', className: `flow-token${isQuery && i === step ? ' is-step' : ''}${isQuery && i > step ? ' is-later' : ''}${place.written.includes(i) ? ' is-written' : ''}`,
          style: weights && weight > 0 ? { background: toCss(colourAt(Math.min(1, place01), theme, 'oneSided')) } : undefined,
          title: weights ? `${interp.visible(token)}: ${weight.toFixed(4)}` : interp.visible(token), onClick: () => onPick(i),
        }, attention.short(token));
      }));
  }

  /** What the model expects after the step. */
  function Guesses(/** @type {any} */ { about, stream, position, again }) {
    const found = interp.predictionsAt(about, stream, position, again);
    if (!stream.hasLoss) return h('p', { className: 'quiet' }, 'No predictions were recorded for this stream.');
    if (!found || !found.tokens) return h('p', { className: 'quiet' }, '…');
    return h('div', { className: 'step-guesses' }, h('span', { className: 'quiet' }, found.target === 'next' ? 'Expects next' : 'Says here'),
      found.tokens.slice(0, BARS).map((/** @type {string} */ token, /** @type {number} */ i) => h('span', { key: i, className: 'guess', style: { '--share': `${(100 * found.probability[i]).toFixed(1)}%` } },
        h('b', null, interp.visible(token)), ` ${(100 * found.probability[i]).toFixed(found.probability[i] < 0.1 ? 1 : 0)} %`)));
  }

  function AttentionSteps() {
    const { about, place, keyPlace, ramp } = useSelection(['about', 'place', 'keyPlace', 'pos', 'asite', 'head', 'hoverHead', 'mapCount', 'theme', 'systemTheme', 'ramp']);
    const [, again] = React.useReducer((/** @type {number} */ n) => n + 1, 0);
    const shown = attention.shownHead();
    if (!shown || !place || !keyPlace) return h('p', { className: 'quiet attention-note' }, 'Loading …');
    const map = attention.mapOf(shown.site, shown.head);
    const { query } = attention.pinned();
    const step = query >= 0 ? query : place.tokens.length - 1;
    const row = map && map.weights.subarray(step * map.keys, (step + 1) * map.keys);
    const go = (/** @type {number} */ i) => selection.set({ pos: place.first + place.start + Math.max(0, Math.min(place.tokens.length - 1, i)) }, { push: true });
    const slide = (/** @type {any} */ event) => selection.set({ pos: place.first + place.start + Number(event.target.value) });
    const isCross = shown.site.stream !== shown.site.keyStream;
    const stream = about.streams.find((/** @type {any} */ s) => s.name === shown.site.stream);
    const common = { theme: selection.theme(), stretch: ramp };
    return h('div', { className: 'step-view' },
      h('div', { className: 'bar' },
        h('button', { type: 'button', className: 'chip', disabled: step <= 0, onClick: () => go(step - 1) }, '‹ step'),
        h('input', { type: 'range', min: 0, max: place.tokens.length - 1, value: step, 'aria-label': 'Step', className: 'step-slider', onChange: slide }),
        h('button', { type: 'button', className: 'chip', disabled: step >= place.tokens.length - 1, onClick: () => go(step + 1) }, 'step ›'),
        h('span', { className: 'count', 'data-step': step }, `step ${place.start + step + 1} of ${place.length.toLocaleString('en')}`)),
      h('h3', null, 'At ', h('span', { className: 'step-token' }, interp.visible(place.tokens[step]))),
      h(Guesses, { about, stream, position: place.first + place.start + step, again }),
      isCross && h(React.Fragment, null, h('h3', null, `The head looks at the ${shown.site.keyStream}`), h(TokenFlow, { place: keyPlace, weights: row, isQuery: false, onPick: (/** @type {number} */ i) => selection.set({ key: keyPlace.first + keyPlace.start + i }, { push: true }), ...common })),
      h('h3', null, isCross ? `The ${shown.site.stream} so far` : 'The head looks at'),
      h(TokenFlow, { place, weights: isCross ? null : row, step, isQuery: true, onPick: go, ...common }),
      place.written.length > 0 && h('p', { className: 'quiet' }, 'The model wrote the underlined tokens itself.'));
  }

  Object.assign(interp, { AttentionSteps, TokenFlow });
})();
