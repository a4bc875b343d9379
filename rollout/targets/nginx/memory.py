"""What the target must remember to find its own work again: which container plays which role.

The gateway is the truth about traffic and the engine about containers; this file only joins names to roles. One that
cannot be read blocks: nothing is guessed and nothing is overwritten.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from pydantic import TypeAdapter, ValidationError

from rollout.core.release import Release
from rollout.errors import TargetFailed
from rollout.targets.nginx import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One release in its container."""

    release: Release
    rollout: str
    """The rollout that deployed it; it makes two deployments of the same image two."""
    container: str
    """The container's name."""
    port: int
    """Its loopback port; 0 until one was chosen."""
    metrics_port: int | None = None
    ready: bool = False
    """Whether its deployment was finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The roles."""

    service: str
    environment: str
    rollout: str = ""
    """The rollout that was deployed last, whatever became of it."""
    stable: Placed | None = None
    canary: Placed | None = None
    reserve: Placed | None = None
    version: Literal[1] = 1

    def moved(self, placed: Placed) -> Memory:
        """With a release in another place; it keeps its role."""

        def where(each: Placed | None) -> Placed | None:
            return placed if each is not None and each.rollout == placed.rollout else each

        return replace(self, stable=where(self.stable), canary=where(self.canary), reserve=where(self.reserve))

    @property
    def ports(self) -> frozenset[int]:
        """The loopback ports that are ours, whether their container runs or not."""
        return frozenset(port for each in self.placed for port in (each.port, each.metrics_port) if port)

    @property
    def placed(self) -> tuple[Placed, ...]:
        """Everything that is somewhere."""
        return tuple(each for each in (self.stable, self.canary, self.reserve) if each is not None)


_ADAPTER: Final = TypeAdapter(Memory)


def load(path: Path, *, service: str, environment: str) -> Memory:
    """Read the roles; none where there is no file. Raises TargetFailed where it cannot be understood."""
    text = files.read(path)
    if text is None:
        return Memory(service=service, environment=environment)
    try:
        memory = _ADAPTER.validate_json(text, strict=True)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False)[0]
        raise TargetFailed(
            f"{path} cannot be understood: {first['msg']}",
            hint="It is left as it is. Restore it from a backup; without it nobody knows which container is stable.",
        ) from None
    if (memory.service, memory.environment) != (service, environment):
        raise TargetFailed(
            f"{path} belongs to {memory.service} in {memory.environment}, not to {service} in {environment}",
            hint="Give each service and environment its own target.nginx.state.",
        )
    return memory


def save(path: Path, memory: Memory) -> None:
    """Replace the file."""
    files.directory(path.parent)
    files.replace(path, _ADAPTER.dump_json(memory, indent=2).decode() + "\n")
