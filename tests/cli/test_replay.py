"""A policy tried on recordings: the verdict, the scrape it comes at, and what is wrong with a file, line by line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.__main__ import main
from rollout.config import load_plan
from rollout.core.verdict import Verdict
from rollout.errors import ConfigurationError
from rollout.replay.lines import Recording, read
from rollout.replay.replaying import Replayed, replay

POLICY = """\
service: chat
image: example.com/chat
interval: 15s
target: { nginx: { include: "${NOWHERE}", container: { env_file: missing.env } } }
metrics: { prometheus: { url: "${NOT_SET}", bearer_token: "${SECRET}" } }
notify: ["${WEBHOOK}"]
gates:
  - name: http 5xx
    failures: 'http_requests_total{service="chat", version="$version", code=~"5.."}'
    total: 'http_requests_total{service="chat", version="$version"}'
    max: 2%
"""
MEMORY = """\
  - name: memory
    query: 'max(memory_bytes{version="$version"})'
    max: 100
    for: 3
    action: rollback
"""
KEYS = ["file", "outcome", "decided_at", "gate", "canary_requests", "canary_failures", "gates"]

Line = Mapping[str, object]
Rate = Callable[[float], float]


def counted(at: float, version: str, code: str, value: object, **labels: str) -> Line:
    """One sample of a counter of requests."""
    named = {"service": "chat", "version": version, "code": code, "instance": version[0], **labels}
    return {"at": at, "metric": "http_requests_total", "labels": named, "value": value}


def traffic(
    version: str, *, rps: float, failing: Rate = lambda _: 0.0, times: Sequence[float], past: float = 0.0
) -> Iterator[Line]:
    """A process that has served `past` requests at time 0, and its failure rate as a ratio by time."""
    good, bad, before = past, 0.0, 0.0
    for at in times:
        served = rps * (at - before)
        failed = served * failing(at)
        good, bad, before = good + served - failed, bad + failed, at
        yield counted(at, version, "200", math.floor(good))
        yield counted(at, version, "500", math.floor(bad))


def every(seconds: float, until: float, *, first: float = 0.0) -> list[float]:
    """The times of scrapes."""
    return [first + seconds * index for index in range(int((until - first) / seconds) + 1)]


def both(failing: Rate = lambda _: 0.0, *, until: float = 1800, stable: Rate = lambda _: 0.001) -> list[Line]:
    """Both versions under the same gateway, scraped at moments of their own."""
    return [
        *traffic("canary", rps=2.5, failing=failing, times=every(15, until, first=12)),
        *traffic("stable", rps=50, failing=stable, times=every(15, until, first=3)),
    ]


def written(path: Path, *lines: Line) -> Path:
    """The lines in the order of time."""
    ordered = sorted(lines, key=lambda line: (float(str(line["at"])), "weight" not in line))
    path.write_text("".join(json.dumps(line) + "\n" for line in ordered))
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A policy whose addresses and secrets are all unset."""
    path = tmp_path / "rollout.yml"
    path.write_text(POLICY)
    return path


def replayed(config: Path, path: Path) -> Replayed:
    found = read(str(path))
    assert isinstance(found, Recording), found
    return replay(found, load_plan(config))


AT_5: Line = {"at": 0.0, "weight": 5}


