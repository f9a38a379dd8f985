// @ts-check
/** Readout: everything known about the position under the pointer, or the pinned one. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection, textValues, LruMap } = interp;
  const { getJson, guarded } = interp.requests;
  const { VALUE_OF } = interp.halves;
  const { formatValue, colourOf, scaleFor, toCss } = interp.colour;

  const WINDOW = 256;
  const SHOWN = 0.001; // less probable guesses say nothing
  const pages = new LruMap(40);
  const exactValues = new LruMap(400);

  /** Names for characters that cannot be seen. */
  function visible(/** @type {string} */ token) {
    const named = { ' ': 'space', '\n': 'newline', '\t': 'tab', '\r': 'return', '': 'nothing' };
    if (token in named) return named[/** @type {' '} */ (token)];
    return interp.textLayout.displayText(token).replace(/ /g, '·').replace(/\n/g, '↵').replace(/\t/g, '→').slice(0, 60);
  }

  /** Predictions around a position; told again through `told` when they have come. */
  function predictionsAt(/** @type {any} */ about, /** @type {any} */ stream, /** @type {number} */ position, /** @type {() => void} */ told) {
    const start = Math.floor(position / WINDOW) * WINDOW;
    const key = `${about.fingerprint}|${stream.name}|${start}`;
    const page = pages.get(key);
    if (page && page !== 'coming') {
      const i = position - start;
      return { tokens: page.tokens[i], probability: page.probability[i], loss: page.loss[i], target: page.target };
    }
    if (!page && stream.hasLoss) {
      pages.set(key, 'coming');
      guarded(async () => {
        const stop = Math.min(stream.nPositions, start + WINDOW);
        pages.set(key, await getJson(`${about.key}/predictions`, { stream: stream.name, start, stop, v: about.fingerprint }));
        told();
      });
    }
    return null;
  }

  /** The value at a position: at once as far as it is here; with all digits when it is not exact. */
  function valueAt(/** @type {any} */ about, /** @type {any} */ site, /** @type {number} */ unit, /** @type {number} */ position, /** @type {() => void} */ told) {
    const bits = textValues.reader(about, site.name, unit)(position);
    const near = bits >= 0 ? VALUE_OF[bits] : NaN;
    if (site.exact) return near;
    const key = `${about.fingerprint}|${site.name}|${unit}|${position}`;
    const known = exactValues.get(key);
    if (typeof known === 'number') return known;
    if (known === undefined) {
      exactValues.set(key, 'coming');
      guarded(async () => {
        exactValues.set(key, (await getJson(`${about.key}/exact`, { site: site.name, unit, position, v: about.fingerprint })).value);
        told();
      });
    }
    return near;
  }

  function Guess(/** @type {any} */ { token, probability, isActual }) {
    return h('span', { className: isActual ? 'guess is-actual' : 'guess', style: { '--share': `${(100 * probability).toFixed(1)}%` }, title: isActual ? 'This is what came' : undefined },
      h('b', null, visible(token)), ` ${(100 * probability).toFixed(probability < 0.1 ? 1 : 0)} %`);
  }

  function Readout(/** @type {any} */ props) {
    const { about, hoverPos, pos, site, limit, scale, stretch } = useSelection(['about', 'hoverPos', 'pos', 'site', 'unit', 'hoverUnit', 'limit', 'theme', 'systemTheme', 'scale', 'stretch', 'part', 'loaded', 'track', 'categories']);
    const [, again] = React.useReducer((/** @type {number} */ n) => n + 1, 0);
    const position = hoverPos !== null ? hoverPos : pos;
    const current = about && selection.site(site);
    const stream = selection.stream();
    const unit = selection.shownUnit();
    if (!current || !stream || position === null || position >= stream.nPositions) {
      return h('div', { id: props.id, className: 'readout quiet' },
        `Point at ${stream && !stream.hasText ? 'a step' : 'the text'} to read values; click to pin. `, h('span', null, h('kbd', null, '['), ' ', h('kbd', null, ']'), ' change the unit'), h('span', null, h('kbd', null, '?'), ' all keys'));
    }
    const value = valueAt(about, current, unit, position, again);
    const guesses = predictionsAt(about, stream, position, again);
    const token = interp.tokenAt ? interp.tokenAt(position) : '';
    const next = interp.tokenAt && guesses && guesses.target === 'next' ? interp.tokenAt(position + 1) : token;
    const { track } = selection.get();
    const words = track ? interp.trackWords(interp.currentTrack(), track, textValues.reader(about, `${stream.name}:${track}`, 'track')(position)) : '';
    const swatch = toCss(colourOf(value, scaleFor({ scale, stretch }, current, limit || 1), selection.theme()));
    return h('div', { id: props.id, className: 'readout' },
      h('span', { className: 'readout-token', style: { background: Number.isNaN(value) ? undefined : swatch } }, visible(token)),
      h('span', { className: 'readout-value' }, h('span', { className: 'quiet' }, `${current.group}/${current.signal}:${unit} `), h('b', { 'data-value': value }, formatValue(value, 4))),
      h('span', { className: 'quiet' }, `position ${position.toLocaleString('en')}`, hoverPos === null ? ' · pinned' : ''),
      words && h('span', { className: 'readout-track' }, words),
      guesses && guesses.tokens && h('span', { className: 'guesses' },
        h('span', { className: 'quiet' }, guesses.target === 'next' ? 'expects next' : 'says'),
        guesses.tokens.map((/** @type {string} */ t, /** @type {number} */ i) => guesses.probability[i] >= SHOWN && h(Guess, { key: i, token: t, probability: guesses.probability[i], isActual: t === next }))),
      guesses && guesses.loss !== null && h('span', { className: 'quiet readout-loss' }, `loss ${guesses.loss.toFixed(2)} nats`));
  }

  Object.assign(interp, { visible, predictionsAt });
  window.dashboard = Object.assign(window.dashboard || {}, { Readout });
})();
