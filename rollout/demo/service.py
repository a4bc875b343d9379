"""The chat-like service that the demo releases: one file, standard library only, because it runs alone in a container.

It answers like a service with a model provider behind it, and fails as often as its environment says:

    PORT=8080          where it listens
    RELEASE=v1         sent back in the header X-Release
    LATENCY_MS=20      median time of an answer
    TOKEN_MS=20        pause after each word of a streamed answer
    FAIL_HTTP=0.05     share of requests answered 500
    FAIL_LLM=0.2       share of model calls that fail; the user gets an apology, and a counter grows
    UNHEALTHY=1        the health check never becomes green
    BALLAST_MB=40      memory that is held for nothing
    EXIT_AFTER_S=3     ends with an error that long after its start, as a process with a slow fault does
    SEED=7             makes the failures repeatable

It must not import anything of the project.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import json
import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
WORDS = ("The", " release", " you", " talk", " to", " answers", " with", " eight", " words.")
PAGE = b'<!doctype html><html lang="en"><title>Chat</title><h1>Chat</h1><p>Say something.</p></html>\n'
STOP_GRACE_S = 1.0
LARGEST_BODY = 1 << 20


@dataclass(frozen=True)
class Behaviour:
    """How this copy of the service behaves."""

    release: str = ""
    latency_s: float = 0.02
    fail_http: float = 0.0
    fail_llm: float = 0.0
    healthy: bool = True
    token_s: float = 0.02
    ballast: int = 0
    """Bytes."""
    exit_after_s: float | None = None

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Behaviour:
        return cls(
            release=env.get("RELEASE", ""),
            latency_s=float(env.get("LATENCY_MS", "20")) / 1000,
            fail_http=float(env.get("FAIL_HTTP", "0")),
            fail_llm=float(env.get("FAIL_LLM", "0")),
            healthy=not env.get("UNHEALTHY"),
            token_s=float(env.get("TOKEN_MS", "20")) / 1000,
            ballast=int(env.get("BALLAST_MB", "0")) << 20,
            exit_after_s=float(env["EXIT_AFTER_S"]) if env.get("EXIT_AFTER_S") else None,
        )


@dataclass
class Durations:
    """One histogram of Prometheus' classic kind."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets[bisect.bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds

    def lines(self, name: str, labels: str) -> Iterator[str]:
        below = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.buckets, strict=True):
            below += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {below}'
        yield f"{name}_sum{{{labels}}} {self.seconds:.6f}"
        yield f"{name}_count{{{labels}}} {below}"


