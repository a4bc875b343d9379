"""Which container engine is meant, found as the engines' own programs find it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from rollout.errors import ConfigurationError, MissingProgram
from rollout.targets.nginx.settings import ContainerSettings

_LOCAL = ("unix://", "tcp://127.", "tcp://localhost:", "tcp://[::1]:")


def engine_url(settings: ContainerSettings, env: Mapping[str, str]) -> str:
    """The URL of the engine: the setting, else DOCKER_HOST or CONTAINER_HOST, else the first usual socket there is.

    Raises ConfigurationError where the environment names an engine on another machine, MissingProgram where there is
    none.
    """
    if settings.socket is not None:
        return settings.socket
    for engine, variable in (("docker", "DOCKER_HOST"), ("podman", "CONTAINER_HOST")):
        if settings.engine in ("auto", engine) and env.get(variable):
            if not env[variable].startswith(_LOCAL):
                raise ConfigurationError(
                    f"{variable} names an engine on another machine, and containers must be reached on 127.0.0.1",
                    hint=f"Run on that machine, or set target.nginx.container.socket, or unset {variable}.",
                )
            return env[variable]
    for path in _usual(settings, env):
        if path.is_socket():
            return f"unix://{path}"
    raise MissingProgram(
        "no container engine answers on this machine",
        hint="Install and start Docker or Podman (for Podman its socket: `systemctl enable --now podman.socket`), "
        "or set target.nginx.container.socket.",
    )


def _usual(settings: ContainerSettings, env: Mapping[str, str]) -> Iterator[Path]:
    runtime = env.get("XDG_RUNTIME_DIR", "")
    if settings.engine in ("auto", "docker"):
        yield Path("/var/run/docker.sock")
        if runtime:
            yield Path(runtime, "docker.sock")
    if settings.engine in ("auto", "podman"):
        yield Path("/run/podman/podman.sock")
        if runtime:
            yield Path(runtime, "podman", "podman.sock")
