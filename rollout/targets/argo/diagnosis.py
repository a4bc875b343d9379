"""What would go wrong with the argo target, found without changing anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rollout.core.finding import Finding, Severity
from rollout.core.plan import NOTHING, Weight
from rollout.errors import TargetFailed
from rollout.targets.argo import steps as stepping
from rollout.targets.argo.standing import GATEWAY_PLUGIN, Standing
from rollout.targets.argo.steps import OffGrain
from rollout.targets.argo.view import View
from rollout.targets.kubernetes.client import HTTP_ROUTE, POD, REPLICA_SET, ROLLOUT, SERVICE, Kind

PERMISSIONS: Final[tuple[tuple[str, Kind, str], ...]] = (
    ("get", ROLLOUT, ""),
    ("list", ROLLOUT, ""),
    ("update", ROLLOUT, ""),
    ("patch", ROLLOUT, ""),
    ("patch", ROLLOUT, "status"),
    ("list", REPLICA_SET, ""),
    ("list", POD, ""),
    ("get", POD, "log"),
    ("get", SERVICE, ""),
)
"""What is done in the Rollout's namespace; docs/argo-rbac.yaml grants it."""
ITS_OWN: Final = frozenset({"rollout", "rollouts-controller", "kubectl-edit", "kubectl-client-side-apply", "kubectl"})
"""Who may have written the steps without writing them again and again."""


def diagnose(view: View, weights: Sequence[Weight]) -> Iterator[Finding]:
    """Look at the cluster, the permissions, the Rollout, its steps and its routes; one finding for each."""
    try:
        version = view.cluster.version()
    except TargetFailed as failed:
        yield _failed("cluster", failed)
        return
    yield _ok("cluster", f"{view.cluster.url} answers, {version}")
    yield from _permissions(view)
    try:
        standing = view.standing()
        yield _ok("rollout", f"{standing.name} is {standing.status.get('phase', 'not seen by a controller yet')}")
        yield from _rollout(standing)
        yield _container(view, standing)
        yield from _strategy(view, standing, weights)
    except TargetFailed as failed:
        yield _failed("rollout", failed)


def _ok(subject: str, message: str) -> Finding:
    return Finding(subject=subject, severity=Severity.OK, message=message)


def _error(subject: str, message: str, hint: str) -> Finding:
    return Finding(subject=subject, severity=Severity.ERROR, message=message, hint=hint)


def _warning(subject: str, message: str, hint: str) -> Finding:
    return Finding(subject=subject, severity=Severity.WARNING, message=message, hint=hint)


def _failed(subject: str, failed: TargetFailed) -> Finding:
    return _error(subject, failed.message, failed.hint)


def _permissions(view: View) -> Iterator[Finding]:
    missing = []
    try:
        for verb, kind, subresource in PERMISSIONS:
            if not view.cluster.may(verb, kind, view.settings.namespace, subresource=subresource):
                missing.append(f"{verb} {kind.plural}{'/' + subresource if subresource else ''}")
    except TargetFailed as failed:
        yield _failed("permissions", failed)
        return
    if not missing:
        yield _ok("permissions", f"everything that is needed in the namespace {view.settings.namespace}")
        return
    yield _error(
        "permissions",
        f"the cluster does not allow in the namespace {view.settings.namespace}: {', '.join(missing)}",
        "Grant them: docs/argo-rbac.yaml has all that is needed. `rollouts` and `rollouts/status` are two.",
    )


def _rollout(standing: Standing) -> Iterator[Finding]:
    if standing.is_invalid:
        yield _error("rollout", standing.trouble or "its spec is invalid", "Correct the Rollout.")
    if standing.is_paused_by_hand:
        yield _error("rollout", "somebody has paused it (spec.paused)", "Unpause it: kubectl argo rollouts promote.")
    if standing.is_observed and standing.is_aborted:
        yield _warning(
            "rollout",
            f"its canary was aborted: {standing.trouble}",
            "Put the stable image back, or end the rollout that put this one there.",
        )
    if not standing.template:
        yield _error(
            "rollout",
            "its template is in another object (workloadRef), which this target does not change",
            "Give the Rollout a template of its own.",
        )
    if not standing.is_observed:
        yield _error(
            "controller",
            "Argo Rollouts has not seen the Rollout as it is now",
            "Check that its controller runs: kubectl -n argo-rollouts get pods.",
        )


def _container(view: View, standing: Standing) -> Finding:
    if not standing.template:
        return _ok("container", "not looked at")
    try:
        names = view.containers.names(standing.template)["containers"]
    except TargetFailed as failed:
        return _failed("container", failed)
    return _ok("container", f"{', '.join(names)} runs the service")


