"""The fan-out: every channel gets the messages it asked for, in the background, and one that fails stops no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import Final, Self

from rollout.notify.delivery import NotDelivered
from rollout.notify.message import Message
from rollout.notify.settings import ChannelSettings

LAST_WORDS_S: Final = 6.0
"""How long the end of a process waits for messages that are on their way, of all channels together."""
HURRIED_S: Final = 1.0
"""The same for a process that was told to stop: it has a few seconds to leave."""
MOST_TRIES: Final = 3

Send = Callable[[ChannelSettings, Message], None]
"""Delivers one message, or raises NotDelivered."""


def deliver(channel: ChannelSettings, message: Message) -> None:
    """Send a message to an address of whatever kind. Raises NotDelivered."""
    if channel.by_mail:
        from rollout.notify.mail import send  # noqa: PLC0415 - who gets no mail loads no smtplib
        from rollout.notify.mail_route import mail_route  # noqa: PLC0415 - see above

        send(mail_route(channel.url.get_secret_value()), message)
    else:
        from rollout.notify.webhook import post  # noqa: PLC0415 - brings requests, which takes a while

        post(channel, message)


class Channels:
    """Used as a context; `send` returns at once, so that no slow address delays a rollback.

    `complain` is told of each message that did not arrive, without any of the address but its host.
    """

    def __init__(
        self,
        channels: Sequence[ChannelSettings],
        *,
        complain: Callable[[str], None],
        deliver: Send = deliver,
        last_words_s: float = LAST_WORDS_S,
        hurried_s: float = HURRIED_S,
    ) -> None:
        self._complain = complain
        self._deliver = deliver
        self._last_words_s, self._hurried_s = last_words_s, hurried_s
        self._lines = tuple(_Line(channel) for channel in channels)
        self._too_late = threading.Event()
        self._threads = tuple(
            threading.Thread(target=self._work, args=(line,), daemon=True, name="notify") for line in self._lines
        )

    def send(self, message: Message) -> None:
        """Hand the message to every channel that asked for its kind."""
        for line in self._lines:
            if message.reason in line.channel.events:
                line.queue.put(message)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        hurried = kind is not None and not issubclass(kind, Exception)
        until = time.monotonic() + (self._hurried_s if hurried else self._last_words_s)
        for line in self._lines:
            line.queue.put(None)
        for line, thread in zip(self._lines, self._threads, strict=True):
            thread.join(timeout=max(0.0, until - time.monotonic()))
            if thread.is_alive():
                self._complain(f"it is not known whether the last notifications reached {line.channel.host}")
        self._too_late.set()

    def _work(self, line: _Line) -> None:
        while (message := line.queue.get()) is not None:
            try:
                self._patiently(line, message)
            except NotDelivered as wrong:
                line.tries = 1
                self._complain(f"a notification ({message.reason}) was not delivered: {wrong}")
            else:
                line.tries = MOST_TRIES

    def _patiently(self, line: _Line, message: Message) -> None:
        """Another try only where the message has certainly not been taken: it is sent once."""
        for _ in range(line.tries - 1):
            try:
                self._deliver(line.channel, message)
            except NotDelivered as wrong:
                if wrong.after_s is None or self._too_late.wait(wrong.after_s):
                    raise
            else:
                return
        self._deliver(line.channel, message)


class _Line:
    """One channel and what it has yet to be told; None ends it."""

    def __init__(self, channel: ChannelSettings) -> None:
        self.channel = channel
        self.queue: SimpleQueue[Message | None] = SimpleQueue()
        self.tries = MOST_TRIES
        """Of the next message: one that has failed lately does not hold up the rest."""
