"""Ports, addresses and Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from dashboard.serving import bind, opening
from interp.errors import InterpError

PROGRAM = """
import sys, dashboard
from dashboard.sources.synthetic import synthetic_source
dashboard.serve(synthetic_source(n_units=3), port={port}, open_browser=False, unit="lstm/l0/cell:2")
"""


def test_an_occupied_port_is_one_clear_message():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InterpError, match=f"Port {port} .* is in use.*--port"):
            bind("127.0.0.1", port)


def test_a_page_opens_at_a_unit():
    assert opening(None, None) == ""
    assert opening("a.b/l0/cell:0", "string") == "?site=a.b/l0/cell&unit=0&track=string"
    with pytest.raises(InterpError, match="lstm/l0/cell:87"):
        opening("lstm/l0/cell", None)


def test_a_free_port_is_found():
    first = bind("127.0.0.1", None)
    second = bind("127.0.0.1", None)
    with first, second:
        assert first.getsockname()[1] != second.getsockname()[1]
        assert second.getsockname()[0] == "127.0.0.1"


def test_served_on_this_machine_only_until_ctrl_c():
    environment = {**os.environ, "HOST": "0.0.0.0", "DASH_MCP_ENABLED": "true", "DASH_DEBUG": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(port="None")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as process:
        try:
            line = process.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+/\?site=lstm/l0/cell&unit=2", line)
            assert address, line
            assert "Ctrl-C" in process.stdout.readline()
            with urllib.request.urlopen(address[0]) as page:
                assert b"<title>interp</title>" in page.read()
            port = int(address[0].split(":")[2].split("/")[0])
            # Twenty browsers keep six connections open each; the next one is still answered.
            with contextlib.ExitStack() as stack:
                for _ in range(130):
                    stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/recordings", timeout=20):
                    pass
            listening = open("/proc/net/tcp").read() if os.path.exists("/proc/net/tcp") else ""
            assert f"00000000:{port:04X}" not in listening
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=20)
            assert process.returncode == 0
            assert "Traceback" not in rest
        finally:
            process.kill()


def test_view_of_a_missing_file_exits_with_2(tmp_path):
    program = "from interp.cli.main import main; main()"
    missing = str(tmp_path / "missing.h5")
    done = subprocess.run(
        [sys.executable, "-c", program, "view", missing, "--no-browser"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "missing.h5" in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == ""
