"""What the gates need is asked of the source in a time that a rollback can wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from rollout.analysis.counters import Sample, Series
from rollout.core.finding import Finding
from rollout.core.gates import QueryGate
from rollout.core.selector import Selector
from rollout.errors import SourceUnavailable
from rollout.reading import LOOK_BACK, LOOK_TIME, QUERY_DELAY, read_gates
from tests.engine.simulation import GATE, NOON, plan_of

NOW = NOON + timedelta(hours=1)
MEMORY = QueryGate(name="memory", query='max(memory{version="$version"})', max=100, scrapes=3)


class Asked:
    """A source that notes what it is asked; each question takes its time, and some have no answer."""

    def __init__(self, *, takes: timedelta = timedelta(0), refuses: str = "") -> None:
        self.now = NOW
        self.questions: list[str] = []
        self.spans: list[tuple[datetime, datetime]] = []
        self._takes = takes
        self._refuses = refuses

    def clock(self) -> datetime:
        """The time, which goes on with each question."""
        return self.now

    def series(self, selector: Selector, *, since: datetime, until: datetime) -> tuple[Series, ...]:
        """See Source."""
        self._note(str(selector), since, until)
        return (Series(labels={}, samples=(Sample(at=until, value=1),)),)

    def histogram(self, selector: Selector, *, since: datetime, until: datetime) -> tuple[Series, ...]:
        """See Source."""
        self._note(str(selector), since, until)
        return ()

    def values(self, query: str, *, since: datetime, until: datetime, step: timedelta) -> tuple[Sample, ...]:
        """See Source."""
        self._note(query, since, until)
        return (Sample(at=until, value=7),)

    def diagnose(self, selectors: tuple[Selector, ...], *, now: datetime) -> Iterator[Finding]:
        """See Source."""
        yield from ()

    def _note(self, question: str, since: datetime, until: datetime) -> None:
        self.questions.append(question)
        self.spans.append((since, until))
        self.now += self._takes
        if self._refuses and self._refuses in question:
            raise SourceUnavailable("no answer")


def read(source: Asked, *gates: object, clock: Callable[[], datetime] | None = None) -> list[str]:
    """The problem of each gate."""
    plan = replace(plan_of((0, 30), (100, 60)), gates=gates)  # type: ignore[arg-type]  # gates of any kind
    return [one.problem for one in read_gates(source, plan, start=NOON, until=NOW, clock=clock or source.clock)]


def test_a_source_that_hangs_does_not_hold_up_the_look_for_every_gate() -> None:
    """Eight seconds a question and ten gates: the look ends soon after its time, and says which were not asked."""
    source = Asked(takes=timedelta(seconds=8), refuses="requests")
    problems = read(source, *(replace(GATE, name=f"gate {number}") for number in range(10)))
    assert problems[:2] == ["no answer", "no answer"]
    assert all("took more than 10 s" in problem for problem in problems[2:])
    assert source.now - NOW <= LOOK_TIME + timedelta(seconds=8)


def test_a_gate_that_cannot_be_asked_hides_no_other() -> None:
    """A bad selector is a matter of its gate."""
    bad = replace(GATE, name="bad", total=replace(GATE.total, metric="broken"))
    assert read(Asked(refuses="broken"), bad, GATE) == ["no answer", ""]


def test_stable_is_read_from_an_hour_before_the_start() -> None:
    """What it is like must be known before the canary is judged by it."""
    source = Asked()
    read(source, GATE)
    spans = dict(zip(source.questions, source.spans, strict=True))
    assert spans[str(GATE.total.of("stable"))] == (NOON - LOOK_BACK, NOW)
    assert NOON - LOOK_BACK < spans[str(GATE.total.of("canary"))][0] < NOON


def test_a_query_is_asked_for_its_last_values_only_and_not_for_this_very_second() -> None:
    """Some servers repeat an older value for the newest moment."""
    source = Asked()
    read(source, MEMORY)
    assert source.questions == [MEMORY.of("canary"), MEMORY.of("stable")]
    since, until = source.spans[0]
    assert until == NOW - QUERY_DELAY
    assert until - since >= 3 * timedelta(seconds=10)


def test_what_was_asked_is_kept_with_the_answer_and_with_the_lack_of_one() -> None:
    """The evidence names the queries either way."""
    plan = plan_of((0, 30), (100, 60))
    for source in (Asked(), Asked(refuses="requests")):
        (reading,) = read_gates(source, plan, start=NOON, until=NOW, clock=source.clock)
        assert str(GATE.failures.of("canary")) in reading.queries
