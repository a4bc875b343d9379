"""Files that are replaced as a whole or not at all, so that a killed process leaves the old one or the new one.

Every failure becomes a TargetFailed that names the path; the content is never part of a message.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from rollout.errors import TargetFailed


def replace(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file through a temporary one in the same directory, fsync and rename.

    The temporary name begins with a dot and ends in `.tmp`, so that no `include *.conf` takes it up.
    """
    try:
        number, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync(path.parent)
    except OSError as wrong:
        raise TargetFailed(
            f"cannot write {path}: {wrong.strerror}", hint=f"Give this user the right to write in {path.parent}."
        ) from wrong


def read(path: Path) -> str | None:
    """The text of a file; None where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise TargetFailed(f"{path} is not text", hint="Restore it from a backup, or move it away.") from None
    except OSError as wrong:
        raise TargetFailed(
            f"cannot read {path}: {wrong.strerror}", hint="Give this user the right to read it."
        ) from wrong


def remove(path: Path) -> None:
    """Remove a file if it is there."""
    try:
        path.unlink(missing_ok=True)
    except OSError as wrong:
        raise TargetFailed(f"cannot remove {path}: {wrong.strerror}") from wrong


def directory(path: Path, *, mode: int = 0o755) -> None:
    """Make a directory, and those above it, with these rights whatever the umask; one that exists stays as it is."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    try:
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            each.chmod(mode)
    except OSError as wrong:
        raise TargetFailed(
            f"cannot make {path}: {wrong.strerror}", hint="Make it, and give it to the user that runs this."
        ) from wrong


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
