"""Several processes at one rollout, one step of one of them at a time, in an order that a die decides.

Every call of the journal's store and every boundary of an effect is such a step, so all interleavings can come. The
journal is the one under a git ref; the place it writes to is in memory, the machine and its users are simulated.
`python -m tests.engine.races 1000` runs each race that often.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random

from rollout import engine
from rollout.core.commands import Refusal, accept
from rollout.core.decisions import Finish, Outcome, Wait
from rollout.core.events import Commanded, Event, Intended, Order, Started
from rollout.core.plan import NOTHING
from rollout.core.state import State, fold
from rollout.engine import Ports
from rollout.errors import JournalMoved, Refused
from rollout.journals.git_ref import GitRefJournal
from tests.engine.simulation import Life, Process, SimulatedSource, SimulatedTarget, World, plan_of
from tests.journals.interleaving import Turns
from tests.journals.refs_in_memory import REF, Place, RefsInMemory

PLAN = plan_of((50, 20), (100, 20))


class SharedLife(Life):
    """A process that waits for its turn at each boundary."""

    def __init__(self, turn: Callable[[], object]) -> None:
        super().__init__()
        self._turn = turn

    def at(self, name: str) -> None:
        """See Life."""
        self._turn()


@dataclass
class Race:
    """One world, one journal, and the processes that meet there."""

    folder: Path
    seed: int
    place: Place = field(default_factory=Place)
    refused: list[str] = field(default_factory=list)
    ended: list[Wait | Finish] = field(default_factory=list)
    taken: list[Order] = field(default_factory=list)
    """Orders that were put into the journal."""

    def __post_init__(self) -> None:
        self.world = World(self.folder).has("v1")
        self.die = Random(self.seed)
        self.turns = Turns(self.place, self.die)

    def alone(self) -> Ports:
        """A process that nobody else is in the way of, after or before the race."""
        return self._ports(GitRefJournal(RefsInMemory(self.place), ref=REF, sleep=self._sleep), Life(), "alone")

    def joins(self, name: str, work: Callable[[Ports], Wait | Finish | None]) -> None:
        """A process takes part in the race. One that is refused leaves."""
        refs = self.turns.refs()
        journal = GitRefJournal(refs, ref=REF, sleep=self._sleep)
        ports = self._ports(journal, SharedLife(lambda: refs.head(REF)), name)

        def run() -> None:
            try:
                settled = work(ports)
            except (Refused, JournalMoved) as wrong:
                self.refused.append(str(wrong))
            else:
                if settled is not None:
                    self.ended.append(settled)

        self.turns.worker(run)

    def orders(self, order: Order) -> None:
        """A comment job takes part, which appends an order until it is in or refused."""
        journal = GitRefJournal(self.turns.refs(), ref=REF, sleep=self._sleep)

        def run() -> None:
            while True:
                record = journal.read()
                answer = accept(fold(record.events), order, by="@ann", now=self.world.now)
                if isinstance(answer, Refusal):
                    self.refused.append(answer.because)
                    return
                try:
                    journal.append((answer,), expect=record.head)
                except JournalMoved:
                    continue
                self.taken.append(order)
                return

        self.turns.worker(run)

    def run(self) -> None:
        """Until everybody has left."""
        self.turns.run()

    def events(self) -> tuple[Event, ...]:
        """What the journal holds of the latest rollout."""
        return GitRefJournal(RefsInMemory(self.place), ref=REF, sleep=self._sleep).read().events

    def state(self) -> State:
        """Where the latest rollout stands."""
        state = fold(self.events())
        assert state is not None
        return state

    def rollouts(self) -> list[tuple[Event, ...]]:
        """Every rollout there was."""
        return [*GitRefJournal(RefsInMemory(self.place), ref=REF, sleep=self._sleep).rollouts()]

    def _ports(self, journal: GitRefJournal, life: Life, owner: str) -> Ports:
        process = Process(world=self.world, life=life)
        return Ports(
            journal=journal,
            target=SimulatedTarget(self.world, life),
            source=SimulatedSource(self.world),
            checks=process._check,
            clock=lambda: self.world.now,
            sleep=self._sleep,
            owner=owner,
            tell=process._hear,
            nap=10,
        )

    def _sleep(self, seconds: float) -> None:
        self.world.advance(timedelta(seconds=seconds))


def _release(tag: str) -> Callable[[Ports], Finish]:
    def work(ports: Ports) -> Finish:
        engine.start(ports, PLAN, tag)
        return engine.run(ports)

    return work


def two_starts_of_one_tag(race: Race) -> None:
    """A workflow that was started twice releases once."""
    race.joins("one", _release("v2"))
    race.joins("two", _release("v2"))
    race.run()
    engine.run(race.alone())
    assert len(race.rollouts()) == 1
    assert race.world.created == ["1-v2"]
    assert race.world.tags() == ("v2", None)
    assert any(isinstance(one, Finish) for one in race.ended)


def two_starts_of_two_tags(race: Race) -> None:
    """One of two releases starts, and the other one only after it has ended."""
    race.joins("one", _release("v2"))
    race.joins("two", _release("v3"))
    race.run()
    engine.run(race.alone())
    begun = [events[0] for events in race.rollouts()]
    assert all(isinstance(one, Started) for one in begun)
    assert (
        len(begun) + sum("drives" in one or "under way" in one or "has just begun" in one for one in race.refused) >= 2
    )
    assert len(race.world.created) == len(begun) == len(set(race.world.created))


def two_ticks(race: Race) -> None:
    """Two watchdogs that wake at once: one drives, and no effect is tried twice."""
    engine.start(race.alone(), PLAN, "v2")
    race.alone().journal.release("alone")
    for name in ("one", "two", "three"):
        race.joins(name, _ticks)
    race.run()
    settled = engine.run(race.alone())
    assert settled.outcome is Outcome.PROMOTED
    assert race.world.created == ["1-v2"]
    intents = [event.action for event in race.events() if isinstance(event, Intended)]
    assert len(intents) == len(set(intents))


def _ticks(ports: Ports) -> Wait | Finish:
    with engine.driving(ports):
        settled = engine.tick(ports)
        ports.sleep(12)
        return settled


def abort_during_promotion(race: Race) -> None:
    """An abort that is in the journal is followed, wherever the promotion stands; else it is refused, and says so."""
    ports = race.alone()
    engine.start(ports, PLAN, "v2")
    engine.run_until(ports, race.world.now + timedelta(seconds=40 + race.die.randrange(14)))
    race.joins("one", engine.run)
    race.orders(Order.ABORT)
    race.run()
    settled = engine.run(race.alone())
    aborted = [event for event in race.events() if isinstance(event, Commanded)]
    assert len(aborted) == len(race.taken)
    assert len(race.taken) + len(race.refused) == 1
    if race.taken:
        assert settled.outcome is Outcome.ROLLED_BACK
        assert race.world.tags()[0] == "v1"
        assert race.world.gateway == NOTHING
    else:
        assert settled.outcome is Outcome.PROMOTED


def comment_during_hand_over(race: Race) -> None:
    """One run leaves, the next one comes, and an order given between them is neither lost nor followed twice."""
    engine.start(race.alone(), PLAN, "v2")
    race.alone().journal.release("alone")
    until = race.world.now + timedelta(seconds=race.die.randrange(5, 40))
    race.joins("one", lambda ports: engine.run_until(ports, until))
    race.joins("two", lambda ports: engine.run_until(ports, until + timedelta(seconds=30)))
    race.orders(Order.PAUSE)
    race.run()
    orders = [event.order for event in race.events() if isinstance(event, Commanded)]
    assert orders == race.taken
    state = race.state()
    if race.taken and not state.over:
        assert state.paused == "by @ann"
        assert race.world.created in ([], ["1-v2"])


RACES: Mapping[str, Callable[[Race], None]] = {
    race.__name__: race
    for race in (
        two_starts_of_one_tag,
        two_starts_of_two_tags,
        two_ticks,
        abort_during_promotion,
        comment_during_hand_over,
    )
}


def run_race(name: str, seed: int) -> Race:
    """One race with one order of steps; what does not hold raises AssertionError."""
    with tempfile.TemporaryDirectory(prefix="rollout-race-") as folder:
        race = Race(folder=Path(folder), seed=seed)
        RACES[name](race)
        return race


def main(times: int) -> int:
    """Run every race that often; how many went wrong."""
    wrong = 0
    for name in RACES:
        began, taken = time.perf_counter(), 0
        for seed in range(times):
            try:
                taken += bool(run_race(name, seed).taken)
            except BaseException as broken:  # noqa: BLE001 - told with its seed, and the next one runs
                wrong += 1
                print(f"{name}, seed {seed}: {type(broken).__name__}: {broken}")
        said = f", {taken:,} with the order in time" if taken else ""
        print(f"{name}: {times:,} runs in {time.perf_counter() - began:.0f} s{said}", flush=True)
    print(f"{wrong} went wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
