"""One class per way to fail: an exit code, a reason code for programs, and the sentence that says what to do.

Every exit code is defined here and nowhere else, so that they stay distinct. 128 and the number of a signal is what a
process that was told to stop leaves with.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Final

ROLLED_BACK: Final = 3
"""The rollout ended on the former release: it worked, and the release did not."""
WAITING_FOR_A_PERSON: Final = 4
"""`tick` has nothing to do until somebody approves, resumes, promotes or aborts."""


class RolloutError(Exception):
    """What a person must know. `str()` is the whole message; it never holds a secret."""

    exit_code: ClassVar[int] = 1
    reason_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class Interruption(BaseException):
    """The process was told to stop. Raised by the signal handlers, in the middle of anything."""

    def __init__(self, signal: str, number: int) -> None:
        super().__init__(signal)
        self.signal = signal
        self.number = number


class ConfigurationError(RolloutError):
    """rollout.yml, a flag or a variable is wrong. Nothing was changed."""

    exit_code = 2
    reason_code = "configuration"


class Refused(RolloutError):
    """The order cannot be followed now: another rollout is under way, or the order is stale."""

    exit_code = 5
    reason_code = "refused"


class JournalUnreadable(RolloutError):
    """The journal cannot be read and is left as it is."""

    exit_code = 6
    reason_code = "journal_unreadable"


class JournalUnwritable(RolloutError):
    """An event cannot be written, so the effect it announces is not tried."""

    exit_code = 6
    reason_code = "journal_unwritable"


class JournalMoved(RolloutError):
    """Somebody else wrote first: read again and decide again."""

    exit_code = 6
    reason_code = "journal_moved"


class EvidenceUnreadable(RolloutError):
    """A file of evidence is cut off, was changed, or is of a newer version."""

    exit_code = 6
    reason_code = "evidence_unreadable"


class TargetFailed(RolloutError):
    """An effect on the target failed, and another try is useless until somebody mends the cause."""

    exit_code = 7
    reason_code = "target_failed"


class TargetBusy(TargetFailed):
    """An effect on the target failed in a way that may pass."""

    reason_code = "target_busy"

    def __init__(self, message: str, *, hint: str = "", delay: timedelta = timedelta(seconds=2)) -> None:
        super().__init__(message, hint=hint)
        self.delay = delay


class SourceUnavailable(RolloutError):
    """The metrics cannot be had: the server is away, refuses, or answers nonsense. Says nothing about the release."""

    exit_code = 8
    reason_code = "metrics_unavailable"


class MissingProgram(RolloutError):
    """A program that is needed on this machine is not there."""

    exit_code = 9
    reason_code = "missing_program"


class GitHubUnavailable(RolloutError):
    """GitHub does not answer, or not as it should. The next tick goes on where this one stopped."""

    exit_code = 11
    reason_code = "github_unavailable"


class GitHubLimits(GitHubUnavailable):
    """A limit of GitHub's lasts for longer than is worth waiting for."""

    reason_code = "github_limits"


class GitHubForbids(GitHubUnavailable):
    """The token may not do what is needed."""

    reason_code = "github_forbids"


class Unfit(RolloutError):
    """The machine, the target or the metrics are not fit for a rollout; every finding is in the message."""

    exit_code = 10
    reason_code = "unfit"