def _strategy(view: View, standing: Standing, weights: Sequence[Weight]) -> Iterator[Finding]:
    if not standing.canary:
        yield _error("strategy", "the Rollout's strategy is not canary", "Set spec.strategy.canary.")
        return
    if not standing.routing:
        yield _error(
            "traffic",
            f"the Rollout has no trafficRouting, so its weights follow the number of pods: with {standing.replicas} "
            f"replicas in parts of about {100 / max(1, standing.replicas):.3g} %, and no canary without users",
            "Set spec.strategy.canary.trafficRouting; docs/argo.md shows it with the Gateway API.",
        )
        return
    for field in ("stableService", "canaryService"):
        if not standing.canary.get(field):
            yield _error("traffic", f"spec.strategy.canary.{field} is not set", "Name the Service.")
    yield _routes(view, standing)
    yield _grain(standing, weights)
    yield _steps(view, standing, weights)
    yield from _habits(view, standing)


def _routes(view: View, standing: Standing) -> Finding:
    if not standing.routes:
        routers = ", ".join(sorted(key for key in standing.routing if key not in {"managedRoutes", "maxTrafficWeight"}))
        return _ok("traffic", f"split by {routers}; the weight is read from the Rollout's status")
    for namespace, name in standing.routes:
        if not view.cluster.may("get", HTTP_ROUTE, namespace):
            return _error(
                "traffic",
                f"HTTPRoute {namespace}/{name} cannot be read: get httproutes is not allowed in {namespace}",
                "Grant it: docs/argo-rbac.yaml.",
            )
    served = view.served(standing)
    if served.weight is None:
        return _error("traffic", served.problem, "Both services must be backendRefs of one rule; docs/argo.md.")
    named = ", ".join(name for _, name in standing.routes)
    return _ok("traffic", f"split by HTTPRoute {named}, which gives the canary {served.weight} now")


def _grain(standing: Standing, weights: Sequence[Weight]) -> Finding:
    if GATEWAY_PLUGIN in (standing.routing.get("plugins") or {}) and standing.total != stepping.WHOLE:
        return _error(
            "weights",
            f"maxTrafficWeight is {standing.total}, and the Gateway API plugin always splits in hundredths",
            "Leave maxTrafficWeight out.",
        )
    off = []
    for weight in weights:
        try:
            stepping.parts(weight, standing.total)
        except OffGrain:
            off.append(str(weight))
    if off:
        return _error(
            "weights",
            f"the Rollout splits in parts of {100 / standing.total:g} %, so it cannot have {', '.join(off)}",
            "Take other weights; with nginx, `maxTrafficWeight: 1000` allows tenths of a percent.",
        )
    return _ok("weights", f"in parts of {100 / standing.total:g} %, which fits the plan")


def _steps(view: View, standing: Standing, weights: Sequence[Weight]) -> Finding:
    if view.settings.drive == "steps":
        differ = stepping.differences(standing.steps, weights, total=standing.total)
        if not differ:
            return _ok("steps", "the Rollout's own steps are those of the plan")
        return _error(
            "steps",
            f"the Rollout's own steps are not those of the plan: {'; '.join(differ)}",
            "Change one of them, or set `drive: weights`.",
        )
    others = _others_of_steps(standing)
    if others:
        return _warning(
            "steps",
            f"{', '.join(others)} also writes the Rollout's steps, and may put its own back in the midst of a rollout",
            "Have it ignore spec.strategy.canary.steps and spec.template, or set `drive: steps`.",
        )
    return _ok("steps", "the plan's steps are written into the Rollout at each deployment")


def _others_of_steps(standing: Standing) -> list[str]:
    """Who else manages the steps, such as a GitOps controller."""
    found = set()
    for entry in standing.whole["metadata"].get("managedFields") or []:
        strategy = ((entry.get("fieldsV1") or {}).get("f:spec") or {}).get("f:strategy") or {}
        if "f:steps" in (strategy.get("f:canary") or {}):
            found.add(str(entry.get("manager", "")))
    return sorted(each for each in found - ITS_OWN if not each.startswith("kubectl"))


def _habits(view: View, standing: Standing) -> Iterator[Finding]:
    if standing.replicas == 0 and view.settings.replicas is None:
        yield _error(
            "replicas",
            "the Rollout has `replicas: 0`, and it is not said how many pods the first release gets",
            "Set target.argo.replicas.",
        )
    if standing.canary.get("dynamicStableScale"):
        yield _warning(
            "rollback",
            "dynamicStableScale is on, so a rollback first starts stable pods, and users stay on the canary meanwhile",
            "Leave it out where a rollback must be at once.",
        )
    if standing.canary.get("analysis") or any("analysis" in step for step in standing.steps):
        yield _ok("analysis", "the Rollout has analyses of its own; where one fails, its abort is a rollback here")
    stale = [stop for stop in standing.stops[:1] if stop.weight > NOTHING]
    if view.settings.drive == "steps" and stale:
        yield _error(
            "steps",
            f"the first pause is at {stale[0].weight}: users would be on a release that nobody has tried",
            "Begin with setCanaryScale, `setWeight: 0` and `pause: {}`.",
        )
