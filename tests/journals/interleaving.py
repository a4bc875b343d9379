"""Runs several at once, one call of the store at a time, in an order that a die decides and a test can repeat."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from random import Random

from tests.journals.refs_in_memory import Fate, Place, RefsInMemory


class Turns:
    """Runs workers one call at a time, in an order that a die decides: every interleaving of their calls can come."""

    def __init__(self, place: Place, die: Random, fates: tuple[Fate, ...] = (Fate.FINE,)) -> None:
        self._place = place
        self._die = die
        self._fates = fates
        self._news: SimpleQueue[tuple[int, str]] = SimpleQueue()
        self._gates: list[SimpleQueue[Fate]] = []
        self._workers: list[Callable[[], None]] = []
        self.wrong: list[BaseException] = []

    def refs(self) -> RefsInMemory:
        """A client for the next worker, whose every call waits for its turn."""
        at = len(self._gates)
        gate: SimpleQueue[Fate] = SimpleQueue()
        self._gates.append(gate)

        def turn(name: str) -> Fate:
            self._news.put((at, name))
            return gate.get()

        return RefsInMemory(self._place, turn)

    def worker(self, work: Callable[[], None]) -> None:
        """What the client that was made last is used for."""
        self._workers.append(work)

    def run(self) -> None:
        """Until every worker is done. What one of them raises is raised here."""
        threads = [threading.Thread(target=self._work, args=(at,), daemon=True) for at in range(len(self._workers))]
        for thread in threads:
            thread.start()
        running, waiting = len(threads), dict[int, str]()
        while running or waiting:
            while running:
                at, name = self._news.get()
                running -= 1
                if name:
                    waiting[at] = name
            if waiting:
                self._settle_late()
                at = self._die.choice(sorted(waiting))
                del waiting[at]
                self._gates[at].put(self._die.choice(self._fates))
                running = 1
        for thread in threads:
            thread.join()
        while self._place.late:
            self._settle_late(always=True)
        if self.wrong:
            raise self.wrong[0]

    def _settle_late(self, *, always: bool = False) -> None:
        if self._place.late and (always or self._die.random() < 0.3):
            self._place.moved(*self._place.late.pop(0))

    def _work(self, at: int) -> None:
        try:
            self._workers[at]()
        except BaseException as wrong:  # noqa: BLE001 - a thread would swallow it; `run` raises it
            self.wrong.append(wrong)
        self._news.put((at, ""))
