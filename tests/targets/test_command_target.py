"""The command target believes no program: what was ordered must be seen, and nonsense moves nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from rollout.core.finding import Severity
from rollout.core.plan import NOTHING, Weight
from rollout.core.release import Release
from rollout.errors import TargetBusy, TargetFailed
from rollout.targets.base import Health
from rollout.targets.command import contract, schemas
from rollout.targets.command.settings import CommandSettings
from rollout.targets.command.target import CommandTarget

ROOT: Final = Path(__file__).parents[2]
SECRET: Final = "correct-horse-battery"

PROGRAM: Final = """
import json, os, sys
order = json.load(sys.stdin)
with open("orders", "a") as file:
    file.write(json.dumps(order) + "\\n")
name = order["order"]
later = os.path.exists("done") and os.path.exists(f"{name}.next")
path = f"{name}.next" if later else name
if name not in ("get_weight", "status", "logs", "resolve"):
    open("done", "w").close()
if os.path.exists(path):
    sys.stdout.buffer.write(open(path, "rb").read())
if os.path.exists(f"{name}.err"):
    sys.stderr.write(open(f"{name}.err").read())
if os.path.exists(f"{name}.code"):
    sys.exit(int(open(f"{name}.code").read()))
"""
"""Notes the order, and says what lies in the file of its name; `<name>.next` from the first effect on."""


def release(tag: str) -> Release:
    """A release of that tag."""
    return Release(tag=tag, image="registry.example.com/chat", digest=f"sha256:{tag[-1] * 64}")


def version(tag: str, rollout: str, **more: object) -> dict[str, Any]:
    """A release that runs, as a program tells it."""
    one = release(tag)
    said = {"tag": tag, "image": one.image, "digest": one.digest, "commit": ""}
    return {"release": said, "rollout": rollout, "url": "http://127.0.0.1:9", "health": "ready", **more}


def kept(tag: str, rollout: str) -> dict[str, Any]:
    """A release in reserve."""
    one = version(tag, rollout)
    return {"release": one["release"], "rollout": rollout}


@dataclass(frozen=True)
class Desk:
    """A directory with what the programs are to say, and the target that runs them."""

    path: Path
    target: CommandTarget

    def says(self, name: str, answer: object = None, *, code: int = 0, error: str = "") -> None:
        """What a program prints, and how it ends."""
        if answer is not None:
            (self.path / name).write_text(answer if isinstance(answer, str) else json.dumps(answer))
        (self.path / f"{name}.code").write_text(str(code))
        (self.path / f"{name}.err").write_text(error)

    def sees(self, weight: float | None = 0, *, later: bool = False, **roles: object) -> None:
        """What get_weight tells; `later` from the first effect on."""
        told = {"rollout": "r2", "stable": None, "canary": None, "reserve": None, **roles, "weight": weight}
        if weight is None:
            told["problem"] = "the gateway is away"
        (self.path / ("get_weight.next" if later else "get_weight")).write_text(json.dumps(told))

    def orders(self) -> list[dict[str, Any]]:
        """What was ordered, but for the looks."""
        path = self.path / "orders"
        every = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [order for order in every if order["order"] not in ("get_weight", "status")]


STABLE: Final = version("v1", "r1")
CANARY: Final = version("v2", "r2")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Every order is one program."""
    return make_desk(tmp_path)


def make_desk(path: Path, **more: object) -> Desk:
    """A desk in a directory."""
    program = (sys.executable, "-I", "-S", "-c", PROGRAM)
    orders = ("deploy", "set_weight", "get_weight", "promote", "rollback", "retire", "discard", "logs", "resolve")
    target = CommandTarget(
        settings=CommandSettings.model_validate(
            {**dict.fromkeys(orders, program), "env": ["API_KEY"], "directory": path, **more}
        ),
        service="chat",
        environment="production",
        image="registry.example.com/chat",
        env={"API_KEY": SECRET, "PATH": "/usr/bin:/bin"},
    )
    return Desk(path, target)


