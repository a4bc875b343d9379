"""What can be known of a project without asking anybody: where its root is, and what its service may be called.

What is found is held to strict patterns here, as it ends in YAML.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_REMOTE: Final = re.compile(
    r"(?:https://[^/\s]+/|ssh://[^/\s]+/|[^/\s:]+@[^/\s:]+:)([A-Za-z0-9._-]+)/([A-Za-z0-9._-]+?)(?:\.git)?/?"
)
_OWNER_UNKNOWN: Final = "example"
_LONGEST: Final = 40
"""Characters of the name of a service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A repository, as far as it tells about itself."""

    root: Path
    service: str
    """A name that rollout.yml takes."""
    image: str
    """A guess: GitHub's registry names images after repositories."""
    environment: str = "production"


def project_at(directory: Path) -> Project:
    """The project that `directory` belongs to; the directory itself where there is no git repository."""
    root = root_of(directory)
    owner, name = _remote(root) or (_OWNER_UNKNOWN, root.name)
    service = _service(_dashed(name))
    return Project(root=root, service=service, image=f"ghcr.io/{_dashed(owner) or _OWNER_UNKNOWN}/{service}")


def root_of(directory: Path) -> Path:
    """Where the git repository that `directory` belongs to begins; itself where there is none."""
    return next((one for one in (directory, *directory.parents) if (one / ".git").exists()), directory)


def _remote(root: Path) -> tuple[str, str] | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "remote", "get-url", "origin"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = _REMOTE.fullmatch(done.stdout.strip())
    return (found[1], found[2]) if found else None


def _service(name: str) -> str:
    """A name that YAML reads as text, and as no number or truth."""
    plain = re.match(r"[a-z]", name) is not None and name not in ("true", "false", "null")
    return name if plain else f"service-{name}"[:_LONGEST].strip("-")


def _dashed(text: str) -> str:
    """Small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:_LONGEST].strip("-")
