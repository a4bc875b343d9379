"""What a person types and reads: help, mistakes, refusals and documents. No server is started here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rollout.cli.parser import EXIT_CODES
from rollout.errors import ROLLED_BACK, WAITING_FOR_A_PERSON, RolloutError

VERBS = (
    *("run", "tick", "status", "plan", "doctor", "promote", "approve", "pause", "resume", "abort"),
    *("demo", "schema", "token", "evidence", "replay", "record", "init", "interrupted"),
)

GOOD = """\
service: chat
environment: production
image: example.com/chat
target:
  nginx:
    include: {home}/rollout.d/chat.conf
    listen: 127.0.0.1:{port}
    state: {home}/state
    container: {{ port: 8080 }}
metrics:
  prometheus: {{ url: "http://127.0.0.1:1" }}
"""


def rollout(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """One call of the command line in a process of its own."""
    env = {**os.environ, "ROLLOUT_JOURNAL": str(cwd / "journal"), **more}
    return subprocess.run(
        [sys.executable, "-m", "rollout", *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "rollout.yml").write_text(GOOD.format(home=tmp_path, port=18999))
    return tmp_path


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_an_example(verb: str, tmp_path: Path) -> None:
    told = rollout(verb, "--help", cwd=tmp_path)
    assert told.returncode == 0
    assert f"example:\n  rollout {verb}" in told.stdout


def test_every_exit_code_is_in_the_help_and_in_the_docs() -> None:
    """One list in the code, the same one for people."""

    def kinds(kind: type[RolloutError]) -> set[int]:
        return {kind.exit_code}.union(*(kinds(one) for one in kind.__subclasses__()))

    docs = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    for code in kinds(RolloutError) | {ROLLED_BACK, WAITING_FOR_A_PERSON}:
        assert f"{code:4}  " in EXIT_CODES
        assert f"| {code} |" in docs


def test_all_mistakes_of_the_file_are_told_at_once_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "rollout.yml").write_text("servce: chat\nimage: example.com/chat:v1\nsteps: [{weight: 101, soak: 5}]\n")
    told = rollout("run", "v1", cwd=tmp_path)
    assert told.returncode == 2
    for part in ("rollout.yml:1", "servce", "service", "rollout.yml:2", "rollout.yml:3", "target", "metrics"):
        assert part in told.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rollout.yml"]


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    told = rollout("plan", cwd=tmp_path)
    assert told.returncode == 2
    assert "rollout.yml" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_rollout_is_not_started_where_it_would_go_wrong(project: Path) -> None:
    """No Prometheus answers and nginx does not include the file: both are said, nothing is written."""
    told = rollout("run", "v1", cwd=project, DOCKER_HOST=f"unix://{project}/no.sock")
    assert told.returncode == 10
    assert "refuses connections" in told.stderr
    assert "container engine" in told.stderr
    assert not (project / "state").exists()
    assert not list((project / "journal").rglob("*.jsonl"))


def test_doctor_tells_good_and_bad_and_changes_nothing(project: Path) -> None:
    told = rollout("doctor", "--json", cwd=project, DOCKER_HOST=f"unix://{project}/no.sock")
    assert told.returncode == 10
    found = {one["subject"]: one for one in json.loads(told.stdout)}
    assert found["configuration"]["severity"] == "ok"
    assert found["prometheus"]["severity"] == "error"
    assert found["prometheus"]["hint"]
    assert sorted(path.name for path in project.iterdir()) == ["rollout.yml"]


def test_the_timetable_of_the_built_in_policy(project: Path) -> None:
    document = json.loads(rollout("plan", "--json", cwd=project).stdout)
    assert [step["weight"] for step in document["steps"]] == [0, 1, 5, 10, 25, 50, 100]
    assert document["steps"][-1]["ends"] == (5 + 30 + 15 * 4 + 30) * 60
    assert "once a person" in rollout("plan", cwd=project).stdout


def test_before_the_first_rollout_there_is_nothing_to_steer(project: Path) -> None:
    assert json.loads(rollout("status", "--json", cwd=project).stdout) == {}
    for verb in ("tick", "pause", "abort"):
        told = rollout(verb, "--json", cwd=project)
        assert told.returncode == 5
        assert json.loads(told.stdout)["error"] == "refused"


def test_the_schema_is_the_committed_one(tmp_path: Path) -> None:
    committed = Path(__file__).parents[2] / "schema" / "rollout.schema.json"
    assert rollout("schema", cwd=tmp_path).stdout == committed.read_text()


def test_a_tester_gets_a_token_and_no_key(project: Path) -> None:
    document = json.loads(rollout("token", "--json", "--days", "3", cwd=project).stdout)
    version, expires, signature = document["token"].split(".")
    assert (version, expires) == ("canary", document["expires"])
    assert len(signature) == 64
    assert rollout("token", "--days", "90", cwd=project).returncode == 2


def test_a_journal_of_a_newer_version_blocks(project: Path) -> None:
    """An unknown event is neither skipped nor overwritten."""
    journal = project / "journal" / "chat" / "production" / "000001.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_text('{"seq":0,"sum":"00000000000000000000000000000000","event":{"kind":"teleported"}}\n')
    before = journal.read_bytes()
    for verb in ("status", "tick", "abort"):
        told = rollout(verb, cwd=project)
        assert told.returncode == 6
        assert "line 1 cannot be read" in told.stderr
    assert journal.read_bytes() == before


def test_whoever_stops_reading_gets_no_traceback(project: Path) -> None:
    child = f"{sys.executable} -m rollout schema | head -n 1"
    told = subprocess.run(["sh", "-c", child], cwd=project, capture_output=True, text=True, timeout=60)
    assert told.stdout == "{\n"
    assert told.stderr == ""
