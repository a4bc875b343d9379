"""What would go wrong with the user's programs, found before a rollout: `rollout doctor` for the command target.

Only the programs that tell are run; by their contract they change nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rollout.core.finding import Finding, Severity
from rollout.errors import TargetFailed
from rollout.targets.command.platform import Platform

_SUBJECT: Final = "target: command"
_WITHOUT: Final = {
    "retire": "a canary that is taken back and a former stable release go on running",
    "discard": "the reserve is never removed",
    "logs": "the comment about a rollback has no lines of the canary's log",
}
_NEEDED: Final = ("deploy", "set_weight", "get_weight", "promote", "rollback")
_OPTIONAL: Final = ("status", "retire", "discard", "logs", "resolve")


def diagnose(platform: Platform) -> Iterator[Finding]:
    """Whether each program can be run, whether its variables are there, and what is told now."""
    found = tuple(_unfit(platform))
    yield from found
    yield from _left_out(platform)
    yield from _variables(platform)
    if not any(each.severity is Severity.ERROR for each in found):
        yield _told(platform)


def _unfit(platform: Platform) -> Iterator[Finding]:
    for name in (*_NEEDED, *_OPTIONAL):
        argv: tuple[str, ...] | None = getattr(platform.settings, name)
        if argv is not None and (wrong := _cannot_run(platform, argv[0])):
            yield Finding(
                subject=f"{_SUBJECT}: {name}",
                severity=Severity.ERROR,
                message=f"{argv[0]!r} {wrong}",
                hint=f"Correct target.command.{name}. It runs in {platform.directory.resolve()}.",
            )


def _cannot_run(platform: Platform, program: str) -> str:
    if "/" not in program:
        path = platform.given.get("PATH", os.defpath)
        return "" if shutil.which(program, path=path) else "is not on the PATH"
    there = platform.directory / program
    if not there.is_file():
        return "is not there"
    return "" if os.access(there, os.X_OK) else f"may not be executed: chmod +x {Path(program).name}"


def _left_out(platform: Platform) -> Iterator[Finding]:
    for name, consequence in _WITHOUT.items():
        if not platform.offers(name):
            yield Finding(
                subject=f"{_SUBJECT}: {name}",
                severity=Severity.WARNING,
                message=f"there is no program for it: {consequence}",
                hint=f"Give target.command.{name} a program.",
            )


def _variables(platform: Platform) -> Iterator[Finding]:
    missing = [name for name in platform.settings.env if name not in platform.env]
    if missing:
        yield Finding(
            subject=f"{_SUBJECT}: env",
            severity=Severity.WARNING,
            message=f"not set here: {', '.join(missing)}",
            hint="Set them for the job, or leave them out of target.command.env.",
        )
    tokens = [name for name in platform.settings.env if name in ("GITHUB_TOKEN", "GH_TOKEN")]
    if tokens:
        yield Finding(
            subject=f"{_SUBJECT}: env",
            severity=Severity.WARNING,
            message=f"the programs get {', '.join(tokens)}, which may write to the repository",
            hint="Give them a token of their own with the rights they need.",
        )


def _told(platform: Platform) -> Finding:
    try:
        seen = platform.look()
    except TargetFailed as wrong:
        return Finding(subject=_SUBJECT, severity=Severity.ERROR, message=wrong.message, hint=wrong.hint)
    if seen.served is None:
        return Finding(
            subject=_SUBJECT,
            severity=Severity.ERROR,
            message=f"get_weight cannot ask the gateway: {seen.problem}",
            hint="Nothing is moved while it is unknown what is served.",
        )
    roles = seen.roles
    stable = str(roles.stable.release.release()) if roles.stable is not None else "nothing"
    canary = f"; {roles.canary.release.release()} is canary at {seen.served}" if roles.canary is not None else ""
    return Finding(subject=_SUBJECT, severity=Severity.OK, message=f"{stable} is stable{canary}")
