"""The container engine: pull by digest, run, look, stop, remove, and keep what a container wrote.

Speaks the Docker API, which Podman serves too. Knows no roles and no traffic. No variable's value leaves this module.
"""

from __future__ import annotations

import re
import socket
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rollout.errors import RolloutError, TargetBusy, TargetFailed
from rollout.targets.nginx import files

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

_KEPT: Final = 10 * 1024 * 1024
"""How much of a container's log is kept when it is removed, in bytes."""
_KEPT_LINES: Final = 20_000
"""And in lines: the engine is asked in lines, and would stream the whole log of months otherwise."""


class PortTaken(Exception):  # a state of affairs: the caller takes the next port
    """Another program took the port in the meantime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A container to be run."""

    name: str
    reference: str
    """The image by digest."""
    labels: Mapping[str, str]
    environment: Mapping[str, str] = field(repr=False)
    ports: Mapping[int, int]
    """Loopback port by the port inside; empty with the host's network."""
    network: str | None = None
    memory: str | None = None
    cpus: float | None = None
    command: tuple[str, ...] | None = None
    user: str | None = None
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """A container as the engine sees it."""

    status: str
    """`created`, `running`, `restarting`, `exited`, `dead`, ..."""
    exit_code: int
    restarts: int
    started: datetime | None
    labels: Mapping[str, str]

    @property
    def runs(self) -> bool:
        """Whether its process runs now."""
        return self.status == "running"

    @property
    def restarting(self) -> bool:
        """Whether its process has ended and the engine is about to start it again."""
        return self.status == "restarting"


