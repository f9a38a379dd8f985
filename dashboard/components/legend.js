// @ts-check
/** Legend: the colour scale in words and colours, and the switches that change it. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection } = interp;
  const { colourAt, formatValue, placeOnScale, scaleFor, toCss, PALETTES } = interp.colour;

  /** A CSS gradient that follows a scale, its stretch included. */
  function gradient(/** @type {any} */ scale, /** @type {string} */ theme, /** @type {string|undefined} */ hue) {
    const low = scale.oneSided ? 0 : -1;
    const stops = Array.from({ length: 25 }, (_, i) => {
      const value = (low + ((1 - low) * i) / 24) * scale.limit;
      return toCss(colourAt(placeOnScale(value, scale), theme, hue || (scale.oneSided ? 'oneSided' : undefined)));
    });
    return `linear-gradient(to right, ${stops.join(', ')})`;
  }

  function Legend() {
    const { site, scale, stretch, limit } = useSelection(['site', 'scale', 'stretch', 'limit', 'theme', 'systemTheme', 'about']);
    const current = site && selection.site();
    if (!current || limit === null) return null;
    const theme = selection.theme();
    const shown = scaleFor({ scale, stretch }, current, limit);
    const locked = scale !== null && scale > 0;
    const ends = formatValue(shown.limit, shown.limit < 10 ? 2 : 1);
    const lock = () => selection.set({ scale: locked ? null : Number(shown.limit.toPrecision(3)) }, { push: true });
    const setLimit = (/** @type {any} */ event) => {
      const value = Number(event.target.value);
      if (value > 0) selection.set({ scale: value }, { push: true });
    };
    return h('div', { className: 'legend', 'aria-label': `Colour scale from ${shown.oneSided ? '0' : `minus ${ends}`} to ${ends}`, role: 'group' },
      h('span', { className: 'legend-end' }, shown.oneSided ? '0' : `−${ends}`),
      h('span', { className: 'legend-bar', style: { backgroundImage: gradient(shown, theme, undefined) } }, !shown.oneSided && h('i', { className: 'legend-zero' })),
      locked
        ? h('input', { className: 'legend-limit', type: 'number', min: 0, step: 'any', 'aria-label': 'End of the scale', value: scale, onChange: setLimit })
        : h('span', { className: 'legend-end' }, ends),
      h('button', {
        type: 'button', className: locked ? 'chip is-on' : 'chip', 'aria-pressed': locked, onClick: lock,
        title: locked ? 'Scale locked for every unit; click to fit each unit again' : shown.oneSided ? 'Gates lie between 0 and 1; click to lock another end' : 'Fitted to this unit: 99.5 % of its values lie within; click to lock for every unit',
      }, locked ? 'locked' : shown.oneSided ? 'gate 0 to 1' : 'fitted'),
      h('button', {
        type: 'button', className: stretch === 'root' ? 'chip is-on' : 'chip', 'aria-pressed': stretch === 'root',
        onClick: () => selection.set({ stretch: stretch === 'root' ? 'linear' : 'root' }, { push: true }),
        title: 'Square root of the magnitude: shows small values',
      }, stretch === 'root' ? 'stretched' : 'linear'),
      h('span', { className: 'legend-beyond', title: 'A bar on top of a character: its value lies beyond the scale' },
        h('i', { style: { background: toCss(PALETTES[theme].beyond) } }), 'beyond'));
  }

  interp.Legend = Legend;
  interp.gradient = gradient;
})();
