"""How a service is, is asked over HTTP from several threads at once, and again after it was away."""

import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from marketstream.launch.answers import http_fault
from marketstream.testing.platform import free_ports


class Answering(BaseHTTPRequestHandler):
    """Says that it is well, or that it isn't."""

    def do_GET(self):
        self.send_response(200 if self.path == "/well" else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Keeps quiet."""


def serving(port):
    server = ThreadingHTTPServer(("127.0.0.1", port), Answering)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture
def port():
    return free_ports(1)[0]


def test_an_answer_and_a_refusal(port):
    server = serving(port)
    url = f"http://127.0.0.1:{port}"
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(http_fault, [f"{url}/well"] * 40)) == [None] * 40
    assert http_fault(f"{url}/ill") == f"{url}/ill: status 503"
    server.shutdown()
    server.server_close()


def test_one_that_comes_and_goes(port):
    url = f"http://127.0.0.1:{port}/well"
    for _ in range(2):
        fault = http_fault(url)
        assert fault is not None
        assert fault.startswith(f"{url}: ")
        server = serving(port)
        assert http_fault(url) is None
        server.shutdown()
        server.server_close()
