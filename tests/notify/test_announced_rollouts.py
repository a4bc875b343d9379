"""Whole rollouts by the real engine in the simulated world, and what arrives at real servers meanwhile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollout import engine
from rollout.cli.announcing import announcing
from rollout.config import Configuration
from rollout.config.loading import parse
from rollout.core.decisions import Finish, Outcome
from rollout.core.events import Order
from rollout.core.language import Language
from rollout.core.plan import Plan
from rollout.journals.file import FileJournal
from rollout.notify.memory import FileMemory
from tests.engine.simulation import Killed, Life, Process, World, plan_of
from tests.notify.conftest import Receiver

FILE = """\
service: chat
image: example/chat
target: { nginx: { include: /etc/nginx/x.conf, container: { port: 80 } } }
metrics: { prometheus: { url: "http://127.0.0.1:9090" } }
language: LANGUAGE
notify:
  - "${HOOK}"
  - { url: "${HOOK}", events: [rolled_back, promoted], format: slack }
"""


def configured(receiver: Receiver, language: Language = Language.EN) -> Configuration:
    """As rollout.yml says it: one address for everything, and one for the end in Slack's form."""
    text = FILE.replace("LANGUAGE", language)
    return parse(text, path=Path("rollout.yml"), env={"HOOK": receiver.url})


def drive(world: World, configuration: Configuration, plan: Plan | None, *, life: Life | None = None) -> Finish:
    """One process: it starts v2 where a plan is given, and drives the rollout to its end, telling people."""
    journal = FileJournal(world.directory)
    memory = FileMemory(world.directory / "told.json")
    process = Process(world, life or Life())
    with announcing(
        configuration, journal, complain=pytest.fail, link="https://github.com/example/chat", memory=memory
    ) as tell:
        ports = replace(process.ports, tell=tell)
        if plan is not None:
            engine.start(ports, plan, "v2")
        return engine.run(ports)


def reasons(receiver: Receiver) -> list[object]:
    """What the first address was told, in a word each."""
    return [body["reason"] for body in receiver.bodies if "reason" in body]


def test_a_release_that_fails_is_told_with_its_evidence(tmp_path: Path, receiver: Receiver) -> None:
    """From the verdict to the message, with the gate's own numbers."""
    world = World(tmp_path).has("v1")
    world.failing["v2"] = 0.5
    finish = drive(world, configured(receiver), plan_of((0, 30), (10, 600), (100, 60)))
    assert finish.outcome is Outcome.ROLLED_BACK
    assert reasons(receiver) == ["started", "rolled_back"]
    told = next(body for body in receiver.bodies if body.get("reason") == "rolled_back")
    assert told["gate"] == "http 5xx"
    assert "the canary fails" in str(told["evidence"])
    (blocks,) = (body for body in receiver.bodies if "blocks" in body)
    assert str(blocks["text"]).startswith("✗ Rolled back: v2, to v1")


def test_an_approval_is_waited_for_and_told_in_chinese(tmp_path: Path, receiver: Receiver) -> None:
    """The person is asked once, and the end is told."""
    world = World(tmp_path).has("v1")
    world.at(900, lambda: world.order(Order.APPROVE))
    plan = plan_of((0, 30), (50, 120), (100, 60), approve=(50,))
    finish = drive(world, configured(receiver, Language.ZH), plan)
    assert finish.outcome is Outcome.PROMOTED
    assert reasons(receiver) == ["started", "needs_a_person", "promoted"]
    asked = next(body for body in receiver.bodies if body.get("reason") == "needs_a_person")
    assert asked["title"] == "! 等待批准：v2 已在 50% 观察完毕（chat，production）"


def test_wherever_a_process_is_killed_every_moment_is_told_once(tmp_path: Path, receiver: Receiver) -> None:
    """The next process takes over, and tells what the first one could not."""
    plan = plan_of((0, 30), (10, 60), (100, 30))
    probe = Life()
    drive(World(tmp_path / "probe").has("v1"), configured(receiver), plan, life=probe)
    boundaries = [at for at, name in enumerate(probe.passed) if name != "sleep"]
    for number in boundaries:
        receiver.bodies.clear()
        world = World(tmp_path / str(number)).has("v1")
        life = Life(ends_at=number)
        with pytest.raises(Killed):
            drive(world, configured(receiver), plan, life=life)
        drive(world, configured(receiver), None if world.events() else plan)
        assert reasons(receiver) == ["started", "promoted"], probe.passed[number]
