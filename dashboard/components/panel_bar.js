// @ts-check
/** PanelBar: which panel stands below the text, with that panel's own controls. */
(function () {
  'use strict';
  const React = window.React;
  const h = React.createElement;
  const { interp } = globalThis;
  const { selection, useSelection, registry } = interp;

  function PanelBar(/** @type {any} */ props) {
    const { panel, about } = useSelection(['panel', 'about']);
    const shown = registry.panels.find((/** @type {any} */ place) => place.name === panel);
    return h('div', { id: props.id, className: 'bar' },
      h('div', { role: 'tablist', className: 'tabs', 'aria-label': 'Below the text' },
        registry.panels.map((/** @type {any} */ { name, title, ...place }) => {
          const lack = registry.lackOf(place, about);
          return h('button', {
            key: name, type: 'button', role: 'tab', 'aria-selected': panel === name, title: lack || undefined,
            className: `tab${panel === name ? ' is-on' : ''}${lack ? ' is-empty' : ''}`,
            onClick: () => selection.set({ panel: name }, { push: true }),
          }, title);
        })),
      shown && shown.Bar && h(shown.Bar));
  }

  /** What a pane says that has nothing to show: what is missing, what to do next. What stands between backticks is to be typed. */
  function EmptyNote(/** @type {{text: string}} */ { text }) {
    const pieces = text.split('`').map((piece, i) => (i % 2 ? h('code', { key: i }, piece) : piece));
    return h('p', { className: 'empty-note', role: 'note' }, pieces);
  }

  Object.assign(interp, { EmptyNote });
  window.dashboard = Object.assign(window.dashboard || {}, { PanelBar });
})();
