"""Users for the demo: each keeps its cookies, and asks again and again at a steady total rate.

Runs as a child process, `python -m rollout.demo.load --url http://127.0.0.1:8080 --rps 100 --users 200 --seconds 60`,
stops by itself, and prints one JSON report. It sends to this machine only, whatever it is told.
"""

from __future__ import annotations

import argparse
import http.client
import ipaddress
import json
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Final
from urllib.parse import SplitResult, urlsplit

LONGEST_S: Final = 3600.0
CHAT_SHARE: Final = 0.9
STREAM_SHARE: Final = 0.1
TIMEOUT_S: Final = 30.0
BODY: Final = json.dumps({"message": "Which release are you?"})
REQUESTS_PER_CLIENT: Final = 5.0


@dataclass(slots=True)
class User:
    """One person: a cookie jar, and the release that answered last."""

    cookies: dict[str, str] = field(default_factory=dict)
    release: str = ""


@dataclass(slots=True)
class Report:
    """What was asked and answered. Counts only grow."""

    sent: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    releases: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    """Answers of 500 and above, per release."""
    unanswered: int = 0
    """Requests that got no answer: refused, or cut off on a fresh connection."""
    reconnected: int = 0
    """Requests sent again because an idle connection had just been closed, as every browser does."""
    changes: int = 0
    """How often a user was answered by another release than the time before."""

    def add(self, other: Report) -> None:
        self.sent += other.sent
        self.statuses += other.statuses
        self.releases += other.releases
        self.failures += other.failures
        self.unanswered += other.unanswered
        self.reconnected += other.reconnected
        self.changes += other.changes

    def to_json(self, *, users: Sequence[User], seconds: float) -> str:
        content = {
            "sent": self.sent,
            "seconds": round(seconds, 3),
            "statuses": dict(sorted(self.statuses.items())),
            "releases": dict(sorted(self.releases.items())),
            "failures": dict(sorted(self.failures.items())),
            "unanswered": self.unanswered,
            "reconnected": self.reconnected,
            "changes": self.changes,
            "users": dict(sorted(Counter(user.release for user in users if user.release).items())),
        }
        return json.dumps(content)


class Client(threading.Thread):
    """Some of the users, one request at a time over one kept connection each."""

    def __init__(self, url: SplitResult, users: Sequence[User], *, pause_s: float, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.report = Report()
        self._url = url
        self._users = users
        self._pause_s = pause_s
        self._stop_asked = stop
        self._dice = random.Random()  # noqa: S311 - which user asks next is no secret
        self._connections: dict[int, http.client.HTTPConnection] = {}

    def run(self) -> None:
        due = time.monotonic() + self._dice.random() * self._pause_s
        while not self._stop_asked.wait(max(0.0, due - time.monotonic())):
            self._ask(self._dice.randrange(len(self._users)))
            due = max(due + self._pause_s, time.monotonic())  # a slow answer lowers the rate: no burst makes up for it
        for connection in self._connections.values():
            connection.close()

    def _ask(self, number: int) -> None:
        user, report = self._users[number], self.report
        report.sent += 1
        try:
            answer = self._exchange(number, user)
        except (OSError, http.client.HTTPException):
            self._connections.pop(number).close()
            report.unanswered += 1
            return
        report.statuses[str(answer.status)] += 1
        for line in answer.headers.get_all("Set-Cookie", ()):
            user.cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        if release := answer.headers.get("X-Release"):
            report.releases[release] += 1
            report.failures[release] += answer.status >= 500
            report.changes += user.release not in ("", release)
            user.release = release

    def _exchange(self, number: int, user: User) -> http.client.HTTPResponse:
        """Ask once; once more on a new connection when an idle one turns out to be closed."""
        known = number in self._connections
        connection = self._connections.setdefault(
            number, http.client.HTTPConnection(self._url.hostname or "", self._url.port or 80, timeout=TIMEOUT_S)
        )
        method, path, body, headers = self._request(user)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
        except (ConnectionError, http.client.RemoteDisconnected):
            if not known:
                raise
            self.report.reconnected += 1
            connection.close()
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
        answer.read()
        return answer

    def _request(self, user: User) -> tuple[str, str, str | None, dict[str, str]]:
        headers = (
            {"Cookie": "; ".join(f"{name}={value}" for name, value in user.cookies.items())} if user.cookies else {}
        )
        if self._dice.random() >= CHAT_SHARE:
            return "GET", "/", None, headers
        headers["Content-Type"] = "application/json"
        if self._dice.random() < STREAM_SHARE:
            headers["Accept"] = "text/event-stream"
        return "POST", "/api/chat", BODY, headers


def send_load(url: SplitResult, *, rps: float, users: int, seconds: float, stop: threading.Event) -> str:
    """Send about `rps` requests a second for `seconds`, or until `stop`; the report as JSON."""
    people = [User() for _ in range(users)]
    count = max(1, min(users, 64, round(rps / REQUESTS_PER_CLIENT)))
    clients = [Client(url, people[start::count], pause_s=count / rps, stop=stop) for start in range(count)]
    began = time.monotonic()
    for client in clients:
        client.start()
    stop.wait(seconds)
    stop.set()
    total = Report()
    for client in clients:
        client.join()
        total.add(client.report)
    return total.to_json(users=people, seconds=time.monotonic() - began)


def loopback_url(text: str) -> SplitResult:
    """An http URL of this machine; anything else is refused."""
    url = urlsplit(text)
    host = url.hostname or ""
    try:
        own = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        own = False
    if url.scheme != "http" or not own:
        raise argparse.ArgumentTypeError(f"{text!r} is not an http URL of this machine, such as http://127.0.0.1:8080")
    return url


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def main(arguments: Sequence[str]) -> int:
    """Read the flags, send the load, print the report."""
    parser = argparse.ArgumentParser(prog="python -m rollout.demo.load", description="Sticky users for the demo.")
    parser.add_argument("--url", type=loopback_url, required=True, help="where the gateway listens, on this machine")
    parser.add_argument("--rps", type=_positive, default=100.0, help="requests a second, in all")
    parser.add_argument("--users", type=int, default=200, choices=range(1, 100_001), metavar="N", help="how many users")
    parser.add_argument("--seconds", type=_positive, default=60.0, help=f"how long, at most {LONGEST_S:g}")
    chosen = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    seconds = min(chosen.seconds, LONGEST_S)
    sys.stdout.write(send_load(chosen.url, rps=chosen.rps, users=chosen.users, seconds=seconds, stop=stop) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
