"""A Kubernetes for tests: a stateful API on a real socket, with the controllers that matter here.

    with ClusterServer(namespaces=("shop",)) as cluster:
        cluster.kubeconfig(tmp_path / "config")     # for the official client: kubernetes.config.load_kube_config(...)
        cluster.apply(yaml_text)                    # or cluster.seed("deployments", {...}): a user's own objects
        cluster.fault("patch", "httproutes", status=500, after=True); cluster.forbid("patch", "rollouts/status")
        assert cluster.ask("shop.example", headers={"x-version": "canary"}).image.endswith("v2")   # the gateway's user

It knows Kubernetes and nothing of releases. Objects and versions: store.py; controllers: deployments.py, pods.py,
endpoints.py, argo.py; what a user gets: traffic.py. Controllers run on a thread, in milliseconds; `speed` makes
their clock faster than the wall's, so that a deadline of 8 s passes in 8/speed.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import yaml

from tests.kubernetes import argo, deployments, endpoints, pods, traffic
from tests.kubernetes.access import Access
from tests.kubernetes.api import Api
from tests.kubernetes.certificates import Certificate
from tests.kubernetes.definitions import definitions
from tests.kubernetes.faults import Fault, Interjection
from tests.kubernetes.kinds import KINDS, Json, Kind, Node, kind_of, meta
from tests.kubernetes.listening import Listener
from tests.kubernetes.store import Store, Writer
from tests.kubernetes.world import Knobs, World

TOKEN: Final = "tests-token"
USER: Final = "system:serviceaccount:default:rollout"
_TURN: Final = 0.015
"""Seconds between two turns of the controllers where nothing is written; a write brings the next at once."""
_LOOK: Final = 0.005
"""Seconds between two looks of somebody who waits for the controllers."""
_CONTROLLERS: Final[tuple[Callable[[World], None], ...]] = (
    deployments.reconcile_deployments,
    argo.reconcile_rollouts,
    pods.reconcile_replicasets,
    pods.run_pods,
    endpoints.reconcile_endpoints,
    endpoints.program_gateway,
    endpoints.collect,
)


class ClusterServer:
    """The cluster. What a test sees of it is `requests`, `get` and `ask`; what it turns are the knobs."""

    def __init__(
        self,
        *,
        namespaces: tuple[str, ...] = ("default",),
        speed: float = 1.0,
        tls: Certificate | None = None,
    ) -> None:
        self.tls = tls
        self.store = Store()
        self.world = World(store=self.store, clock=lambda: time.monotonic() * speed)
        self.knobs: Knobs = self.world.knobs
        self.access = Access(users={TOKEN: USER})
        self.namespaces = namespaces
        self._running = threading.Event()
        self.api = Api(world=self.world, access=self.access, running=self._running.is_set)
        self.requests = self.api.requests
        self._listener = Listener(self.api, tls=tls.context if tls else None)
        self._thread = threading.Thread(target=self._control, daemon=True, name="controllers")

    def __enter__(self) -> Self:
        for name in self.namespaces:
            self.seed("namespaces", {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}})
        for definition in definitions():
            self.seed("customresourcedefinitions", definition)
        self._running.set()
        self._listener.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.clear()
        self._thread.join()
        self._listener.stop()
        assert not self.api.mishaps or error is not None, "\n".join(self.api.mishaps)

    @property
    def url(self) -> str:
        """Where the API answers."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._listener.port}"

    @property
    def port(self) -> int:
        """For `KUBERNETES_SERVICE_PORT`, beside the host 127.0.0.1 and the file `tls.file`."""
        return self._listener.port

    def kubeconfig(self, path: Path, *, namespace: str = "default", user: Mapping[str, Node] | None = None) -> Path:
        """Write a kubeconfig with the context `tests`; `user` replaces its login, for an exec plugin."""
        login = {"token": TOKEN} if user is None else dict(user)
        server = {"server": self.url} | ({"certificate-authority": str(self.tls.file)} if self.tls else {})
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "clusters": [{"name": "double", "cluster": server}],
            "users": [{"name": "rollout", "user": login}],
            "contexts": [
                {"name": "tests", "context": {"cluster": "double", "user": "rollout", "namespace": namespace}}
            ],
        }
        path.write_text(yaml.safe_dump(config))
        return path

    # What people and other programs do

    def seed(self, plural: str, item: Json, *, by: str = "kubectl-client-side-apply") -> Json:
        """Make an object, as a user did with kubectl long ago."""
        kind = kind_of(plural)
        namespace = str(item["metadata"].get("namespace") or self.namespaces[0]) if kind.namespaced else ""
        return self.store.create(kind, namespace, item, Writer(manager=by))

    def apply(self, text: str, *, by: str = "kubectl-client-side-apply") -> None:
        """Make every object of a YAML text."""
        for item in yaml.safe_load_all(text):
            if item:
                kind = next(one for one in KINDS if one.kind == item["kind"])
                self.seed(kind.plural, item, by=by)

    def get(self, plural: str, name: str, namespace: str | None = None) -> Json:
        """An object as it is. Raises Refusal 404."""
        kind = kind_of(plural)
        return self.store.get(kind, self._namespace(kind, namespace), name)

    def list(self, plural: str, namespace: str | None = None) -> list[Json]:
        """The objects of a kind in a namespace."""
        kind = kind_of(plural)
        return self.store.list(kind, self._namespace(kind, namespace))

    def change(
        self,
        plural: str,
        name: str,
        change: Callable[[Json], Json | None],
        *,
        by: str,
        namespace: str | None = None,
        subresource: str = "",
    ) -> Json:
        """Another writer changes an object: the function changes what it gets or returns what it shall be.

        What it changes in `status` counts only with `subresource="status"`, and then only that.
        """
        kind = kind_of(plural)

        def act(item: Json) -> Json:
            given = change(item)
            return item if given is None else given

        writer = Writer(manager=by, subresource=subresource)
        return self.store.write(kind, self._namespace(kind, namespace), name, act, writer)

    def another_writer(
        self,
        verb: str,
        resource: str,
        change: Callable[[], object],
        *,
        name: str = "",
        skip: int = 0,
    ) -> Interjection:
        """Just before the next such request is answered (after `skip` of them), somebody else acts."""

        def act() -> None:
            change()

        one = Interjection(verb=verb, resource=resource, name=name, act=act, skip=skip)
        self.api.weather.interjections.append(one)
        return one

    def ask(self, host: str, *, path: str = "/", headers: Mapping[str, str] | None = None) -> traffic.Answer:
        """What a new user of the gateway gets now."""
        return traffic.ask(self.world, host, path=path, headers=headers or {})

    def wait(self, until: Callable[[], bool], *, seconds: float = 10) -> None:
        """Wait for the controllers. Raises AssertionError when the time is up."""
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, "the controllers did not come to that"
            time.sleep(_LOOK)

    # Knobs

    def lag(self, seconds: float) -> None:
        """Controllers notice a new generation that much later."""
        self.knobs.lag = seconds

    def route_lag(self, seconds: float) -> None:
        """The gateway serves a changed route that much later."""
        self.knobs.route_lag = seconds

    def pods_ready_after(self, seconds: float) -> None:
        """From the start of a container to its readiness."""
        self.knobs.ready_after = seconds

    def fail_image(self, image: str, *, reason: str = "ErrImagePull") -> None:
        """Pods of this image wait for ever: ErrImagePull, then ImagePullBackOff; or ErrImageNeverPull."""
        self.knobs.unpullable[image] = reason

    def never_ready(self, image: str) -> None:
        """Pods of this image run and do not get ready."""
        self.knobs.unready.add(image)

    def crash_image(self, image: str) -> None:
        """Pods of this image end at once, again and again: CrashLoopBackOff."""
        self.knobs.crashing.add(image)

    def crash(self, pod: str, *, namespace: str | None = None) -> None:
        """This pod crashes in a loop from now on."""
        self.world.since("crashing", meta(self.get("pods", pod, namespace))["uid"])

    def oom(self, pod: str, *, namespace: str | None = None) -> None:
        """This pod's container is killed for its memory, once, and starts again."""
        pods.restart(self.world, self.get("pods", pod, namespace), reason="OOMKilled", code=137)

    def conclude(self, run: str, phase: str, message: str = "", *, namespace: str | None = None) -> None:
        """An analysis run of Argo ends: Successful, Failed, Error or Inconclusive."""
        self.change(
            "analysisruns",
            run,
            lambda item: {**item, "status": {**item.get("status", {}), "phase": phase, "message": message}},
            by="rollouts-controller",
            namespace=namespace,
        )

    def say(self, image: str, text: str) -> None:
        """What containers of this image write to their log."""
        self.knobs.lines[image] = text

    def pulls(self, image: str, digest: str) -> None:
        """Pods of this image that start from now on show this digest as their `imageID`."""
        self.knobs.digests[image] = f"{image.partition('@')[0].rpartition(':')[0] or image}@{digest}"

    def forbid(self, verb: str, resource: str) -> None:
        """The caller may no longer do that: `forbid("patch", "rollouts/status")`."""
        self.access.taken.add((verb, resource))

    def without_crd(self, plural: str) -> None:
        """This custom resource is not installed."""
        self.api.absent.add(plural)
        self.store.remove(("customresourcedefinitions", "", kind_of(plural).resource))

    def fault(
        self,
        verb: str = "*",
        resource: str = "*",
        *,
        status: int = 500,
        name: str = "",
        skip: int = 0,
        times: int | None = 1,
        after: bool = False,
        hang: float = 0,
        retry_after: int | None = None,
    ) -> Fault:
        """Such requests fail (after `skip` of them, `times` times, None: for ever); status 0 hangs up.

        `after`: it takes effect, and then fails. What is returned counts: `fault.struck`.
        """
        one = Fault(
            verb=verb,
            resource=resource,
            name=name,
            status=status,
            skip=skip,
            times=times,
            after=after,
            hang=hang,
            retry_after=retry_after,
        )
        self.api.weather.faults.append(one)
        return one

    def cut(self, *, at: int) -> Fault:
        """The `at`-th request from now (1: the next) and all later ones are hung up: a client that died there."""
        return self.fault(status=0, skip=at - 1, times=None)

    def mend(self) -> None:
        """Fair weather from now on."""
        self.api.weather.clear()

    def count(self, verb: str = "*", resource: str = "*", name: str = "") -> int:
        """How many such requests came."""
        return sum(one.meets(verb, resource, name) for one in self.requests)

    # Inside

    def _namespace(self, kind: Kind, namespace: str | None) -> str:
        return (namespace or self.namespaces[0]) if kind.namespaced else ""

    def _control(self) -> None:
        while self._running.is_set():
            with self.store.lock:
                for _ in range(8):
                    before = self.store.version
                    for controller in _CONTROLLERS:
                        try:
                            controller(self.world)
                        except Exception:  # noqa: BLE001  (a mistake of the double must not hang the test)
                            self.api.mishaps.append(traceback.format_exc())
                            return
                    if self.store.version == before:
                        break
                self.store.changed.wait(_TURN)
