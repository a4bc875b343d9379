"""From what was seen of the components to what the target looks like as one. It changes nothing.

While an effect is under way, the truth is who serves users: a reserve that carries everybody back is the stable release
already, and a canary whose release has been made stable is no canary any more.
"""

from __future__ import annotations

from rollout.core.plan import NOTHING, Weight
from rollout.errors import TargetFailed
from rollout.targets.base import Health, Instance, Seen
from rollout.targets.kubernetes import notes
from rollout.targets.kubernetes.component import Component, View

_FROM_WORST = (Health.DEAD, Health.UNREADY, Health.READY)


def look(components: tuple[Component, ...]) -> Seen:
    """What runs and what is served. Raises TargetFailed where our own notes cannot be understood."""
    try:
        views = [(component, component.view()) for component in components]
    except TargetFailed as failed:
        return Seen(weight=None, problem=failed.message)
    weight, problem = _weight([view for component, view in views if component.router is not None])
    returning = [each for each in views if each[1].is_way_back]
    try:
        if returning and weight != NOTHING:
            return _returning(views, returning, weight, problem)
        return _plain(views, weight, problem)
    except TargetFailed as failed:
        if any(_is_unreadable(view) for _, view in views):
            raise
        return Seen(weight=None, problem=failed.message)


def _plain(views: list[tuple[Component, View]], weight: Weight | None, problem: str) -> Seen:
    shown = [
        component.canary_instance(view.canary, view.placed)
        for component, view in views
        if view.canary is not None and view.placed is not None and not view.is_way_back
        if not (view.is_begun and weight == NOTHING)
    ]
    return Seen(
        weight=weight,
        stable=_one([component.stable_instance(view) for component, view in views if not view.is_empty]),
        canary=_one(shown),
        reserve=next((view.reserve.release for _, view in views if view.reserve is not None), None),
        problem=problem,
    )


def _returning(
    views: list[tuple[Component, View]],
    returning: list[tuple[Component, View]],
    weight: Weight | None,
    problem: str,
) -> Seen:
    """The reserve carries users: it is the stable release, and what it takes over from is the canary."""
    carriers = [
        component.canary_instance(view.canary, view.placed)
        for component, view in returning
        if view.canary is not None and view.placed is not None
    ]
    left = [
        component.stable_instance(view)
        for component, view in views
        if view.noted is not None and view.is_of(view.noted.rollout)
    ]
    rest = Weight(round(100 - weight.percent, 1)) if weight is not None and left else weight and NOTHING
    return Seen(weight=rest, stable=_one(carriers), canary=_one(left), problem=problem)


def _weight(views: list[View]) -> tuple[Weight | None, str]:
    """The weight of all routes; where they differ, the one that is not as it was ordered."""
    problem = next((view.routing.problem for view in views if view.routing.weight is None), "")
    weights = {view.routing.weight for view in views if view.routing.weight is not None}
    if problem or not weights:
        return None, problem
    marks = notes.annotations_of(views[0].canary) if views[0].canary is not None else {}
    ordered = marks.get(notes.ORDERED, "")
    astray = {each for each in weights if str(each.permille) != ordered} if len(weights) > 1 else weights
    return max(astray), ""


def _one(instances: list[Instance]) -> Instance | None:
    """Several components as one: the worst health, and all their pods."""
    if not instances:
        return None
    return Instance(
        release=instances[0].release,
        health=min((each.health for each in instances), key=_FROM_WORST.index),
        url=instances[0].url,
        restarts=sum(each.restarts for each in instances),
        reason=next((each.reason for each in instances if each.reason), ""),
        ready=sum(each.ready for each in instances),
        wanted=sum(each.wanted for each in instances),
    )


def _is_unreadable(view: View) -> bool:
    try:
        _ = (view.noted, view.reserve, view.placed)
    except TargetFailed:
        return True
    return False
