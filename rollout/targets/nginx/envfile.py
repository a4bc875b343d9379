"""The service's environment from a file of KEY=VALUE lines. No value is ever part of a message or a repr."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rollout.errors import TargetFailed

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def parse_env(text: str, *, name: str) -> dict[str, str]:
    """Read KEY=VALUE lines: `#` begins a comment line, `export ` is passed over, quotes around a whole value go.

    Nothing is expanded. Raises TargetFailed that names each line that is wrong, without what stands in it.
    """
    found: dict[str, str] = {}
    wrong: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key, separator, value = stripped.removeprefix("export ").partition("=")
        if not separator:
            wrong.append(f"line {number} has no '='")
        elif not _NAME.fullmatch(key.strip()):
            wrong.append(f"line {number} does not begin with the name of a variable")
        elif "\0" in value:
            wrong.append(f"line {number} holds a zero byte")
        else:
            found[key.strip()] = _unquote(value.strip())
    if wrong:
        raise TargetFailed(f"{name}: {'; '.join(wrong)}", hint="Write KEY=VALUE, one on each line.")
    return found


def read_env(path: Path) -> dict[str, str]:
    """Read an env file. Raises TargetFailed where it cannot be read or is malformed."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise TargetFailed(f"{path} is not UTF-8 text", hint="Save it as UTF-8.") from None
    except OSError as cause:
        raise TargetFailed(
            f"cannot read {path}: {cause.strerror}", hint="Correct container.env_file, or make the file readable."
        ) from cause
    return parse_env(text, name=str(path))


def redact(text: str, secrets: Mapping[str, str]) -> str:
    """The text with every value of the environment that is long enough to be a secret struck out."""
    for value in sorted(set(secrets.values()), key=len, reverse=True):
        if len(value) >= 6:
            text = text.replace(value, "***")
    return text


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
