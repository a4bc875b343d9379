"""What the measurements run on: one nginx, two releases of the demo's service behind it, and a target that drives both.

It also holds the values a measurement returns. It measures nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import docker

from rollout.core.release import Release
from rollout.demo.images import build_and_push
from rollout.demo.parts import Engine, container_engine, free_port, nginx, registry
from rollout.targets.nginx.settings import NginxSettings
from rollout.targets.nginx.target import NginxTarget

SERVICE: Final = "chat"
PATH: Final = "/api/health"
"""The service's cheapest answer, so that the gateway is what is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    wanted: str = ""
    """What the project promises; empty for a comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What every measurement shares."""

    engine: Engine
    registry: str
    stable: Release
    canary: Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A gateway at weight 0 with both releases ready behind it."""

    target: NginxTarget
    port: int


@contextmanager
def real_parts() -> Iterator[Parts]:
    """An engine, a registry and two releases in it."""
    with (
        tempfile.TemporaryDirectory(prefix="rollout-bench-") as home,
        container_engine(Path(home) / "engine") as engine,
        registry(Path(home) / "registry") as address,
    ):
        releases = [
            Release(
                tag=tag,
                image=f"{address}/{SERVICE}",
                digest=build_and_push(engine, address, name=SERVICE, tag=tag, env={}),
            )
            for tag in ("v1", "v2")
        ]
        yield Parts(engine=engine, registry=address, stable=releases[0], canary=releases[1])


@contextmanager
def gateway(parts: Parts, *, njs: bool) -> Iterator[Stage]:
    """A private nginx with `stable` promoted and `canary` deployed; their containers are removed at the end."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="rollout-bench-") as home:
        directory = Path(home)
        include = directory / "conf" / f"{SERVICE}.conf"
        include.parent.mkdir()
        with nginx(directory / "nginx", port=port, include=include.parent / "*.conf", njs=njs) as server:
            settings = NginxSettings.model_validate(
                {
                    "include": include,
                    "listen": f"127.0.0.1:{port}",
                    "nginx": str(server.binary),
                    "nginx_config": server.config,
                    "nginx_prefix": server.prefix,
                    "njs": "on" if njs else "off",
                    "state": directory / "state",
                    "access_log": directory / "access.json",
                    "container": {"socket": parts.engine.url, "port": 8080, "health": PATH},
                }
            )
            target = NginxTarget(
                settings=settings,
                service=SERVICE,
                environment="bench",
                image=parts.stable.image,
                env=os.environ,
                clock=lambda: datetime.now(UTC),
            )
            try:
                target.deploy(parts.stable, rollout="1-v1")
                target.promote()
                target.deploy(parts.canary, rollout="2-v2")
                yield Stage(target=target, port=port)
            finally:
                _remove_containers(parts.engine)


def _remove_containers(engine: Engine) -> None:
    client = docker.DockerClient(base_url=engine.url)
    try:
        own: dict[str, str | list[str] | bool] = {"label": ["rollout.environment=bench", f"rollout.service={SERVICE}"]}
        for container in client.containers.list(all=True, filters=own):
            container.remove(force=True)
    finally:
        client.close()
