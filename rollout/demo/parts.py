"""The real servers that the demo and the tests run on: a registry, nginx and Prometheus, each private and on loopback.

Each is a context manager: started in a directory of its own, ready when the block begins, stopped when it ends. The
container engine is `rollout.demo.engine`, given again here. Nothing here knows what a rollout is.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import requests

from rollout.demo.engine import Engine, container_engine, system_engine
from rollout.demo.processes import PartFailed, accepts, find_program, free_port, running, wait_until
from rollout.errors import MissingProgram

__all__ = [
    "Engine",
    "Missing",
    "Nginx",
    "PartFailed",
    "container_engine",
    "free_port",
    "missing",
    "nginx",
    "prometheus",
    "registry",
    "wait_until",
]

NJS_MODULE: Final = "ngx_http_js_module.so"
MODULE_FOLDERS: Final = (Path("/usr/lib/nginx/modules"), Path("/usr/lib64/nginx/modules"), Path("/etc/nginx/modules"))
UNSAFE_IN_NGINX: Final = frozenset("\"';{}$\\\n\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A program that this machine lacks."""

    program: str
    package: str
    """The Debian and Ubuntu package that brings it."""
    purpose: str
    """What is left out without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nginx:
    """A running nginx."""

    binary: Path
    config: Path
    prefix: Path
    pid: int
    """The master process: SIGHUP makes it read its configuration again."""
    port: int
    """Where the included files are meant to listen."""


def missing() -> tuple[Missing, ...]:
    """Every program of the demo that this machine lacks; `scripts/system-packages` knows the same list."""
    return tuple(program for program, is_there in REQUIRED if not is_there())


def njs_module() -> Path | None:
    """Where nginx's JavaScript module is installed, if it is."""
    return next((folder / NJS_MODULE for folder in MODULE_FOLDERS if (folder / NJS_MODULE).is_file()), None)


def _needs(*names: str) -> Callable[[], bool]:
    return lambda: find_program(*names) is not None


REQUIRED: Final[tuple[tuple[Missing, Callable[[], bool]], ...]] = (
    (
        Missing(program="nginx", package="nginx", purpose="the gateway, and so the demo and its tests"),
        _needs("nginx"),
    ),
    (
        Missing(program="njs", package="libnginx-mod-http-js", purpose="weights that change without a reload"),
        lambda: njs_module() is not None,
    ),
    (
        Missing(program="dockerd", package="docker.io", purpose="containers, and so the demo and its tests"),
        lambda: find_program("dockerd", "podman") is not None or system_engine() is not None,
    ),
    (
        Missing(program="docker-registry", package="docker-registry", purpose="images by digest, and so the demo"),
        _needs("docker-registry", "registry"),
    ),
    (
        Missing(program="prometheus", package="prometheus", purpose="the Prometheus source in demo and tests"),
        _needs("prometheus"),
    ),
    (
        Missing(program="busybox", package="busybox-static", purpose="the small images of the target's tests"),
        _needs("busybox"),
    ),
    (
        Missing(program="ip", package="iproute2", purpose="the private network of a private Docker engine"),
        _needs("ip"),
    ),
    (
        Missing(program="wrk", package="wrk", purpose="the benchmark of dropped requests"),
        _needs("wrk"),
    ),
    (
        Missing(program="haproxy", package="haproxy", purpose="the tests of the HAProxy example"),
        _needs("haproxy"),
    ),
)
"""In the order and the words of `scripts/system-packages`."""


@contextmanager
def registry(directory: Path) -> Iterator[str]:
    """An image registry; yields its address, `127.0.0.1:PORT`. Raises MissingProgram or PartFailed."""
    program = _need("docker-registry", find_program("docker-registry", "registry"), package="docker-registry")
    directory.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{free_port()}"
    config = directory / "registry.yml"
    settings = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(directory / "images")}, "delete": {"enabled": True}},
        "http": {"addr": address},
    }
    config.write_text(json.dumps(settings, indent=2), encoding="utf-8")  # JSON is YAML
    with running(
        [program, "serve", config],
        log=directory / "registry.log",
        ready=lambda: _answers(f"http://{address}/v2/"),
        env={"PATH": os.environ.get("PATH", "")},  # REGISTRY_* variables of the caller would change the settings
    ):
        yield address


