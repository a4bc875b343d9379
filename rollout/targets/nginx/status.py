"""What the running gateway says of itself, asked over a fresh connection and never read from a file."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Final

from rollout.core.plan import Weight

_LIMIT: Final = 64 * 1024


class Unanswered(Exception):  # a state of affairs, caught and turned into a sentence by the caller
    """The gateway was asked and gave no usable answer; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The split as the running gateway makes it."""

    rollout: str
    generation: int
    weight: Weight
    stable: str | None
    """The rollout that deployed the stable release; None where there is none."""
    canary: str | None
    problem: str
    """Why the gateway cannot follow the weight file; empty where it can."""


def ask(address: tuple[str, int], *, host: str, path: str, timeout: float) -> Status:
    """Ask the gateway that listens there. Raises Unanswered."""
    name, port = address
    connection = http.client.HTTPConnection(name, port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Host": host, "Connection": "close"})
        response = connection.getresponse()
        body = response.read(_LIMIT)
    except (OSError, http.client.HTTPException) as wrong:
        raise Unanswered(f"nothing answers on {name}:{port} ({_reason(wrong)})") from None
    finally:
        connection.close()
    if response.status != 200:
        raise Unanswered(f"what answers on {name}:{port} is not the gateway of this service (HTTP {response.status})")
    return _parse(body, f"{name}:{port}")


def _parse(body: bytes, where: str) -> Status:
    try:
        match json.loads(body):
            case {
                "rollout": str(rollout),
                "generation": int(generation),
                "weight": int() | float() as weight,
                "stable": str() | None as stable,
                "canary": str() | None as canary,
                "problem": str(problem),
            }:
                return Status(
                    rollout=rollout,
                    generation=generation,
                    weight=Weight(weight),
                    stable=stable,
                    canary=canary,
                    problem=problem,
                )
            case _:
                pass
    except ValueError:
        pass
    raise Unanswered(f"what answers on {where} is not the gateway of this service (another body)")


def _reason(wrong: Exception) -> str:
    if isinstance(wrong, OSError) and wrong.strerror:
        return wrong.strerror.lower()
    return type(wrong).__name__ if not str(wrong) else str(wrong)[:200]
