"""The application factory: sources in, a Dash application out; importing does nothing."""

from __future__ import annotations

from collections.abc import Sequence

from dash import Dash, html

import dashboard
from dashboard import api, ids, views
from dashboard.components import Messages, PanelBar, Toolbar
from dashboard.library import Library
from dashboard.security import LOCAL_HOSTS, content_security_policy, harden
from dashboard.sources.protocol import Source

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>{%metas%}<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{%title%}</title>{%favicon%}{%css%}</head>
<body>{%app_entry%}<footer hidden>{%config%}{%scripts%}{%renderer%}</footer></body>
</html>"""


def create_app(source: Source | Sequence[Source], *, hosts: Sequence[str] = LOCAL_HOSTS) -> Dash:
    """Return the dashboard over one source or several.

    Parameters
    ----------
    source : Source or sequence of Source
        In the order in which the picker shows them.
    hosts : sequence of str
        Host names that the server answers to; all others get status 400.
    """
    sources = list(source) if isinstance(source, Sequence) else [source]
    app = Dash(
        "dashboard",
        title="interp",
        update_title=None,  # the title stays
        index_string=PAGE,
        compress=False,
        enable_mcp=False,
        serve_locally=True,
        include_assets_files=False,
    )
    app.layout = layout
    for view in views.VIEWS:
        view.register(app)
    library = Library(sources)
    app.server.extensions["interp"] = library
    app.server.register_blueprint(api.blueprint(library, views.routes()))
    # Last: the hashes cover every script that Dash itself writes into the page.
    harden(app.server, content_security_policy(app.csp_hashes()), hosts)
    return app


def layout() -> html.Div:
    """Return the page; the same for every visitor, state is the browser's."""
    panel = html.Section(
        [PanelBar(id=ids.PANEL_BAR), *(view.layout() for view in views.in_area("panel"))],
        className="pane pane-panel",
        **{"aria-label": "Below the text"},
    )
    left = html.Div([*(view.layout() for view in views.in_area("text")), panel], className="left")
    side = html.Div([view.layout() for view in views.in_area("side")], className="side")
    pages = [view.layout() for view in views.in_area("page")]
    return html.Div(
        [
            html.Header(
                [html.H1("interp", className="brand"), Toolbar(id=ids.TOOLBAR)],
                className="header",
            ),
            html.Main([html.Div([left, side], className="explore"), *pages], className="main"),
            Messages(id=ids.MESSAGES),
        ],
        className="page",
        **{"data-version": dashboard.__version__},
    )
