"""One Deployment of the service and its canary: what was seen of them, and the single changes that effects are made of.

Each change is idempotent by itself. In which order they come, over all components, is the target's business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from rollout.core.plan import NOTHING, Weight
from rollout.core.release import Release
from rollout.errors import TargetBusy, TargetFailed
from rollout.targets.base import Instance
from rollout.targets.kubernetes import images, notes, objects, workload
from rollout.targets.kubernetes.client import DEPLOYMENT, POD, SERVICE, Cluster, Json
from rollout.targets.kubernetes.names import get
from rollout.targets.kubernetes.notes import Placed, Reserve
from rollout.targets.kubernetes.owners import apply
from rollout.targets.kubernetes.podlog import tail
from rollout.targets.kubernetes.routing import Router, Routing
from rollout.targets.kubernetes.settings import ComponentSettings
from rollout.targets.kubernetes.waiting import Patience

_GONE = timedelta(seconds=30)
"""How long the cluster may take to let a removed object go."""
_OURS = (notes.RELEASE, notes.RESERVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One look at a component."""

    stable: Json
    canary: Json | None
    routing: Routing

    @property
    def noted(self) -> Placed | None:
        """The release that we had, or are having, the stable Deployment run."""
        return notes.placed(self.stable)

    @property
    def reserve(self) -> Reserve | None:
        """The way back of the stable Deployment."""
        return notes.reserve(self.stable)

    @property
    def placed(self) -> Placed | None:
        """The canary's release and rollout."""
        return notes.placed(self.canary) if self.canary is not None else None

    def is_of(self, rollout: str) -> bool:
        """Whether there is a canary, of that rollout."""
        return self.placed is not None and self.placed.rollout == rollout

    @property
    def is_way_back(self) -> bool:
        """Whether the canary carries users back to the reserve."""
        return self.canary is not None and notes.WAY_BACK in notes.annotations_of(self.canary)

    @property
    def has_users(self) -> bool:
        """Whether the canary gets requests. Raises TargetBusy where that is not known."""
        if self.routing.weight is None:
            raise TargetBusy(
                f"nothing is stopped while it is unknown what is served: {self.routing.problem}",
                hint="See `rollout doctor`.",
            )
        return self.routing.weight > NOTHING

    @property
    def is_begun(self) -> bool:
        """Whether the canary's release is being made stable, or is."""
        return self.placed is not None and self.noted is not None and self.placed.rollout == self.noted.rollout

    @property
    def is_empty(self) -> bool:
        """Whether there is no stable release yet: a Deployment without pods, in which nothing of ours ran."""
        return self.noted is None and workload.wanted(self.stable) == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One Deployment, its Service and its route."""

    cluster: Cluster
    settings: ComponentSettings
    namespace: str
    image: str
    take_over: tuple[str, ...]
    router: Router | None
    patience: Patience
    ready_timeout: timedelta

    @property
    def name(self) -> str:
        """The Deployment's name."""
        return self.settings.deployment

    @property
    def canary_name(self) -> str:
        """The name of the canary's Deployment."""
        return objects.canary_name(self.name)

    def view(self) -> View:
        """Look at all of it. Raises TargetFailed or TargetBusy where something cannot be seen."""
        routing = self.router.read() if self.router is not None else Routing(weight=NOTHING, is_wired=True)
        return View(stable=self.stable(), canary=self.canary(), routing=routing)

    def stable(self) -> Json:
        """The stable Deployment. Raises NotThere."""
        return get(self.cluster, DEPLOYMENT, self.namespace, self.name)

    def canary(self) -> Json | None:
        """The canary's Deployment. Raises TargetFailed where it is not ours."""
        found = self.cluster.find(DEPLOYMENT, self.namespace, self.canary_name)
        if found is not None and not objects.is_ours(found):
            raise TargetFailed(
                f"Deployment {self.canary_name} is there already, and was not made by rollout",
                hint="Remove or rename it: the canary takes this name.",
            )
        return None if found is not None and "deletionTimestamp" in found["metadata"] else found

    def containers(self, template: Json) -> dict[str, tuple[str, ...]]:
        """The containers that run the image."""
        return images.ours(template, image=self.image, container=self.settings.container)

    # What runs.

    def stable_release(self, view: View) -> Release:
        """What the stable Deployment runs: as we noted it where that is still so, else as its pods say.

        Raises TargetFailed where its digest is known to nobody.
        """
        template = view.stable["spec"]["template"]
        names = self.containers(template)
        reference = images.image_of(template, names)
        digest = images.digest(reference)
        for known in (view.noted, view.reserve):
            if known is not None and known.release.digest == digest:
                return known.release
        if not digest:
            selector = view.stable["spec"]["selector"].get("matchLabels") or {}
            pods = self.cluster.list_all(POD, self.namespace, labels=selector)
            found = {images.digest(each) for each in workload.image_ids(pods, names["containers"][0])} - {""}
            if len(found) != 1:
                what = "no ready pod says" if not found else "its pods do not agree"
                raise TargetFailed(
                    f"Deployment {self.name} runs {reference}, and {what} which digest that is",
                    hint="Wait until it has settled, or set its image by digest.",
                )
            digest = found.pop()
        return images.adopted(reference, digest)

    def stable_instance(self, view: View) -> Instance:
        """The stable Deployment as it runs."""
        return self._instance(view.stable, self.stable_release(view), self.settings.service, ())

    def canary_instance(self, canary: Json, placed: Placed) -> Instance:
        """The canary as it runs, by the image that is really in it."""
        template = canary["spec"]["template"]
        digest = images.digest(images.image_of(template, self.containers(template)))
        release = replace(placed.release, digest=digest or placed.release.digest)
        service = objects.canary_name(self.settings.service) if self.settings.service else None
        return self._instance(canary, release, service, self.pods(canary))

    def pods(self, canary: Json) -> tuple[Json, ...]:
        """The pods of a canary that are not about to go."""
        found = self.cluster.list_all(POD, self.namespace, labels=canary["spec"]["selector"]["matchLabels"])
        return tuple(pod for pod in found if "deletionTimestamp" not in pod["metadata"])

    def _instance(self, deployment: Json, release: Release, service: str | None, pods: tuple[Json, ...]) -> Instance:
        troubles = workload.troubles(pods)
        return Instance(
            release=release,
            health=workload.health(deployment, troubles),
            reason=str(troubles[0]) if troubles else "",
            url=f"http://{service or deployment['metadata']['name']}.{self.namespace}.svc",
            restarts=workload.restarts(pods),
            ready=workload.ready(deployment),
            wanted=workload.wanted(deployment),
        )

    # The canary.

    def place(self, stable: Json, template: Json, placed: Placed, *, replicas: int, way_back: bool = False) -> None:
        """Have the canary's Deployment and Service run that template."""
        service = None
        if self.settings.service is not None:
            service = get(self.cluster, SERVICE, self.namespace, self.settings.service)
        deployment = objects.canary_deployment(
            stable, service, template, placed=placed, replicas=replicas, way_back=way_back
        )
        if service is not None:
            self._require_free(objects.canary_name(str(self.settings.service)))
            body = objects.canary_service(stable, service, deployment)
            self.cluster.apply(SERVICE, self.namespace, body, force=True)
        self.cluster.apply(DEPLOYMENT, self.namespace, deployment, force=True)

    def _require_free(self, name: str) -> None:
        found = self.cluster.find(SERVICE, self.namespace, name)
        if found is not None and not objects.is_ours(found):
            raise TargetFailed(
                f"Service {name} is there already, and was not made by rollout", hint="Remove or rename it."
            )

    def scale(self, replicas: int) -> None:
        """Have the canary run that many pods."""
        canary = self.canary()
        if canary is not None and workload.wanted(canary) != replicas:
            body = {"spec": {"replicas": replicas}}
            self.cluster.merge(DEPLOYMENT, self.namespace, self.canary_name, body)

    def until_ready(self) -> None:
        """Wait until every pod of the canary is ready. Raises TargetFailed."""

        def is_ready() -> bool:
            canary = self.canary()
            if canary is None:
                raise TargetFailed(f"Deployment {self.canary_name} is gone", hint="Somebody removed it.")
            if workload.is_settled(canary):
                return True
            self._fail_if_hopeless(canary)
            return False

        if not self.patience.until(is_ready, limit=self.ready_timeout):
            canary = self.canary()
            why = "; ".join(str(each) for each in workload.troubles(self.pods(canary))) if canary is not None else ""
            raise TargetFailed(
                f"the pods of {self.canary_name} are not ready after {self.ready_timeout.total_seconds():.0f} s",
                hint=why or "They run, and do not pass their readiness probe.",
            )

    def _fail_if_hopeless(self, canary: Json) -> None:
        pods = self.pods(canary)
        hopeless = [trouble for trouble in workload.troubles(pods) if trouble.hopeless]
        late = workload.overdue(canary)
        if not hopeless and not late:
            return
        said = "; ".join(str(trouble) for trouble in hopeless or workload.troubles(pods)) or late
        why = f"{said}; {late}" if late and late not in said else said
        raise TargetFailed(
            f"the pods of {self.canary_name} do not become ready: {why}",
            hint=self._last_words(pods) or f"See `kubectl describe pods -n {self.namespace}`.",
        )

    def _last_words(self, pods: tuple[Json, ...]) -> str:
        lines = tail(self.cluster, self.namespace, pods, container=self._container(pods), lines=5)
        return f"Its last lines: {lines}" if lines else ""

    def _container(self, pods: tuple[Json, ...]) -> str:
        return self.containers({"spec": pods[0]["spec"]})["containers"][0] if pods else ""

    def logs(self, canary: Json, *, lines: int) -> str:
        """What is wrong with the canary's pods, and the last lines that they wrote."""
        pods = self.pods(canary)
        said = [str(trouble) for trouble in workload.troubles(pods)]
        wrote = tail(self.cluster, self.namespace, pods, container=self._container(pods), lines=lines)
        return "\n".join((*said, *((wrote,) if wrote else ())))

    def remove(self) -> None:
        """Take the canary out of the route, then away, and wait until it is gone. It must have no users."""
        if self.router is not None and self.router.read().is_wired:
            self.router.unwire()
        if self.settings.service is not None:
            name = objects.canary_name(self.settings.service)
            found = self.cluster.find(SERVICE, self.namespace, name)
            if found is not None and objects.is_ours(found):
                self.cluster.delete(SERVICE, self.namespace, name)
        self.cluster.delete(DEPLOYMENT, self.namespace, self.canary_name)

        def is_gone() -> bool:
            return self.cluster.find(DEPLOYMENT, self.namespace, self.canary_name) is None

        if not self.patience.until(is_gone, limit=_GONE):
            raise TargetBusy(f"Deployment {self.canary_name} is not gone yet", hint="Look for its finalizers.")

    # The stable Deployment.

    def mark(self, marks: dict[str, str | None], *, on: str | None = None) -> None:
        """Write annotations, or remove them, on the stable Deployment or on another of ours."""
        self.cluster.merge(DEPLOYMENT, self.namespace, on or self.name, {"metadata": {"annotations": marks}})

    def set_image(self, stable: Json, release: Release, marks: dict[str, str], *, replicas: int | None = None) -> None:
        """Have the stable Deployment run a release and carry these annotations of ours, in one change."""
        names = self.containers(stable["spec"]["template"])
        spec = {key: [{"name": name, "image": release.reference} for name in each] for key, each in names.items()}
        body: Json = {
            "metadata": {
                "name": self.name,
                "resourceVersion": stable["metadata"]["resourceVersion"],
                "annotations": marks,
            },
            "spec": {"template": {"spec": spec}},
        }
        if replicas is not None:
            body["spec"]["replicas"] = replicas
        apply(self.cluster, DEPLOYMENT, self.namespace, body, take_over=self.take_over)

    def put_back(self, stable: Json, reserve: Reserve) -> None:
        """Have the stable Deployment run its reserve, with the pod template of then, in one change."""
        marks = {notes.RELEASE: notes.written(reserve.placed)}
        names = self.containers(reserve.template)
        template = images.with_image(reserve.template, names, reserve.release.reference)
        if images.with_image(stable["spec"]["template"], names, reserve.release.reference) == template:
            self.set_image(stable, reserve.release, marks)
            return
        kept = {key: value for key, value in notes.annotations_of(stable).items() if key not in _OURS}
        operations: tuple[Json, ...] = (
            {"op": "replace", "path": "/metadata/resourceVersion", "value": stable["metadata"]["resourceVersion"]},
            {"op": "replace", "path": "/spec/template", "value": template},
            {"op": "add", "path": "/metadata/annotations", "value": {**kept, **marks}},
        )
        self.cluster.patch(DEPLOYMENT, self.namespace, self.name, operations)

    def until_settled(self, digest: str, *, limit: timedelta | None = None) -> None:
        """Wait until every stable pod runs that digest and is available. Raises TargetBusy."""

        def is_settled() -> bool:
            stable = self.stable()
            template = stable["spec"]["template"]
            here = images.digest(images.image_of(template, self.containers(template)))
            return here == digest and workload.is_settled(stable)

        if not self.patience.until(is_settled, limit=limit or self.ready_timeout):
            late = workload.overdue(self.stable())
            raise TargetBusy(
                f"not every pod of {self.name} is ready with {digest[:19]}; users stay where they are",
                hint=late or "It is waited for again.",
            )

    def until_stable_serves(self, *, whole: bool) -> None:
        """Wait until the stable Deployment has a ready pod. Raises TargetBusy.

        `whole`: until all of its pods are of its template, where the canary has everybody and stable may be half new.
        """

        def serves() -> bool:
            stable = self.stable()
            return workload.ready(stable) > 0 and (not whole or workload.is_updated(stable))

        if not self.patience.until(serves, limit=self.ready_timeout):
            raise TargetBusy(
                f"no pod of {self.name} is ready, so traffic stays where it is", hint="See `kubectl describe pods`."
            )

    def weigh(self, weight: Weight) -> None:
        """Give the canary that share, where the component has a route."""
        if self.router is not None:
            self.router.weigh(weight)
