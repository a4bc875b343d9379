"""A container engine for the demo and the tests: the one that already answers, or a private one for the while.

A private dockerd leaves the firewall, the routes and the images of the machine alone: own data directory, own bridge,
no iptables rules. Ports published on 127.0.0.1 are all that reaches its containers. Podman, the second choice, adds
firewall chains of its own when it is root, and leaves them empty.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import docker
import requests
from docker.errors import DockerException

from rollout.demo.processes import PartFailed, find_program, running
from rollout.errors import MissingProgram

SYSTEM_SOCKET: Final = "unix:///var/run/docker.sock"
SUBNETS: Final = tuple(f"172.{second}.{third}.1/24" for second in (29, 30, 31) for third in range(256))


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A container engine that answers Docker's API."""

    url: str
    """Such as `unix:///run/rollout/docker.sock`."""
    name: str
    """`docker` or `podman`."""
    started: bool
    """Whether it was started for this block; False for the machine's own."""


def system_engine() -> str | None:
    """The URL of an engine that answers now: the one DOCKER_HOST names, else the system's Docker."""
    candidates = (os.environ.get("DOCKER_HOST", ""), SYSTEM_SOCKET)
    return next((url for url in candidates if url and _answers(url)), None)


@contextmanager
def container_engine(directory: Path) -> Iterator[Engine]:
    """An engine for the block: DOCKER_HOST or the system's Docker if it answers, else a private dockerd, else Podman.

    A private engine keeps its data in `directory`, and all its containers are gone at the end. The machine's own
    engine is left as the block leaves it. Raises MissingProgram or PartFailed.
    """
    if url := system_engine():
        yield Engine(url=url, name="docker", started=False)
        return
    dockerd = find_program("dockerd") if os.geteuid() == 0 else None
    if dockerd is None:
        if find_program("podman") is None:
            raise MissingProgram(
                "no Docker engine answers, and neither dockerd (as root) nor podman can be started",
                hint="install the package docker.io, or add yourself to the group docker",
            )
        with podman_engine(directory) as engine:
            yield engine
        return
    with ExitStack() as stack:
        directory.mkdir(parents=True, exist_ok=True)
        run = _run_directory(stack)
        url = f"unix://{run / 'engine.sock'}"
        stack.enter_context(_dockerd(dockerd, directory, run=run, url=url))
        stack.callback(_remove_containers, url)
        yield Engine(url=url, name="docker", started=True)


@contextmanager
def podman_engine(directory: Path) -> Iterator[Engine]:
    """A private Podman for the block, whatever else is here. Raises MissingProgram or PartFailed."""
    podman = find_program("podman")
    if podman is None:
        raise MissingProgram("the program podman is not installed", hint="install the package podman")
    with ExitStack() as stack:
        directory.mkdir(parents=True, exist_ok=True)
        run = _run_directory(stack)
        url = f"unix://{run / 'engine.sock'}"
        stack.enter_context(_podman(podman, directory, run=run, url=url))
        stack.callback(_remove_containers, url)
        yield Engine(url=url, name="podman", started=True)


def _run_directory(stack: ExitStack) -> Path:
    """A short path, as a socket's may have 107 characters at most; removed with the stack."""
    run = Path(tempfile.mkdtemp(prefix="rollout-engine-"))
    stack.callback(shutil.rmtree, run, ignore_errors=True)
    return run


@contextmanager
def _dockerd(program: Path, directory: Path, *, run: Path, url: str) -> Iterator[None]:
    with _bridge() as bridge:
        argv: list[str | Path] = [
            program,
            *("--host", url),
            *("--data-root", directory / "data"),
            *("--exec-root", run / "exec"),
            *("--pidfile", run / "dockerd.pid"),
            *("--config-file", _empty_config(run)),
            *("--bridge", bridge),
            *("--iptables=false", "--ip-masq=false", "--ip-forward=false"),
            *("--shutdown-timeout", "5"),
            *("--log-level", "warn"),
        ]
        with running(argv, log=directory / "dockerd.log", ready=lambda: _answers(url)):
            yield


