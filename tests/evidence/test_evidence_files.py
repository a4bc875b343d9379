"""A decision can be checked from its file alone: what is read is what was written, or an error says why it is not."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout import compose
from rollout.analysis.blocks import Timeline
from rollout.analysis.counters import Sample, Series
from rollout.analysis.judge import judge
from rollout.analysis.readings import Counters, Reading
from rollout.core.gates import FailureGate, LatencyGate, QueryGate
from rollout.core.plan import Plan, Step, Weight
from rollout.core.selector import parse
from rollout.core.verdict import Verdict
from rollout.errors import ConfigurationError, EvidenceUnreadable
from rollout.evidence import codec, files
from rollout.evidence.values import Evidence, differences, differing, judged_anew

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
RATE = FailureGate(
    name="http 5xx",
    failures=parse('requests_total{version="$version", code=~"5.."}'),
    total=parse('requests_total{version="$version"}'),
    max=0.02,
)
LATENCY = LatencyGate(name="p95", histogram=parse('seconds_bucket{version="$version"}'))
QUERY = QueryGate(name="memory", query='max(memory{version="$version"})', max=5.0)
PLAN = Plan(
    service="chat",
    environment="production",
    steps=(Step(weight=Weight(5), soak=timedelta(minutes=5)), Step(weight=Weight(100), soak=timedelta(0))),
    gates=(RATE, LATENCY, QUERY),
    warm_up=timedelta(0),
)


def series(values: list[float], **labels: str) -> Series:
    """One counter, scraped every 15 seconds from two before the start on."""
    samples = (
        Sample(at=START + timedelta(seconds=15 * (i - 2), microseconds=7), value=v) for i, v in enumerate(values)
    )
    return Series(labels=labels, samples=tuple(samples))


def evidence_of(rate: Reading, *more: Reading, minutes: float = 10) -> Evidence:
    """What is judged that many minutes after the start."""
    timeline = Timeline(start=START, deployed_at=START, seen_at=START, weights=((START, Weight(5)),))
    now = START + timedelta(minutes=minutes)
    readings = (rate, *(more or (Reading(gate=LATENCY, problem="it is away"), Reading(gate=QUERY))))
    judgement = judge(PLAN, readings, timeline=timeline, canary_release="v2", stable_release="v1", now=now)
    return Evidence(
        rollout="7-v2",
        at=now,
        now=now,
        canary_release="v2",
        stable_release="v1",
        plan=PLAN,
        timeline=timeline,
        readings=readings,
        judgement=judgement,
        written_by="1.2.3",
    )


def bad() -> Evidence:
    """A canary that fails half of its requests."""
    grows = [float(10 * i) for i in range(40)]
    return evidence_of(
        Reading(
            gate=RATE,
            canary=Counters(
                total=(series(grows, instance="c"),), failures=(series([v / 2 for v in grows], instance="c"),)
            ),
            stable=Counters(total=(series([10 * v for v in grows], instance="s"),), failures=()),
            queries=('requests_total{version="canary"}',),
        )
    )


def rewritten(path: Path, text: bytes, *, sum_of: bytes | None = None) -> None:
    """The file as somebody would leave it who edited its text."""
    total = hashlib.sha256(sum_of if sum_of is not None else text).hexdigest().encode()
    path.write_bytes(gzip.compress(b'{"sum":"%s","evidence":%s}\n' % (total, text)))


values = st.lists(
    st.one_of(st.floats(0, 1e12), st.integers(0, 10**9).map(float), st.sampled_from([math.nan, math.inf, -1.0])),
    max_size=12,
)


@given(canary=values, stable=values, failing=values, memory=values)
def test_what_is_read_is_what_was_written_and_gives_the_same_verdict(
    canary: list[float], stable: list[float], failing: list[float], memory: list[float]
) -> None:
    rate = Reading(
        gate=RATE,
        canary=Counters(total=(series(canary, instance="c", code="200"),), failures=(series(failing, code="500"),)),
        stable=Counters(total=(series(stable, instance="s"), series(failing, instance="t"))),
    )
    query = Reading(gate=QUERY, canary=Counters(values=series(memory).samples))
    found = evidence_of(rate, Reading(gate=LATENCY), query, minutes=3)
    again = codec.load(codec.dump(found))
    assert list(differing(found, again)) == []
    assert differences(again.judgement, judged_anew(again)) == ()


def test_a_decision_is_one_file_under_its_rollout_and_its_time(tmp_path: Path) -> None:
    found = bad()
    assert found.judgement.verdict is Verdict.UNHEALTHY
    path = files.write(tmp_path / "evidence", found)
    assert path == tmp_path / "evidence" / "7-v2" / "20260301T121000.000000Z.json.gz"
    assert files.read(path) == found
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_the_same_evidence_is_the_same_file(tmp_path: Path) -> None:
    """So that a copy can be compared by its bytes."""
    assert files.write(tmp_path / "a", bad()).read_bytes() == files.write(tmp_path / "b", bad()).read_bytes()


def test_a_cut_off_file_is_an_error_wherever_it_is_cut(tmp_path: Path) -> None:
    path = files.write(tmp_path, bad())
    whole = path.read_bytes()
    for length in {*range(0, len(whole), 97), len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(EvidenceUnreadable, match="cannot be read"):
            files.read(path)


def test_an_edited_file_is_an_error(tmp_path: Path) -> None:
    path = files.write(tmp_path, bad())
    text = codec.dump(bad())
    rewritten(path, text.replace(b'"v2"', b'"v3"'), sum_of=text)
    with pytest.raises(EvidenceUnreadable, match="checksum"):
        files.read(path)


def test_what_is_unknown_or_does_not_fit_is_an_error(tmp_path: Path) -> None:
    path = files.write(tmp_path, bad())
    document = json.loads(codec.dump(bad()))
    short = json.loads(codec.dump(bad()))
    short["times"][0].pop()
    for changed, said in (
        ({**document, "mood": "good"}, "mood"),
        ({**document, "schema_version": codec.SCHEMA + 1}, "newer version"),
        (short, "do not fit"),
        ({**document, "now": "2026-03-01T12:00:00"}, "time zone"),
    ):
        rewritten(path, json.dumps(changed).encode())
        with pytest.raises(EvidenceUnreadable, match=said):
            files.read(path)


def test_a_file_that_is_none_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(EvidenceUnreadable, match="no evidence file"):
        files.read(tmp_path / "text")
    with pytest.raises(ConfigurationError, match="does not exist"):
        files.read(tmp_path / "nothing")


def test_another_verdict_is_told_gate_by_gate() -> None:
    found = bad()
    other = replace(found.judgement.gates[0], log_e=math.nextafter(found.judgement.gates[0].log_e, 0), observe=True)
    changed = replace(found.judgement, gates=(other, *found.judgement.gates[1:]))
    told = differences(changed, judged_anew(found))
    assert [text.partition(": it is")[0] for text in told] == ["gate http 5xx.log_e", "gate http 5xx.observe"]


def test_where_evidence_cannot_be_kept_that_is_said_and_nothing_raised(tmp_path: Path) -> None:
    (tmp_path / "evidence").write_text("a file where the directory should be")
    told: list[str] = []
    compose.Keeper(tmp_path / "evidence", complain=told.append)(bad())
    assert len(told) == 1
    assert "is not kept" in told[0]
    assert "goes on" in told[0]
