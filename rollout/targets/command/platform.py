"""The user's programs as calls: an order in, what they told out, and every way to fail as one of our errors.

It knows the contract and no rule of a rollout: `target` decides what is ordered, and what must be true afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from rollout.errors import TargetBusy, TargetFailed
from rollout.targets.command import programs
from rollout.targets.command.contract import (
    Address,
    DeployOrder,
    DiscardOrder,
    FailureSaid,
    GetWeightOrder,
    LogsOrder,
    Order,
    PromoteOrder,
    ResolvedSaid,
    ResolveOrder,
    RetireOrder,
    RolesSaid,
    RollbackOrder,
    SetWeightOrder,
    Sighting,
    StatusOrder,
    VersionSaid,
    WeightSaid,
    first_mistake,
)
from rollout.targets.command.programs import Ended
from rollout.targets.command.settings import CommandSettings

TRY_AGAIN: Final = 75
"""The exit code of a program whose next try may succeed: EX_TEMPFAIL of sysexits.h."""
_PAGE: Final = "docs/command.md says what it has to print, and schema/ holds a JSON Schema of it."
_SHORT: Final = 500
"""Characters of somebody else's text in a message of ours."""

Answer = TypeVar("Answer", bound=BaseModel)
Effect = DeployOrder | SetWeightOrder | PromoteOrder | RollbackOrder | RetireOrder | DiscardOrder


@dataclass(frozen=True)
class Platform:
    """The programs of one service. Every method raises TargetBusy or TargetFailed."""

    settings: CommandSettings
    service: str
    environment: str
    env: Mapping[str, str]
    """The environment of this process, of which the programs get what the settings name."""

    def look(self) -> Sighting:
        """What runs and what the gateway serves."""
        status = self._roles() if self.settings.status is not None else None
        said = self._weight()
        try:
            roles = said.roles() if status is None else status
            return Sighting(weight=said.weight, problem=said.problem, roles=roles)
        except ValueError as wrong:
            raise _nonsense("get_weight", wrong) from None

    def weight(self) -> WeightSaid:
        """What the gateway serves."""
        return self._weight()

    def do(self, order: Effect) -> None:
        """Carry out an effect. Its answer is its exit code; what is true afterwards is for `look` to tell."""
        self._run(order, whole=False)

    def offers(self, name: str) -> bool:
        """Whether there is a program for an order."""
        return getattr(self.settings, name) is not None

    def logs(self, *, lines: int) -> str:
        """The last lines of the last canary, as plain text."""
        text = self._masked(self._run(LogsOrder(lines=lines), whole=False).stdout)
        return "".join(line + "\n" for line in text.splitlines()[-lines:])

    def digest(self, *, image: str, tag: str) -> str:
        """The digest of a tag, as the `resolve` program tells it."""
        return self._told(ResolveOrder(image=image, tag=tag), ResolvedSaid).digest

    @property
    def directory(self) -> Path:
        """Where the programs run."""
        return self.settings.directory or Path()

    @cached_property
    def given(self) -> Mapping[str, str]:
        """The variables that the programs get."""
        return programs.environment(self.env, self.settings.env)

    def _roles(self) -> RolesSaid:
        said = self._told(StatusOrder(), RolesSaid)
        return said.model_copy(update=self._reasons(said))

    def _weight(self) -> WeightSaid:
        said = self._told(GetWeightOrder(), WeightSaid)
        return said.model_copy(update={"problem": self._line(said.problem), **self._reasons(said)})

    def _reasons(self, said: RolesSaid | WeightSaid) -> dict[str, VersionSaid]:
        """The versions with their reasons fit to be told. Nothing else is masked: a region may stand in an image."""
        return {
            role: version.model_copy(update={"reason": self._line(version.reason)})
            for role, version in (("stable", said.stable), ("canary", said.canary))
            if version is not None
        }

    def _told(self, order: Order, model: type[Answer]) -> Answer:
        ended = self._run(order, whole=True)
        try:
            return model.model_validate_json(ended.stdout)
        except (ValidationError, ValueError) as wrong:
            raise _nonsense(order.order, wrong) from None

    def _run(self, order: Order, *, whole: bool) -> Ended:
        name = order.order
        argv: tuple[str, ...] = getattr(self.settings, name)
        timeout = self._timeout(order)
        call = programs.Call(
            argv=argv,
            stdin=order.addressed(Address(service=self.service, environment=self.environment)),
            env=self.given,
            directory=self.directory,
            timeout=timeout,
            whole=whole,
        )
        try:
            ended = programs.run(call)
        except programs.NotStarted as wrong:
            raise TargetFailed(
                f"the program for {name} cannot be run: {_short(argv[0])}: {wrong}",
                hint=f"Correct target.command.{name}; relative paths count from {_short(str(self.directory))}.",
            ) from None
        except programs.TooSlow:
            raise TargetBusy(
                f"the program for {name} did not end within {timeout.total_seconds():g} s and was killed",
                hint="Look why, or allow it more with target.command.timeout or work_timeout.",
            ) from None
        except programs.TooMuch:
            raise TargetFailed(f"the program for {name} printed more than {programs.LIMIT} bytes", hint=_PAGE) from None
        if ended.code != 0:
            raise self._refusal(name, ended)
        return ended

    def _timeout(self, order: Order) -> timedelta:
        match order:
            case GetWeightOrder() | StatusOrder() | SetWeightOrder() | LogsOrder() | ResolveOrder():
                return self.settings.timeout
            case _:
                return self.settings.work_timeout

    def _refusal(self, name: str, ended: Ended) -> TargetFailed:
        """The error for a program that did not do what it was told: in its own words, where it has any."""
        try:
            said = FailureSaid.model_validate_json(ended.stdout)
            why, hint = self._line(said.error), self._line(said.hint)
        except ValidationError:
            lines = self._masked(ended.stderr).splitlines()
            why, hint = next((_short(line) for line in reversed(lines) if line.strip()), ""), ""
        how = f"was ended by signal {-ended.code}" if ended.code < 0 else f"failed with exit code {ended.code}"
        message = f"the program for {name} {how}" + (f": {why}" if why else "")
        if ended.code == TRY_AGAIN or ended.code < 0:
            return TargetBusy(message, hint=hint)
        return TargetFailed(message, hint=hint or "Run it by hand with the order on its stdin, and see what it says.")

    def _line(self, text: str) -> str:
        return _short(self._masked(text.encode()))

    def _masked(self, text: bytes) -> str:
        """Without the values of the variables that were named for the programs; any of them may be a secret."""
        shown = text.decode(errors="replace")
        values = (self.env.get(name, "") for name in self.settings.env if name not in programs.ALWAYS)
        lines = {part.strip() for value in values for part in (value, *value.splitlines())}
        for secret in sorted((line for line in lines if len(line) >= 6), key=len, reverse=True):
            shown = shown.replace(secret, "***")
        return shown


def _nonsense(name: str, wrong: ValidationError | ValueError) -> TargetFailed:
    return TargetFailed(f"the answer to {name} cannot be understood: {_short(first_mistake(wrong))}", hint=_PAGE)


def _short(text: str) -> str:
    """Somebody else's text on one line that can be printed."""
    line = re.sub(r"\s+", " ", "".join(letter if letter.isprintable() else " " for letter in text)).strip()
    return line if len(line) <= _SHORT else line[: _SHORT - 1] + "…"
