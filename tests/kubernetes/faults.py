"""What goes wrong on order: answers that fail, requests that hang up or hang, and another writer in between.

It knows requests by verb and resource and nothing of what they mean.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

HANG_UP = 0
"""As a status: the connection is closed without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that came."""

    verb: str
    """As roles name it: get, list, watch, create, update, patch, delete; `read` for discovery."""
    resource: str
    """`deployments`, `rollouts/status`; the path for discovery."""
    namespace: str = ""
    name: str = ""
    status: int = 200
    """Of the answer; 0: hung up."""

    def meets(self, verb: str, resource: str, name: str = "") -> bool:
        """Whether this request is one of those: `*` and an empty name stand for any."""
        return verb in ("*", self.verb) and resource in ("*", self.resource) and name in ("", self.name)


@dataclass
class Fault:
    """One order of bad weather."""

    verb: str
    resource: str
    name: str = ""
    status: int = 500
    """Of the answer; 0 hangs up."""
    skip: int = 0
    """How many such requests pass before it begins."""
    times: int | None = 1
    """How many it strikes; None: all from then on."""
    after: bool = False
    """Whether the request takes effect first."""
    hang: float = 0
    """Seconds to wait before anything happens."""
    retry_after: int | None = None
    struck: int = 0

    def strikes(self, asked: Asked) -> bool:
        """Whether this request is struck; counts."""
        if not asked.meets(self.verb, self.resource, self.name):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None and self.struck >= self.times:
            return False
        self.struck += 1
        return True


@dataclass
class Interjection:
    """Something that happens just before a request is answered, once."""

    verb: str
    resource: str
    name: str
    act: Callable[[], None]
    skip: int = 0
    done: bool = False


@dataclass
class Weather:
    """All orders, in the order they were given."""

    faults: list[Fault] = field(default_factory=list)
    interjections: list[Interjection] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, asked: Asked) -> Fault | None:
        """What strikes this request, if anything."""
        with self.lock:
            return next((fault for fault in self.faults if fault.strikes(asked)), None)

    def before(self, asked: Asked) -> None:
        """Let the other writers act who wait for this request."""
        due: list[Interjection] = []
        with self.lock:
            for one in self.interjections:
                if one.done or not asked.meets(one.verb, one.resource, one.name):
                    continue
                if one.skip > 0:
                    one.skip -= 1
                    continue
                one.done = True
                due.append(one)
        for one in due:
            one.act()

    def clear(self) -> None:
        """Fair weather from now on."""
        with self.lock:
            self.faults.clear()
            self.interjections.clear()