# What is told.


def test_a_look_tells_everything_that_the_program_told(desk: Desk) -> None:
    """Counts of instances as well; left out, they follow the health."""
    desk.sees(
        12.3,
        stable=version("v1", "r1", health="unready"),
        canary=version("v2", "r2", restarts=3, ready=1, wanted=2),
        reserve=None,
    )
    seen = desk.target.look()
    assert seen.weight == Weight(12.3)
    assert seen.stable is not None
    assert seen.canary is not None
    assert (seen.stable.health, seen.stable.ready, seen.stable.wanted) == (Health.UNREADY, 0, 1)
    assert (seen.canary.restarts, seen.canary.ready, seen.canary.wanted) == (3, 1, 2)
    assert seen.canary.release == release("v2")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("", "EOF"),
        ("nonsense", "expected"),
        ("[]", "object"),
        ('{"weight": "5"}', "weight"),
        ('{"weight": true}', "weight"),
        ('{"weight": NaN}', "weight"),
        ('{"weight": 1e999}', "weight"),
        ('{"weight": 12.34}', "one decimal"),
        ('{"weight": -1}', "0 to 100"),
        ('{"weight": 100.1}', "0 to 100"),
        ('{"weight": null}', "problem"),
        ('{"weight": 5, "wieght": 6}', "wieght"),
        ('{"weight": 5}', "no `status` program"),
        ('{"weight": 5, "rollout": null, "stable": null, "canary": null, "reserve": null}', "no canary to get it"),
        (json.dumps({"weight": 0, "rollout": "a b", "stable": None, "canary": None, "reserve": None}), "rollout"),
        (json.dumps({"weight": 0, "rollout": "r2", "stable": CANARY, "canary": CANARY, "reserve": None}), "different"),
        (
            json.dumps({"weight": 0, "rollout": "r", "stable": {**STABLE, "url": "file:///etc"}, "canary": None,
                        "reserve": None}),
            "stable.url",
        ),
        (
            json.dumps({"weight": 0, "rollout": "r", "stable": {**STABLE, "health": "fine"}, "canary": None,
                        "reserve": None}),
            "stable.health",
        ),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_leaves_the_weight_unknown_and_says_where_it_is_wrong(
    desk: Desk, answer: str, says: str
) -> None:
    """Nothing is guessed from it, and a look never raises."""
    desk.says("get_weight", answer)
    seen = desk.target.look()
    assert seen.weight is None
    assert seen.stable is None
    assert says in seen.problem


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KEYS = ("weight", "problem", "rollout", "stable", "canary", "reserve", "release", "url", "health", "restarts", "ready")
NEARLY = st.dictionaries(
    st.sampled_from(KEYS), JSON | st.just(STABLE) | st.just(CANARY) | st.sampled_from([0, 0.1, 5, 100, -1, "r1"])
)
MODELS: Final = (contract.WeightSaid, contract.RolesSaid, contract.ResolvedSaid, contract.FailureSaid)


@given(st.one_of(st.binary(), JSON.map(json.dumps).map(str.encode), NEARLY.map(json.dumps).map(str.encode)))
@example(b"[" * 100_000)
@example(b"\xff\xfe")
@settings(max_examples=300)
def test_whatever_is_printed_is_either_understood_or_a_mistake_with_a_sentence(text: bytes) -> None:
    """No other error comes of it, and the sentence does not repeat what was printed."""
    for model in MODELS:
        said = understood(partial(model.model_validate_json, text))
        assert said
        if isinstance(said, contract.WeightSaid):
            sighting = understood(partial(together, said))
            assert sighting
            if isinstance(sighting, contract.Sighting):
                assert (sighting.seen().weight is None) == bool(sighting.seen().problem)


def understood(read: Callable[[], BaseModel]) -> BaseModel | str:
    """What was said, or where it is wrong."""
    try:
        return read()
    except ValueError as wrong:
        return contract.first_mistake(wrong)


