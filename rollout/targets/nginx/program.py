"""The nginx program: test, reload, and what it says of itself. Knows nothing of rollouts and changes no file."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rollout.errors import MissingProgram, TargetBusy, TargetFailed

_LEVEL: Final = re.compile(r"\[(emerg|alert|crit|error)\]")
_WARNING: Final = re.compile(r"\[warn\]")
_NOISE: Final = re.compile(r"^nginx: |^[0-9/]+ [0-9:]+ |[0-9]+#[0-9]+: ")
_JS_MODULE: Final = re.compile(r"^\s*load_module\s+\S*ngx_http_js_module\S*\s*;", re.MULTILINE)
_TIMEOUT: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """What `nginx -t` found."""

    error: str
    """The first error, with file and line; empty where the configuration is fine."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """An nginx with its main configuration."""

    binary: str
    config: Path | None = None
    prefix: Path | None = None

    def test(self) -> Tested:
        """Run `nginx -t`."""
        done = self._run("-t")
        lines = done.stderr.splitlines()
        warnings = tuple(_clean(line) for line in lines if _WARNING.search(line))
        return Tested(error=_first_error(lines) if done.returncode else "", warnings=warnings)

    def reload(self) -> None:
        """Tell the running master to load its configuration again. Raises TargetFailed where none runs."""
        done = self._run("-s", "reload")
        if done.returncode:
            said = _first_error(done.stderr.splitlines())
            raise TargetFailed(
                f"nginx cannot be reloaded: {said}",
                hint="Start nginx (such as with `systemctl start nginx`), or correct nginx_config and nginx_prefix.",
            )

    def dump(self) -> str:
        """The whole configuration as nginx reads it (`nginx -T`); it may hold secrets. Empty where it is broken."""
        done = self._run("-q", "-T")
        return "" if done.returncode else done.stdout

    def includes(self, path: Path) -> bool:
        """Whether the main configuration takes that file up."""
        return f"# configuration file {path}:\n" in self.dump()

    def has_njs(self) -> bool:
        """Whether `js_import` works: the module is loaded by the configuration, or built in."""
        return bool(_JS_MODULE.search(self.dump())) or "njs" in self._run("-V").stderr

    def version(self) -> str:
        """The version, such as 1.22.1."""
        found = re.search(r"nginx/([0-9.]+)", self._run("-v").stderr)
        return found[1] if found else "unknown"

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [self.binary]
        if self.config is not None:
            argv += ["-c", str(self.config)]
        if self.prefix is not None:
            argv += ["-p", str(self.prefix)]
        try:
            return subprocess.run(
                [*argv, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT,
                check=False,
            )
        except FileNotFoundError:
            raise MissingProgram(
                f"the program {self.binary!r} is not there",
                hint="Install nginx, or set target.nginx.nginx.",
            ) from None
        except PermissionError:
            raise TargetFailed(
                f"this user may not run {self.binary!r}", hint="Run as a user that may test and reload nginx."
            ) from None
        except subprocess.TimeoutExpired:
            raise TargetBusy(f"nginx {' '.join(arguments)} did not end within {_TIMEOUT:.0f} s") from None


def _first_error(lines: list[str]) -> str:
    for line in lines:
        if _LEVEL.search(line):
            return _clean(line)
    return _clean(lines[0]) if lines else "it said nothing"


def _clean(line: str) -> str:
    cleaned = _NOISE.sub("", line)
    while cleaned != line:
        line, cleaned = cleaned, _NOISE.sub("", cleaned)
    return cleaned.strip()[:500]
