"""A web server that keeps what it is sent and answers as it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import pytest

from tests.serving import Quiet, serving


@dataclass
class Receiver:
    """The addresses of the server, and what came in at them."""

    port: int = 0
    bodies: list[dict[str, object]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    """What the next posts get; then 200 and `ok`."""

    @property
    def url(self) -> str:
        """An address with a secret in it."""
        return f"http://127.0.0.1:{self.port}/services/secret-part"

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Let one more post get this."""
        self.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, body))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that takes messages."""
    kept = Receiver()

    class Take(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status, headers, body = kept.answers.pop(0) if kept.answers else (200, {}, b"ok")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Take) as port:
        kept.port = port
        yield kept