@contextmanager
def prometheus(directory: Path, *, file_sd: Path, interval: timedelta, port: int | None = None) -> Iterator[str]:
    """A Prometheus that scrapes the targets of a file_sd file every `interval`; yields its base URL.

    The file need not exist yet: it is picked up when it appears. Without a `port` it takes a free one. Raises
    MissingProgram or PartFailed.
    """
    program = _need("prometheus", find_program("prometheus"), package="prometheus")
    directory.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{port or free_port()}"
    every = f"{round(interval / timedelta(milliseconds=1))}ms"
    config = directory / "prometheus.yml"
    settings = {
        "global": {"scrape_interval": every, "scrape_timeout": every},
        "scrape_configs": [
            {"job_name": "rollout", "file_sd_configs": [{"files": [str(file_sd)], "refresh_interval": every}]}
        ],
    }
    config.write_text(json.dumps(settings, indent=2), encoding="utf-8")  # JSON is YAML
    with running(
        [
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={address}",
            "--log.level=warn",
        ],
        log=directory / "prometheus.log",
        ready=lambda: _answers(f"http://{address}/-/ready"),
    ):
        yield f"http://{address}"


@contextmanager
def nginx(directory: Path, *, port: int, include: Path, njs: bool = True) -> Iterator[Nginx]:
    """An nginx whose http block includes `include` (a file or a glob) and has nothing else of interest.

    The included files listen where they like; `port` is where the caller means them to, and must be free. With `njs`
    the JavaScript module is loaded. Raises MissingProgram or PartFailed.
    """
    binary = _need("nginx", find_program("nginx"), package="nginx")
    if accepts(port):
        raise PartFailed(f"port {port} of 127.0.0.1 is taken", hint="choose another port, or stop what listens there")
    for name in ("logs", "run"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    config = directory / "nginx.conf"
    config.write_text(_main_config(directory, include=include, njs=njs), encoding="utf-8")
    command: list[str | Path] = [binary, "-p", directory, "-c", config]
    test = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=30, check=False)
    if test.returncode:
        raise PartFailed("nginx refuses its configuration", hint=test.stderr.strip())
    pid_file = directory / "run" / "nginx.pid"
    pid_file.unlink(missing_ok=True)  # the test leaves an empty one
    with running(
        [*command, "-g", "daemon off;"],
        log=directory / "logs" / "nginx.log",
        ready=lambda: pid_file.is_file() and bool(pid_file.read_text()),  # it is written once every socket is bound
        stop=signal.SIGTERM,
    ) as pid:
        yield Nginx(binary=binary, config=config, prefix=directory, pid=pid, port=port)


def _main_config(directory: Path, *, include: Path, njs: bool) -> str:
    module = _need("nginx's JavaScript module", njs_module(), package="libnginx-mod-http-js") if njs else None
    lines = (
        *([f'load_module "{_quotable(module)}";'] if module else ()),
        # The workers read and write in the caller's private directory, so they run as the caller does.
        *(["user root root;"] if os.geteuid() == 0 else ()),
        "worker_processes 1;",
        "error_log logs/error.log warn;",
        "pid run/nginx.pid;",
        "events { worker_connections 4096; }",
        "http {",
        "    access_log off;",
        "    keepalive_requests 100000;",
        *(f"    {kind}_temp_path run/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
        f'    include "{_quotable(include if include.is_absolute() else directory / include)}";',
        "}",
    )
    return "\n".join(lines) + "\n"


def _quotable(path: Path) -> Path:
    if UNSAFE_IN_NGINX & set(str(path)):
        raise PartFailed(f"{str(path)!r} cannot stand in an nginx configuration", hint="choose a plainer directory")
    return path


def _need(what: str, program: Path | None, *, package: str) -> Path:
    if program is None:
        raise MissingProgram(f"{what} is not installed", hint=f"install the package {package}, or run `make demo`")
    return program


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=1).ok
    except requests.ConnectionError:
        return False
    except requests.Timeout:
        return False
