"""The example for an AWS load balancer drives a whole release and a rollback, against moto's server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import pytest

from rollout.core.finding import Severity
from rollout.core.plan import EVERYTHING, NOTHING, Weight
from rollout.core.release import Release
from rollout.errors import TargetBusy, TargetFailed
from rollout.targets.base import Health
from rollout.targets.command.settings import CommandSettings
from rollout.targets.command.target import CommandTarget

HERE: Final = Path(__file__).parent
EXAMPLE: Final = HERE.parents[1] / "examples" / "command-alb"
ORDERS: Final = ("deploy", "set_weight", "get_weight", "status", "promote", "rollback", "retire", "discard")
IMAGE: Final = "registry.example.com/chat"
CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "an-example-of-a-secret",
    "AWS_DEFAULT_REGION": "eu-central-1",
}

pytestmark = [pytest.mark.real, pytest.mark.long]


def release(tag: str) -> Release:
    """Nobody pulls it: what a digest is, is said to the stand-in for ECS."""
    digits = {"v1": "1", "v2": "2", "v3": "3", "broken": "b"}[tag]
    return Release(tag=tag, image=IMAGE, digest=f"sha256:{digits * 64}")


@dataclass(frozen=True)
class Amazon:
    """The process of alb_world.py, and the target that drives it."""

    target: CommandTarget
    stdin: IO[str]
    stdout: IO[str]

    def tell(self, line: str) -> Any:  # noqa: ANN401  (JSON)
        """Its answer to a line."""
        self.stdin.write(line + "\n")
        self.stdin.flush()
        return json.loads(self.stdout.readline())

    def served(self, users: int = 10) -> set[str]:
        """Which releases answer new users."""
        return {self.tell("ask") for _ in range(users)}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with boto3 and moto, in an environment of its own."""
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip("missing: uv, which makes the environment of this test")
    made = tmp_path_factory.mktemp("alb") / "env"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, made], check=True)
    wanted: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", made / "bin" / "python"]
    done = subprocess.run([*wanted, "-r", HERE / "alb-requirements.txt"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"boto3 and moto cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return made / "bin" / "python"


@pytest.fixture
def amazon(python: Path) -> Iterator[Amazon]:
    """A load balancer with v1 behind it."""
    env = {**CREDENTIALS, "PATH": "/usr/bin:/bin"}
    argv: list[str | Path] = [python, "-I", HERE / "alb_world.py"]
    process = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        one = release("v1")
        told = {
            "stable": {"tag": one.tag, "image": one.image, "digest": one.digest},
            "tags": {release(tag).digest: tag for tag in ("v1", "v2", "v3")},
        }
        process.stdin.write(json.dumps(told) + "\n")
        process.stdin.flush()
        made = json.loads(process.stdout.readline())
        program = [
            str(python), "-I", str(EXAMPLE / "alb.py"), "--rule", made["rule"], "--cluster", "chat",
            "--slots", "chat-blue,chat-green", "--patience", "6", "--poll", "0.1",
        ]  # fmt: skip
        target = CommandTarget(
            settings=CommandSettings.model_validate(
                {**dict.fromkeys(ORDERS, program), "env": [*CREDENTIALS, "AWS_ENDPOINT_URL"]}
            ),
            service="chat",
            environment="production",
            image=IMAGE,
            env={**env, "AWS_ENDPOINT_URL": made["endpoint"]},
        )
        yield Amazon(target, process.stdin, process.stdout)
        process.stdin.close()


def test_a_release_goes_all_the_way_and_back(amazon: Amazon) -> None:
    """Deployed, moved in tenths of a percent, seen to drift, promoted, taken back to the reserve, promoted no more."""
    target = amazon.target
    seen = target.look()
    assert (seen.stable and seen.stable.release, seen.canary, seen.weight) == (release("v1"), None, NOTHING)
    target.deploy(release("v2"), rollout="r2")
    seen = target.look()
    assert seen.canary is not None
    assert (seen.canary.release, seen.canary.health, seen.weight) == (release("v2"), Health.READY, NOTHING)
    assert amazon.served() == {"v1"}
    for percent in (0.1, 12.3, 100, 50):
        target.move(Weight(percent))
        assert target.look().weight == Weight(percent)
    assert amazon.tell("shares") == {"chat-blue": 500, "chat-green": 500}
    assert amazon.served(40) == {"v1", "v2"}
    amazon.tell("turn 600 400")
    assert target.look().weight == Weight(40)
    target.move(EVERYTHING)
    target.promote()
    seen = target.look()
    assert (seen.stable and seen.stable.release, seen.canary, seen.reserve) == (release("v2"), None, release("v1"))
    assert amazon.served() == {"v2"}
    target.retire()
    target.roll_back(rollout="another")
    assert amazon.served() == {"v2"}
    target.roll_back(rollout="r2")
    assert amazon.served() == {"v1"}
    seen = target.look()
    assert (seen.stable and seen.stable.release, seen.canary and seen.canary.release) == (release("v1"), release("v2"))
    target.retire()
    target.retire()
    assert target.look().canary is None
    assert amazon.served() == {"v1"}


def test_a_canary_is_taken_back_at_once_and_one_that_never_runs_leaves_nothing(amazon: Amazon) -> None:
    """Users go on with stable, and the service that was tried is scaled down."""
    target = amazon.target
    with pytest.raises(TargetFailed, match="broken is not ready"):
        target.deploy(release("broken"), rollout="r2")
    assert target.look().canary is None
    target.deploy(release("v3"), rollout="r3")
    target.move(Weight(50))
    target.roll_back(rollout="r3")
    assert amazon.tell("shares") == {"chat-blue": 1, "chat-green": 0}
    assert amazon.served() == {"v1"}
    findings = list(target.diagnose())
    assert {each.severity for each in findings} == {Severity.OK, Severity.WARNING}
    assert "v1" in findings[-1].message


def test_credentials_that_amazon_refuses_are_told_and_not_shown(amazon: Amazon) -> None:
    """An address where nobody answers: the weight is unknown, and the secret is in no text."""
    target = CommandTarget(
        settings=amazon.target.settings,
        service="chat",
        environment="production",
        image=IMAGE,
        env={**amazon.target.env, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
    )
    seen = target.look()
    assert seen.weight is None
    assert "could not connect" in seen.problem.lower()
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in seen.problem
    with pytest.raises(TargetBusy):
        target.move(Weight(5))
