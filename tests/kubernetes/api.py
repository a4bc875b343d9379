"""The API server behind the socket: who asks, what goes wrong on order, and which part answers."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import yaml

from tests.kubernetes import pods
from tests.kubernetes.access import Access
from tests.kubernetes.answering import Request, answered, located
from tests.kubernetes.discovery import described
from tests.kubernetes.faults import Asked, Weather
from tests.kubernetes.kinds import KINDS
from tests.kubernetes.listening import Answer, Asking
from tests.kubernetes.refusals import Refusal, no_such_path
from tests.kubernetes.watching import watched
from tests.kubernetes.world import PODS, World

_ERROR: Final = "an error on the server has prevented the request from succeeding"


@dataclass
class Api:
    """Answers requests; `Listener` calls it."""

    world: World
    access: Access
    running: Callable[[], bool]
    weather: Weather = field(default_factory=Weather)
    requests: list[Asked] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)
    """Plurals that are not served: their CustomResourceDefinition is missing."""
    mishaps: list[str] = field(default_factory=list)
    """What went wrong inside the double itself."""

    def __call__(self, asking: Asking) -> Answer:
        """The answer to a request."""
        try:
            return self._weathered(asking)
        except Exception:  # noqa: BLE001  (told at the end of the block)
            self.mishaps.append(traceback.format_exc())
            return Answer(status=500, body="the double made a mistake")

    def _served(self) -> frozenset[str]:
        return frozenset(kind.plural for kind in KINDS) - self.absent

    def _weathered(self, asking: Asking) -> Answer:
        try:
            request = self._request(asking)
        except Refusal as refusal:
            return Answer(status=refusal.code, body=refusal.status())
        asked = Asked(
            verb=request.verb if request else "read",
            resource=request.resource if request else asking.path,
            namespace=request.namespace if request else "",
            name=request.name if request else "",
        )
        fault = self.weather.fault(asked)
        if fault is not None and fault.hang:
            time.sleep(fault.hang)
        if fault is None:
            answer = self._answer(asking, request, asked)
        else:
            if fault.after or fault.status == 200:
                answer = self._answer(asking, request, asked)
            if fault.status != 200:
                headers = (("Retry-After", str(fault.retry_after)),) if fault.retry_after is not None else ()
                body = Refusal(fault.status, "InternalError", _ERROR).status()
                answer = Answer(status=fault.status, body=body, headers=headers)
        self.requests.append(replace(asked, status=answer.status))
        return answer

    def _answer(self, asking: Asking, request: Request | None, asked: Asked) -> Answer:
        self.weather.before(asked)
        try:
            return self._plain(asking, request)
        except Refusal as refusal:
            return Answer(status=refusal.code, body=refusal.status())

    def _request(self, asking: Asking) -> Request | None:
        parts = asking.path.strip("/").split("/")
        if parts[-1] == "selfsubjectaccessreviews" or len(parts) < (3 if parts[0] == "api" else 4):
            return None
        if parts[0] not in ("api", "apis"):
            return None
        kind, namespace, name, subresource = located(asking.path, self._served())
        return Request(
            method=asking.method,
            kind=kind,
            namespace=namespace,
            name=name,
            subresource=subresource,
            query=asking.query,
            content_type=asking.headers.get("Content-Type", "application/json").partition(";")[0].strip(),
            body=asking.body,
            agent=asking.headers.get("User-Agent", "unknown").partition("/")[0],
        )

    def _plain(self, asking: Asking, request: Request | None) -> Answer:
        user = self.access.user(asking.headers)
        if request is None:
            return self._about(asking)
        kind = request.kind
        self.access.demand(
            kind,
            subresource=request.subresource,
            verb=request.verb,
            namespace=request.namespace,
            name=request.name,
            user=user,
        )
        if self._creates(request):
            self.access.demand(
                kind, subresource="", verb="create", namespace=request.namespace, name=request.name, user=user
            )
        if kind is PODS and request.subresource == "log":
            return self._log(request)
        if request.verb == "watch":
            return Answer(status=200, stream=watched(self.world.store, request, running=self.running))
        status, body = answered(self.world.store, request)
        return Answer(status=status, body=body)

    def _creates(self, request: Request) -> bool:
        """An apply of what is not there needs the right to create as well."""
        store = self.world.store
        return request.writer.apply and store.find(request.kind, request.namespace, request.name) is None

    def _about(self, asking: Asking) -> Answer:
        if asking.path.endswith("/selfsubjectaccessreviews") and asking.method == "POST":
            return Answer(status=201, body=self.access.review(yaml.safe_load(asking.body)))
        if asking.path in ("/healthz", "/livez", "/readyz"):
            return Answer(status=200, body="ok")
        document = described(asking.path, (kind for kind in KINDS if kind.plural in self._served()))
        if document is None:
            raise no_such_path()
        return Answer(status=200, body=document)

    def _log(self, request: Request) -> Answer:
        pod = self.world.store.get(PODS, request.namespace, request.name)
        container = request.query.get("container") or str(pod["spec"]["containers"][0]["name"])
        previous = request.query.get("previous") in ("true", "True")
        text = pods.log_of(self.world, pod, container, previous=previous)
        if text is None:
            words = f'container "{container}" in pod "{request.name}" is waiting to start: ContainerCreating'
            raise Refusal(400, "BadRequest", words)
        lines = request.query.get("tailLines")
        if lines is not None:
            text = "".join(text.splitlines(keepends=True)[-int(lines) :]) if int(lines) else ""
        return Answer(status=200, body=text)