@contextmanager
def _podman(program: Path, directory: Path, *, run: Path, url: str) -> Iterator[None]:
    """Podman's API service. Its settings avoid two traps: crun refuses hybrid cgroups, and limits must be settable."""
    root = os.geteuid() == 0
    files = {
        "containers.conf": "\n".join(
            (
                "[containers]",
                'default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]',
                "[engine]",
                *(['runtime = "runc"'] if find_program("runc") else ()),
                'cgroup_manager = "cgroupfs"',
                'events_logger = "file"',
            )
        ),
        "storage.conf": "\n".join(
            (
                "[storage]",
                'driver = "overlay"' if root else 'driver = "vfs"',
                f"graphroot = {json.dumps(str(directory / 'data'))}",
                f"runroot = {json.dumps(str(run / 'storage'))}",
            )
        ),
        # Without this a pull from the demo's own registry fails as "no such image": it speaks plain HTTP.
        "registries.conf": '[[registry]]\nlocation = "127.0.0.1"\ninsecure = true\n',
    }
    for name, text in files.items():
        (run / name).write_text(text + "\n", encoding="utf-8")
    env = dict(os.environ) | {
        "CONTAINERS_CONF": str(run / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(run / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(run / "registries.conf"),
    }
    argv: list[str | Path] = [program, "system", "service", "--time=0", url]
    try:
        with running(argv, log=directory / "podman.log", ready=lambda: _answers(url), env=env):
            yield
    finally:
        overlay = directory / "data" / "overlay"
        # Podman binds it to itself and leaves it so; such a mount cannot be told by its device.
        if f" {overlay} " in Path("/proc/self/mounts").read_text(encoding="utf-8"):
            _command(Path("umount"), str(overlay))


@contextmanager
def _bridge() -> Iterator[str]:
    """A network bridge of our own, so that neither docker0 nor another private engine is disturbed."""
    ip = find_program("ip")
    if ip is None:
        raise MissingProgram("the program ip is not installed", hint="install the package iproute2")
    name = f"rollout{secrets.token_hex(4)}"
    # With an address of its own: else the bridge takes the lowest of its ports', and stalls when that port goes.
    address = ":".join(("02", "42", *(f"{octet:02x}" for octet in secrets.token_bytes(4))))
    _command(ip, "link", "add", "name", name, "address", address, "type", "bridge")
    try:
        _command(ip, "address", "add", _unused_subnet(ip), "dev", name)
        _command(ip, "link", "set", name, "up")
        yield name
    finally:
        _command(ip, "link", "delete", name)


def _unused_subnet(ip: Path) -> str:
    taken = _command(ip, "-oneline", "-4", "address", "show")
    free = [subnet for subnet in SUBNETS if f" {subnet} " not in taken]
    return secrets.choice(free)


def _command(program: Path, *arguments: str) -> str:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise PartFailed(f"{program.name} {' '.join(arguments)} failed", hint=done.stderr.strip())
    return done.stdout


def _empty_config(run: Path) -> Path:
    """A configuration of our own: the machine's /etc/docker/daemon.json is for its own engine."""
    path = run / "daemon.json"
    path.write_text("{}\n", encoding="utf-8")
    return path


def _answers(url: str) -> bool:
    if url.startswith("unix://") and not _accepts(Path(url.removeprefix("unix://"))):
        return False  # asked first, because the client leaks its socket when it cannot connect
    try:
        client = docker.DockerClient(base_url=url, timeout=5)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except (DockerException, requests.RequestException):
        return False
    finally:
        client.close()


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        return client.connect_ex(str(path)) == 0


def _remove_containers(url: str) -> None:
    client = docker.DockerClient(base_url=url)
    try:
        for container in client.containers.list(all=True, ignore_removed=True):
            container.remove(force=True)
    finally:
        client.close()
