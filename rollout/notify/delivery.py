"""What becomes of a message that was sent: nothing worth a word, or the one failure that every way of sending has."""

from __future__ import annotations

from typing import Final

SOON_S: Final = 0.5
"""When a server that could not be reached is tried again."""


class NotDelivered(Exception):
    """The message did not arrive. The text names the host and never the address, which is a secret."""

    def __init__(self, text: str, *, after_s: float | None = None) -> None:
        super().__init__(text)
        self.after_s = after_s
        """In how many seconds another try makes sense; None where it does not, or the message may have arrived."""
