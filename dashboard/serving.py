"""Serving the dashboard on this machine."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO
from urllib.parse import urlencode

from dashboard.sources.protocol import Source
from interp.errors import InterpError

FIRST_PORT = 8050
PORTS_TO_TRY = 50
THREADS = 8
CONNECTIONS = 1_000  # a browser keeps six open: 20 users would fill waitress's own limit of 100


def bind(host: str, port: int | None) -> socket.socket:
    """Return a listening socket at the port asked for, or at the first free one from 8050 on.

    Raises
    ------
    InterpError
        When the port is taken, or no port is free.
    """
    candidates = [port] if port is not None else range(FIRST_PORT, FIRST_PORT + PORTS_TO_TRY)
    for candidate in candidates:
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if os.name == "posix":
            # A port left in TIME_WAIT is free; on other systems the option means something else.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(128)
            return listener
        except OSError as error:
            listener.close()
            if error.errno == errno.EACCES:
                raise InterpError(
                    f"Port {candidate} may not be opened by this user; choose one above 1023."
                ) from None
            if error.errno != errno.EADDRINUSE:
                raise InterpError(
                    f"Cannot listen on {host}:{candidate}: {error.strerror}."
                ) from None
    if port is not None:
        raise InterpError(
            f"Port {port} on {host} is in use by another program. "
            "Choose another with --port, or leave --port out to have a free one found."
        )
    last = FIRST_PORT + PORTS_TO_TRY - 1
    raise InterpError(f"No free port from {FIRST_PORT} to {last}; choose one with --port.")


def opening(unit: str | None, track: str | None) -> str:
    """Return the query of a page that opens at a unit, such as ``"?site=lstm/l0/cell&unit=87"``.

    A unit of an attention site is a head; that page opens at attention.
    """
    query: dict[str, str] = {}
    if unit is not None:
        site, colon, index = unit.rpartition(":")
        if not colon or not index.isdecimal():
            raise InterpError(f"{unit!r} is no unit; one is written like lstm/l0/cell:87.")
        if site.rpartition("/")[2] == "attention":
            query |= {"view": "attention", "asite": site, "head": index}
        else:
            query |= {"site": site, "unit": index}
    if track is not None:
        query["track"] = track
    return "?" + urlencode(query, safe="/:") if query else ""


def serve(
    recordings: Sequence[str | Path | Source] | str | Path | Source,
    port: int | None = None,
    open_browser: bool = True,
    host: str = "127.0.0.1",
    *,
    unit: str | None = None,
    track: str | None = None,
    output: TextIO | None = None,
) -> None:
    """Serve recordings until Ctrl-C.

    Parameters
    ----------
    recordings : paths of recordings, or sources, one or several
    port : int, optional
        None: the first free one from 8050 on.
    open_browser : bool
        Show the page in the user's browser as well.
    host : str
        Address to listen on. Only this machine by default; the environment has no say.
    unit : str, optional
        The unit to open at, such as ``"lstm/l0/cell:87"``, or head, such as
        ``"h.3.attn/attention:5"``.
    track : str, optional
        ``"loss"`` or the annotation to draw under the text.
    output : text file, optional
        Where the address is printed; standard output by default.

    Raises
    ------
    InterpError
        When a recording cannot be opened or the port is taken.
    """
    import logging

    import waitress

    from dashboard.app import create_app
    from dashboard.sources import open_sources

    if isinstance(recordings, (str, Path)) or not isinstance(recordings, Sequence):
        recordings = [recordings]
    sources = open_sources(recordings)
    output = output or sys.stdout
    # A browser opens several connections at once; that they queue for a moment is no news.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    with contextlib.ExitStack() as stack:
        for source in sources:
            stack.callback(source.close)
        listener = bind(host, port)
        stack.callback(listener.close)
        app = create_app(sources)
        stack.callback(app.server.extensions["interp"].close)
        server = waitress.create_server(
            app.server,
            sockets=[listener],
            threads=THREADS,
            connection_limit=CONNECTIONS,
            asyncore_use_poll=True,  # select() stops at 1,024 files
            ident=None,
            clear_untrusted_proxy_headers=True,
        )
        address = f"http://{host}:{listener.getsockname()[1]}/{opening(unit, track)}"
        print(f"interp is at {address}\nPress Ctrl-C to stop.", file=output, flush=True)
        if open_browser:
            threading.Timer(0.3, webbrowser.open, [address]).start()
        with contextlib.suppress(KeyboardInterrupt):
            server.run()
        server.close()
        print("\nStopped.", file=output, flush=True)
