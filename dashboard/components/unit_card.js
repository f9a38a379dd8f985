// @ts-check
/**
 * UnitCard: the chosen unit in numbers, its histogram with the hovered value marked, and the link
 * between the selection and the list of units below it.
 */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection, LruMap, textValues } = interp;
  const { getJson, guarded } = interp.requests;
  const { colourOf, formatValue, scaleFor, toCss } = interp.colour;
  const { VALUE_OF } = interp.halves;

  const kept = new LruMap(300);

  /** Load the shown unit's histogram a little after the unit has come to rest. */
  function loadHistogram() {
    const { about, site } = selection.get();
    const unit = selection.shownUnit();
    if (!about || !site || unit === null || !selection.site(site)) return; // of the recording before
    const key = `${about.key}|${about.fingerprint}|${site}|${unit}`;
    const known = kept.get(key);
    if (known) {
      selection.set({ histogram: known });
      return;
    }
    clearTimeout(loadHistogram.timer);
    loadHistogram.timer = setTimeout(() => guarded(async () => {
      const found = { site, unit, ...(await getJson(`${about.key}/histogram`, { site, unit, v: about.fingerprint })) };
      kept.set(key, found);
      if (selection.get().site === site && selection.shownUnit() === unit) selection.set({ histogram: found });
    }), 60);
  }
  loadHistogram.timer = 0;

  /** Load the statistics of a site's units, once per site. */
  function loadStatistics() {
    const { about, site, statistics, limit } = selection.get();
    // The text comes first: statistics of all units are the one slow answer.
    if (!about || !site || limit === null || (statistics && statistics.site === site && statistics.key === about.key)) return;
    const asked = `${about.key}|${about.fingerprint}|${site}`;
    if (asked === loadStatistics.asked) return;
    loadStatistics.asked = asked;
    guarded(async () => {
      const found = await getJson(`${about.key}/units`, { site, v: about.fingerprint });
      if (selection.get().site === site) selection.set({ statistics: { ...found, site, key: about.key } });
    }).finally(() => (loadStatistics.asked = ''));
  }
  loadStatistics.asked = '';

  function drawHistogram(/** @type {HTMLCanvasElement} */ canvas, /** @type {any} */ histogram, /** @type {any} */ scale, /** @type {string} */ theme, /** @type {number|null} */ marked) {
    const ratio = window.devicePixelRatio || 1;
    const width = (canvas.width = Math.round(canvas.clientWidth * ratio));
    const height = (canvas.height = Math.round(canvas.clientHeight * ratio));
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    const { counts, low, high } = histogram;
    const style = getComputedStyle(canvas);
    // Square root: a spike at one value must not hide the rest.
    const top = Math.sqrt(Math.max(1, ...counts));
    const each = width / counts.length;
    counts.forEach((/** @type {number} */ count, /** @type {number} */ i) => {
      const centre = low + ((i + 0.5) / counts.length) * (high - low);
      const size = count ? Math.max(ratio, (Math.sqrt(count) / top) * (height - 4 * ratio)) : 0;
      const x = Math.round(i * each);
      context.fillStyle = toCss(colourOf(centre, scale, theme));
      context.fillRect(x, height - size, Math.round((i + 1) * each) - x - (each > 4 ? 1 : 0), size);
      context.fillStyle = style.color;
      context.globalAlpha = 0.45;
      if (count) context.fillRect(x, height - size, Math.round((i + 1) * each) - x - (each > 4 ? 1 : 0), Math.max(1, ratio));
      context.globalAlpha = 1;
    });
    if (marked === null || Number.isNaN(marked)) return;
    const x = Math.max(0, Math.min(1, (marked - low) / (high - low))) * width;
    context.fillStyle = style.color;
    context.fillRect(Math.round(x - ratio), 0, Math.round(2 * ratio), height);
  }

  function Histogram() {
    const ref = React.useRef(null);
    const state = useSelection(['histogram', 'hoverPos', 'pos', 'scale', 'stretch', 'limit', 'theme', 'systemTheme', 'site', 'loaded']);
    const { histogram, about } = state;
    const position = state.hoverPos !== null ? state.hoverPos : state.pos;
    const site = selection.site();
    const fits = histogram && site && histogram.site === site.name;
    let marked = null;
    if (fits && position !== null) {
      const bits = textValues.reader(about, site.name, histogram.unit)(position);
      marked = bits >= 0 ? VALUE_OF[bits] : null;
    }
    React.useEffect(() => {
      if (fits) drawHistogram(ref.current, histogram, scaleFor(state, site, state.limit || 1), selection.theme(), marked);
    });
    if (!fits) return h('div', { className: 'histogram quiet' }, 'Loading …');
    return h('figure', { className: 'histogram', 'data-unit': histogram.unit, 'data-marked': marked === null ? '' : marked },
      h('canvas', { ref, role: 'img', 'aria-label': `Histogram of unit ${histogram.unit}, from ${formatValue(histogram.low)} to ${formatValue(histogram.high)}` }),
      h('figcaption', null, h('span', null, formatValue(histogram.low, 2)),
        h('span', { className: 'quiet' }, marked === null ? `${histogram.nPositions.toLocaleString('en')} positions, root counts` : `here ${formatValue(marked)}`),
        h('span', null, formatValue(histogram.high, 2))));
  }

  function Numbers() {
    const { statistics, track } = useSelection(['statistics', 'unit', 'hoverUnit', 'site', 'about', 'track']);
    const site = selection.site();
    const unit = selection.shownUnit();
    if (!site || !statistics || statistics.site !== site.name || unit === null) return h('dl', { className: 'numbers' });
    const percent = (/** @type {number|null} */ share) => (share === null || share === undefined ? '–' : `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`);
    // The strongest ones, and always the one that is drawn under the text.
    const weight = (/** @type {[string, any]} */ [name, values]) => (name === track ? 2 : Math.abs(values[unit] || 0));
    const correlations = Object.entries(statistics.correlation)
      .sort((a, b) => weight(b) - weight(a))
      .map(([name, values]) => [`r ${name}`, formatValue(values[unit], 2), `Correlation with ${name}`]);
    const rows = [
      ['mean', formatValue(statistics.mean[unit]), 'Mean over the sampled positions'],
      ['spread', formatValue(statistics.spread[unit]), 'Standard deviation'],
      ['saturated', percent(statistics.saturated[unit]), site.oneSided ? 'Share of values below 0.1 or above 0.9' : 'Share of values beyond ±0.9'],
      ...correlations.slice(0, 4),
    ];
    return h('dl', { className: 'numbers' }, rows.map(([name, value, title]) => h('div', { key: name, title }, h('dt', null, name), h('dd', null, value))));
  }

  function UnitCard(/** @type {any} */ props) {
    const { about, site, statistics } = useSelection(['about', 'site', 'unit', 'hoverUnit', 'statistics']);
    React.useEffect(() => {
      const stops = [
        selection.subscribe(['about', 'site', 'unit', 'hoverUnit'], loadHistogram),
        selection.subscribe(['about', 'site', 'limit'], loadStatistics),
      ];
      loadHistogram();
      loadStatistics();
      interp.unitList.bindUnitList(props.listId);
      return () => stops.forEach((stop) => stop());
    }, []);
    const current = about && site && selection.site();
    const stream = selection.stream();
    const unit = selection.shownUnit();
    const sampled = statistics && stream && statistics.nPositions < stream.nPositions;
    return h('div', { id: props.id, className: 'unit-card' },
      h('h2', null, current ? `Unit ${unit}` : 'Unit', selection.get().hoverUnit !== null && h('span', { className: 'badge' }, 'preview'),
        sampled && h('span', { className: 'badge', title: `${statistics.nDocuments.toLocaleString('en')} of ${stream.nDocuments.toLocaleString('en')} documents` }, `from ${statistics.nPositions.toLocaleString('en')} of ${stream.nPositions.toLocaleString('en')} positions`)),
      h(Histogram), h(Numbers));
  }

  window.dashboard = Object.assign(window.dashboard || {}, { UnitCard });
})();
