"""The main job on real parts, in under two minutes: a good release goes to 100 %, a bad one is taken back.

Everything runs on this machine and in one directory: a container engine, a registry, nginx, Prometheus, a chat-like
service in three releases, and users who stay with their version. What it starts it stops. It drives the same verbs a
user types, with a rollout.yml a user could write.
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
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import docker
import yaml

from rollout.cli import charts, driving
from rollout.cli.opening import now, open_service
from rollout.cli.parser import Call
from rollout.compose import source_of
from rollout.demo import parts
from rollout.demo.images import build_and_push
from rollout.errors import ROLLED_BACK, MissingProgram
from rollout.report import html

SERVICE: Final = "chat"
RELEASES: Final = {
    "v1": {"FAIL_HTTP": "0.002", "FAIL_LLM": "0.01"},
    "v2": {"FAIL_HTTP": "0.002", "FAIL_LLM": "0.01"},
    "v3": {"FAIL_HTTP": "0.05", "FAIL_LLM": "0.2"},
}
"""The stable release, a good one that follows it, and a bad one after that."""
NEEDED: Final = ("nginx", "dockerd", "docker-registry", "prometheus")
RPS: Final = 120
USERS: Final = 400
LONGEST: Final = timedelta(minutes=5)
SCRAPE: Final = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The running parts, and the configuration that a user of them would have."""

    engine: parts.Engine
    registry: str
    url: str
    config: Path
    journal: Path


def demo(*, directory: Path | None, report: Path, plain: bool) -> int:
    """Run both releases; 0 only if the good one was promoted and the bad one rolled back."""
    _require()
    began = time.monotonic()
    with ExitStack() as stack:
        stage = stack.enter_context(_stage(directory))
        sections: list[html.Section] = []
        _say("the first release, v1, becomes stable: there is nothing to compare it with")
        first = _release(stage, "v1", sections=None, plain=True)
        users = stack.enter_context(_users(stage.url))
        _say(f"{USERS} users send {RPS} requests a second and keep their version")
        _say("v2 is a good release")
        good = _release(stage, "v2", sections=sections, plain=plain)
        _say("v3 is a bad one: 5 % of requests and 20 % of model calls fail")
        bad = _release(stage, "v3", sections=sections, plain=plain)
        seen = _stopped(users)
        report.write_text(html.page(tuple(sections), now=now()), encoding="utf-8")
    return _verdict(
        {"v1": (first, 0), "v2": (good, 0), "v3": (bad, ROLLED_BACK)},
        users=seen,
        report=report,
        took=time.monotonic() - began,
    )


def _require() -> None:
    absent = [program for program in parts.missing() if program.program in NEEDED]
    if absent:
        names = " ".join(program.package for program in absent)
        raise MissingProgram(
            f"the demo needs programs that are not here: {', '.join(program.program for program in absent)}",
            hint=f"install them: apt-get install {names}",
        )


@contextmanager
def _stage(directory: Path | None) -> Iterator[Stage]:
    """Start every part; stop every part."""
    with ExitStack() as stack:
        home = _home(directory, stack)
        _say(f"starting a container engine, a registry, nginx and Prometheus in {home}")
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
        _say(f"building {len(RELEASES)} images of a chat-like service")
        for tag, behaviour in RELEASES.items():
            build_and_push(engine, registry, name=SERVICE, tag=tag, env={"LATENCY_MS": "20", **behaviour})
        config = home / "rollout.yml"
        document = _configuration(home, engine=engine, registry=registry, nginx=nginx, prometheus=prometheus)
        config.write_text(yaml.safe_dump(document, sort_keys=False))
        url = f"http://127.0.0.1:{port}"
        yield Stage(engine=engine, registry=registry, url=url, config=config, journal=home / "journal")


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
            {"name": "home page", "http": {"path": "/"}},
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


def _release(stage: Stage, tag: str, *, sections: list[html.Section] | None, plain: bool) -> int:
    """`rollout run TAG`, as a user types it; its exit code."""
    call = Call(
        config=stage.config,
        journal=stage.journal,
        json=False,
        env=os.environ,
        arguments=argparse.Namespace(verb="run", tag=tag, plain=plain, html=None),
    )
    code = driving.run(call)
    if sections is not None:
        opened = open_service(call)
        record, state = opened.read()
        assert state is not None
        sections.append(charts.section(record, state, source_of(opened.configuration)))
    return code


@contextmanager
def _users(url: str) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "rollout.demo.load", "--url", url, "--rps", str(RPS), "--users", str(USERS)]
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


def _stopped(users: subprocess.Popen[str]) -> dict[str, object]:
    """What the users met."""
    users.send_signal(signal.SIGTERM)
    said, _ = users.communicate(timeout=30)
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


def _verdict(ends: dict[str, tuple[int, int]], *, users: dict[str, object], report: Path, took: float) -> int:
    print()
    for tag, (came, expected) in ends.items():
        end = {0: "promoted", ROLLED_BACK: "rolled back"}.get(came, f"ended with {came}")
        print(f"{tag}: {end}{'' if came == expected else ', which is WRONG'}")
    print(f"users: {json.dumps(users)}")
    print(f"report: {report.resolve()}")
    print(f"took {took:.0f} s, nothing is left running")
    return 0 if all(came == expected for came, expected in ends.values()) else 1


def _say(text: str) -> None:
    print(f"== {text}", flush=True)
