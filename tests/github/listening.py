"""The socket that the GitHub of the tests listens on: HTTP in, HTTP out, and hanging up when that is ordered."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.github.wire import Reply

Respond = Callable[[str, str, Mapping[str, str], bytes], Reply | None]
"""Verb, target, headers (names in small letters) and body; None hangs up without an answer."""


class Listener:
    """Answers on a free port of 127.0.0.1 between `start` and `stop`, each connection on a thread of its own."""

    def __init__(self, respond: Respond) -> None:
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(respond, self._open, self._lock))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.port: int = self._server.server_port

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Hang up on everybody."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        with self._lock:
            for connection in self._open:
                connection.shutdown(socket.SHUT_RDWR)


def _handler(respond: Respond, connections: set[socket.socket], lock: threading.Lock) -> type[BaseHTTPRequestHandler]:
    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            with lock:
                connections.add(self.connection)

        def finish(self) -> None:
            with lock:
                connections.discard(self.connection)
            super().finish()

        def handle(self) -> None:
            try:
                super().handle()
            except (ConnectionError, TimeoutError):
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name in http.server)
            """Be quiet."""

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = respond(self.command, self.path, headers, body)
            if reply is None:
                self.close_connection = True
                return
            content = reply.bytes()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status not in (204, 304):
                self.send_header("Content-Type", reply.content_type)
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content if reply.status not in (204, 304) else b"")

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _any  # noqa: N815  (the names in http.server)

    return Answering
