"""`rollout plan`: the timetable, and what the policy can see, for people and for programs."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

GOOD = """\
service: chat
environment: production
image: example.com/chat
target:
  nginx:
    include: {home}/rollout.d/chat.conf
    listen: 127.0.0.1:18999
    state: {home}/state
    container: {{ port: 8080 }}
metrics:
  prometheus: {{ url: "{url}" }}
"""
NOWHERE = "http://127.0.0.1:1"


def plan(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One call of the verb in a process of its own."""
    env = {**os.environ, "ROLLOUT_JOURNAL": str(cwd / "journal"), "COLUMNS": "80", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "rollout", "plan", *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )


def document(cwd: Path, *arguments: str) -> dict[str, Any]:
    told = plan(cwd, "--json", *arguments)
    assert told.returncode == 0, told.stderr
    parsed: dict[str, Any] = json.loads(told.stdout)
    return parsed


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "rollout.yml").write_text(GOOD.format(home=tmp_path, url=NOWHERE))
    return tmp_path


def test_without_metrics_and_rates_there_is_the_timetable_and_a_line_that_says_how_to_get_the_rest(
    project: Path,
) -> None:
    told = plan(project)
    assert told.returncode == 0
    assert "What the policy sees" not in told.stdout
    assert "rollout plan --rps 50" in " ".join(told.stdout.split())
    parsed = document(project)
    assert parsed["sees"] is None
    assert "refuses connections" in parsed["hint"]
    assert parsed["steps"][-1]["ends"] == parsed["steps"][-1]["earliest"] == (5 + 30 + 15 * 4 + 30) * 60


def test_with_a_rate_every_gate_is_foreseen_and_nobody_is_asked(project: Path) -> None:
    parsed = document(project, "--rps", "50")
    assert parsed["hint"] == ""
    gates = {gate["gate"]: gate for gate in parsed["sees"]["gates"]}
    assert list(gates) == ["http 5xx", "p95 latency", "llm failures"]
    http = gates["http 5xx"]
    assert http["rate_given"]
    assert [round(step["canary_requests"]) for step in http["steps"]] == [0, 900, 2250, 4500, 11250, 22500, 90000]
    seen = [step["smallest"] for step in http["steps"]]
    assert seen[0] is None
    assert 0.02 < seen[1] < 0.08
    assert seen[1] > seen[2] > seen[3]
    slow = gates["p95 latency"]
    assert slow["fault"] == "increase"
    assert slow["tolerance"][0] < 0.31 < slow["tolerance"][1] + 0.02
    five, twenty, every = http["catches"]
    assert (five["fault"], twenty["fault"], every["fault"]) == (0.05, 0.2, 1.0)
    assert every["median"] <= 30
    assert every["median"] < twenty["median"] < five["median"] < 1800
    assert five["before_100"] >= 0.9
    assert parsed["sees"]["warnings"] == []
    assert all(step["likely"] == step["latest"] == step["ends"] for step in parsed["steps"])


def test_two_runs_print_the_same(project: Path) -> None:
    first, second = plan(project, "--rps", "5"), plan(project, "--rps", "5")
    assert "What the policy sees" in first.stdout
    assert first.stdout == second.stdout


def test_a_person_reads_tables_and_at_little_traffic_what_to_change(project: Path) -> None:
    text = plan(project, "--rps", "0.5").stdout
    assert all(len(line) <= 80 for line in text.splitlines())
    flat = " ".join(text.split())
    assert "http 5xx, p95 latency and llm failures: in the soak of step 2 (1 %) it gets 9 of the 100" in flat
    assert "change: there, a soak of at least 5h34m, a weight of at least 11.2, or `observe: true`" in flat
    assert "only once a person has let it go on" in flat
    assert "fails 100 %" in flat


def test_each_gate_may_have_its_own_rate_and_failures(project: Path) -> None:
    arguments = ("--rps", "50", "--rps", "llm failures=5", "--failing", "llm failures=2%")
    gates = {gate["gate"]: gate for gate in document(project, *arguments)["sees"]["gates"]}
    assert [gate["requests_per_second"] for gate in gates.values()] == [50, 50, 5]
    assert gates["llm failures"]["stable_fails"] == 0.02


