"""What would go wrong with the Kubernetes target, found without changing anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rollout.core.finding import Finding, Severity
from rollout.errors import RolloutError
from rollout.targets.kubernetes import workload
from rollout.targets.kubernetes.access import missing_verbs
from rollout.targets.kubernetes.client import DEPLOYMENT, SERVICE, Cluster, connect
from rollout.targets.kubernetes.component import Component, View
from rollout.targets.kubernetes.names import get
from rollout.targets.kubernetes.owners import image_of, require_free
from rollout.targets.kubernetes.parts import components, login_of
from rollout.targets.kubernetes.settings import KubernetesSettings
from rollout.targets.kubernetes.waiting import Patience


def diagnose(
    settings: KubernetesSettings, *, env: Mapping[str, str], image: str, patience: Patience
) -> Iterator[Finding]:
    """Look at the login, the permissions, and every object of every component; one finding for each."""
    try:
        cluster = connect(login_of(settings), env=env)
        version = cluster.version()
    except RolloutError as wrong:
        yield _error("cluster", wrong)
        return
    yield _ok("cluster", f"{cluster.url} answers, Kubernetes {version}")
    yield from _access(cluster, settings)
    for component in components(settings, cluster, image=image, patience=patience):
        yield from _component(component, changes_image=settings.promote == "apply")


def _ok(subject: str, message: str) -> Finding:
    return Finding(subject=subject, severity=Severity.OK, message=message)


def _error(subject: str, wrong: RolloutError) -> Finding:
    return Finding(subject=subject, severity=Severity.ERROR, message=wrong.message, hint=wrong.hint)


def _access(cluster: Cluster, settings: KubernetesSettings) -> Iterator[Finding]:
    try:
        missing = missing_verbs(cluster, settings)
    except RolloutError as wrong:
        yield _error("permissions", wrong)
        return
    if not missing:
        yield _ok("permissions", f"everything that is needed in the namespace {settings.namespace} is allowed")
    for sentence in missing:
        yield Finding(
            subject="permissions",
            severity=Severity.ERROR,
            message=f"we may not {sentence} in the namespace {settings.namespace}",
            hint="Grant it: docs/kubernetes-rbac.yaml has all that is needed, and no more.",
        )


def _component(component: Component, *, changes_image: bool) -> Iterator[Finding]:
    subject = f"Deployment {component.name}"
    try:
        stable = component.stable()
        containers = component.containers(stable["spec"]["template"])["containers"]
        component.canary()
        for container in containers if changes_image else ():
            require_free(DEPLOYMENT, stable, image_of(container), take_over=component.take_over)
    except RolloutError as wrong:
        yield _error(subject, wrong)
    else:
        yield _deployment(subject, stable, containers)
        yield _labels(subject, stable)
    if component.settings.service is not None:
        yield from _service(component)
    if component.router is not None:
        yield from component.router.diagnose()
        yield from _notes(component)


def _deployment(subject: str, stable: dict[str, object], containers: tuple[str, ...]) -> Finding:
    count, wanted = workload.ready(stable), workload.wanted(stable)
    where = ", ".join(containers)
    if count >= wanted:
        return _ok(subject, f"{count} of {wanted} pods are ready; the image runs in {where}")
    return Finding(
        subject=subject,
        severity=Severity.WARNING,
        message=f"{count} of {wanted} pods are ready",
        hint="A canary is compared with them: look at `kubectl describe pods` first.",
    )


def _labels(subject: str, stable: dict[str, dict[str, dict[str, dict[str, object]]]]) -> Finding:
    labels = stable["spec"]["template"].get("metadata", {}).get("labels") or {}
    if isinstance(labels, dict) and labels.get("version") == "stable":
        return _ok(f"{subject} labels", "its pods carry version=stable, the canary's carry version=canary")
    return Finding(
        subject=f"{subject} labels",
        severity=Severity.WARNING,
        message="its pods do not carry the label version=stable; the canary's carry version=canary",
        hint="Add it to the pod template, or tell the versions apart in the metrics' queries in another way.",
    )


def _service(component: Component) -> Iterator[Finding]:
    name = str(component.settings.service)
    subject = f"Service {name}"
    try:
        service = get(component.cluster, SERVICE, component.namespace, name)
        labels = component.stable()["spec"]["template"].get("metadata", {}).get("labels") or {}
    except RolloutError as wrong:
        yield _error(subject, wrong)
        return
    selector = service["spec"].get("selector") or {}
    if not selector or any(labels.get(key) != value for key, value in selector.items()):
        yield Finding(
            subject=subject,
            severity=Severity.ERROR,
            message=f"its selector does not match the pods of {component.name}",
            hint="Name the Service of this Deployment as `service`.",
        )
        return
    yield _ok(subject, f"finds the pods of {component.name}")


def _notes(component: Component) -> Iterator[Finding]:
    subject = f"release of {component.name}"
    try:
        view: View = component.view()
        if view.is_empty:
            yield _ok(subject, "none yet: the Deployment has no pods, and the first promotion gives it some")
            return
        yield _ok(subject, f"stable is {component.stable_release(view)}")
    except RolloutError as wrong:
        yield _error(subject, wrong)
