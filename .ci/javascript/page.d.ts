/** What the page's scripts find on the window: React from Dash, and each other. */
interface Window {
  React: any;
  dashboard: Record<string, any>;
  dash_clientside: any;
}
declare var interp: any;
