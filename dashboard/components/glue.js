// @ts-check
/** Clientside callbacks: the few places where Dash's own components meet the linked selection. */
(function () {
  'use strict';
  window.dash_clientside = Object.assign(window.dash_clientside || {}, { interp: {} });
})();
