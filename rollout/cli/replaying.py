"""The verb `replay`: what a policy would have done with recordings. It asks nothing but the files."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from rollout.cli import judged
from rollout.config import load_plan
from rollout.core.verdict import Verdict
from rollout.errors import ConfigurationError
from rollout.replay.lines import Wrong
from rollout.replay.replaying import Replayed, replay_all
from rollout.report.words import one_line, span, verdict_words

if TYPE_CHECKING:
    from rollout.cli.parser import Call

MOST_SHOWN: Final = 100
"""Mistakes; who has more has given another file."""
FEW: Final = 3
"""Files that are done before anybody asks how far it is."""


def replay(call: Call) -> int:
    """One line per file in their order. Raises ConfigurationError that names every mistake of all files."""
    plan = load_plan(call.config)
    files: list[str] = call.arguments.files
    results, wrong = replay_all(files, plan, told=_progress(len(files)))
    if wrong:
        raise _error(wrong)
    for result in results:
        print(judged.replayed(result) if call.json else _line(result))
    if not call.json and len(results) > 1:
        print(_summary(results))
    return 0


def _progress(count: int) -> Callable[[int], None]:
    if count <= FEW or not sys.stderr.isatty():
        return lambda _: None

    def tell(done: int) -> None:
        end = "\r\x1b[K" if done == count else ""
        print(f"\r{done} of {count} files{end}", end="", file=sys.stderr, flush=True)

    return tell


def _error(wrong: Sequence[Wrong]) -> ConfigurationError:
    lines = [str(one) for one in wrong[:MOST_SHOWN]]
    if len(wrong) > MOST_SHOWN:
        lines.append(f"and {len(wrong) - MOST_SHOWN:,} more")
    return ConfigurationError("\n".join(lines))


def _line(result: Replayed) -> str:
    return f"{one_line(result.file)}: {verdict_words(result.outcome)} {_when(result)}; {'; '.join(_why(result))}"


def _when(result: Replayed) -> str:
    after = span(timedelta(seconds=result.ended - result.began))
    if result.decided_at is None:
        return f"at the end, after {after}"
    return f"and rolled back after {after} (at {result.decided_at:.15g})"


def _why(result: Replayed) -> Iterator[str]:
    judgement, counts = result.judgement, result.counts
    if result.gate is None:
        yield f"{one_line(judgement.reason)}: the canary failed {counts.failures:,} of {counts.total:,} requests"
    else:
        yield f"{result.gate}: " + next(one_line(one.sentence) for one in judgement.gates if one.gate == result.gate)
    for one in judgement.gates:
        if one.sentence.startswith("not recorded") and one.gate != result.gate:
            yield f"{one.gate} is not recorded and took no part"


def _summary(results: Sequence[Replayed]) -> str:
    counted = Counter(result.outcome for result in results)
    back = sum(result.decided_at is not None for result in results)
    listed = ", ".join(f"{counted[verdict]} {verdict}" for verdict in Verdict if counted[verdict])
    return f"{len(results):,} files: {listed}; {back} rolled back"
