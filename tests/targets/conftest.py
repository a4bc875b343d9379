"""Real parts for the tests of the targets: an engine, a registry, small images, and an nginx for each test."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import docker
import pytest
import requests

from rollout.core.release import Release
from rollout.demo.images import MANIFEST_TYPES
from rollout.demo.parts import Engine, Nginx, container_engine, free_port, missing, nginx, registry, wait_until
from rollout.targets.nginx.settings import NginxSettings
from rollout.targets.nginx.target import NginxTarget

NEEDED: Final = frozenset({"nginx", "njs", "dockerd", "docker-registry"})

START: Final = """\
trap 'exit 0' TERM
echo "release $RELEASE starts with $SECRET"
[ -z "$DIES" ] || exit 3
[ -z "$SICK" ] || /bin/busybox rm /www/health
/bin/busybox httpd -f -p "${PORT:-8080}" -h /www &
wait $!
"""

STREAM: Final = """\
#!/bin/busybox sh
echo "Content-Type: text/event-stream"
echo
i=0
while [ $i -lt 600 ]; do
    echo "data: $i"
    echo
    i=$((i + 1))
    /bin/busybox sleep 0.1
done
"""

END: Final = """\
#!/bin/busybox sh
kill -TERM 1
"""


@dataclass(frozen=True)
class Images:
    """Builds small images and pushes them."""

    client: docker.DockerClient
    registry: str
    built: dict[tuple[str, str], Release] = field(default_factory=dict)

    def release(self, tag: str, *, name: str = "chat", env: Mapping[str, str] | None = None) -> Release:
        """The release under that tag; the image answers its tag at /, and is built once."""
        key = (name, tag)
        if key not in self.built:
            self.built[key] = self._build(tag, name, env or {})
        return self.built[key]

    def _build(self, tag: str, name: str, env: Mapping[str, str]) -> Release:
        image = f"{self.registry}/{name}"
        variables = {"RELEASE": tag, **env}
        lines = [
            "FROM scratch",
            "COPY . /",
            *(f"ENV {key}={value}" for key, value in variables.items()),
            'ENTRYPOINT ["/bin/busybox", "sh", "/start.sh"]',
        ]
        context = _archive(
            {
                "Dockerfile": "\n".join(lines).encode(),
                "bin/busybox": Path("/usr/bin/busybox").read_bytes(),
                "start.sh": START.encode(),
                "www/index.html": tag.encode(),
                "www/health": b"fine",
                "www/cgi-bin/stream": STREAM.encode(),
                "www/cgi-bin/end": END.encode(),
                "tmp/keep": b"",
            }
        )
        self.client.images.build(fileobj=context, custom_context=True, tag=f"{image}:{tag}", rm=True, forcerm=True)
        self.client.images.push(image, tag=tag)
        digest = self._digest(name, tag)
        self.client.images.remove(f"{image}:{tag}", force=True)
        return Release(tag=tag, image=image, digest=digest)

    def _digest(self, name: str, tag: str) -> str:
        """What the registry itself says, as Podman 4 cannot ask it."""
        url = f"http://{self.registry}/v2/{name}/manifests/{tag}"
        answer = requests.head(url, headers={"Accept": MANIFEST_TYPES}, timeout=10)
        return answer.headers["Docker-Content-Digest"]


def _archive(files: Mapping[str, bytes]) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.mode = 0o755
            archive.addfile(info, io.BytesIO(content))
    buffer.seek(0)
    return buffer


@dataclass(frozen=True, kw_only=True)
class World:
    """One nginx with one service behind it."""

    settings: NginxSettings
    image: str
    engine: Engine
    nginx: Nginx
    client: docker.DockerClient

    @property
    def port(self) -> int:
        """Where users come in."""
        return self.nginx.port

    def target(self, settings: NginxSettings | None = None) -> NginxTarget:
        """The target as a new process finds it."""
        return NginxTarget(
            settings=settings or self.settings,
            service="chat",
            environment="production",
            image=self.image,
            env={},
            clock=lambda: datetime.now(UTC),
        )


def end_process(world: World, name: str, *, url: str) -> None:
    """Have the service in a container end, as a crash does: the engine starts it again by itself."""
    container = world.client.containers.get(name)
    started = container.attrs["State"]["StartedAt"]
    with suppress(requests.ConnectionError):
        requests.get(f"{url}/cgi-bin/end", timeout=5)

    def is_anew() -> bool:
        container.reload()
        return bool(container.attrs["State"]["StartedAt"] != started)

    wait_until(is_anew, deadline_s=20, what="the engine to start the container again")


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A container engine for all tests."""
    lacking = [part.package for part in missing() if part.program in NEEDED]
    if lacking:
        pytest.skip(f"missing: {', '.join(lacking)} (scripts/system-packages installs it)")
    if not Path("/usr/bin/busybox").exists():
        pytest.skip("missing: busybox-static")
    with container_engine(tmp_path_factory.mktemp("engine")) as one:
        yield one


@pytest.fixture(scope="session")
def registry_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry for all tests."""
    with registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[docker.DockerClient]:
    """A client of our own, for what a person would do with the command line of the engine that the module has."""
    one = docker.DockerClient(base_url=engine.url, timeout=120)
    yield one
    one.close()


@pytest.fixture(scope="module")
def images(client: docker.DockerClient, registry_address: str) -> Images:
    """Small images in the registry."""
    return Images(client=client, registry=registry_address)


@pytest.fixture(params=["njs", "reload"])
def mode(request: pytest.FixtureRequest) -> str:
    """Both ways a weight changes."""
    return str(request.param)


@pytest.fixture
def world(tmp_path: Path, engine: Engine, client: docker.DockerClient, images: Images, mode: str) -> Iterator[World]:
    """An nginx and a service of its own for one test; its containers are gone afterwards."""
    port = free_port()
    (tmp_path / "conf").mkdir()
    with nginx(tmp_path / "nginx", port=port, include=tmp_path / "conf" / "*.conf", njs=mode == "njs") as server:
        yield World(
            settings=nginx_settings(tmp_path, server, engine),
            image=f"{images.registry}/chat",
            engine=engine,
            nginx=server,
            client=client,
        )
        for container in client.containers.list(all=True, filters={"label": "rollout.service=chat"}):
            container.remove(force=True)


def own_ports() -> str:
    """A range for the containers of this process alone: a test may take a port that another's container would have."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 22000 + 200 * worker
    return f"{first}-{first + 199}"


def nginx_settings(directory: Path, server: Nginx, engine: Engine) -> NginxSettings:
    """Settings for a service behind a private nginx."""
    return NginxSettings.model_validate(
        {
            "include": directory / "conf" / "chat.conf",
            "listen": f"127.0.0.1:{server.port}",
            "nginx": str(server.binary),
            "nginx_config": server.config,
            "nginx_prefix": server.prefix,
            "container": {
                "ports": own_ports(),
                "port": 8080,
                "health": "/health",
                "health_timeout": timedelta(seconds=20),
                "stop_timeout": timedelta(seconds=3),
                "socket": engine.url,
                "env": {"SECRET": "correct-horse-battery"},
            },
            "testers": {"cookie": "chat_version", "domain": "beta.example.com"},
            "access_log": directory / "access.json",
            "state": directory / "state",
        }
    )
