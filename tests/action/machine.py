"""The machine of examples/nginx-complete: nginx, containers, a registry and a Prometheus that scrapes what runs there.

It puts into the example's rollout.yml what is another on every machine, and says of each value why (`on_this_machine`).
Everything else of the file is as a user reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import docker
import yaml

from rollout.demo import parts
from rollout.demo.images import build_and_push
from tests.action.runner import ROOT
from tests.serving import Quiet, serving

EXAMPLE: Final = ROOT / "examples/nginx-complete"
SERVICE: Final = "lobechat"
IMAGE: Final = "example/lobechat"
SOAK: Final = "4s"
PORT: Final = 3210
"""Where the example's service listens; the demo's does where its environment says."""
PACE: Final = {"interval": "1s", "warm_up": "2s", "drain": "2s"}
SCRAPE: Final = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The running parts."""

    url: str
    """Where the gateway answers."""
    prometheus: str
    config: str
    """The example's rollout.yml for this machine."""


@contextmanager
def machine(home: Path, releases: Mapping[str, Mapping[str, str]]) -> Iterator[Machine]:
    """Start every part and build every release (a tag and its behaviour); stop every part at the end."""
    with ExitStack() as stack:
        include, state = home / "rollout.d", home / "state"
        include.mkdir(parents=True)
        state.mkdir()
        secrets = home / "production.env"
        secrets.write_text(f"PORT={PORT}\nMODEL_KEY=sk-0123456789abcdef\n")
        engine = stack.enter_context(parts.container_engine(home / "engine"))
        registry = stack.enter_context(parts.registry(home / "registry"))
        port = parts.free_port()
        nginx = stack.enter_context(parts.nginx(home / "nginx", port=port, include=include / "*.conf"))
        scraped = state / "targets.json"
        prometheus = stack.enter_context(parts.prometheus(home / "prometheus", file_sd=scraped, interval=SCRAPE))
        stack.callback(_remove_containers, engine.url)
        for tag, behaviour in releases.items():
            build_and_push(engine, registry, name=IMAGE, tag=tag, env=behaviour)
        target = {
            "include": str(include / f"{SERVICE}.conf"),  # /etc/nginx belongs to the machine's own nginx
            "listen": f"127.0.0.1:{port}",  # 8080 may be taken
            "nginx": str(nginx.binary),  # three keys more for an nginx that is not the machine's own
            "nginx_config": str(nginx.config),
            "nginx_prefix": str(nginx.prefix),
            "state": str(state),  # two keys more, as nothing is written to /var
            "access_log": str(home / "access.json"),
        }
        container = {
            "env_file": str(secrets),  # a file of the machine: here it also tells the demo's service its port
            "socket": engine.url,  # one key more for a container engine that is not the machine's own
        }
        config = on_this_machine(registry=registry, target=target, container=container, prometheus=prometheus)
        yield Machine(url=f"http://127.0.0.1:{port}", prometheus=prometheus, config=config)


def on_this_machine(*, registry: str, target: Mapping[str, str], container: Mapping[str, str], prometheus: str) -> str:
    """The example's rollout.yml with the addresses of one machine, and with times of seconds in place of hours.

    Its gates, checks, weights, approval and approvers, testers, sticky cookie, and whom to tell stay as they are.
    """
    document: dict[str, Any] = yaml.safe_load((EXAMPLE / "rollout.yml").read_text())
    document["image"] = f"{registry}/{IMAGE}"  # ghcr.io cannot be reached; the path in the registry is the same
    nginx = document["target"]["nginx"]
    nginx.update(target)
    nginx["container"].update(container)
    document["metrics"]["prometheus"]["url"] = prometheus  # 9090 may be taken
    for step in document["steps"]:
        step["soak"] = SOAK  # for 5 to 30 minutes
    document.update(PACE)  # three keys more: looks every second, for 15 s, and 2 s for a warm-up of 2 minutes
    return yaml.safe_dump(document, sort_keys=False)


@dataclass(kw_only=True)
class Mailbox:
    """Addresses that take messages as JSON, and what came in at each."""

    port: int = 0
    came: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def url(self, name: str) -> str:
        """An address."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def reasons(self, name: str, release: str) -> list[str]:
        """What was told there of a release, in its order."""
        return [body["reason"] for path, body in self.came if path == f"/{name}" and body["release"] == release]


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A web server that keeps what it is sent."""
    kept = Mailbox()

    class Take(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.came.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with serving(Take) as port:
        kept.port = port
        yield kept


def _remove_containers(url: str) -> None:
    """Those of this example, where the engine is the machine's own and goes on without us."""
    client = docker.DockerClient(base_url=url, timeout=30)
    try:
        for container in client.containers.list(all=True, filters={"label": f"rollout.service={SERVICE}"}):
            container.remove(force=True)
    finally:
        client.close()
