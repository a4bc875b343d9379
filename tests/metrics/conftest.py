"""Servers that the metrics tests talk to: an exporter that remembers what it said, and a server that says anything."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from rollout.metrics.prometheus import PrometheusSource
from rollout.metrics.settings import PrometheusSettings
from tests.serving import exporting


@dataclass
class Exporter:
    """A process with counters. `scrapes` holds what each scrape was given, the oldest first."""

    counters: dict[str, float] = field(default_factory=dict)
    """The line of the exposition format without its value, such as `requests_total{code="200"}`, and the value."""
    scrapes: list[dict[str, float]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    port: int = 0

    def set(self, name: str, value: float) -> None:
        with self.lock:
            self.counters[name] = value

    def remove(self, name: str) -> None:
        with self.lock:
            del self.counters[name]

    def expose(self) -> bytes:
        with self.lock:
            self.scrapes.append(dict(self.counters))
            return "".join(f"{name} {value!r}\n" for name, value in self.counters.items()).encode()

    def history(self, name: str) -> list[float]:
        with self.lock:
            return [scrape[name] for scrape in self.scrapes if name in scrape]


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    """An exporter on a free port, for as long as the tests of a module run."""
    double = Exporter()
    with exporting(double.expose) as double.port:
        yield double


@dataclass
class RawServer:
    """A server on a real socket. Each connection gets the next script; the last script goes on being used.

    A script is what is sent, piece by piece; a float among the pieces is a pause in seconds. Then it hangs up.
    """

    scripts: list[tuple[bytes | float, ...]]
    requests: list[bytes] = field(default_factory=list)
    url: str = ""
    stopping: threading.Event = field(default_factory=threading.Event)
    listener: socket.socket | None = None

    def serve(self, listener: socket.socket) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
            threading.Thread(target=self.play, args=(connection, script), daemon=True).start()

    def play(self, connection: socket.socket, script: tuple[bytes | float, ...]) -> None:
        with connection:
            connection.settimeout(5)
            try:
                self.requests.append(connection.recv(65536))
                for piece in script:
                    if isinstance(piece, bytes):
                        connection.sendall(piece)
                    elif self.stopping.wait(piece):
                        return
            except OSError:
                return


def http(status: str, body: str | bytes, *headers: str) -> bytes:
    """A whole HTTP answer."""
    raw = body.encode() if isinstance(body, str) else body
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(raw)}", "Connection: close", *headers])
    return head.encode() + b"\r\n\r\n" + raw


@pytest.fixture
def raw_server() -> Iterator[Callable[..., RawServer]]:
    """Starts servers that play the scripts given."""
    servers: list[RawServer] = []

    def start(*scripts: tuple[bytes | float, ...] | bytes) -> RawServer:
        whole = [(script,) if isinstance(script, bytes) else script for script in scripts]
        server = RawServer(scripts=whole)
        server.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        server.url = f"http://127.0.0.1:{server.listener.getsockname()[1]}"
        threading.Thread(target=server.serve, args=(server.listener,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stopping.set()
        assert server.listener is not None
        server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()


@pytest.fixture
def answer() -> Callable[..., bytes]:
    """Builds whole HTTP answers."""
    return http


@pytest.fixture
def source_at() -> Iterator[Callable[..., PrometheusSource]]:
    """Makes Prometheus sources from the words of rollout.yml, and closes them after the test."""
    sources: list[PrometheusSource] = []

    def make(url: str, **words: object) -> PrometheusSource:
        source = PrometheusSource(PrometheusSettings.model_validate({"url": url, **words}))
        sources.append(source)
        return source

    yield make
    for source in sources:
        source.close()


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Polls a real server until something holds, and fails after forty seconds."""

    def poll(holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 40
        while not holds():
            assert time.monotonic() < end, "it did not come to hold"
            time.sleep(0.05)

    return poll
