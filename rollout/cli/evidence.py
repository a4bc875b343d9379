"""The verb `evidence`: what a decision rested on, and whether judging anew gives the same. It asks only the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rollout import __version__
from rollout.cli import judged
from rollout.evidence.files import read
from rollout.evidence.values import Evidence, differences, judged_anew
from rollout.report.verdicts import gate_lines
from rollout.report.words import one_line, stamp, verdict_words

if TYPE_CHECKING:
    from rollout.cli.parser import Call

DIFFERS = 1
"""The exit code where judging anew gives something else."""


def evidence(call: Call) -> int:
    """Print the numbers behind every gate, and judge anew. Raises EvidenceUnreadable, ConfigurationError."""
    path = call.arguments.file
    found = read(path)
    differing = differences(found.judgement, judged_anew(found))
    if call.json:
        print(judged.evidence(str(path), found, differing))
    else:
        print("\n".join(_text(found, differing)))
    return DIFFERS if differing else 0


def _text(found: Evidence, differing: tuple[str, ...]) -> Iterator[str]:
    judgement = found.judgement
    against = f" against {found.stable_release}" if found.stable_release else ""
    yield f"rollout {found.rollout}: {found.canary_release}{against}"
    yield f"{verdict_words(judgement.verdict)} at {stamp(found.now)}"
    gates = {gate.name: gate for gate in found.plan.gates}
    for result in judgement.gates:
        yield ""
        yield from gate_lines(result, gates.get(result.gate))
    yield ""
    if not differing:
        yield "Judged anew from this file: the same in every bit."
        return
    yield f"Judged anew from this file by rollout {__version__} (it was written by {found.written_by}), this differs:"
    yield from (f"  {one_line(difference)}" for difference in differing)
