"""The fan-out: every channel gets every message, in the background, and one that fails stops no other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import Final, Self

from rollout.notify.message import Message
from rollout.notify.webhook import NotDelivered, post

LAST_WORDS_S: Final = 6.0
"""How long the end of a process waits for messages that are on their way."""


class Channels:
    """Used as a context; `send` returns at once, so that no slow address delays a rollback."""

    def __init__(self, urls: Sequence[str], *, complain: Callable[[str], None]) -> None:
        self._complain = complain
        self._queues: tuple[SimpleQueue[Message | None], ...] = tuple(SimpleQueue() for _ in urls)
        self._threads = tuple(
            threading.Thread(target=self._deliver, args=(url, queue), daemon=True, name="notify")
            for url, queue in zip(urls, self._queues, strict=True)
        )

    def send(self, message: Message) -> None:
        """Hand the message to every channel."""
        for queue in self._queues:
            queue.put(message)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for queue in self._queues:
            queue.put(None)
        for thread in self._threads:
            thread.join(timeout=LAST_WORDS_S)

    def _deliver(self, url: str, queue: SimpleQueue[Message | None]) -> None:
        while (message := queue.get()) is not None:
            try:
                post(url, message)
            except NotDelivered as wrong:
                self._complain(f"a notification was not delivered: {wrong}")
