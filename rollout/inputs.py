"""What the action takes and gives: one table, to which action.yml and docs/action.md are held by a test.

It only names things. A value reaches the program as the environment variable named here, never as a piece of a script.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One key below `with:`."""

    name: str
    variable: str
    """The environment variable that carries it."""
    default: str = ""
    """As action.yml has it; an empty one means that the description says what is taken."""
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One value that later steps and jobs may read."""

    name: str
    description: str


INPUTS: Final = (
    Input(
        name="config",
        variable="ROLLOUT_CONFIG",
        default="rollout.yml",
        description="Where rollout.yml lies in the repository. It is read at the commit of the release.",
    ),
    Input(
        name="token",
        variable="ROLLOUT_TOKEN",
        default="${{ github.token }}",
        description="A token of this repository; the job's `permissions` say what it may do.",
    ),
    Input(
        name="tag",
        variable="ROLLOUT_TAG",
        description="The release to start. Left out, the event names it: the tag that was pushed, the release that was "
        "published, or the input `tag` of a manual run.",
    ),
    Input(
        name="pacing",
        variable="ROLLOUT_PACING",
        description="`hold` sleeps in the job between two looks, `wake` leaves and is woken. Left out, `github.pacing` "
        "of rollout.yml.",
    ),
    Input(
        name="extras",
        variable="ROLLOUT_EXTRAS",
        description="`kubernetes` where the target is kubernetes or argo: their client is installed as well.",
    ),
    Input(
        name="python",
        variable="ROLLOUT_PYTHON",
        description="The Python (3.11 or newer) to run with. Left out, the machine's own, and where it has none, one "
        "that actions/setup-python brings.",
    ),
)

OUTPUTS: Final = (
    Output(
        name="outcome",
        description="`promoted`, `rolled-back`, `under-way`, `queued` behind another release, `held` by another run, "
        "`ordered`, `refused`, `nothing`, `interrupted` or `error`.",
    ),
    Output(name="reason", description="Why, in a sentence; for an error its code."),
    Output(name="weight", description="The canary's share of the traffic in percent."),
    Output(name="release", description="The tag of the release that the rollout is about."),
    Output(name="rollout-id", description="The rollout, such as `12-v1.4.0`."),
    Output(name="report", description="Where people read about it."),
    Output(name="next", description="When a rollout that is `under-way` is looked at again, in ISO 8601."),
)
