"""What can go wrong between a program and GitHub, to be ordered by a test: faults, limits, lag, and two at once."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.github.wire import Call, Refusal, Reply

LIMIT = 1_000
"""Requests of a workflow's token in an hour."""
MEETING_S = 10
"""Real seconds that the first at a barrier waits for the others."""
PRIMARY = "API rate limit exceeded for installation."
SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."


@dataclass
class Matched:
    """Requests by verb (empty: any) and a regular expression that is looked for in the path; the first `left`."""

    verb: str
    pattern: re.Pattern[str]
    left: int

    def takes(self, call: Call) -> bool:
        """Whether this is one of them; it is counted."""
        if self.left <= 0 or self.verb not in ("", call.verb) or not self.pattern.search(call.path):
            return False
        self.left -= 1
        return True


@dataclass
class Fault(Matched):
    """An error in the place of an answer, or after the request took effect; `drop` hangs up without a word."""

    status: int = 502
    after: bool = False
    drop: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "Server Error"

    def reply(self) -> Reply | None:
        """What is sent; None hangs up."""
        if self.drop:
            return None
        made = Refusal(self.status, self.message).reply()
        return Reply(status=made.status, body=made.body, headers=self.headers)


@dataclass
class Meeting(Matched):
    """A barrier: the requests wait for each other before the first of them takes effect."""

    parties: int = 2
    met: bool = False
    """Whether they all came; a test asserts it, as otherwise nothing was raced."""
    barrier: threading.Barrier = field(init=False)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.parties)

    def wait(self) -> None:
        """Until all are here, or until it is clear that they do not come."""
        try:
            self.barrier.wait(MEETING_S)
            self.met = True
        except threading.BrokenBarrierError:
            pass


@dataclass
class Limits:
    """The hourly limit of one token."""

    remaining: int
    resets: datetime

    def headers(self) -> dict[str, str]:
        """As every answer has them."""
        return {
            "X-RateLimit-Limit": str(LIMIT),
            "X-RateLimit-Remaining": str(max(self.remaining, 0)),
            "X-RateLimit-Used": str(LIMIT - max(self.remaining, 0)),
            "X-RateLimit-Reset": str(int(self.resets.timestamp())),
            "X-RateLimit-Resource": "core",
        }


@dataclass
class Weather:
    """Every order of the test that is still open. It is safe to use from many threads."""

    clock: Callable[[], datetime]
    faults: list[Fault] = field(default_factory=list)
    meetings: list[Meeting] = field(default_factory=list)
    lags: list[Matched] = field(default_factory=list)
    limits: dict[str, Limits] = field(default_factory=dict)
    """By login."""
    secondary: Matched | None = None
    retry_after: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, call: Call) -> Fault | None:
        """The fault that this request meets."""
        with self.lock:
            return next((fault for fault in self.faults if fault.takes(call)), None)

    def meet(self, call: Call) -> None:
        """Wait at the barrier where one stands in the way."""
        with self.lock:
            meeting = next((meeting for meeting in self.meetings if meeting.takes(call)), None)
        if meeting is not None:
            meeting.wait()

    def lagging(self, call: Call) -> bool:
        """Whether a read is answered by a copy that lags behind."""
        if call.verb != "GET":
            return False
        with self.lock:
            return any(lag.takes(call) for lag in self.lags)

    def limit(self, login: str) -> Limits:
        """What is left of the hour."""
        now = self.clock()
        with self.lock:
            known = self.limits.get(login)
            if known is None or known.resets <= now:
                known = self.limits[login] = Limits(remaining=LIMIT, resets=now + timedelta(hours=1))
            return known

    def spend(self, login: str) -> None:
        """One request of the hour."""
        self.limit(login).remaining -= 1

    def refused(self, call: Call) -> Reply | None:
        """The refusal of a limit, where one is reached."""
        if self.limit(call.who).remaining <= 0:
            return Refusal(403, PRIMARY).reply()
        with self.lock:
            if self.secondary is None or not self.secondary.takes(call):
                return None
        made = Refusal(403, SECONDARY).reply()
        return Reply(status=403, body=made.body, headers={"Retry-After": str(self.retry_after)})
