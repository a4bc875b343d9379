"""HTTP on a real socket: keep-alive, watches as chunked streams, hang-ups. It knows no resource by name."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.kubernetes.kinds import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back."""

    status: int
    """0 hangs up."""
    body: Json | str = ""
    stream: Iterator[Json] | None = None
    """One JSON document a line until it ends, instead of a body."""
    headers: tuple[tuple[str, str], ...] = ()


class Answering(Protocol):
    """What stands behind the socket."""

    def __call__(self, asking: Asking) -> Answer:
        """The answer to a request."""


class Listener:
    """A server on a free port of 127.0.0.1."""

    def __init__(self, answering: Answering, *, tls: ssl.SSLContext | None = None) -> None:
        class Pages(_Pages):
            answer = staticmethod(answering)

        self._server = _Server(("127.0.0.1", 0), Pages)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True, name="cluster"
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_port)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""


class _Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    answer: Answering

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name in http.server)
        """Log nothing."""

    def serve(self) -> None:
        """Answer one request, whatever its method."""
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        asking = Asking(
            method=self.command,
            path=unquote(parts.path),
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.title(): value for name, value in self.headers.items()},
            body=self.rfile.read(length) if length else b"",
        )
        answer = self.answer(asking)
        if answer.status == 0:
            self.close_connection = True
            return
        if answer.stream is not None:
            self._stream(answer)
            return
        text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        body = text.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "text/plain" if isinstance(answer.body, str) else "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _stream(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        for document in answer.stream or ():
            line = json.dumps(document).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()


for _method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    setattr(_Pages, f"do_{_method}", _Pages.serve)
