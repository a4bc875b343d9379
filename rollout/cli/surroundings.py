"""What a job finds around it: the time, and the parts that a configuration names. Arguments, so that a test can say."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from rollout import compose
from rollout.cli.conversation import Aside, Board, Teller
from rollout.cli.opening import now
from rollout.config import Configuration
from rollout.engine import Checks
from rollout.metrics.base import Source
from rollout.targets.base import Target

Complain = Callable[[str], None]


def _target(configuration: Configuration, env: Mapping[str, str]) -> Target:
    return compose.target_of(configuration, env, clock=now)


def _checks(configuration: Configuration, env: Mapping[str, str]) -> Checks:
    return compose.ConfiguredChecks(configuration.checks, env)


def _aside(board: Board, complain: Complain) -> Teller:
    return Aside(board, complain=complain)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The real world, unless something else is said."""

    clock: Callable[[], datetime] = now
    sleep: Callable[[float], None] = time.sleep
    target: Callable[[Configuration, Mapping[str, str]], Target] = _target
    source: Callable[[Configuration], Source] = compose.source_of
    checks: Callable[[Configuration, Mapping[str, str]], Checks] = _checks
    teller: Callable[[Board, Complain], Teller] = _aside
    """Who shows pages on GitHub while the rollout goes on."""
