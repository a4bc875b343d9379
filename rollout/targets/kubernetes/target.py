"""The Kubernetes target: a canary Deployment beside the stable one, and a route that splits the traffic.

The order within every effect makes a killed call harmless. Users are on the canary while the stable Deployment is
replaced, and on the stable one while the canary is removed; what is begun is written on the Deployments, so that the
next process finds it. All components go through each stage together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from rollout.core.finding import Finding
from rollout.core.plan import EVERYTHING, NOTHING, Weight
from rollout.core.release import Release
from rollout.errors import RolloutError, TargetBusy, TargetFailed
from rollout.targets import registry
from rollout.targets.base import Health, Seen
from rollout.targets.kubernetes import images, notes, seeing, workload
from rollout.targets.kubernetes.client import connect
from rollout.targets.kubernetes.component import Component, View
from rollout.targets.kubernetes.diagnosis import diagnose
from rollout.targets.kubernetes.notes import Placed, Reserve
from rollout.targets.kubernetes.parts import components, login_of
from rollout.targets.kubernetes.refusals import Stale
from rollout.targets.kubernetes.replacing import Replacement, replacement
from rollout.targets.kubernetes.settings import KubernetesSettings
from rollout.targets.kubernetes.waiting import Patience

Views = list[tuple[Component, View]]
"""What was seen of some components."""

LEAST: Final = 2
"""How many pods a canary has at least, where its size follows its weight."""
SPREAD_SECONDS: Final = 2.0
"""How much later than the cluster its endpoints and gateways may know that a pod is ready."""
TRIES: Final = 5
"""How often an order is given anew that somebody else's change of the Deployment overtakes."""
LOG_LINES: Final = 60
LOG_LIMIT: Final = 16_000
"""Lines and characters of a canary's log that are kept once it is gone."""


