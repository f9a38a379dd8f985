"""The shared browser fixture: it starts, it draws, and nothing leaves the machine."""

import http.server
import threading

import pytest


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>local</title><canvas id=c></canvas>")

    def log_message(self, *_):
        pass


@pytest.fixture
def local_page():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_local_page_is_shown_and_its_canvas_can_be_read(page, local_page):
    page.goto(local_page)
    assert page.title() == "local"
    pixel = page.evaluate(
        """() => { const g = document.getElementById('c').getContext('2d');
                   g.fillStyle = 'rgb(1, 2, 3)'; g.fillRect(0, 0, 1, 1);
                   return Array.from(g.getImageData(0, 0, 1, 1).data); }"""
    )
    assert pixel == [1, 2, 3, 255]


def test_requests_off_the_machine_are_refused_and_recorded(page, local_page, foreign_requests):
    page.goto(local_page)
    answer = page.evaluate("() => fetch('http://example.org/x').catch(() => 'refused')")
    assert answer == "refused"
    assert foreign_requests == ["http://example.org/x"]
    foreign_requests.clear()


def test_connections_of_the_tests_themselves_are_refused():
    import socket

    with socket.socket() as sock, pytest.raises(AssertionError, match=r"203\.0\.113\.1"):
        sock.connect(("203.0.113.1", 80))