def together(said: contract.WeightSaid) -> contract.Sighting:
    """One answer as a whole look."""
    return contract.Sighting(weight=said.weight, problem=said.problem, roles=said.roles())


@given(st.one_of(st.binary(max_size=200), NEARLY.map(json.dumps).map(str.encode)), st.sampled_from([0, 0, 1, 75]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_look_never_raises_whatever_the_program_prints_and_however_it_ends(
    desk: Desk, text: bytes, code: int
) -> None:
    """The rollout then holds, with the reason."""
    (desk.path / "get_weight").write_bytes(text)
    desk.says("get_weight", code=code, error=f"\x1b[31m{SECRET}")
    seen = desk.target.look()
    assert seen.weight is not None or seen.problem
    assert SECRET not in seen.problem
    assert seen.problem.isprintable()


def test_with_a_status_program_the_weight_alone_is_asked_of_get_weight(tmp_path: Path) -> None:
    """And where the gateway is away, what runs is known all the same."""
    program = (sys.executable, "-I", "-S", "-c", PROGRAM)
    desk = make_desk(tmp_path, status=program)
    desk.says("status", {"rollout": "r2", "stable": STABLE, "canary": CANARY, "reserve": None})
    desk.says("get_weight", {"weight": 5})
    assert desk.target.look().weight == Weight(5)
    desk.says("get_weight", {"weight": None, "problem": "connection refused"})
    seen = desk.target.look()
    assert seen.weight is None
    assert seen.problem == "connection refused"
    assert seen.canary is not None
    assert seen.canary.release == release("v2")


def test_reasons_and_problems_are_one_line_and_without_secrets(desk: Desk) -> None:
    """They end in comments; what a release is called is left as it is, even where a variable holds the same."""
    desk.sees(5, canary=version("v2", "r2", health="dead", reason=f"OOMKilled\nnear {SECRET}"))
    canary = desk.target.look().canary
    assert canary is not None
    assert canary.reason == "OOMKilled near ***"
    image = f"{SECRET}.example.com/chat"
    said = {**CANARY, "release": {**CANARY["release"], "image": image}}
    told = {"rollout": "r2", "stable": None, "canary": said, "reserve": None}
    desk.says("get_weight", {**told, "weight": None, "problem": f"token\t{SECRET}"})
    seen = desk.target.look()
    assert seen.problem == "token ***"
    assert seen.canary is not None
    assert seen.canary.release.image == image


# What is ordered.


def test_an_order_says_everything_that_a_program_needs(desk: Desk) -> None:
    """And is what its schema says."""
    desk.sees()
    desk.sees(later=True, canary=CANARY)
    desk.target.deploy(release("v2"), rollout="r2")
    desk.target.move(NOTHING)
    deploy, weight = desk.orders()
    assert deploy == {
        "contract": 1,
        "service": "chat",
        "environment": "production",
        "order": "deploy",
        "rollout": "r2",
        "release": CANARY["release"],
        "reference": release("v2").reference,
    }
    assert (weight["order"], weight["rollout"], weight["weight"], weight["permille"]) == ("set_weight", "r2", 0, 0)
    for order in (deploy, weight):
        name = order["order"].replace("_", "-")
        jsonschema.validate(order, json.loads((ROOT / "schema" / f"command-{name}.json").read_text()))


def test_the_committed_schemas_are_those_of_the_code() -> None:
    """Whoever writes a program reads the files, the target uses the models."""
    made = dict(schemas.files())
    there = {path.relative_to(ROOT) for path in (ROOT / "schema").glob("command-*.json")}
    assert set(made) == there
    for path, text in made.items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, "run `python -m rollout.targets.command.schemas`"
        jsonschema.Draft202012Validator.check_schema(json.loads(text))


def test_the_schemas_of_answers_accept_what_the_target_understands() -> None:
    """A weight in tenths among it, which a careless schema refuses."""
    answer = {"weight": 12.3, "rollout": "r2", "stable": STABLE, "canary": CANARY, "reserve": kept("v0", "r0")}
    contract.WeightSaid.model_validate_json(json.dumps(answer))
    schema = json.loads((ROOT / "schema/command-get-weight-answer.json").read_text())
    jsonschema.validate(answer, schema)
    jsonschema.validate({"weight": 5}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**answer, "wieght": 5}, schema)


@pytest.mark.parametrize(
    ("effect", "before", "after", "says"),
    [
        ("deploy", {}, {}, "is not there"),
        ("deploy", {}, {"canary": version("v2", "r2", health="unready")}, "is unready"),
        ("deploy", {}, {"canary": version("v3", "r2")}, "and not v2"),
        ("deploy", {}, {"canary": CANARY, "weight": 5}, "5 % is served"),
        ("move", {"canary": CANARY}, {"canary": CANARY, "weight": 10}, "10 % is served and not 5 %"),
        ("promote", {"stable": STABLE, "canary": CANARY}, {"stable": STABLE, "canary": CANARY}, "not the stable"),
        ("promote", {"stable": STABLE, "canary": CANARY}, {"stable": CANARY, "canary": STABLE}, "not the stable"),
        ("roll_back", {"canary": CANARY, "weight": 5}, {"canary": CANARY, "weight": 5}, "5 % is served and not 0 %"),
        (
            "roll_back",
            {"stable": CANARY, "reserve": kept("v1", "r1")},
            {"stable": CANARY, "reserve": kept("v1", "r1")},
            "still the stable",
        ),
        ("retire", {"canary": CANARY}, {"canary": CANARY}, "is still there"),
        ("discard", {"reserve": kept("v1", "r1")}, {"reserve": kept("v1", "r1")}, "still in reserve"),
    ],
)
def test_a_success_that_a_look_does_not_show_is_a_failure(
    desk: Desk, effect: str, before: dict[str, Any], after: dict[str, Any], says: str
) -> None:
    """Every effect is read back."""
    desk.sees(**before)
    desk.sees(later=True, **after)
    with pytest.raises(TargetFailed, match="ended with exit code 0") as failed:
        EFFECTS[effect](desk.target)
    assert says in failed.value.message
    assert failed.value.hint


EFFECTS: Final[dict[str, Callable[[CommandTarget], None]]] = {
    "deploy": lambda target: target.deploy(release("v2"), rollout="r2"),
    "move": lambda target: target.move(Weight(5)),
    "promote": lambda target: target.promote(),
    "roll_back": lambda target: target.roll_back(rollout="r2"),
    "retire": lambda target: target.retire(),
    "discard": lambda target: target.discard(),
}


def test_an_effect_after_which_the_gateway_cannot_be_asked_may_be_tried_again(desk: Desk) -> None:
    """It is not known to have failed."""
    desk.sees(canary=CANARY)
    desk.sees(None, later=True, canary=CANARY)
    for effect in ("move", "roll_back"):
        with pytest.raises(TargetBusy, match="the gateway is away"):
            EFFECTS[effect](desk.target)


@pytest.mark.parametrize(
    ("code", "kind", "answer", "error", "says"),
    [
        (1, TargetFailed, None, "first\nno such slot\n", "exit code 1: no such slot"),
        (75, TargetBusy, None, "locked", "exit code 75: locked"),
        (1, TargetFailed, {"error": "quota is used up", "hint": "Ask for more."}, "x", "exit code 1: quota is used up"),
        (1, TargetFailed, "{}", "", "failed with exit code 1"),
        (1, TargetFailed, None, f"token {SECRET} is refused\x1b[2J", "token *** is refused"),
        (1, TargetFailed, {"error": f"{SECRET} is refused"}, "", "*** is refused"),
    ],
)
def test_how_a_program_fails_is_told_in_its_own_words(
    desk: Desk, code: int, kind: type[TargetFailed], answer: object, error: str, says: str
) -> None:
    """75 may be tried again; nothing that its variables hold is in the message."""
    desk.sees(canary=CANARY)
    desk.says("set_weight", answer, code=code, error=error)
    with pytest.raises(TargetFailed) as failed:
        desk.target.move(Weight(5))
    assert type(failed.value) is kind
    assert says in failed.value.message
    assert SECRET not in str(failed.value)
    assert failed.value.message.isprintable()
    if isinstance(answer, dict) and "hint" in answer:
        assert failed.value.hint == "Ask for more."


def test_a_program_that_is_too_slow_may_be_tried_again(tmp_path: Path) -> None:
    """It was killed, and its orders can be repeated."""
    desk = make_desk(tmp_path, set_weight=["/bin/sleep", "60"], timeout="3s")
    desk.sees(canary=CANARY)
    with pytest.raises(TargetBusy, match=r"did not end within 3 s"):
        desk.target.move(Weight(5))


def test_a_deployment_that_fails_is_cleared_away_where_its_program_has_not_done_it(desk: Desk) -> None:
    """And an error of the clearing does not hide the first one."""
    desk.sees()
    desk.sees(later=True, canary=version("v2", "r2", health="dead"))
    desk.says("deploy", {"error": "the quota is used up"}, code=1)
    desk.says("retire", code=1, error="locked")
    with pytest.raises(TargetFailed, match="quota") as failed:
        desk.target.deploy(release("v2"), rollout="r2")
    assert [order["order"] for order in desk.orders()] == ["deploy", "retire"]
    assert "locked" in failed.value.hint


def test_a_canary_of_another_rollout_that_has_users_is_left_alone(desk: Desk) -> None:
    """It must be aborted first."""
    desk.sees(5, canary=version("v1", "other"))
    with pytest.raises(TargetFailed, match="still gets traffic"):
        desk.target.deploy(release("v2"), rollout="r2")
    assert desk.orders() == []


@pytest.mark.parametrize(("health", "kind"), [("unready", TargetBusy), ("dead", TargetFailed)])
def test_a_canary_that_does_not_answer_is_not_promoted(desk: Desk, health: str, kind: type[TargetFailed]) -> None:
    """A later try may succeed where it still runs."""
    desk.sees(stable=STABLE, canary=version("v2", "r2", health=health))
    with pytest.raises(TargetFailed) as failed:
        desk.target.promote()
    assert type(failed.value) is kind
    assert desk.orders() == []


def test_nothing_is_promoted_where_the_canary_of_the_last_rollout_is_gone(desk: Desk) -> None:
    """What is stable is not what was to be promoted."""
    desk.sees(stable=STABLE)
    with pytest.raises(TargetFailed, match="no canary to promote"):
        desk.target.promote()


def test_a_rollback_is_run_even_where_nobody_can_tell_what_runs(desk: Desk) -> None:
    """Users come before the reports; it is confirmed as soon as it can be."""
    desk.says("get_weight", "nonsense")
    desk.sees(later=True, stable=STABLE, canary=CANARY)
    desk.target.roll_back(rollout="r2")
    assert [(order["order"], order["rollout"]) for order in desk.orders()] == [("rollback", "r2")]


def test_what_another_rollout_deployed_is_not_rolled_back(desk: Desk) -> None:
    """The program is not even run."""
    desk.sees(stable=STABLE, canary=CANARY, reserve=kept("v0", "r0"))
    desk.target.roll_back(rollout="r1")
    desk.sees(stable=STABLE, reserve=kept("v0", "r0"))
    desk.target.roll_back(rollout="r2")
    desk.sees(stable=STABLE)
    desk.target.roll_back(rollout="r1")
    assert desk.orders() == []


def test_logs_are_plain_text_cut_to_the_lines_and_without_secrets(desk: Desk) -> None:
    """However many the program prints."""
    desk.says("logs", "".join(f"line {number} {SECRET}\n" for number in range(50)))
    assert desk.target.logs(lines=2) == "line 48 ***\nline 49 ***\n"


def test_a_platform_without_images_resolves_tags_by_a_program(desk: Desk) -> None:
    """A digest that is none is refused."""
    digest = f"sha256:{'a' * 64}"
    desk.says("resolve", {"digest": digest})
    assert desk.target.resolve("v9") == Release(tag="v9", image="registry.example.com/chat", digest=digest)
    desk.says("resolve", {"digest": "sha1:abc"})
    with pytest.raises(TargetFailed, match="digest"):
        desk.target.resolve("v9")
    with pytest.raises(TargetFailed, match="not a tag"):
        desk.target.resolve("v9; rm -rf /")


# What is optional, and what the doctor says.


def test_what_has_no_program_is_left_out(tmp_path: Path) -> None:
    """A canary then stays at weight 0, and the next deployment replaces it."""
    desk = make_desk(tmp_path, retire=None, discard=None, logs=None)
    desk.sees(canary=version("v1", "r1"), reserve=kept("v0", "r0"))
    desk.target.retire()
    desk.target.discard()
    assert desk.target.logs(lines=5) == ""
    desk.sees(later=True, canary=CANARY)
    desk.target.deploy(release("v2"), rollout="r2")
    assert [order["order"] for order in desk.orders()] == ["deploy"]


def test_the_doctor_names_each_program_that_cannot_be_run_and_what_is_left_out(tmp_path: Path) -> None:
    """And runs nothing that changes anything."""
    (tmp_path / "plain").write_text("")
    desk = make_desk(
        tmp_path, deploy=["./nowhere"], promote=["no-such-program"], rollback=["./plain"], logs=None,
        env=["API_KEY", "NOT_SET", "GITHUB_TOKEN"],
    )  # fmt: skip
    found = {each.subject: each for each in desk.target.diagnose()}
    assert "is not there" in found["target: command: deploy"].message
    assert "not on the PATH" in found["target: command: promote"].message
    assert "may not be executed" in found["target: command: rollback"].message
    assert found["target: command: logs"].severity is Severity.WARNING
    assert "target: command" not in found
    assert all(each.hint for each in found.values())
    assert "GITHUB_TOKEN" in str(list(found.values()))
    assert desk.orders() == []


def test_the_doctor_says_what_is_told_now(desk: Desk) -> None:
    """Or why nothing is."""
    desk.sees(5, stable=STABLE, canary=CANARY)
    (found,) = desk.target.diagnose()
    assert found.severity is Severity.OK
    assert "v2" in found.message
    assert "5 %" in found.message
    desk.sees(None)
    (found,) = desk.target.diagnose()
    assert (found.severity, "the gateway is away" in found.message) == (Severity.ERROR, True)
    desk.says("get_weight", code=1, error="no access")
    (found,) = desk.target.diagnose()
    assert (found.severity, "no access" in found.message) == (Severity.ERROR, True)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"deploy": []}, "deploy"),
        ({"deploy": "scripts/deploy --now"}, "deploy"),
        ({"deploy": [" "]}, "it is empty"),
        ({"deploy": ["a\0b"]}, "NUL"),
        ({"timeout": "0s"}, "more than 0s"),
        ({"env": ["A=B"]}, "env"),
        ({"set-weight": ["x"]}, "set-weight"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, object], says: str) -> None:
    """A text is no argv: nobody may think that a shell reads it."""
    orders = {name: ["x"] for name in ("deploy", "set_weight", "get_weight", "promote", "rollback")}
    with pytest.raises(ValidationError) as refused:
        CommandSettings.model_validate({**orders, **wrong})
    assert says in str(refused.value)


def test_the_settings_need_no_client_of_any_platform() -> None:
    """Reading rollout.yml does not pay for running programs."""
    code = "import sys, rollout.targets.command.settings; print(sorted({'requests', 'docker'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