@dataclass(frozen=True)
class KubernetesTarget:
    """`rollout.targets.base.Target` in one namespace of one cluster. `clock` says what time it is, with a time zone."""

    settings: KubernetesSettings
    service: str
    environment: str
    image: str
    env: Mapping[str, str]
    """The environment of this process, for KUBECONFIG and the registry's credentials."""
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    """Lets seconds pass between two looks at the cluster."""

    def resolve(self, tag: str) -> Release:
        """See Target."""
        return registry.resolve(self.image, tag, env=self.env)

    def look(self) -> Seen:
        """See Target. Raises TargetFailed only where our own notes cannot be understood."""
        return seeing.look(self._components)

    def deploy(self, release: Release, *, rollout: str) -> None:
        """See Target."""
        views = self._views()
        if all(view.noted is not None and view.noted.rollout == rollout for _, view in views):
            return
        placed = Placed(release=release, rollout=rollout)
        for component, view in views:
            _clear_for(component, view, placed)
        if all(view.is_of(rollout) and view.routing.is_wired for _, view in views):
            return
        try:
            self._bring_up(self._views(), placed)
        except RolloutError as failed:
            self._take_back(failed)
            raise

    def move(self, weight: Weight) -> None:
        """See Target."""
        views = _routed(self._views())
        if not all(view.canary is not None and view.routing.is_wired and not view.is_begun for _, view in views):
            if weight == NOTHING:
                return
            raise TargetFailed(f"there is no canary to give {weight} of the traffic to", hint="Deploy one first.")
        for component, view in views:
            self._grow(component, view, weight)
        self._order(views, weight)
        for component, _ in views:
            component.weigh(weight)
        for component, view in views:
            component.scale(self._size(view, weight))

    def promote(self) -> None:
        """See Target."""
        seen = self._views()
        views = [(component, view) for component, view in seen if view.canary is not None and not view.is_way_back]
        if not views:
            if any(view.noted is None for _, view in seen):
                raise TargetFailed("there is no canary to promote", hint="Deploy one first.")
            return
        if all(view.is_begun for _, view in views) and not any(view.has_users for _, view in _routed(views)):
            return
        for component, view in views:
            if not view.is_begun:
                _require_ready(component, view)
        self._carry(views)
        for component, view in views:
            _order_anew(component, self._replacement.go_on if view.is_begun else self._replacement.begin)
        self._arrive(views)

    def roll_back(self, *, rollout: str) -> None:
        """See Target."""
        views = self._views()
        for component, view in _routed(views):
            if view.canary is None and view.routing.is_wired and component.router is not None:
                component.router.unwire()  # somebody has removed the canary: nobody is sent to nothing
        if any(view.is_way_back and view.is_of(rollout) for _, view in views):
            self._go_back(views, rollout)
            return
        acting = [(component, view) for component, view in views if view.is_of(rollout)]
        promoted = [view for _, view in views if view.noted is not None and view.noted.rollout == rollout]
        if promoted and all(view.is_begun and not view.has_users for _, view in acting):
            self._go_back(views, rollout)
        else:
            self._turn_back(acting)

    def retire(self) -> None:
        """See Target."""
        views = [(component, view) for component, view in self._views() if view.canary is not None]
        if any(view.has_users for _, view in _routed(views)):
            return
        for component, view in views:
            _remove(component, view)

    def discard(self) -> None:
        """See Target."""
        for component, view in self._views():
            if view.reserve is not None:
                component.mark({notes.RESERVE: None})

    def logs(self, *, lines: int) -> str:
        """See Target. What is wrong with the pods comes first, in the cluster's own words."""
        said = []
        for component in self._components:
            canary = component.canary()
            if canary is not None and notes.WAY_BACK not in notes.annotations_of(canary):
                said.append(component.logs(canary, lines=lines))
            else:
                said.append(notes.annotations_of(component.stable()).get(notes.LOG, ""))
        return "\n".join("\n".join(filter(None, said)).splitlines()[-lines:])

    def diagnose(self) -> Iterator[Finding]:
        """See Target."""
        yield from diagnose(self.settings, env=self.env, image=self.image, patience=self._patience)

    # The parts of the effects.

    def _bring_up(self, views: Views, placed: Placed) -> None:
        for component, view in views:
            if not view.is_of(placed.rollout):
                template = view.stable["spec"]["template"]
                template = images.with_image(template, component.containers(template), placed.release.reference)
                component.place(view.stable, template, placed, replicas=self._size(view, NOTHING))
        for component, _ in views:
            component.until_ready()
        for component, view in _routed(views):
            if not view.routing.is_wired:
                component.weigh(NOTHING)

    def _take_back(self, failed: RolloutError) -> None:
        """Leave nothing running of a canary whose deployment failed."""
        try:
            for component, view in self._views():
                if view.canary is not None and not view.has_users:
                    _remove(component, view)
        except RolloutError as also:
            failed.hint = f"{failed.hint}\n  It could not be cleaned up either: {also.message}".strip()

    def _grow(self, component: Component, view: View, weight: Weight) -> None:
        """Have as many pods ready as the weight needs, before it comes."""
        assert view.canary is not None
        if view.routing.weight is not None and weight <= view.routing.weight:
            return
        size = self._size(view, weight)
        if size > workload.wanted(view.canary):
            component.scale(size)
            with _busy():
                component.until_ready()
            self.sleep(SPREAD_SECONDS)

    def _carry(self, views: Views) -> None:
        """Have the canary carry everybody, with as many pods as stable has."""
        for component, view in views:
            assert view.canary is not None
            component.scale(max(workload.wanted(view.stable), workload.wanted(view.canary)))
        with _busy():
            for component, _ in views:
                component.until_ready()
        self.sleep(SPREAD_SECONDS)
        self._order(_routed(views), EVERYTHING)
        for component, _ in views:
            component.weigh(EVERYTHING)

    def _arrive(self, views: Views) -> None:
        """Once every stable pod is ready with the canary's release, send everybody there."""
        for component, view in views:
            assert view.placed is not None
            component.until_settled(view.placed.release.digest, limit=self._replacement.limit)
        self.sleep(SPREAD_SECONDS)
        for component, _ in views:
            component.weigh(NOTHING)
        self._order(_routed(views), NOTHING)

    def _turn_back(self, views: Views) -> None:
        """Everybody to the stable release: at once, or once it is stable again where it was being replaced."""
        begun = [(component, view) for component, view in views if view.is_begun]
        if any(view.reserve is None for _, view in begun):
            return
        for component, _ in begun:
            _order_anew(component, self._replacement.back)
        for component, view in begun:
            assert view.reserve is not None
            component.until_settled(view.reserve.release.digest, limit=self._replacement.limit)
        for component, view in views:
            if not view.is_begun and not view.is_empty and view.routing.weight != NOTHING:
                component.until_stable_serves(whole=view.routing.weight == EVERYTHING)
        for component, view in views:
            if view.routing.is_wired:
                component.weigh(NOTHING)
        self._order(_routed(views), NOTHING)

    def _go_back(self, views: Views, rollout: str) -> None:
        """To the reserve: it runs beside stable first, and carries everybody while stable goes back to it."""
        for component, view in views:
            if view.noted is not None and view.noted.rollout == rollout and not view.is_way_back and view.reserve:
                self._place_reserve(component, view, view.reserve, rollout)
        acting = [(component, view) for component, view in self._views() if view.is_way_back]
        back = [(component, view) for component, view in acting if view.noted and view.noted.rollout == rollout]
        if not back and not any(view.has_users for _, view in _routed(acting)):
            return
        if back:
            self._carry(acting)
        for component, _ in back:
            _order_anew(component, self._replacement.back)
        self._arrive(acting)

    def _place_reserve(self, component: Component, view: View, reserve: Reserve, rollout: str) -> None:
        if view.canary is not None:
            _remove(component, view)
        names = component.containers(reserve.template)
        template = images.with_image(reserve.template, names, reserve.release.reference)
        placed = Placed(release=reserve.release, rollout=rollout)
        size = max(1, workload.wanted(view.stable))
        component.place(view.stable, template, placed, replicas=size, way_back=True)

    def _order(self, views: Views, weight: Weight) -> None:
        """Note what all components are meant to have, so that a call killed between two of them is seen."""
        if len(views) > 1:
            component, view = views[0]
            if view.canary is not None:
                component.mark({notes.ORDERED: str(weight.permille)}, on=component.canary_name)

    def _size(self, view: View, weight: Weight) -> int:
        """How many pods the canary has at that weight."""
        if self.settings.replicas != "share":
            return self.settings.replicas
        return max(LEAST, math.ceil(workload.wanted(view.stable) * weight.permille / 1000))

    def _views(self) -> Views:
        return [(component, component.view()) for component in self._components]

    @cached_property
    def _patience(self) -> Patience:
        return Patience(clock=self.clock, sleep=self.sleep)

    @cached_property
    def _components(self) -> tuple[Component, ...]:
        cluster = connect(login_of(self.settings), env=self.env)
        return components(self.settings, cluster, image=self.image, patience=self._patience)

    @cached_property
    def _replacement(self) -> Replacement:
        return replacement(self.settings, image=self.image, env=self.env)


