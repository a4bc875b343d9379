"""Whether users keep their version: 20,000 of them through twelve weights, upwards and back."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.stage import PATH, SERVICE, Parts, Row, Stage, gateway
from rollout.core.plan import Weight

USERS: Final = 20_000
WEIGHTS: Final = (0.1, 0.5, 1, 2, 5, 10, 25, 33.3, 50, 75, 90, 100)
BATCH: Final = 100
RELEASE: Final = re.compile(rb"\r\nX-Release: ([^\r]+)\r\n")


def measure(parts: Parts) -> Iterator[Row]:
    """Every user asks at every weight, with the cookie that names them."""
    against, worst = 0, 0.0
    with gateway(parts, njs=True) as stage:
        before: frozenset[int] = frozenset()
        for previous, percent in _steps():
            stage.target.move(Weight(percent))
            now = _canary_users(stage, parts)
            against += len(before - now if percent >= previous else now - before)
            worst = max(worst, abs(len(now) / USERS * 100 - percent))
            before = now
    yield Row(
        what=f"users of {USERS:,} who changed against the weight's direction, {len(WEIGHTS)} weights up and down",
        measured=str(against),
        wanted="0",
    )
    yield Row(
        what="the largest distance of the canary's share of users from the weight", measured=f"{worst:.2f} points"
    )


def _steps() -> Iterator[tuple[float, float]]:
    path = (*WEIGHTS, *reversed(WEIGHTS[:-1]), 0)
    yield from zip((0, *path), path, strict=False)


def _canary_users(stage: Stage, parts: Parts) -> frozenset[int]:
    canary = parts.canary.tag.encode()
    met: set[int] = set()
    with socket.create_connection(("127.0.0.1", stage.port), timeout=30) as connection:
        for start in range(0, USERS, BATCH):
            numbers = range(start, start + BATCH)
            met |= {n for n, release in zip(numbers, _ask(connection, numbers), strict=True) if release == canary}
    return frozenset(met)


def _ask(connection: socket.socket, numbers: Sequence[int]) -> list[bytes]:
    """The releases that answer these users, asked one behind the other on one connection."""
    connection.sendall(
        b"".join(
            f"GET {PATH} HTTP/1.1\r\nHost: bench\r\nCookie: {SERVICE}_uid=user-{number}\r\n\r\n".encode()
            for number in numbers
        )
    )
    received = b""
    while len(releases := RELEASE.findall(received)) < len(numbers) or not received.endswith(b"}"):
        piece = connection.recv(1 << 16)
        if not piece:
            raise RuntimeError("the gateway closed the connection")
        received += piece
    return list(releases)
