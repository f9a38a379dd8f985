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
   * @param {any} statistics @param {string|null} track @param {string} sorted as `sortOf` writes it
   */
  function columnsOf(statistics, track, sorted) {
    const byColumn = (/** @type {string} */ id) => (sorted.startsWith(`${id}:`) ? sorted.slice(id.length + 1) : null);
    const number = { filter: 'agNumberColumnFilter', type: 'rightAligned', sortingOrder: ['desc', 'asc', null] };
    const names = Object.keys(statistics.correlation).sort((a, b) => Number(b === track) - Number(a === track));
    const format = { function: 'interpFormat(params)' };
    const columns = [
      { field: 'unit', colId: 'unit', sort: byColumn('unit'), headerName: 'unit', width: 70, pinned: 'left', ...number, sortingOrder: ['asc', 'desc'] },
      ...names.map((name) => ({
        field: `r${Object.keys(statistics.correlation).indexOf(name)}`, colId: `r ${name}`, sort: byColumn(`r ${name}`), headerName: `r ${name}`, headerTooltip: `Correlation with ${name}`, flex: 1, minWidth: 84, ...number,
        valueFormatter: format, cellStyle: { function: 'interpCorrelationStyle(params)' }, comparator: { function: 'interpByMagnitude' },
      })),
      { field: 'mean', colId: 'mean', sort: byColumn('mean'), headerName: 'mean', flex: 1, minWidth: 74, valueFormatter: format, ...number },
      { field: 'spread', colId: 'spread', sort: byColumn('spread'), headerName: 'spread', headerTooltip: 'Standard deviation', flex: 1, minWidth: 78, valueFormatter: format, ...number },
    ];
    if (statistics.saturated.some((/** @type {any} */ share) => share !== null)) {
      columns.push({ field: 'saturated', colId: 'saturated', sort: byColumn('saturated'), headerName: 'saturated', headerTooltip: 'Share of values near the ends of the range', flex: 1, minWidth: 92, valueFormatter: { function: 'interpPercent(params)' }, ...number });
    }
    return columns;
  }

  /** What sorts the list unless the reader says otherwise: the annotation under the text. */
  function usualSort(/** @type {any} */ statistics, /** @type {string|null} */ track) {
    return track !== null && track in statistics.correlation ? `r ${track}:desc` : '';
  }

  /** The model of the grid's filters, null for none or for what is no such thing. @param {string|null} text */
  function filterOf(text) {
    try {
      const model = JSON.parse(text || 'null');
      return model && typeof model === 'object' && !Array.isArray(model) ? model : null;
    } catch {
      return null;
    }
  }

  /** Missing values last; correlations by their magnitude, since a unit may be on by being low. */
  function byMagnitude(/** @type {number|null} */ a, /** @type {number|null} */ b) {
    const size = (/** @type {number|null} */ value) => (value === null || value === undefined ? -1 : Math.abs(value));
    return size(a) - size(b);
  }

  /** The grid's filters, null for none. */
  function modelOf(/** @type {any} */ api) {
    const model = api.getFilterModel();
    return model && Object.keys(model).length ? model : null;
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
    const columns = () => {
      const { statistics, track, listsort } = selection.get();
      return columnsOf(statistics, track, listsort === null ? usualSort(statistics, track) : listsort);
    };
    const filter = () => {
      const found = api();
      const { listfilter } = selection.get();
      if (found && JSON.stringify(filterOf(listfilter)) !== JSON.stringify(modelOf(found))) {
        // As a property: the grid's wrapper would undo what is done to the grid behind its back.
        window.dash_clientside.set_props(id, { filterModel: filterOf(listfilter) || {} });
      }
    };
    const tick = () => {
      const units = selection.get().units || [];
      window.dash_clientside.set_props(id, { selectedRows: { ids: units.map(String) } });
    };
    const fill = () => {
      const { statistics, units } = selection.get();
      if (!statistics) return;
      window.dash_clientside.set_props(id, { rowData: rowsOf(statistics), columnDefs: columns() });
      if (units) tick();
      setTimeout(follow, 300);
      listen();
    };
    const sort = () => selection.get().statistics && window.dash_clientside.set_props(id, { columnDefs: columns() });
    // The reader's own sorting and filters are part of the address.
    let listening = false;
    const listen = () => {
      const found = api();
      if (listening) return;
      // Filters of columns that are not there yet would be dropped.
      if (!found || !found.getColumn('mean')) {
        setTimeout(listen, 100);
        return;
      }
      listening = true;
      filter();
      found.addEventListener('sortChanged', () => {
        const { statistics, track } = selection.get();
        const by = found.getColumnState().find((/** @type {any} */ column) => column.sort);
        const now = by ? `${by.colId}:${by.sort}` : '';
        if (statistics) selection.set({ listsort: now === usualSort(statistics, track) ? null : now }, { push: true });
      });
      found.addEventListener('filterChanged', () => {
        const model = modelOf(found);
        selection.set({ listfilter: model && JSON.stringify(model) }, { push: true });
      });
    };
    selection.subscribe(['statistics'], fill);
    selection.subscribe(['track', 'listsort'], sort);
    selection.subscribe(['listfilter'], filter);
    selection.subscribe(['units'], tick);
    let rest = 0;
    selection.subscribe(['unit'], () => {
      // Walking through units by key must not wait for the list.
      clearTimeout(rest);
      rest = window.setTimeout(follow, 80);
    });
    selection.subscribe(['theme', 'systemTheme'], () => api() && api().redrawRows());
    fill();
  }

  const { TEXT } = interp.urlState.kinds;
  // listsort: null as usual, '' not at all, else column:direction. listfilter: the grid's own model.
  interp.addState({ listsort: { ...TEXT, initial: null }, listfilter: { ...TEXT, initial: null } });
  interp.addReset(['listsort', 'listfilter']);
  Object.assign(interp, { unitList: { rowsOf, columnsOf, byMagnitude, bindUnitList } });
})();
