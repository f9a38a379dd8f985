// @ts-check
/**
 * The unit list: fills Dash's grid from the statistics and links it with the selection. Rows under the
 * pointer preview, a click or Enter chooses, ticked rows are the rows of the heat map.
 */
(function () {
  'use strict';
  const { interp } = globalThis;
  const { selection } = interp;
  const { colourAt, formatValue, toCss, PALETTES } = interp.colour;

  /** @param {any} statistics @returns {Record<string, number|null>[]} one row per unit */
  function rowsOf(statistics) {
    const names = Object.keys(statistics.correlation);
    return statistics.mean.map((/** @type {number} */ mean, /** @type {number} */ unit) => {
      /** @type {Record<string, number|null>} */
      const row = { unit, mean, spread: statistics.spread[unit], saturated: statistics.saturated[unit] };
      names.forEach((name, i) => (row[`r${i}`] = statistics.correlation[name][unit]));
      return row;
    });
  }

  /**
   * Columns of the list. The annotation that is drawn under the text comes first and sorts the list:
   * choosing one is asking which units go with it.
   * @param {any} statistics @param {string|null} [track]
   */
  function columnsOf(statistics, track) {
    const number = { filter: 'agNumberColumnFilter', type: 'rightAligned', sortingOrder: ['desc', 'asc', null] };
    const names = Object.keys(statistics.correlation).sort((a, b) => Number(b === track) - Number(a === track));
    const format = { function: 'interpFormat(params)' };
    const columns = [
      { field: 'unit', headerName: 'unit', width: 70, pinned: 'left', ...number, sortingOrder: ['asc', 'desc'] },
      ...names.map((name) => ({
        field: `r${Object.keys(statistics.correlation).indexOf(name)}`, sort: name === track ? 'desc' : null, headerName: `r ${name}`, headerTooltip: `Correlation with ${name}`, flex: 1, minWidth: 84, ...number,
        valueFormatter: format, cellStyle: { function: 'interpCorrelationStyle(params)' }, comparator: { function: 'interpByMagnitude' },
      })),
      { field: 'mean', headerName: 'mean', flex: 1, minWidth: 74, valueFormatter: format, ...number },
      { field: 'spread', headerName: 'spread', headerTooltip: 'Standard deviation', flex: 1, minWidth: 78, valueFormatter: format, ...number },
    ];
    if (statistics.saturated.some((/** @type {any} */ share) => share !== null)) {
      columns.push({ field: 'saturated', headerName: 'saturated', headerTooltip: 'Share of values near the ends of the range', flex: 1, minWidth: 92, valueFormatter: { function: 'interpPercent(params)' }, ...number });
    }
    return columns;
  }

  /** Missing values last; correlations by their magnitude, since a unit may be on by being low. */
  function byMagnitude(/** @type {number|null} */ a, /** @type {number|null} */ b) {
    const size = (/** @type {number|null} */ value) => (value === null || value === undefined ? -1 : Math.abs(value));
    return size(a) - size(b);
  }

  const functions = ((/** @type {any} */ (window)).dashAgGridFunctions = (/** @type {any} */ (window)).dashAgGridFunctions || {});
  Object.assign(functions, {
    interpFormat: (/** @type {any} */ params) => formatValue(params.value, 2),
    interpPercent: (/** @type {any} */ params) => (params.value === null ? '–' : `${Math.round(100 * params.value)} %`),
    interpByMagnitude: byMagnitude,
    interpCorrelationStyle: (/** @type {any} */ params) => {
      const theme = selection.theme();
      if (params.value === null || params.value === undefined) return { background: 'none' };
      return { backgroundColor: toCss(colourAt(params.value, theme)), color: toCss(PALETTES[theme].text) };
    },
    interpRowId: (/** @type {any} */ params) => String(params.data.unit),
    interpIsChosen: (/** @type {any} */ params) => params.data && params.data.unit === selection.get().unit,
  });

  /**
   * Link the grid with the selection, once; the grid's own script may come later than this one.
   * @param {string} id of the grid
   */
  function bindUnitList(id) {
    const grid = document.getElementById(id);
    if (!grid) {
      setTimeout(() => bindUnitList(id), 50);
      return;
    }
    if (grid.dataset.bound) return;
    grid.dataset.bound = '1';
    const api = () => {
      try {
        return (/** @type {any} */ (window)).dash_ag_grid.getApi(id);
      } catch {
        return null;
      }
    };
    const unitOf = (/** @type {EventTarget|null} */ target) => {
      const row = target instanceof Element ? target.closest('.ag-row') : null;
      const unit = row ? Number(row.getAttribute('row-id')) : NaN;
      return Number.isInteger(unit) ? unit : null;
    };
    let timer = 0;
    grid.addEventListener('mouseover', (event) => {
      const unit = unitOf(event.target);
      clearTimeout(timer);
      timer = window.setTimeout(() => selection.set({ hoverUnit: unit === selection.get().unit ? null : unit }), 80);
    });
    grid.addEventListener('mouseleave', () => {
      clearTimeout(timer);
      selection.set({ hoverUnit: null });
    });
    grid.addEventListener('click', (event) => {
      if (event.target instanceof Element && event.target.closest('.ag-selection-checkbox, input')) return;
      const unit = unitOf(event.target);
      clearTimeout(timer);
      if (unit !== null) selection.chooseUnit(unit);
    });
    grid.addEventListener('keydown', (event) => {
      const unit = event.key === 'Enter' ? unitOf(event.target) : null;
      if (unit !== null) selection.chooseUnit(unit);
    });
    let last = -1;
    const follow = () => {
      const { unit } = selection.get();
      const found = api();
      if (!found || unit === null) return;
      const rows = [last, unit].map((u) => found.getRowNode(String(u))).filter(Boolean);
      last = unit;
      found.redrawRows({ rowNodes: rows });
      const row = found.getRowNode(String(unit));
      if (row && grid.offsetParent) found.ensureNodeVisible(row);
    };
    const fill = () => {
      const { statistics, units, track } = selection.get();
      if (!statistics) return;
      const properties = { rowData: rowsOf(statistics), columnDefs: columnsOf(statistics, track) };
      window.dash_clientside.set_props(id, properties);
      if (units) window.dash_clientside.set_props(id, { selectedRows: { ids: units.map(String) } });
      setTimeout(follow, 300);
    };
    const sort = () => {
      const { statistics, track } = selection.get();
      if (statistics) window.dash_clientside.set_props(id, { columnDefs: columnsOf(statistics, track) });
    };
    selection.subscribe(['statistics'], fill);
    selection.subscribe(['track'], sort);
    let rest = 0;
    selection.subscribe(['unit'], () => {
      // Walking through units by key must not wait for the list.
      clearTimeout(rest);
      rest = window.setTimeout(follow, 80);
    });
    selection.subscribe(['theme', 'systemTheme'], () => api() && api().redrawRows());
    fill();
  }

  Object.assign(interp, { unitList: { rowsOf, columnsOf, byMagnitude, bindUnitList } });
})();
