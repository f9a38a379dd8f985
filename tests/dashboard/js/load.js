// Loads the dashboard's pure scripts, in the order in which the page loads them.
'use strict';
const path = require('node:path');

const folder = path.join(__dirname, '..', '..', '..', 'dashboard', 'components');
for (const name of ['halves', 'colour_scale', 'url_state', 'selection', 'registry', 'requests', 'values', 'track_scale', 'text_layout', 'text_paint', 'text_search', 'time_axis', 'strip_paint']) {
  require(path.join(folder, `${name}.js`));
}
module.exports = globalThis.interp;