def _routed(views: Views) -> Views:
    return [(component, view) for component, view in views if component.router is not None]


def _require_ready(component: Component, view: View) -> None:
    assert view.canary is not None
    assert view.placed is not None
    match component.canary_instance(view.canary, view.placed).health:
        case Health.READY:
            pass
        case Health.UNREADY:
            raise TargetBusy(f"not every pod of {view.placed.release} is ready, so it is not promoted")
        case Health.DEAD:
            raise TargetFailed(f"{view.placed.release} does not run, so it is not promoted")


def _clear_for(component: Component, view: View, placed: Placed) -> None:
    """Have no other canary in the way. Raises TargetFailed where one is in use."""
    there = view.placed
    if there is not None and there.rollout == placed.rollout:
        if there.release != placed.release:
            raise TargetFailed(f"the rollout {placed.rollout} has already deployed {there.release}")
    elif view.canary is not None:
        if view.has_users:
            whose = f"of rollout {there.rollout}" if there is not None else "of an unknown rollout"
            raise TargetFailed(f"the canary {whose} still gets traffic", hint="Abort that rollout first.")
        _remove(component, view)


def _remove(component: Component, view: View) -> None:
    """Take a canary away that gets no requests, keeping its last lines on the stable Deployment."""
    if view.canary is not None and not view.is_way_back:
        text = component.logs(view.canary, lines=LOG_LINES)[-LOG_LIMIT:]
        if text != notes.annotations_of(view.stable).get(notes.LOG, ""):
            component.mark({notes.LOG: text or None})
    component.remove()


def _order_anew(component: Component, order: Callable[[Component, View], None]) -> None:
    """Give an order on the strength of a fresh look; again where the Deployment changes in between."""
    for _ in range(TRIES - 1):
        try:
            order(component, component.view())
        except Stale:
            continue
        return
    order(component, component.view())


@contextmanager
def _busy() -> Iterator[None]:
    """What is not ready now may be later, and users are well where they are meanwhile."""
    try:
        yield
    except TargetBusy:
        raise
    except TargetFailed as failed:
        raise TargetBusy(f"traffic stays where it is: {failed.message}", hint=failed.hint) from failed