def test_a_gate_without_a_rate_is_told_of_while_the_others_are_foreseen(project: Path) -> None:
    sees = document(project, "--rps", "http 5xx=50")["sees"]
    assert [gate["gate"] for gate in sees["gates"]] == ["http 5xx"]
    assert [one["gate"] for one in sees["without"]] == ["p95 latency", "llm failures"]
    assert len(sees["warnings"]) == 1
    assert "cannot be had" in sees["warnings"][0]["what"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--rps", "many"), "no number"),
        (("--rps", "0"), "above 0"),
        (("--rps", "nan"), "above 0"),
        (("--rps", "http=5"), "http 5xx, p95 latency, llm failures"),
        (("--rps", "5", "--failing", "0.02"), "percent sign"),
        (("--rps", "5", "--failing", "p95 latency=1%"), "http 5xx, llm failures"),
    ],
)
def test_a_wrong_rate_is_refused_with_what_to_write(project: Path, arguments: tuple[str, ...], words: str) -> None:
    told = plan(project, *arguments)
    assert told.returncode == 2
    assert words in told.stderr
    assert "Traceback" not in told.stderr


def test_a_plan_without_evidence_gates_is_a_timetable(project: Path) -> None:
    gate = "gates: [{name: memory, query: 'max(memory{version=\"$version\"})', max: 5}]\n"
    (project / "rollout.yml").write_text((project / "rollout.yml").read_text() + gate)
    parsed = document(project)
    assert (parsed["sees"], parsed["hint"]) == (None, "")


def test_evidence_that_may_shorten_steps_is_in_the_timetable(project: Path) -> None:
    (project / "rollout.yml").write_text((project / "rollout.yml").read_text() + "advance: evidence\n")
    text = " ".join(plan(project, "--rps", "500").stdout.split())
    assert "earliest" in text
    assert "by the evidence to be expected" in text
    steps = document(project, "--rps", "500")["steps"]
    assert steps[-1]["earliest"] <= steps[-1]["likely"] < steps[-1]["latest"] == steps[-1]["ends"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def an_hour() -> Iterator[str]:
    """Two instances of stable at 10 requests/s each, of which 1 % fail independently, as OpenMetrics text."""
    source, now = random.Random(7), int(time.time())
    yield "# TYPE http_requests counter"
    for instance in ("a", "b"):
        good = bad = 0
        for moment in range(now - 3700, now, 15):
            failed = sum(source.random() < 0.01 for _ in range(150))
            good, bad = good + 150 - failed, bad + failed
            labels = f'service="chat",version="stable",job="chat",instance="{instance}"'
            yield f'http_requests_total{{{labels},code="200"}} {good} {moment}'
            yield f'http_requests_total{{{labels},code="500"}} {bad} {moment}'
    yield "# EOF"


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus that holds the hour."""
    home = tmp_path / "prometheus"
    home.mkdir()
    text = "\n".join(sorted(an_hour(), key=lambda line: (line == "# EOF", not line.startswith("#")))) + "\n"
    (home / "hour.txt").write_text(text)
    (home / "prometheus.yml").write_text("global: {}\n")
    blocks = ("promtool", "tsdb", "create-blocks-from", "openmetrics", "hour.txt", "data")
    subprocess.run(blocks, cwd=home, check=True, capture_output=True, timeout=60)
    url = f"http://127.0.0.1:{free_port()}"
    command = ("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data")
    with (home / "log").open("w") as log:
        server = subprocess.Popen([*command, f"--web.listen-address={url[7:]}"], cwd=home, stderr=log)
        try:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                try:
                    urllib.request.urlopen(f"{url}/-/ready", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield url
        finally:
            server.terminate()
            server.wait(20)


@pytest.mark.real
@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus is not installed")
def test_rates_failures_and_dispersion_are_measured(tmp_path: Path, prometheus: str) -> None:
    """Gates of the built-in policy whose metrics are not there take no part, and nobody is warned of them."""
    (tmp_path / "rollout.yml").write_text(GOOD.format(home=tmp_path, url=prometheus))
    sees = document(tmp_path)["sees"]
    (gate,) = sees["gates"]
    assert gate["gate"] == "http 5xx"
    assert gate["requests_per_second"] == pytest.approx(20, rel=0.02)
    assert gate["stable_fails"] == pytest.approx(0.01, rel=0.2)
    assert 1 <= gate["dispersion"] < 1.6
    assert not gate["rate_given"]
    assert [one["applies"] for one in sees["without"]] == [False, False]
    assert not any("series" in one["what"] for one in sees["warnings"])
    assert "20 requests/s in the last hour" in plan(tmp_path).stdout
