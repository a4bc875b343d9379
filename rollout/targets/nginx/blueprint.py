"""From the settings and the roles to what the gateway and Prometheus are told. Starts nothing and decides nothing."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Final

from rollout.errors import TargetFailed
from rollout.targets.nginx import files
from rollout.targets.nginx.memory import Memory, Placed
from rollout.targets.nginx.settings import NginxSettings
from rollout.targets.nginx.values import Backend, Gateway, Override

_SECRET: Final = re.compile(r"[0-9a-f]{32}")


def gateway_of(settings: NginxSettings, roles: Memory, *, directory: Path, tester_key: str) -> Gateway:
    """The gateway for these roles. A canary whose deployment is not finished is not in it.

    The paths of the script and of the weight file, and whether njs is used, are filled in where it is brought into
    force.
    """
    testers = settings.testers
    return Gateway(
        service=roles.service,
        environment=roles.environment,
        listen=settings.listen,
        server_name=settings.server_name,
        stable=_backend(roles.stable),
        canary=_backend(roles.canary) if roles.canary is not None and roles.canary.ready else None,
        rollout=roles.rollout or "none",
        secret=secret(directory / "status.secret"),
        cookie=settings.sticky.cookie or f"{roles.service}_uid".replace("-", "_"),
        cookie_age=settings.sticky.max_age,
        testers=None
        if testers is None
        else Override(key=tester_key, cookie=testers.cookie, header=testers.header, domain=testers.domain),
        access_log=str(settings.access_log_path(service=roles.service)),
        script_file=str(directory / "gateway" / "rollout.js"),
        weight_file=str(directory / "gateway" / "weight"),
        read_timeout=settings.read_timeout,
        max_body=settings.max_body,
        njs=False,
    )


def file_sd(roles: Memory) -> str:
    """What Prometheus's file_sd is told: where each version is, with `service`, `version` and `release`."""
    groups = [
        {
            "targets": [f"127.0.0.1:{placed.metrics_port or placed.port}"],
            "labels": {"service": roles.service, "version": version, "release": placed.release.tag},
        }
        for version, placed in (("stable", roles.stable), ("canary", roles.canary))
        if placed is not None
    ]
    return json.dumps(groups, indent=2) + "\n"


def secret(path: Path) -> str:
    """32 random hexadecimal digits, made once and kept where only this user can read them."""
    known = files.read(path)
    if known is None:
        files.directory(path.parent)
        known = secrets.token_hex(16)
        files.replace(path, known, mode=0o600)
    if not _SECRET.fullmatch(known):
        raise TargetFailed(f"{path} is damaged", hint="Remove it: a new one is made at the next step.")
    return known


def _backend(placed: Placed | None) -> Backend | None:
    if placed is None:
        return None
    return Backend(port=placed.port, rollout=placed.rollout, tag=placed.release.tag)
