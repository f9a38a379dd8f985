// @ts-check
/** Clientside callbacks: the few places where Dash's own components meet the linked selection. */
(function () {
  'use strict';
  const { selection } = globalThis.interp;

  /** Ticked rows are the rows of the heat map; none ticked means all. */
  function pickUnits(/** @type {{unit: number}[]|{ids: string[]}|null} */ rows) {
    if (!Array.isArray(rows)) return;
    const units = rows.map((row) => row.unit).sort((a, b) => a - b);
    const { units: before } = selection.get();
    if (!units.length && (!before || !before.length)) return;
    selection.set({ units: units.length ? units : null }, { push: true });
  }

  globalThis.interp.session.start();
  window.dash_clientside = Object.assign(window.dash_clientside || {}, { interp: { pickUnits } });
})();
