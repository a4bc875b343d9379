"""Several places one after the other as one target: a second cluster or region gets the canary once the first has it.

The weight of the whole is the mean of the places' weights, so a plan's steps rise once, from nothing anywhere to
everything everywhere. It knows no adapter: every place is a target of its own, and each effect is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from rollout.core.finding import Finding
from rollout.core.plan import Weight
from rollout.core.release import Release
from rollout.core.waves import weight_in
from rollout.errors import TargetBusy, TargetFailed
from rollout.targets.base import Health, Instance, Seen, Target

_WORST: Final = (Health.DEAD, Health.UNREADY, Health.READY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """One place."""

    name: str
    target: Target


class WaveTarget:
    """The places in their order. Each is deployed at the start, so that what cannot start is known before any user."""

    def __init__(self, waves: tuple[Wave, ...], *, share: Callable[[Weight, int, int], Weight] = weight_in) -> None:
        """`share` says which weight a place has, of so many, when the whole has one: one after the other by default."""
        if not waves:
            raise ValueError("a target has one wave at least")
        self._waves = waves
        self._share = share

    def resolve(self, tag: str) -> Release:
        """The release, which must be the same image wherever it is pulled. Raises TargetFailed."""
        found = {wave.name: wave.target.resolve(tag) for wave in self._waves}
        if len(set(found.values())) > 1:
            told = ", ".join(f"{name}: {release.digest[:19]}" for name, release in found.items())
            raise TargetFailed(
                f"{tag} is not the same image everywhere: {told}", hint="push one image to all registries"
            )
        return next(iter(found.values()))

    def look(self) -> Seen:
        """What all places together look like: the mean weight, and of each version its worst health."""
        seen = [wave.target.look() for wave in self._waves]
        problems = [f"{wave.name}: {one.problem}" for wave, one in zip(self._waves, seen, strict=True) if one.problem]
        shares = [one.weight.percent for one in seen if one.weight is not None]
        return Seen(
            weight=Weight(round(sum(shares) / len(seen), 1)) if len(shares) == len(seen) else None,
            stable=_together([one.stable for one in seen]),
            canary=_together([one.canary for one in seen]),
            reserve=next((one.reserve for one in reversed(seen) if one.reserve is not None), None),
            problem="; ".join(problems),
        )

    def deploy(self, release: Release, *, rollout: str) -> None:
        """Everywhere, at weight 0. Where one place fails, nothing of it is left in any."""
        for at, wave in enumerate(self._waves):
            try:
                self._in(wave, lambda target: target.deploy(release, rollout=rollout))
            except TargetBusy:
                raise
            except TargetFailed:
                for earlier in self._waves[:at]:
                    self._in(earlier, lambda target: target.retire())
                raise

    def move(self, weight: Weight) -> None:
        """Down first, then up: at no moment is more of the whole on the canary than before and after."""
        changes = [
            (wave, self._share(weight, at, len(self._waves)), wave.target.look().weight)
            for at, wave in enumerate(self._waves)
        ]
        down = [(wave, share) for wave, share, now in reversed(changes) if now is None or share < now]
        up = [(wave, share) for wave, share, now in changes if now is not None and share > now]
        for wave, share in (*down, *up):
            self._in(wave, partial(_move, share))

    def promote(self) -> None:
        """One place after the other."""
        for wave in self._waves:
            self._in(wave, lambda target: target.promote())

    def roll_back(self, *, rollout: str) -> None:
        """Every place, whatever happens in another. Raises the first trouble once all were tried."""
        self._everywhere(lambda target: target.roll_back(rollout=rollout))

    def retire(self) -> None:
        """Every place."""
        self._everywhere(lambda target: target.retire())

    def discard(self) -> None:
        """Every place."""
        self._everywhere(lambda target: target.discard())

    def logs(self, *, lines: int) -> str:
        """The canary's last lines of the first place that has any."""
        return next((text for wave in self._waves if (text := wave.target.logs(lines=lines))), "")

    def diagnose(self) -> Iterator[Finding]:
        """What each place finds, by its name."""
        for wave in self._waves:
            for finding in wave.target.diagnose():
                yield replace(finding, subject=f"{wave.name}: {finding.subject}")

    def _everywhere(self, effect: Callable[[Target], None]) -> None:
        troubles: list[TargetFailed] = []
        for wave in reversed(self._waves):
            try:
                self._in(wave, effect)
            except TargetFailed as trouble:
                troubles.append(trouble)
        if troubles:
            raise min(troubles, key=lambda one: isinstance(one, TargetBusy))

    def _in(self, wave: Wave, effect: Callable[[Target], None]) -> None:
        try:
            effect(wave.target)
        except TargetFailed as trouble:
            raise type(trouble)(f"{wave.name}: {trouble.message}", hint=trouble.hint) from None


def _move(share: Weight, target: Target) -> None:
    target.move(share)


def _together(instances: list[Instance | None]) -> Instance | None:
    """One version in all places; of two releases the one of the last place, which changes last."""
    there = [one for one in instances if one is not None]
    if not there:
        return None
    return Instance(
        release=there[-1].release,
        health=min((one.health for one in there), key=_WORST.index),
        url=there[0].url,
        restarts=sum(one.restarts for one in there),
        reason=next((one.reason for one in there if one.reason), ""),
        ready=sum(one.ready for one in there),
        wanted=sum(one.wanted for one in there),
    )
