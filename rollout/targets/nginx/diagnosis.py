"""What would go wrong with the nginx target, found without changing anything."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from rollout.core.finding import Finding, Severity
from rollout.errors import RolloutError
from rollout.targets.nginx import memory
from rollout.targets.nginx.containers import Engine
from rollout.targets.nginx.envfile import read_env
from rollout.targets.nginx.gateway import Traffic
from rollout.targets.nginx.settings import ContainerSettings, NginxSettings
from rollout.targets.nginx.sockets import engine_url
from rollout.targets.nginx.values import probe_addresses


def diagnose(
    settings: NginxSettings, *, service: str, environment: str, traffic: Traffic, env: Mapping[str, str]
) -> Iterator[Finding]:
    """Look at nginx, the container engine, and the files; one finding for each."""
    state = settings.state_directory(service=service, environment=environment)
    yield from _nginx(traffic)
    yield _listen(settings, traffic)
    yield _engine(settings.container, env)
    yield _ports(settings.container)
    if settings.container.env_file is not None:
        yield _env_file(settings.container.env_file)
    yield _writable("state directory", state)
    yield _writable("include file", settings.include.parent)
    yield _notes(state, service, environment)


def _ok(subject: str, message: str) -> Finding:
    return Finding(subject=subject, severity=Severity.OK, message=message)


def _error(subject: str, wrong: RolloutError) -> Finding:
    return Finding(subject=subject, severity=Severity.ERROR, message=wrong.message, hint=wrong.hint)


def _nginx(traffic: Traffic) -> Iterator[Finding]:
    try:
        version = traffic.program.version()
        tested = traffic.program.test()
        dump = traffic.program.dump()
        njs = traffic.program.has_njs()
    except RolloutError as wrong:
        yield _error("nginx", wrong)
        return
    if tested.error:
        yield Finding(
            subject="nginx",
            severity=Severity.ERROR,
            message=f"nginx -t fails: {tested.error}",
            hint="Correct the configuration; rollout reloads nothing that does not pass.",
        )
        return
    yield _ok("nginx", f"nginx {version}, its configuration passes nginx -t")
    yield _njs(traffic, has_njs=njs)
    yield _included(traffic.include, dump)


def _njs(traffic: Traffic, *, has_njs: bool) -> Finding:
    if has_njs:
        return _ok("njs", "weights change without a reload")
    return Finding(
        subject="njs",
        severity=Severity.ERROR if traffic.njs else Severity.WARNING,
        message="nginx has no njs module, so each change of a weight is a reload, which may cut idle keep-alive "
        "connections",
        hint="Install it (on Debian and Ubuntu: libnginx-mod-http-js).",
    )


def _included(include: Path, dump: str) -> Finding:
    if f"# configuration file {include}:\n" in dump:
        return _ok("include", f"nginx.conf includes {include}")
    for found in re.finditer(r"^\s*include\s+[\"']?([^\s;\"']+)[\"']?\s*;", dump, re.MULTILINE):
        if include.match(found[1]):
            return _ok("include", f"nginx.conf includes {found[1]}")
    return Finding(
        subject="include",
        severity=Severity.ERROR,
        message=f"nginx.conf does not include {include}",
        hint=f"Add `include {include.parent}/*.conf;` to its http block and make the directory.",
    )


def _listen(settings: NginxSettings, traffic: Traffic) -> Finding:
    subject = "listen"
    host, port = probe_addresses(settings.listen)[0]
    try:
        with socket.create_connection((host, port), timeout=2):
            answers = True
    except OSError:
        answers = False
    made = traffic.head() is not None
    if made and not answers:
        return Finding(
            subject=subject,
            severity=Severity.ERROR,
            message=f"nothing listens on {host}:{port}, where the gateway should",
            hint="Start nginx, and look into its error log.",
        )
    if answers and not made:
        return Finding(
            subject=subject,
            severity=Severity.WARNING,
            message=f"something listens on {host}:{port} already",
            hint="That is fine where it is the same nginx; otherwise set target.nginx.listen.",
        )
    return _ok(subject, f"{host}:{port} " + ("answers" if answers else "is free"))


def _engine(settings: ContainerSettings, env: Mapping[str, str]) -> Finding:
    try:
        return _ok("container engine", Engine(engine_url(settings, env)).version())
    except RolloutError as wrong:
        return _error("container engine", wrong)


def _ports(settings: ContainerSettings) -> Finding:
    free = 0
    for port in settings.port_range:
        with socket.socket() as one:
            free += one.connect_ex(("127.0.0.1", port)) != 0
        if free >= 4:
            break
    if free >= 2:
        return _ok("ports", f"there are free ports in {settings.ports}")
    return Finding(
        subject="ports",
        severity=Severity.ERROR,
        message=f"fewer than two ports of {settings.ports} are free",
        hint="Widen target.nginx.container.ports, or remove containers that are not needed.",
    )


def _env_file(path: Path) -> Finding:
    try:
        count = len(read_env(path))
    except RolloutError as wrong:
        return _error("env file", wrong)
    return _ok("env file", f"{path} sets {count} variables")


def _writable(subject: str, path: Path) -> Finding:
    there = next(each for each in (path, *path.parents) if each.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return _ok(subject, f"{path} can be written" + ("" if there == path else " once it is made"))
    return Finding(
        subject=subject,
        severity=Severity.ERROR,
        message=f"{there} cannot be written by this user",
        hint="Run as root, or give the directory to the user that runs this.",
    )


def _notes(state: Path, service: str, environment: str) -> Finding:
    try:
        roles = memory.load(state / "target.json", service=service, environment=environment)
    except RolloutError as wrong:
        return _error("target.json", wrong)
    stable = str(roles.stable.release) if roles.stable else "none yet"
    return _ok("target.json", f"stable is {stable}")
