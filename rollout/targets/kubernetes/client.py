"""The cluster's API in the few verbs that targets need, with errors that say what to do.

The official client logs in and speaks HTTP; it is imported here only, and only once a cluster is used. This module
knows no object by name and decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from rollout.errors import MissingProgram, TargetFailed
from rollout.targets.kubernetes.refusals import NotThere, refusal, unreachable

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

FIELD_MANAGER: Final = "rollout"
"""Whose changes these are, as the cluster notes them beside each field."""

TIME_LIMIT: Final = (5.0, 20.0)
"""Seconds to connect, and to wait for an answer."""

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"  # JSON is YAML

Json = dict[str, Any]
"""An object as the API gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of object, and where its requests go."""

    api: str
    """Group and version, such as `apps/v1`; `v1` for the core group."""
    plural: str
    name: str
    """As in `kind:`."""

    @property
    def group(self) -> str:
        """The group alone; empty for the core group."""
        return self.api.rpartition("/")[0]

    @property
    def base(self) -> str:
        """Where the group's requests go."""
        return f"/apis/{self.api}" if self.group else f"/api/{self.api}"


DEPLOYMENT: Final = Kind(api="apps/v1", plural="deployments", name="Deployment")
REPLICA_SET: Final = Kind(api="apps/v1", plural="replicasets", name="ReplicaSet")
POD: Final = Kind(api="v1", plural="pods", name="Pod")
SERVICE: Final = Kind(api="v1", plural="services", name="Service")
INGRESS: Final = Kind(api="networking.k8s.io/v1", plural="ingresses", name="Ingress")
HTTP_ROUTE: Final = Kind(api="gateway.networking.k8s.io/v1", plural="httproutes", name="HTTPRoute")
ROLLOUT: Final = Kind(api="argoproj.io/v1alpha1", plural="rollouts", name="Rollout")
ANALYSIS_RUN: Final = Kind(api="argoproj.io/v1alpha1", plural="analysisruns", name="AnalysisRun")
ACCESS_REVIEW: Final = Kind(
    api="authorization.k8s.io/v1", plural="selfsubjectaccessreviews", name="SelfSubjectAccessReview"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Which cluster, and as whom. With everything left out: the pod's own account, else KUBECONFIG."""

    kubeconfig: Path | None = None
    context: str | None = None
    in_cluster: bool = False
    """Only the pod's own account will do."""


class Cluster:
    """The API of one cluster. Every method raises one of `refusals`, all of which are TargetFailed or TargetBusy."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    @property
    def url(self) -> str:
        """Where the API server is."""
        return str(self._api.configuration.host)

    def version(self) -> str:
        """The server's version, such as `v1.36.2`."""
        return str(self._call("GET", "/version", what="the version of the cluster").get("gitVersion", "unknown"))

    def get(self, kind: Kind, namespace: str, name: str, *, subresource: str = "") -> Json:
        """One object. Raises NotThere."""
        return self._call("GET", _path(kind, namespace, name, subresource), what=_what("get", kind, namespace, name))

    def find(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """One object, or None where there is none. Raises NotThere where the cluster does not know the kind."""
        try:
            return self.get(kind, namespace, name)
        except NotThere as missing:
            if missing.kind_is_unknown:
                raise
            return None

    def list_all(self, kind: Kind, namespace: str, *, labels: Mapping[str, str] | None = None) -> tuple[Json, ...]:
        """The objects of a kind in a namespace, those that carry the labels; with apiVersion and kind in each."""
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())} if labels else {}
        answer = self._call("GET", _path(kind, namespace), query=query, what=_what("list", kind, namespace))
        return tuple({"apiVersion": kind.api, "kind": kind.name, **item} for item in answer.get("items") or ())

    def create(self, kind: Kind, namespace: str, body: Json) -> Json:
        """Make an object. Raises AlreadyThere."""
        query = {"fieldManager": FIELD_MANAGER}
        what = _what("create", kind, namespace, str(body.get("metadata", {}).get("name", "")))
        return self._call("POST", _path(kind, namespace), query=query, body=body, what=what)

    def replace(self, kind: Kind, namespace: str, body: Json, *, subresource: str = "") -> Json:
        """Put a whole object in the place of the one of its name. Raises Stale where its resourceVersion is old."""
        name = str(body["metadata"]["name"])
        path = _path(kind, namespace, name, subresource)
        query = {"fieldManager": FIELD_MANAGER}
        return self._call("PUT", path, query=query, body=body, what=_what("update", kind, namespace, name))

    def merge(self, kind: Kind, namespace: str, name: str, body: Json, *, subresource: str = "") -> Json:
        """Change fields by a JSON merge patch; None removes one. With a resourceVersion inside it is a
        compare-and-swap, which raises Stale where the object has changed since.
        """
        path = _path(kind, namespace, name, subresource)
        query = {"fieldManager": FIELD_MANAGER}
        what = _what("patch", kind, namespace, name, subresource)
        return self._call("PATCH", path, query=query, body=body, content=MERGE_PATCH, what=what)

    def patch(self, kind: Kind, namespace: str, name: str, operations: tuple[Json, ...]) -> Json:
        """Change fields by a JSON patch. Raises Invalid where a `test` in it fails."""
        path = _path(kind, namespace, name)
        query = {"fieldManager": FIELD_MANAGER}
        what = _what("patch", kind, namespace, name)
        return self._call("PATCH", path, query=query, body=list(operations), content=JSON_PATCH, what=what)

    def apply(self, kind: Kind, namespace: str, body: Json, *, force: bool = False) -> Json:
        """Have these fields be so and be ours (server-side apply); those applied before and left out now go.

        Raises OwnedElsewhere, which names the fields and their owners, unless forced; Stale where the body has a
        resourceVersion that is old.
        """
        whole = {"apiVersion": kind.api, "kind": kind.name, **body}
        name = str(whole["metadata"]["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true" if force else "false"}
        what = _what("patch", kind, namespace, name)
        return self._call(
            "PATCH", _path(kind, namespace, name), query=query, body=whole, content=APPLY_PATCH, what=what
        )

    def delete(self, kind: Kind, namespace: str, name: str) -> bool:
        """Remove an object and what it owns, in the background; whether there was one."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        try:
            self._call("DELETE", _path(kind, namespace, name), body=body, what=_what("delete", kind, namespace, name))
        except NotThere:
            return False
        return True

    def logs(self, namespace: str, pod: str, *, container: str, lines: int, previous: bool = False) -> str:
        """The last lines a container wrote, at most 256 KiB; `previous`: those of the run before its restart."""
        query = {
            "container": container,
            "tailLines": str(lines),
            "limitBytes": str(1 << 18),
            "previous": "true" if previous else "false",
        }
        what = _what("get", POD, namespace, pod, "log")
        return self._text("GET", _path(POD, namespace, pod, "log"), query=query, what=what).decode(errors="replace")

    def may(self, verb: str, kind: Kind, namespace: str, *, name: str = "", subresource: str = "") -> bool:
        """Whether we may do this, as the cluster itself says (SelfSubjectAccessReview)."""
        wanted = {"namespace": namespace, "verb": verb, "group": kind.group, "resource": kind.plural}
        wanted |= {key: value for key, value in (("name", name), ("subresource", subresource)) if value}
        body = {
            "apiVersion": ACCESS_REVIEW.api,
            "kind": ACCESS_REVIEW.name,
            "metadata": {},
            "spec": {"resourceAttributes": wanted},
        }
        answer = self._call(
            "POST", f"{ACCESS_REVIEW.base}/{ACCESS_REVIEW.plural}", body=body, what="ask what we may do"
        )
        return bool(answer.get("status", {}).get("allowed", False))

    def knows(self, kind: Kind) -> bool:
        """Whether the cluster has this kind of object, as its discovery says."""
        try:
            resources = self._call("GET", kind.base, what=f"find out about {kind.api}").get("resources") or ()
        except NotThere:
            return False
        return any(resource.get("name") == kind.plural for resource in resources)

    def _call(
        self,
        method: str,
        path: str,
        *,
        what: str,
        query: Mapping[str, str] | None = None,
        body: Json | list[Json] | None = None,
        content: str = "application/json",
    ) -> Json:
        raw = self._text(method, path, what=what, query=query, body=body, content=content)
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise TargetFailed(
                f"cannot {what}: {self.url} answers with something that is no Kubernetes object",
                hint="Check that the kubeconfig's server is the API server and no page in front of it.",
            )
        return answer

    def _text(
        self,
        method: str,
        path: str,
        *,
        what: str,
        query: Mapping[str, str] | None = None,
        body: Json | list[Json] | None = None,
        content: str = "application/json",
    ) -> bytes:
        """The one place where a request is sent."""
        headers = {"Accept": "application/json, */*", "Content-Type": content}
        serialized = self._api.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params=headers,
            body=_as_sent(body, content),
            auth_settings=["BearerToken"],
        )
        try:
            response: Any = self._api.call_api(*serialized, _request_timeout=TIME_LIMIT)
            data = bytes(response.read() or b"")
        except (HTTPError, OSError) as silence:
            raise unreachable(silence, what=what, url=self.url) from None
        if not 200 <= response.status <= 299:
            raise refusal(response.status, data, retry_after=response.getheader("Retry-After"), what=what)
        return data


def connect(login: Login, *, env: Mapping[str, str]) -> Cluster:
    """A cluster, logged in by kubeconfig (certificates, tokens, exec plug-ins) or by the pod's own account.

    `env` gives KUBECONFIG, HOME and, in a pod, KUBERNETES_SERVICE_HOST. Raises MissingProgram without the client,
    TargetFailed where the login cannot be read.
    """
    try:
        from kubernetes import client, config  # noqa: PLC0415  (half a second, and only for these targets)
        from kubernetes.config.incluster_config import (  # noqa: PLC0415 - half a second, and only for these targets
            SERVICE_CERT_FILENAME,
            SERVICE_TOKEN_FILENAME,
            InClusterConfigLoader,
        )
    except ImportError:
        raise MissingProgram(
            "this target needs the Kubernetes client, which is not installed",
            hint="Install it with `pip install 'rollout-orchestrator[kubernetes]'`; in the action, with the input "
            "`extras: kubernetes`.",
        ) from None
    path = _kubeconfig(login, env)
    configuration = client.Configuration()
    in_a_pod: Any = InClusterConfigLoader
    from_file: Any = config.load_kube_config
    try:
        if path is None:
            in_a_pod(
                token_filename=SERVICE_TOKEN_FILENAME, cert_filename=SERVICE_CERT_FILENAME, environ=env
            ).load_and_set(configuration)
        else:
            from_file(
                config_file=str(path), context=login.context, client_configuration=configuration, persist_config=False
            )
    except (config.ConfigException, OSError, ValueError, KeyError, TypeError) as wrong:
        # the loader's own text may quote the file, which holds secrets
        where = f"from {path}" if path else "with the pod's own account"
        raise TargetFailed(
            f"cannot log in to the cluster {where} ({type(wrong).__name__})",
            hint=f"Try `kubectl --kubeconfig {path} cluster-info`." if path else "Set KUBECONFIG, or run in a pod.",
        ) from None
    # One more try of a request that never reached the server, or that only reads.
    configuration.retries = Retry(total=1, redirect=0, status=0, backoff_factor=0.1)
    api = client.ApiClient(configuration)
    api.user_agent = f"{FIELD_MANAGER}/1"
    return Cluster(api)


def _kubeconfig(login: Login, env: Mapping[str, str]) -> Path | None:
    """The file to log in with; None for the pod's own account."""
    if login.in_cluster:
        return None
    if login.kubeconfig is not None:
        return login.kubeconfig.expanduser()
    if env.get("KUBECONFIG"):
        return Path(env["KUBECONFIG"])
    if "KUBERNETES_SERVICE_HOST" in env and login.context is None:
        return None
    return Path(env.get("HOME", "~")).expanduser() / ".kube" / "config"


def _as_sent(body: Json | list[Json] | None, content: str) -> object:
    """The body in the form the client wants: text for what it does not know to be JSON."""
    return json.dumps(body) if body is not None and content == APPLY_PATCH else body


def _path(kind: Kind, namespace: str, name: str = "", subresource: str = "") -> str:
    parts = (kind.base, "namespaces", namespace, kind.plural, name, subresource)
    return "/".join(part for part in parts if part)


def _what(verb: str, kind: Kind, namespace: str, name: str = "", subresource: str = "") -> str:
    named = f"{verb} {kind.name} {namespace}/{name}" if name else f"{verb} {kind.plural} in {namespace}"
    return f"{named} ({subresource})" if subresource else named
