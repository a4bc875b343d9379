"""Web servers that tests put up on this machine: a made-up service, or an exporter that is scraped.

What they say is up to the test; when they begin and end is said here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The content type of Prometheus' text exposition."""


class Quiet:
    """Beside `BaseHTTPRequestHandler`: what is asked is not logged."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name in http.server)
        """Log nothing."""


@contextmanager
def serving(pages: type[BaseHTTPRequestHandler], *, port: int = 0) -> Iterator[int]:
    """Answer on 127.0.0.1 until the block ends, which gets the port: a free one, or the one that is asked for."""
    with ThreadingHTTPServer(("127.0.0.1", port), pages) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def exporting(expose: Callable[[], bytes], *, content_type: str = TEXT) -> Iterator[int]:
    """Answer every scrape with what `expose` says at that moment; the block gets the port."""

    class Exposition(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = expose()
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Exposition) as port:
        yield port
