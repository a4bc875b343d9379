"""How orders reach a Rollout and how their end is known: compare-and-swap, and reading until it is so.

A change of the spec is a whole replacement, a change of the status a merge patch of that subresource; both carry the
resourceVersion they were decided on, and are decided anew where somebody else wrote first. What is ordered is the
caller's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rollout.errors import TargetBusy, TargetFailed
from rollout.targets.argo.memory import NOTE, Memory, dump
from rollout.targets.argo.standing import Standing
from rollout.targets.argo.view import View
from rollout.targets.kubernetes.client import ROLLOUT, Json
from rollout.targets.kubernetes.refusals import Stale

TRIES: Final = 8
"""How often an order is decided anew because somebody else wrote first; the official plug-in tries five times."""


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Orders to one Rollout."""

    view: View
    sleep: Callable[[float], None]
    monotonic: Callable[[], float]

    def swap(self, change: Callable[[Standing], Json | None]) -> None:
        """Replace the Rollout by what `change` makes of it; None leaves it."""

        def order(now: Standing) -> None:
            body = change(now)
            if body is not None:
                self.view.cluster.replace(ROLLOUT, self.view.settings.namespace, body)

        self._decide(order)

    def set_status(self, change: Callable[[Standing], Json | None]) -> None:
        """Change the status, where the controller takes its orders; on the main resource they are ignored."""

        def order(now: Standing) -> None:
            fields = change(now)
            if fields is not None:
                body = {"metadata": {"resourceVersion": now.version}, "status": fields}
                self.view.cluster.merge(ROLLOUT, self.view.settings.namespace, now.name, body, subresource="status")

        self._decide(order)

    def note(self, change: Callable[[Memory], Memory]) -> None:
        """Change nothing but what is noted."""

        def order(now: Standing) -> None:
            noted = dump(change(now.memory()))
            body = {"metadata": {"resourceVersion": now.version, "annotations": {NOTE: noted}}}
            self.view.cluster.merge(ROLLOUT, self.view.settings.namespace, now.name, body)

        self._decide(order)

    def _decide(self, order: Callable[[Standing], None]) -> None:
        for left in reversed(range(TRIES)):
            try:
                order(self.view.standing())
            except Stale:
                if not left:
                    raise
                self.sleep(0.05)
            else:
                return

    def observed(self) -> Standing:
        """The Rollout once the controller has seen its spec: before that the status tells of another one."""
        return self.wait(lambda now: now.is_observed, "Argo Rollouts to see the Rollout as it is")

    def wait(
        self,
        done: Callable[[Standing], bool],
        what: str,
        *,
        seconds: float | None = None,
        late: Callable[[Standing], TargetFailed] | None = None,
    ) -> Standing:
        """Read the Rollout until it is so: ten times a second at first, twice a second after 3 s. The last reading.

        An API server that does not answer for a moment is asked again. Raises what `late` gives, else TargetBusy, when
        the time is over: `seconds`, else `settle_timeout`.
        """
        limit = self.view.settings.settle_timeout.total_seconds() if seconds is None else seconds
        began = self.monotonic()
        while True:
            try:
                now = self.view.standing()
                if done(now):
                    return now
                silence = None
            except TargetBusy as busy:
                silence = busy
            passed = self.monotonic() - began
            if passed >= limit:
                raise silence or (late(now) if late is not None else _late(now, what, limit))
            self.sleep(0.1 if passed < 3 else 0.5)


def _late(now: Standing, what: str, limit: float) -> TargetBusy:
    trouble = f": {now.trouble}" if now.trouble else ""
    return TargetBusy(
        f"waited {limit:g} s for {what}{trouble}",
        hint="Look into the log of the argo-rollouts controller; it is taken up again.",
    )


def forward(now: Standing) -> Json | None:
    """The status that promotes: the last pause is ended, or everything that is left is skipped. Raises TargetFailed."""
    if not now.has_canary or now.is_promoting:
        return None
    if now.is_aborted:
        raise aborted(now)
    last = now.stops[-1] if now.stops else None
    return {"pauseConditions": None} if last is not None and now.waits_at(last) else {"promoteFull": True}


def go_on(now: Standing) -> bool:
    """True, unless the controller has given up: an abort of its own is an answer, and its reason is told."""
    if now.is_observed and now.has_canary and now.is_aborted:
        raise aborted(now)
    if now.is_observed and now.is_invalid:
        raise TargetFailed(f"Argo Rollouts does not accept the Rollout: {now.trouble}", hint="Correct its spec.")
    return True


def aborted(now: Standing) -> TargetFailed:
    """The canary was aborted."""
    return TargetFailed(
        f"Argo Rollouts has aborted the canary: {now.trouble or 'it gives no reason'}",
        hint="All traffic is on its way back to stable.",
    )