@dataclass(frozen=True)
class Engine:
    """A container engine behind a socket. The connection is made at the first use."""

    url: str

    @cached_property
    def _client(self) -> DockerClient:
        import docker  # noqa: PLC0415  # takes 0.14 s, which a tick that touches no container should not pay

        with _translated(f"the container engine at {self.url}"):
            self._knock()
            client = docker.DockerClient(base_url=self.url, timeout=120)
        weakref.finalize(self, client.close)
        return client

    def _knock(self) -> None:
        """Find out whether anybody listens: the library leaks a socket where nobody does."""
        if self.url.startswith("unix://"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knocking:
                knocking.settimeout(5)
                knocking.connect(self.url.removeprefix("unix://"))

    def version(self) -> str:
        """Name and version of the engine. Raises TargetBusy where it does not answer."""
        with _translated(f"the container engine at {self.url}"):
            answer = self._client.version()
        names = [str(each.get("Name", "")) for each in answer.get("Components", [])]
        return f"{'Podman' if any('odman' in name for name in names) else 'Docker'} {answer.get('Version', '')}"

    def digest(self, image: str, tag: str) -> str:
        """The digest that the registry names for a tag now."""
        from docker.errors import APIError  # noqa: PLC0415  # see _client

        reference = f"{image}:{tag}"
        try:
            with _translated(f"the tag {reference}"):
                return str(self._client.images.get_registry_data(reference).id)
        except TargetFailed as unsure:
            # Podman has no such call before version 5: the pulled image tells.
            if not (isinstance(unsure.__cause__, APIError) and self.version().startswith("Podman")):
                raise
        self._pull(image, tag)
        with _translated(f"the tag {reference}"):
            for digest in self._client.images.get(reference).attrs.get("RepoDigests") or []:
                name, _, value = str(digest).partition("@")
                if name == image:
                    return value
        raise TargetFailed(f"the engine does not say which digest {reference} has", hint="Push the image again.")

    def pull(self, reference: str) -> None:
        """Have the image, by digest. Nothing is fetched where it is there."""
        from docker.errors import ImageNotFound  # noqa: PLC0415  # see _client

        with _translated(f"the image {reference}"), suppress(ImageNotFound):
            self._client.images.get(reference)
            return
        image, _, digest = reference.partition("@")
        self._pull(image, digest)

    def _pull(self, image: str, tag: str) -> None:
        what = f"the image {image}{'@' if tag.startswith('sha256:') else ':'}{tag}"
        with _translated(what):
            for line in self._client.api.pull(image, tag=tag, stream=True, decode=True):
                if isinstance(line, dict) and line.get("error"):
                    raise _refusal(what, str(line["error"]))

    def run(self, spec: Spec) -> None:
        """Create and start a container. Raises PortTaken; a container that cannot start is removed."""
        from docker.errors import APIError  # noqa: PLC0415  # see _client

        with _translated(f"the container {spec.name}"):
            container = self._client.containers.create(
                image=spec.reference,
                command=list(spec.command) if spec.command is not None else None,
                name=spec.name,
                labels=dict(spec.labels),
                environment=dict(spec.environment),
                ports={f"{inside}/tcp": ("127.0.0.1", port) for inside, port in spec.ports.items()},
                network=spec.network if spec.network not in (None, "host") else None,
                network_mode="host" if spec.network == "host" else None,
                mem_limit=spec.memory,
                nano_cpus=round(spec.cpus * 1e9) if spec.cpus is not None else None,
                user=spec.user,
                volumes=list(spec.volumes),
                # Comes up again with the machine, as a stable release must. A crash loop is seen by its restarts.
                restart_policy={"Name": "unless-stopped"},  # type: ignore[arg-type]  # the stubs lack this policy
            )
            try:
                container.start()
            except APIError as wrong:
                container.remove(force=True)
                if _is_port_conflict(str(wrong.explanation)):
                    raise PortTaken from None
                raise

    def start(self, name: str) -> None:
        """Start a container that was stopped. Raises PortTaken where another program has its port now."""
        from docker.errors import APIError  # noqa: PLC0415  # see _client

        with _translated(f"the container {name}"):
            try:
                self._client.containers.get(name).start()
            except APIError as wrong:
                if _is_port_conflict(str(wrong.explanation)):
                    raise PortTaken from None
                raise

    def look(self, name: str) -> Inspected | None:
        """The container as it is; None where there is none. Raises TargetBusy where the engine does not answer."""
        container = self._get(name)
        if container is None:
            return None
        state = container.attrs["State"]
        return Inspected(
            status="restarting" if state.get("Restarting") else str(state.get("Status", "")),
            exit_code=int(state.get("ExitCode", 0)),
            restarts=int(container.attrs.get("RestartCount", 0)),
            started=_moment(str(state.get("StartedAt", ""))),
            labels=dict(container.labels),
        )

    def stop(self, name: str, *, timeout: int) -> None:
        """Stop a container: SIGTERM, and after `timeout` seconds SIGKILL. Nothing happens where it does not run."""
        container = self._get(name)
        if container is not None and container.attrs["State"].get("Status") not in ("exited", "created", "dead"):
            with _translated(f"the container {name}"):
                container.stop(timeout=timeout)

    def remove(self, name: str, *, timeout: int, log: Path) -> None:
        """Stop and remove a container, and keep the end of its log in a file only this user can read."""
        self.stop(name, timeout=timeout)
        container = self._get(name)
        if container is None:
            return
        files.directory(log.parent, mode=0o700)
        files.replace(log, self._tail(container), mode=0o600)
        with _translated(f"the container {name}"):
            container.remove(force=True)

    def log(self, name: str, *, lines: int) -> str | None:
        """The last lines a container wrote; None where there is no such container."""
        container = self._get(name)
        if container is None:
            return None
        with _translated(f"the log of {name}"):
            return container.logs(tail=lines).decode(errors="replace")

    def _get(self, name: str) -> Container | None:
        from docker.errors import NotFound  # noqa: PLC0415  # see _client

        with _translated(f"the container {name}"):
            try:
                return self._client.containers.get(name)
            except NotFound:
                return None

    def _tail(self, container: Container) -> str:
        try:
            with _translated("the log"):
                return container.logs(tail=_KEPT_LINES)[-_KEPT:].decode(errors="replace")
        except RolloutError as wrong:
            return f"(the engine did not hand over the log: {wrong.message})\n"


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn what the client library raises into our errors."""
    import requests  # noqa: PLC0415  # see _client
    from docker.errors import APIError, DockerException  # noqa: PLC0415  # see _client

    try:
        yield
    except APIError as wrong:
        raise _refusal(what, str(wrong.explanation or wrong), wrong.status_code) from wrong
    except (DockerException, requests.RequestException, OSError) as wrong:
        raise TargetBusy(
            f"{what}: the container engine does not answer",
            hint="Start it (such as with `systemctl start docker`), or correct target.nginx.container.",
        ) from wrong


def _refusal(what: str, said: str, status: int | None = None) -> TargetFailed:
    """The error for a refusal, temporary where another try may help."""
    said = said.strip().splitlines()[0][:300] if said.strip() else f"HTTP {status}"
    low = said.lower()
    if any(word in low for word in ("unauthorized", "denied", "forbidden", "authentication required")):
        return TargetFailed(
            f"{what}: the registry refuses: {said}",
            hint="Log in to the registry (`docker login`) as the user that runs this, and check the name.",
        )
    if any(word in low for word in ("manifest unknown", "not found", "no such image", "unknown: ", "name unknown")):
        return TargetFailed(f"{what} is not there: {said}", hint="Check the image and the tag, and that it was pushed.")
    if status in (400, 409) or (status == 404 and "registry" not in low):
        return TargetFailed(f"{what}: {said}")
    return TargetBusy(f"{what}: {said}", hint="The registry or the engine may be away for a moment.")


def _is_port_conflict(said: str) -> bool:
    low = said.lower()
    return any(
        word in low for word in ("port is already allocated", "address already in use", "ports are not available")
    )


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(re.sub(r"\.[0-9]+", "", text))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo is not None and found.year > 1 else None
