"""Releases in containers: placed on a free port, started until they answer, watched, and taken away again.

Joins the engine to the settings. Knows nothing of roles, weights or nginx.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from rollout.errors import RolloutError, TargetFailed
from rollout.targets.base import Health
from rollout.targets.nginx import files
from rollout.targets.nginx.containers import Engine, Inspected, PortTaken, Spec
from rollout.targets.nginx.envfile import read_env, redact
from rollout.targets.nginx.health import probe
from rollout.targets.nginx.memory import Placed
from rollout.targets.nginx.settings import ContainerSettings

_PAUSE: Final = 0.1
_LOOPING: Final = 3
"""So many restarts, the last one a moment ago, are a loop."""
_YOUNG: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What can be said of a container in one look."""

    health: Health
    restarts: int
    """By the engine's own policy since the container was made or somebody started it; 0 while the engine is away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Containers:
    """The containers of one service in one environment."""

    engine: Engine
    settings: ContainerSettings
    metrics_port: int | None
    labels: Mapping[str, str]
    log_directory: Path
    clock: Callable[[], datetime]

    def start(self, placed: Placed, *, taken: frozenset[int], note: Callable[[Placed], None]) -> Placed:
        """Run a release until it is ready, and say on which ports.

        `note` is told of the ports before a container takes them. A container that is there from an interrupted call is
        used if it is the same. Raises TargetFailed where it ends or never becomes ready.
        """
        self.engine.pull(placed.release.reference)
        labels = self._labels(placed)
        there = self.engine.look(placed.container)
        if there is not None and not (there.runs and labels.items() <= there.labels.items()):
            self.remove(placed)
            there = None
        if there is None:
            placed = self._run(placed, labels, taken, note)
        self.await_ready(placed)
        return placed

    def revive(self, placed: Placed, *, taken: frozenset[int], note: Callable[[Placed], None]) -> Placed:
        """Start a container that was stopped, and wait until it is ready; nothing happens where it is.

        A stopped container holds no port: where another program has taken it meanwhile, or somebody has removed the
        container, the same image is run anew. `taken` and `note` are those of `start`.
        """
        there = self.engine.look(placed.container)
        if there is None:
            return self.start(placed, taken=taken, note=note)
        if not there.runs:
            try:
                self.engine.start(placed.container)
            except PortTaken:
                return self.start(placed, taken=taken, note=note)
        self.await_ready(placed)
        return placed

    def _run(
        self, placed: Placed, labels: Mapping[str, str], taken: frozenset[int], note: Callable[[Placed], None]
    ) -> Placed:
        for port, metrics_port in self._free_ports(taken):
            placed = replace(placed, port=port, metrics_port=metrics_port)
            note(placed)
            try:
                self.engine.run(self._spec(placed, labels))
            except PortTaken:
                continue
            return placed
        raise TargetFailed(
            f"no port of {self.settings.ports} is free",
            hint="Widen target.nginx.container.ports, or remove containers that are not needed.",
        )

    def _free_ports(self, taken: frozenset[int]) -> Iterator[tuple[int, int | None]]:
        free = (port for port in self.settings.port_range if port not in taken and _is_free(port))
        if self.metrics_port is None:
            yield from ((port, None) for port in free)
        else:
            yield from zip(free, free, strict=False)

    def environment(self) -> dict[str, str]:
        """The service's environment. Raises TargetFailed where the file is absent or malformed."""
        base = read_env(self.settings.env_file) if self.settings.env_file is not None else {}
        return {**base, **self.settings.env}

    def _labels(self, placed: Placed) -> dict[str, str]:
        return {
            **self.labels,
            "rollout.id": placed.rollout,
            "rollout.release": placed.release.tag,
            "rollout.digest": placed.release.digest,
        }

    def _spec(self, placed: Placed, labels: Mapping[str, str]) -> Spec:
        settings = self.settings
        environment = self.environment()
        ports = {settings.port: placed.port}
        if settings.network == "host":
            environment["PORT"] = str(placed.port)
            ports = {}
        elif self.metrics_port is not None and placed.metrics_port is not None:
            ports[self.metrics_port] = placed.metrics_port
        return Spec(
            name=placed.container,
            reference=placed.release.reference,
            labels=labels,
            environment=environment,
            ports=ports,
            network=settings.network,
            memory=settings.memory,
            cpus=settings.cpus,
            command=settings.command,
            user=settings.user,
            volumes=settings.volumes,
        )

    def await_ready(self, placed: Placed) -> None:
        """Wait until it answers. Raises TargetFailed where it ends, or does not answer in time."""
        patience = self.settings.health_timeout
        deadline = time.monotonic() + patience.total_seconds()
        while True:
            said = probe(placed.port, self.settings.health, timeout=2.0)
            if not said:
                return
            there = self.engine.look(placed.container)
            if there is None:
                raise TargetFailed(f"the container {placed.container} was removed by somebody else")
            if not there.runs or self._is_dead(there):
                raise TargetFailed(
                    f"{placed.release} ended with exit code {there.exit_code} before it was ready",
                    hint=self._last_words(placed),
                )
            if time.monotonic() > deadline:
                path = self.settings.health or "/"
                raise TargetFailed(
                    f"{placed.release} is not ready after {patience.total_seconds():g} s: {path} said: {said}",
                    hint=self._last_words(placed),
                )
            time.sleep(_PAUSE)

    def answers(self, placed: Placed) -> bool:
        """Whether its port answers the health check now; says nothing of who it is that answers."""
        return not probe(placed.port, self.settings.health, timeout=2.0)

    def health(self, placed: Placed) -> Health:
        """What can be said of it now. An engine that is away says nothing against it."""
        return self.standing(placed).health

    def standing(self, placed: Placed) -> Standing:
        """Its health, and how often it was restarted."""
        answered = Health.READY if self.answers(placed) else Health.UNREADY
        try:
            there = self.engine.look(placed.container)
        except RolloutError:
            return Standing(health=answered, restarts=0)
        if there is None:
            return Standing(health=Health.DEAD, restarts=0)
        return Standing(health=Health.DEAD if self._is_dead(there) else answered, restarts=there.restarts)

    def _is_dead(self, there: Inspected) -> bool:
        """Whether it has ended for good, or ends again and again; one restart that is under way is neither."""
        if not there.runs and not there.restarting:
            return True
        young = there.started is not None and self.clock() - there.started < _YOUNG
        return there.restarts >= _LOOPING and young

    def _last_words(self, placed: Placed) -> str:
        said = self.logs(placed.container, lines=10).strip()
        return f"Its last lines:\n{said}" if said else "It wrote nothing."

    def logs(self, container: str, *, lines: int) -> str:
        """The last lines it wrote, from the engine or from the file kept when it was removed; without secrets."""
        text = self.engine.log(container, lines=lines)
        if text is None:
            text = files.read(self._log_path(container)) or ""
        try:
            secrets = self.environment()
        except TargetFailed:  # what cannot be known cannot be struck out, so nothing is shown
            return "(the log is not shown, as the env file that says what is secret in it cannot be read)\n"
        return "".join(redact(text, secrets).splitlines(keepends=True)[-lines:])

    def stop(self, placed: Placed) -> None:
        """Stop it and keep it."""
        self.engine.stop(placed.container, timeout=self._stop_seconds)

    def remove(self, placed: Placed) -> None:
        """Stop and remove it; its log stays."""
        self.engine.remove(placed.container, timeout=self._stop_seconds, log=self._log_path(placed.container))

    @property
    def _stop_seconds(self) -> int:
        return max(1, round(self.settings.stop_timeout.total_seconds()))

    def _log_path(self, container: str) -> Path:
        return self.log_directory / f"{container}.log"


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe_socket:
        probe_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe_socket.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
