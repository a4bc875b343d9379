"""The demo's scenery: every real part, releases of a chat-like service, users, and a user's rollout.yml.

What it starts it stops. The story that is played on it is in `run`; the benchmarks play others.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import docker
import yaml

from rollout.cli.parser import Call
from rollout.demo import parts
from rollout.demo.images import build_and_push
from rollout.errors import MissingProgram

SERVICE: Final = "chat"
NEEDED: Final = ("nginx", "dockerd", "docker-registry", "prometheus")
LONGEST: Final = timedelta(minutes=10)
"""How long users go on at most, should nobody stop them."""
SCRAPE: Final = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The running parts, and the configuration that a user of them would have."""

    url: str
    """Where the gateway answers."""
    config: Path
    journal: Path
    access_log: Path

    def call(self, verb: str, **arguments: object) -> Call:
        """A call of the command line, as a user of this machine makes it."""
        return Call(
            config=self.config,
            journal=self.journal,
            json=False,
            env=os.environ,
            arguments=argparse.Namespace(verb=verb, **arguments),
        )


def require() -> None:
    """Raise MissingProgram where a part of the scenery is not installed."""
    absent = [program for program in parts.missing() if program.program in NEEDED]
    if absent:
        names = " ".join(program.package for program in absent)
        raise MissingProgram(
            f"the demo needs programs that are not here: {', '.join(program.program for program in absent)}",
            hint=f"install them: apt-get install {names}",
        )


@contextmanager
def stage(
    releases: Mapping[str, Mapping[str, str]], *, directory: Path | None, changes: Mapping[str, object]
) -> Iterator[Stage]:
    """Start every part and build every release (a tag and its behaviour); stop every part at the end.

    `changes` replace top-level keys of rollout.yml.
    """
    with ExitStack() as stack:
        home = _home(directory, stack)
        say(f"starting a container engine, a registry, nginx and Prometheus in {home}")
        include, state = home / "rollout.d", home / "state"
        include.mkdir()
        state.mkdir()
        file_sd = state / "targets.json"
        file_sd.write_text("[]")
        engine = stack.enter_context(parts.container_engine(home / "engine"))
        registry = stack.enter_context(parts.registry(home / "registry"))
        port = parts.free_port()
        nginx = stack.enter_context(parts.nginx(home / "nginx", port=port, include=include / "*.conf"))
        prometheus = stack.enter_context(parts.prometheus(home / "prometheus", file_sd=file_sd, interval=SCRAPE))
        stack.callback(_remove_containers, engine.url)
        say(f"building {len(releases)} images of a chat-like service")
        for tag, behaviour in releases.items():
            build_and_push(engine, registry, name=SERVICE, tag=tag, env={"LATENCY_MS": "20", **behaviour})
        config = home / "rollout.yml"
        document = _configuration(home, engine=engine, registry=registry, nginx=nginx, prometheus=prometheus)
        config.write_text(yaml.safe_dump({**document, **changes}, sort_keys=False))
        yield Stage(
            url=f"http://127.0.0.1:{port}", config=config, journal=home / "journal", access_log=home / "access.json"
        )


def _home(directory: Path | None, stack: ExitStack) -> Path:
    if directory is None:
        temporary = Path(tempfile.mkdtemp(prefix="rollout-demo-"))
        temporary.chmod(0o755)
        stack.callback(shutil.rmtree, temporary, ignore_errors=True)
        return temporary
    directory.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="demo-", dir=directory.resolve()))
    home.chmod(0o755)
    return home


def _configuration(
    home: Path, *, engine: parts.Engine, registry: str, nginx: parts.Nginx, prometheus: str
) -> dict[str, object]:
    """A rollout.yml as a user writes it, with soaks of seconds."""
    soak = {"soak": "6s"}
    labels = f'service="{SERVICE}", version="$version"'
    return {
        "service": SERVICE,
        "environment": "demo",
        "image": f"{registry}/{SERVICE}",
        "target": {
            "nginx": {
                "include": str(home / "rollout.d" / f"{SERVICE}.conf"),
                "listen": f"127.0.0.1:{nginx.port}",
                "nginx": str(nginx.binary),
                "nginx_config": str(nginx.config),
                "nginx_prefix": str(nginx.prefix),
                "state": str(home / "state"),
                "access_log": str(home / "access.json"),
                "container": {"socket": engine.url, "port": 8080, "health": "/api/health", "memory": "256m"},
                "testers": {"cookie": "chat_version"},
            }
        },
        "metrics": {"prometheus": {"url": prometheus}},
        "checks": [
            {"name": "metrics page", "http": {"path": "/metrics"}},  # a page that a faulty release answers as well
            {"name": "health", "http": {"path": "/api/health", "max_latency": "1s"}},
        ],
        "steps": [
            {"weight": 0, "soak": "3s"},
            {"weight": 5, **soak},
            {"weight": 25, **soak},
            {"weight": 50, **soak},
            {"weight": 100, **soak},
        ],
        "gates": [
            {
                "name": "http 5xx",
                "failures": f'http_requests_total{{{labels}, code=~"5.."}}',
                "total": f"http_requests_total{{{labels}}}",
                "max": "2%",
                "min_requests": 20,
            },
            {
                "name": "llm failures",
                "failures": f'llm_requests_total{{{labels}, outcome="error"}}',
                "total": f"llm_requests_total{{{labels}}}",
                "max_ratio": 1.5,
                "min_requests": 20,
            },
        ],
        "dispersion": 1,
        "interval": "1s",
        "warm_up": "2s",
        "drain": "2s",
        "keep": "1h",
    }


@contextmanager
def users(url: str, *, number: int, rps: float) -> Iterator[subprocess.Popen[str]]:
    """Users who ask again and again until the block ends; `stopped` tells what they met."""
    argv = [sys.executable, "-m", "rollout.demo.load", "--url", url, "--rps", f"{rps:g}", "--users", str(number)]
    child = subprocess.Popen(
        [*argv, "--seconds", f"{LONGEST.total_seconds():g}"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=10)
        if child.poll() is None:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


def stopped(child: subprocess.Popen[str]) -> dict[str, object]:
    """Send the users home; what they met."""
    child.send_signal(signal.SIGTERM)
    said, _ = child.communicate(timeout=30)
    found: dict[str, object] = json.loads(said)
    return found


def _remove_containers(url: str) -> None:
    """The demo's containers, where the engine is the machine's own and goes on without us."""
    client = docker.DockerClient(base_url=url, timeout=30)
    try:
        for container in client.containers.list(all=True, filters={"label": f"rollout.service={SERVICE}"}):
            if container.labels.get("rollout.environment") == "demo":
                container.remove(force=True)
    finally:
        client.close()


def say(text: str) -> None:
    """One line about what happens now."""
    print(f"== {text}", flush=True)
