"""How the stable Deployment comes to run another release: by a change of it, or by a commit that the cluster follows.

Either way it is noted on the Deployment what is meant to run there, so that a killed promotion is known for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from rollout.core.release import Release
from rollout.targets.kubernetes import notes, workload
from rollout.targets.kubernetes.commits import commit_digest
from rollout.targets.kubernetes.component import Component, View
from rollout.targets.kubernetes.notes import Placed, Reserve
from rollout.targets.kubernetes.settings import CommitSettings, KubernetesSettings


class Replacement(Protocol):
    """One way to have the stable Deployment run another release. Each method is idempotent and does not wait."""

    @property
    def limit(self) -> timedelta:
        """How long it may take until every pod is new."""

    def begin(self, component: Component, view: View) -> None:
        """Order the canary's release for the stable Deployment, and note the way back."""

    def go_on(self, component: Component, view: View) -> None:
        """Have the order stand, where a process that gave it may have been killed before it was complete."""

    def back(self, component: Component, view: View) -> None:
        """Order the reserve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByApply:
    """The Deployment itself is changed, image and notes at once."""

    limit: timedelta

    def begin(self, component: Component, view: View) -> None:
        """See Replacement."""
        if view.is_begun:
            return
        placed = _placed(view)
        replicas = None
        if view.is_empty and view.canary is not None:
            replicas = workload.wanted(view.canary)
        component.set_image(view.stable, placed.release, _marks(component, view), replicas=replicas)

    def go_on(self, component: Component, view: View) -> None:
        """See Replacement. Image and notes came at once: there is nothing to complete."""

    def back(self, component: Component, view: View) -> None:
        """See Replacement."""
        if view.reserve is not None:
            component.put_back(view.stable, view.reserve)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByCommit:
    """A file in a repository is changed, and the cluster follows it; only our notes are written on the Deployment."""

    settings: CommitSettings
    image: str
    env: Mapping[str, str]

    @property
    def limit(self) -> timedelta:
        """See Replacement."""
        return self.settings.timeout

    def begin(self, component: Component, view: View) -> None:
        """See Replacement."""
        if not view.is_begun:
            component.mark(dict(_marks(component, view)))
        self._commit(_placed(view).release)

    def go_on(self, component: Component, view: View) -> None:
        """See Replacement."""
        self._commit(_placed(view).release)

    def back(self, component: Component, view: View) -> None:
        """See Replacement."""
        if view.reserve is not None:
            self._commit(view.reserve.release)
            component.mark({notes.RELEASE: notes.written(view.reserve.placed), notes.RESERVE: None})

    def _commit(self, release: Release) -> None:
        commit_digest(self.settings, image=self.image, release=release, env=self.env)


def replacement(settings: KubernetesSettings, *, image: str, env: Mapping[str, str]) -> Replacement:
    """The way that the settings name."""
    if settings.commit is not None:
        return ByCommit(settings=settings.commit, image=image, env=env)
    return ByApply(limit=settings.ready_timeout)


def _placed(view: View) -> Placed:
    assert view.placed is not None
    return view.placed


def _marks(component: Component, view: View) -> dict[str, str]:
    """The notes of a promotion: what runs, and the way back where there is one."""
    marks = {notes.RELEASE: notes.written(_placed(view))}
    if view.is_empty:
        return marks
    release = component.stable_release(view)
    known = view.noted if view.noted is not None and view.noted.release == release else None
    was = known or Placed(release=release, rollout="")
    reserve = Reserve(placed=was, template=view.stable["spec"]["template"])
    return marks | {notes.RESERVE: notes.written(reserve)}