@dataclass
class Counts:
    """What /metrics tells. A series appears with its first event, as with most client libraries."""

    requests: Counter[tuple[int, str]] = field(default_factory=Counter)
    llm: Counter[str] = field(default_factory=Counter)
    durations: dict[tuple[int, str], Durations] = field(default_factory=dict)

    def answered(self, route: str, code: int, seconds: float) -> None:
        self.requests[code, route] += 1
        self.durations.setdefault((code, route), Durations()).observe(seconds)

    def text(self) -> str:
        """The counters in Prometheus' text format. Who the service is, the scrape configuration adds."""
        lines = ["# TYPE http_requests_total counter"]
        lines += [
            f'http_requests_total{{code="{code}",route="{route}"}} {count}'
            for (code, route), count in sorted(self.requests.items())
        ]
        lines += ["# TYPE llm_requests_total counter"]
        lines += [f'llm_requests_total{{outcome="{outcome}"}} {count}' for outcome, count in sorted(self.llm.items())]
        name = "http_request_duration_seconds"
        lines += [f"# TYPE {name} histogram"]
        for (code, route), durations in sorted(self.durations.items()):
            lines += durations.lines(name, f'code="{code}",route="{route}"')
        lines += ["# TYPE process_resident_memory_bytes gauge", f"process_resident_memory_bytes {resident_bytes()}"]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Request:
    """One request, read whole."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]

    def number(self, name: str, default: float, *, most: float) -> float:
        try:
            return min(most, float(self.query[name][0]))
        except (KeyError, ValueError):
            return default


@dataclass(frozen=True)
class Answer:
    """A status, a type, and a body that is either whole or a stream of pieces."""

    status: int
    kind: str
    body: bytes = b""
    pieces: AsyncIterator[bytes] | None = None


class Chat:
    """The service: routes a request to its answer and counts it."""

    def __init__(self, behaviour: Behaviour, dice: random.Random) -> None:
        self.behaviour = behaviour
        self.dice = dice
        self.counts = Counts()
        self._idle: set[asyncio.StreamWriter] = set()
        self._busy: set[asyncio.StreamWriter] = set()
        self._stopping = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests until either side closes it."""
        try:
            self._idle.add(writer)
            while not self._stopping and (request := await read_request(reader)) is not None:
                self._idle.remove(writer)
                self._busy.add(writer)
                await self._exchange(request, writer)
                if request.headers.get("connection", "").lower() == "close":
                    break
                self._busy.remove(writer)
                self._idle.add(writer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass  # the client left or does not speak HTTP: there is nobody to answer
        except asyncio.CancelledError:
            if not self._stopping:  # at the end of the process a cut answer is what was asked for
                raise
        finally:
            self._idle.discard(writer)
            self._busy.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def stop(self) -> None:
        """Close idle connections at once and the others after their answer, or when it takes too long."""
        self._stopping = True
        await self._close(self._idle)
        until = time.monotonic() + STOP_GRACE_S
        while self._busy and time.monotonic() < until:  # noqa: ASYNC110 - a second at most, at the very end
            await asyncio.sleep(0.02)
        await self._close(self._busy | self._idle)

    async def _close(self, writers: set[asyncio.StreamWriter]) -> None:
        for writer in tuple(writers):
            writer.transport.abort()
        await asyncio.sleep(0)  # each connection's own task sees the end and leaves

    async def _exchange(self, request: Request, writer: asyncio.StreamWriter) -> None:
        began = time.perf_counter()
        answer = await self._answer(request)
        await send(writer, answer, release=self.behaviour.release)
        if request.path in ("/", "/api/chat"):
            self.counts.answered(request.path, answer.status, time.perf_counter() - began)

    async def _answer(self, request: Request) -> Answer:
        if (request.method, request.path) == ("GET", "/metrics"):
            return Answer(200, "text/plain; version=0.0.4", self.counts.text().encode())
        if (request.method, request.path) == ("GET", "/api/health"):
            healthy = self.behaviour.healthy
            return json_answer(200 if healthy else 503, {"status": "ok" if healthy else "starting"})
        if (request.method, request.path) not in (("GET", "/"), ("POST", "/api/chat")):
            return json_answer(404, {"error": "there is nothing here"})
        await asyncio.sleep(self.behaviour.latency_s * self.dice.lognormvariate(0, 0.3))
        if self.dice.random() < self.behaviour.fail_http:
            complain(f"{request.method} {request.path}: the connection pool is exhausted")
            return json_answer(500, {"error": "the service failed"})
        return Answer(200, "text/html; charset=utf-8", PAGE) if request.path == "/" else self._chat(request)

    def _chat(self, request: Request) -> Answer:
        failed = self.dice.random() < self.behaviour.fail_llm
        self.counts.llm["error" if failed else "ok"] += 1
        if failed:
            complain(f"{request.method} {request.path}: the model provider did not answer")
            return json_answer(200, {"error": "the model does not answer, please try again"})
        if "text/event-stream" not in request.headers.get("accept", ""):
            return json_answer(200, {"answer": "".join(WORDS)})
        tokens = int(request.number("tokens", len(WORDS), most=10_000))
        pause_s = request.number("pause_ms", self.behaviour.token_s * 1000, most=10_000) / 1000
        return Answer(200, "text/event-stream", pieces=stream(tokens, pause_s=pause_s))


def resident_bytes() -> int:
    """The memory that this process holds, where Linux tells it; else 0."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        return 0


def complain(text: str) -> None:
    """One line in the container's log, as a service writes for what went wrong."""
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} ERROR {text}", file=sys.stderr, flush=True)


def json_answer(status: int, content: dict[str, str]) -> Answer:
    return Answer(status, "application/json", json.dumps(content).encode())


async def stream(tokens: int, *, pause_s: float) -> AsyncIterator[bytes]:
    """Server-sent events: one word each, then the end mark that tells a client that nothing was cut."""
    for index in range(tokens):
        yield f"data: {json.dumps({'token': WORDS[index % len(WORDS)]})}\n\n".encode()
        await asyncio.sleep(pause_s)
    yield b"data: [DONE]\n\n"


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; None where the client has closed it. Raises ValueError for anything else."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as left:
        if not left.partial:
            return None
        raise
    first, *rest = head.decode("latin-1").rstrip().split("\r\n")
    method, target, _version = first.split(" ")
    pairs = (line.split(":", 1) for line in rest)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= LARGEST_BODY:
        raise ValueError("the body is too large")
    await reader.readexactly(length)
    url = urlsplit(target)
    return Request(method, url.path, parse_qs(url.query), headers)


async def send(writer: asyncio.StreamWriter, answer: Answer, *, release: str) -> None:
    """Write an answer; a stream goes out in chunks, each as soon as it is there."""
    framing = "Transfer-Encoding: chunked" if answer.pieces else f"Content-Length: {len(answer.body)}"
    head = (
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Content-Type: {answer.kind}",
        framing,
        "Cache-Control: no-store",
        *([f"X-Release: {release}"] if release else ()),
    )
    writer.write("\r\n".join((*head, "", "")).encode("latin-1") + answer.body)
    if answer.pieces:
        async for piece in answer.pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
    await writer.drain()


async def main(env: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT; then answers under way get a second to end. The exit code."""
    behaviour = Behaviour.of(env)
    chat = Chat(behaviour, random.Random(env.get("SEED")))  # noqa: S311 - dice for faults, not for secrets
    ballast = b"x" * behaviour.ballast
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop.set)
    server = await asyncio.start_server(chat.serve, "0.0.0.0", int(env.get("PORT", "8080")))  # noqa: S104 - inside its container
    try:
        await asyncio.wait_for(asked_to_stop.wait(), behaviour.exit_after_s)
    except TimeoutError:
        return 1  # as a crash does: nobody gets an answer any more
    del ballast
    server.close()
    await chat.stop()
    return 0


if __name__ == "__main__":
    code = asyncio.run(main(os.environ))
    sys.exit(code)
