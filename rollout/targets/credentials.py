"""Who we are to a registry: what `docker login` has kept, in its file or in a credential helper.

The password is in no repr and no error, and goes nowhere but into the request that needs it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rollout.errors import TargetFailed

_HELPER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HELPER_SECONDS: Final = 20
_TOKEN_USER: Final = "<token>"  # noqa: S105  (the name that credential helpers give to an identity token)
_DOCKER_HUB_KEYS: Final = ("https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A name and a password, or an identity token."""

    username: str
    password: str = field(repr=False)
    is_token: bool = False
    """Whether the password is an identity token, which only a token service takes."""

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def credentials_for(registry: str, *, env: Mapping[str, str]) -> Credentials | None:
    """What Docker knows for a registry; None where it knows nothing. Raises TargetFailed for a file it cannot be in."""
    path = Path(env["DOCKER_CONFIG"]) if env.get("DOCKER_CONFIG") else Path(env.get("HOME") or Path.home()) / ".docker"
    path /= "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as wrong:
        raise TargetFailed(
            f"{path} cannot be read ({type(wrong).__name__})", hint="Log in to the registry again."
        ) from None
    if not isinstance(config, dict):
        raise TargetFailed(f"{path} holds no JSON object", hint="Log in to the registry again.")
    for key in _keys(registry):
        helper = _entry(config, "credHelpers").get(key)
        if isinstance(helper, str):
            return _from_helper(helper, key, env)
    entry = next((_entry(config, "auths")[key] for key in _keys(registry) if key in _entry(config, "auths")), None)
    if isinstance(entry, dict) and (entry.get("auth") or entry.get("identitytoken")):
        return _from_entry(entry, path)
    store = config.get("credsStore")
    if entry is not None and isinstance(store, str) and store:
        key = next(key for key in _keys(registry) if key in _entry(config, "auths"))
        return _from_helper(store, key, env)
    return None


def _keys(registry: str) -> tuple[str, ...]:
    if registry in _DOCKER_HUB_KEYS:
        return _DOCKER_HUB_KEYS
    return (registry, f"https://{registry}", f"https://{registry}/", f"http://{registry}")


def _entry(config: Mapping[str, object], name: str) -> dict[str, object]:
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def _from_entry(entry: Mapping[str, object], path: Path) -> Credentials:
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Credentials(username=_TOKEN_USER, password=token, is_token=True)
    try:
        username, colon, password = base64.b64decode(str(entry["auth"]), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        username = colon = password = ""
    if not colon:
        raise TargetFailed(f"an `auth` in {path} is not base64 of name:password", hint="Log in to the registry again.")
    return Credentials(username=username, password=password.rstrip("\0"))


def _from_helper(name: str, key: str, env: Mapping[str, str]) -> Credentials | None:
    """What `docker-credential-NAME get` says; None where it has nothing for this registry."""
    if not _HELPER.fullmatch(name):
        raise TargetFailed(f"{name[:80]!r} does not name a credential helper", hint="Correct Docker's config.json.")
    program = f"docker-credential-{name}"
    try:
        done = subprocess.run(
            [program, "get"],
            input=key.encode(),
            capture_output=True,
            timeout=_HELPER_SECONDS,
            env=dict(env),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as wrong:
        raise TargetFailed(
            f"{program} cannot be run ({type(wrong).__name__})",
            hint="Install it, or take it out of Docker's config.json.",
        ) from None
    if done.returncode:
        if b"credentials not found" in done.stdout:
            return None
        raise TargetFailed(f"{program} fails (exit code {done.returncode})", hint="Log in to the registry again.")
    try:
        said = json.loads(done.stdout)
        username, password = str(said["Username"]), str(said["Secret"])
    except (ValueError, KeyError, TypeError):
        raise TargetFailed(f"{program} answers with no name and secret", hint="Log in to the registry again.") from None
    return Credentials(username=username, password=password, is_token=username == _TOKEN_USER)