def test_a_good_release_is_healthy_to_the_end(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "good.jsonl", AT_5, *both(lambda _: 0.001))
    assert main(["replay", "--config", str(config), "--json", str(path)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result) == KEYS
    assert (result["file"], result["outcome"]) == (str(path), "healthy")
    assert (result["decided_at"], result["gate"]) == (None, None)
    assert result["canary_requests"] == math.floor(2.5 * 1797)
    assert result["canary_failures"] == math.floor(2.5 * 1797 * 0.001)
    (gate,) = result["gates"]
    assert (gate["gate"], gate["verdict"]) == ("http 5xx", "healthy")
    assert gate["measured"]["canary"]["low"] <= 0.001 <= gate["measured"]["canary"]["high"]


def test_a_bad_release_is_rolled_back_at_a_scrape_and_counted_up_to_it(config: Path, tmp_path: Path) -> None:
    """It turns bad after ten minutes."""
    path = written(tmp_path / "bad.jsonl", AT_5, *both(lambda at: 0.3 if at > 600 else 0.0))
    result = replayed(config, path)
    assert (result.outcome, result.gate) == (Verdict.UNHEALTHY, "http 5xx")
    assert result.decided_at is not None
    assert 600 < result.decided_at < 700
    assert result.decided_at % 15 == 12, "it was decided at a scrape of the canary"
    seen = [
        line for line in path.read_text().splitlines() if '"canary"' in line and f'"at": {result.decided_at:g},' in line
    ]
    good, bad = (json.loads(line)["value"] for line in seen)
    assert (result.counts.total, result.counts.failures) == (good + bad, bad)


def test_a_canary_that_fails_everything_is_decided_within_two_scrapes(config: Path, tmp_path: Path) -> None:
    result = replayed(config, written(tmp_path / "dead.jsonl", AT_5, *both(lambda _: 1.0)))
    assert result.outcome is Verdict.UNHEALTHY
    assert result.decided_at is not None
    assert result.decided_at <= 27


def test_trouble_that_stable_shares_rolls_nothing_back(config: Path, tmp_path: Path) -> None:
    shared = written(tmp_path / "shared.jsonl", AT_5, *both(lambda _: 0.2, stable=lambda _: 0.2))
    result = replayed(config, shared)
    assert (result.outcome, result.decided_at) == (Verdict.INCONCLUSIVE, None)
    assert result.gate == "http 5xx"


def test_monitoring_that_stays_away_is_blind_when_the_budget_is_over(config: Path, tmp_path: Path) -> None:
    """Five minutes after it is noticed, which is after four intervals without a sample; looked at in the gap."""
    lines = [line for line in both() if not 600 < float(str(line["at"])) < 1500]
    result = replayed(config, written(tmp_path / "away.jsonl", AT_5, *lines))
    assert result.outcome is Verdict.BLIND
    assert result.decided_at == pytest.approx(600 + 60 + 300, abs=31)
    config.write_text(POLICY + "blind: { action: hold }\n")
    held = replayed(config, tmp_path / "away.jsonl")
    assert (held.outcome, held.decided_at) == (Verdict.HEALTHY, None)


def test_two_short_times_without_monitoring_do_not_add_up(config: Path, tmp_path: Path) -> None:
    lines = [line for line in both() if not any(0 < float(str(line["at"])) - gap < 300 for gap in (600, 920))]
    result = replayed(config, written(tmp_path / "twice.jsonl", AT_5, *lines))
    assert (result.outcome, result.decided_at) == (Verdict.HEALTHY, None)


def test_times_of_two_kinds_in_one_file_are_a_mistake(tmp_path: Path) -> None:
    """Somebody wrote the weight at 0 and the samples at the time since 1970."""
    lines = [{**line, "at": 1.7e9 + float(str(line["at"]))} for line in both(until=60)]
    found = read(str(written(tmp_path / "years.jsonl", {"at": 0, "weight": 5}, *lines)))
    assert isinstance(found, tuple)
    assert [wrong.line for wrong in found] == [2]
    assert "19,676 days" in found[0].what


def test_no_series_of_the_canary_is_never_healthy(config: Path, tmp_path: Path) -> None:
    stable = [line for line in both() if "canary" not in str(line)]
    assert replayed(config, written(tmp_path / "a.jsonl", AT_5, *stable)).outcome is Verdict.BLIND
    assert replayed(config, written(tmp_path / "b.jsonl", *stable)).outcome is Verdict.BLIND
    assert replayed(config, written(tmp_path / "c.jsonl", AT_5)).outcome is Verdict.INCONCLUSIVE


def test_without_a_weight_the_canary_has_traffic_from_its_first_sample_on(config: Path, tmp_path: Path) -> None:
    lines = both(lambda _: 0.3)
    late = [line for line in lines if "stable" in str(line) or float(str(line["at"])) > 600]
    result = replayed(config, written(tmp_path / "late.jsonl", *late))
    assert result.outcome is Verdict.UNHEALTHY
    assert result.decided_at is not None
    assert 612 + 120 < result.decided_at < 800, "it warms up, as it was not there before"


def test_what_the_canary_counted_before_the_file_is_not_counted(config: Path, tmp_path: Path) -> None:
    """A window cut from a long life that was bad once: its first sample is a base, as its next one shows."""
    lines = [
        *traffic("canary", rps=2.5, times=every(15, 1800, first=12), past=50_000),
        *traffic("stable", rps=50, times=every(15, 1800, first=3), past=1_000_000),
    ]
    old = [{**line, "value": int(str(line["value"])) + 20_000} if "'500'" in str(line) else line for line in lines]
    result = replayed(config, written(tmp_path / "old.jsonl", AT_5, *old))
    assert result.outcome is Verdict.HEALTHY
    assert result.counts.total == pytest.approx(2.5 * 1785, abs=2)
    assert result.counts.failures == 0


def test_a_canary_that_comes_later_warms_up(config: Path, tmp_path: Path) -> None:
    """Its first two minutes are judged only for catastrophes; one that ran before is judged from the start on."""
    lines = both(lambda at: 0.1 if at < 720 else 0.0)
    late = [line for line in lines if "stable" in str(line) or float(str(line["at"])) > 600]
    weights: tuple[Line, ...] = ({"at": 0, "weight": 0}, {"at": 600, "weight": 5})
    assert replayed(config, written(tmp_path / "late.jsonl", *weights, *late)).decided_at is None
    assert replayed(config, written(tmp_path / "early.jsonl", *weights, *lines)).decided_at is not None


def test_a_query_that_was_not_recorded_takes_no_part_and_says_so(config: Path, tmp_path: Path) -> None:
    config.write_text(POLICY + MEMORY)
    path = written(tmp_path / "good.jsonl", AT_5, *both())
    result = replayed(config, path)
    assert result.outcome is Verdict.HEALTHY
    assert "not recorded" in result.judgement.gates[-1].sentence
    values = [
        {
            "at": at,
            "metric": "query",
            "labels": {"gate": "memory", "version": "canary"},
            "value": 90 if at < 900 else 101,
        }
        for at in every(15, 1800)
    ]
    result = replayed(config, written(tmp_path / "values.jsonl", AT_5, *both(), *values))
    assert (result.outcome, result.gate, result.decided_at) == (Verdict.UNHEALTHY, "memory", 930)


def test_many_files_come_back_in_their_order_with_a_count(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [
        str(written(tmp_path / f"{number}.jsonl", AT_5, *both(rate, until=600)))
        for number, rate in enumerate([lambda _: 0.0, lambda _: 0.5] * 2)
    ]
    assert main(["replay", "-c", str(config), *files]) == 0
    *lines, summary = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == files
    assert "rolled back after" in lines[1]
    assert "http 5xx: the canary fails 50" in lines[1].replace("since", "")
    assert summary == "4 files: 2 healthy, 2 unhealthy; 2 rolled back"


def test_every_mistake_of_every_file_is_told_with_its_line(config: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    lines = [
        '{"at": 3, "weight": 5}',
        '{"at": 2, "metric": "m", "labels": {}, "value": 1}',
        "nonsense",
        '{"at": 4, "metric": "m", "labels": {"a": 1}, "value": 1}',
        '{"at": 4, "weight": 101}',
        '{"at": 5, "metric": "m", "labels": {}, "value": "7"}',
        '{"at": 5, "metric": "m", "labels": {}}',
        '{"at": true, "metric": "m", "labels": {}, "value": 1}',
        '{"at": 6, "metric": "m", "labels": {}, "value": 1, "unit": "s"}',
        '{"at": 1e300, "weight": 5}',
        '{"at": 6, "metric": "m", "labels": {}, "value": 1}',
        '{"at": 6, "metric": "m", "labels": {}, "value": 1}',
        '{"at": 7, "metric": "m", "labels": {}, "value": [1]}',
        '{"at": 7, "metric": ["m"], "labels": {}, "value": 1}',
        "[]",
        '{"at": 8, "metric": "m", "labe',
    ]
    bad.write_text("\n".join(lines))
    found = read(str(bad))
    assert isinstance(found, tuple)
    assert [wrong.line for wrong in found] == [2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16]
    assert all(wrong.hint for wrong in found)
    with pytest.raises(SystemExit):
        main(["replay", "-c", str(config)])


def test_mistakes_of_all_files_are_one_error_and_no_result(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = written(tmp_path / "good.jsonl", AT_5, *both())
    (tmp_path / "one.jsonl").write_text("x\n" * 80)
    (tmp_path / "two.jsonl").write_text("y\n" * 80)
    (tmp_path / "empty.jsonl").write_text("\n")
    names = [str(good), *(str(tmp_path / f"{name}.jsonl") for name in ("one", "empty", "two", "missing"))]
    assert main(["replay", "-c", str(config), *names]) == ConfigurationError.exit_code
    told = capsys.readouterr()
    assert told.out == ""
    for part in ("one.jsonl:80: ", "two.jsonl:19: ", "empty.jsonl: it is empty", "and 62 more"):
        assert part in told.err


def test_a_policy_with_a_mistake_is_told_as_ever(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(POLICY.replace("2%", "2"))
    path = written(tmp_path / "good.jsonl", AT_5, *both())
    assert main(["replay", "-c", str(config), str(path)]) == ConfigurationError.exit_code
    assert "rollout.yml:11:10: gates[0].max" in capsys.readouterr().err


numbers = st.one_of(st.floats(), st.integers(-5, 10**9), st.sampled_from(["NaN", "Infinity", "-Inf", 1e300]))


@settings(max_examples=40)
@given(
    values=st.lists(numbers, max_size=30),
    times=st.lists(st.integers(0, 2_000_000), min_size=30, max_size=30, unique=True),
    weight=st.sampled_from([0, 1, 50, 100]),
)
def test_whatever_is_recorded_there_is_one_of_four_outcomes(
    tmp_path_factory: pytest.TempPathFactory, values: list[object], times: list[int], weight: float
) -> None:
    """NaN, infinity, counters that fall: nothing breaks, and the JSON is JSON."""
    folder = tmp_path_factory.mktemp("any")
    (folder / "rollout.yml").write_text(POLICY)
    lines = [
        counted(at / 1000, ("canary", "stable")[place % 2], ("200", "500")[place % 3 == 0], value)
        for place, (at, value) in enumerate(zip(sorted(times), values, strict=False))
    ]
    result = replayed(folder / "rollout.yml", written(folder / "any.jsonl", {"at": 0, "weight": weight}, *lines))
    assert result.outcome in Verdict
    if not values:
        assert result.outcome is not Verdict.UNHEALTHY


def test_a_gate_of_which_nothing_was_recorded_takes_no_part_and_keeps_its_budget(config: Path, tmp_path: Path) -> None:
    """The other judges as it would in the whole plan: at a half of false_rollback."""
    config.write_text(POLICY + POLICY[POLICY.index("  - name") :].replace("http", "grpc"))
    result = replayed(config, written(tmp_path / "good.jsonl", AT_5, *both(lambda _: 0.001)))
    judged, absent = result.judgement.gates
    assert (result.outcome, result.gate) == (Verdict.HEALTHY, None)
    assert judged.log_threshold == pytest.approx(math.log(200))
    assert "not recorded" in absent.sentence
