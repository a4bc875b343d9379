"""The command target: any platform, moved by the user's programs, as the engine of a rollout sees it.

The programs carry out and report; what may be ordered when, and what must be true afterwards, is decided here. No
memory is kept: whatever runs is told by the platform at each look, so that the next job may run on another machine. A
program that ends with success has done nothing until a look shows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from rollout.core.finding import Finding
from rollout.core.plan import NOTHING, Weight
from rollout.core.release import TAG, Release
from rollout.errors import RolloutError, TargetBusy, TargetFailed
from rollout.targets.base import Health, Seen
from rollout.targets.command import contract
from rollout.targets.command.contract import RolesSaid, Sighting
from rollout.targets.command.diagnosis import diagnose
from rollout.targets.command.platform import Platform
from rollout.targets.command.settings import CommandSettings

_ID: Final = re.compile(contract.ID)


@dataclass(frozen=True)
class CommandTarget:
    """`rollout.targets.base.Target` by programs."""

    settings: CommandSettings
    service: str
    environment: str
    image: str
    env: Mapping[str, str]
    """The environment of this process: of it the programs get what the settings name."""

    def resolve(self, tag: str) -> Release:
        """See Target."""
        if not self._platform.offers("resolve"):
            from rollout.targets import registry  # noqa: PLC0415  # a tick that resolves no tag need not import requests

            return registry.resolve(self.image, tag, env=self.env)
        if not TAG.fullmatch(tag):
            raise TargetFailed(f"{tag[:140]!r} is not a tag", hint="Letters, digits, '_', '.' and '-', at most 128.")
        return Release(tag=tag, image=self.image, digest=self._platform.digest(image=self.image, tag=tag))

    def look(self) -> Seen:
        """See Target."""
        try:
            return self._platform.look().seen()
        except TargetFailed as wrong:
            return Seen(weight=None, problem=wrong.message)

    def deploy(self, release: Release, *, rollout: str) -> None:
        """See Target."""
        if not _ID.fullmatch(rollout):
            raise TargetFailed(f"{rollout[:140]!r} cannot name a rollout: letters, digits, '_', '.' and '-'")
        now = self._platform.look()
        if now.roles.stable is not None and now.roles.stable.rollout == rollout:
            return
        canary = now.roles.canary
        if canary is not None and canary.rollout != rollout:
            self._clear(now)
        elif canary is not None:
            if canary.release.release() != release:
                raise TargetFailed(f"the rollout {rollout} has already deployed {canary.release.release()}")
            if canary.health is Health.READY and now.served is not None:
                return
        try:
            self._platform.do(
                contract.DeployOrder(
                    rollout=rollout,
                    release=contract.ReleaseSaid.of(release),
                    reference=release.reference,
                )
            )
            self._require_deployed(release, rollout)
        except RolloutError as failed:
            self._take_back(rollout, failed)
            raise

    def move(self, weight: Weight) -> None:
        """See Target."""
        canary = self._platform.look().roles.canary
        if canary is None:
            if weight == NOTHING:
                return
            raise TargetFailed(f"there is no canary to give {weight} of the traffic to", hint="Deploy one first.")
        self._platform.do(
            contract.SetWeightOrder(rollout=canary.rollout, weight=weight.percent, permille=weight.permille)
        )
        self._require_weight("set_weight", weight)

    def promote(self) -> None:
        """See Target."""
        now = self._platform.look().roles
        canary = now.canary
        if canary is None:
            if now.stable is None or now.stable.rollout != now.rollout:
                raise TargetFailed("there is no canary to promote", hint="Deploy one first.")
            return
        match canary.health:
            case Health.READY:
                pass
            case Health.UNREADY:
                raise TargetBusy(f"{canary.release.release()} does not answer its health check, so it is not promoted")
            case Health.DEAD:
                raise TargetFailed(f"{canary.release.release()} does not run, so it is not promoted")
        self._platform.do(contract.PromoteOrder(rollout=canary.rollout, release=canary.release))
        after = self._platform.look()
        if after.roles.stable is None or after.roles.stable.rollout != canary.rollout or after.roles.canary is not None:
            raise _lied("promote", f"{canary.release.release()} is not the stable release")
        _require(after, NOTHING, "promote")

    def roll_back(self, *, rollout: str) -> None:
        """See Target. Where the programs cannot tell what runs, `rollback` is run all the same: users come first."""
        try:
            before = self._platform.look().roles
        except TargetFailed:
            before = None
        if before is not None and not _may_go_back(before, rollout):
            return
        self._platform.do(contract.RollbackOrder(rollout=rollout))
        after = self._platform.look()
        if before is None and not _is_of(after.roles, rollout):
            return
        _require(after, NOTHING, "rollback")
        if after.roles.stable is not None and after.roles.stable.rollout == rollout and after.roles.reserve is not None:
            raise _lied("rollback", f"{after.roles.stable.release.release()} is still the stable release")

    def retire(self) -> None:
        """See Target."""
        now = self._platform.look()
        canary, reserve = now.roles.canary, now.roles.reserve
        if canary is not None:
            if now.served is None:
                raise TargetBusy(f"nothing is stopped while it is unknown what is served: {now.problem}")
            if now.served == NOTHING and self._platform.offers("retire"):
                self._retire_canary(canary.rollout)
        elif reserve is not None and self._platform.offers("retire"):
            self._platform.do(contract.RetireOrder(what="reserve", rollout=reserve.rollout))

    def discard(self) -> None:
        """See Target."""
        reserve = self._platform.look().roles.reserve
        if reserve is None or not self._platform.offers("discard"):
            return
        self._platform.do(contract.DiscardOrder(rollout=reserve.rollout))
        if self._platform.look().roles.reserve is not None:
            raise _lied("discard", f"{reserve.release.release()} is still in reserve")

    def logs(self, *, lines: int) -> str:
        """See Target."""
        return self._platform.logs(lines=lines) if self._platform.offers("logs") else ""

    def diagnose(self) -> Iterator[Finding]:
        """See Target."""
        yield from diagnose(self._platform)

    # The parts of the effects.

    def _clear(self, now: Sighting) -> None:
        """Take away the canary of another rollout. Where no program removes it, `deploy` has to replace it."""
        canary = now.roles.canary
        assert canary is not None
        if now.served != NOTHING:
            raise TargetFailed(
                f"{canary.release.release()} of rollout {canary.rollout} still gets traffic",
                hint="Abort that rollout first.",
            )
        if self._platform.offers("retire"):
            self._retire_canary(canary.rollout)

    def _retire_canary(self, rollout: str) -> None:
        self._platform.do(contract.RetireOrder(what="canary", rollout=rollout))
        after = self._platform.look().roles.canary
        if after is not None and after.rollout == rollout:
            raise _lied("retire", f"{after.release.release()} is still there")

    def _require_deployed(self, release: Release, rollout: str) -> None:
        after = self._platform.look()
        canary = after.roles.canary
        if canary is None or canary.rollout != rollout:
            raise _lied("deploy", f"{release} of rollout {rollout} is not there")
        if canary.release.digest != release.digest:
            raise _lied("deploy", f"it runs {canary.release.release()} and not {release}")
        if canary.health is not Health.READY:
            raise _lied("deploy", f"{release} is {canary.health}")
        _require(after, NOTHING, "deploy")

    def _require_weight(self, name: str, weight: Weight) -> None:
        said = self._platform.weight()
        if said.weight is None:
            raise TargetBusy(f"it is unknown whether {weight} is served: {said.problem}")
        if Weight(said.weight) != weight:
            raise _lied(name, f"{Weight(said.weight)} is served and not {weight}")

    def _take_back(self, rollout: str, failed: RolloutError) -> None:
        """Leave nothing running of a canary whose deployment failed, where its program has not seen to it."""
        try:
            now = self._platform.look()
            canary = now.roles.canary
            if canary is None or canary.rollout != rollout or not self._platform.offers("retire"):
                return
            if now.served == NOTHING:
                self._retire_canary(rollout)
        except RolloutError as also:
            failed.hint = f"{failed.hint}\n  It could not be cleaned up either: {also.message}".strip()

    @cached_property
    def _platform(self) -> Platform:
        return Platform(settings=self.settings, service=self.service, environment=self.environment, env=self.env)


def _is_of(roles: RolesSaid, rollout: str) -> bool:
    """Whether the canary, or else the stable release, is that rollout's."""
    if roles.canary is not None:
        return roles.canary.rollout == rollout
    return roles.stable is not None and roles.stable.rollout == rollout


def _may_go_back(roles: RolesSaid, rollout: str) -> bool:
    """Whether there is anything of that rollout to take back, and somewhere to go."""
    return _is_of(roles, rollout) and (roles.canary is not None or roles.reserve is not None)


def _require(after: Sighting, weight: Weight, name: str) -> None:
    if after.served is None:
        raise TargetBusy(f"the program for {name} has ended, and it is unknown what is served: {after.problem}")
    if after.served != weight:
        raise _lied(name, f"{after.served} is served and not {weight}")


def _lied(name: str, instead: str) -> TargetFailed:
    """The error where a program reports a success that a look does not show."""
    return TargetFailed(
        f"the program for {name} ended with exit code 0, but {instead}",
        hint="Have it end only when it is done, or correct what status and get_weight tell (docs/command.md).",
    )
