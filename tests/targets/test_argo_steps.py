"""Steps, notes, templates and routes of the argo target, which are pure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.plan import NOTHING, Weight
from rollout.core.release import Release
from rollout.errors import TargetFailed
from rollout.targets.argo import steps as stepping
from rollout.targets.argo.memory import Before, Memory, dump, load
from rollout.targets.argo.routes import canary_share
from rollout.targets.argo.steps import OffGrain
from rollout.targets.argo.templates import COMMIT, ROLLOUT, TAG, Containers, rollout_of

DIGEST = "sha256:" + "a" * 64

whole_weights = st.lists(st.integers(0, 100), min_size=1, max_size=12, unique=True).map(
    lambda percents: tuple(Weight(percent) for percent in sorted(percents))
)
any_weight = st.integers(0, 1000).map(lambda permille: Weight(permille / 10))
releases = st.builds(
    Release,
    tag=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True),
    image=st.just("registry.example/chat"),
    digest=st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
    commit=st.sampled_from(["", "0" * 40]),
)


@given(weights=whole_weights, idle=st.integers(1, 9))
def test_the_steps_that_are_written_are_those_of_the_plan(weights: tuple[Weight, ...], idle: int) -> None:
    """They stop at each weight and at nothing else, with weight 0 before all."""
    written = stepping.write(weights, total=100, idle_pods=idle)
    wanted = weights if weights[0] == NOTHING else (NOTHING, *weights)
    assert tuple(stop.weight for stop in stepping.stops(written, 100)) == wanted
    assert stepping.differences(written, weights, total=100) == ()


@given(weights=whole_weights)
def test_a_stop_begins_at_the_step_that_sets_its_weight(weights: tuple[Weight, ...]) -> None:
    """So that the controller scales the canary before it gives it the weight."""
    written = stepping.write(weights, total=100, idle_pods=1)
    for stop in stepping.stops(written, 100):
        assert written[stop.begin]["setWeight"] == stop.weight.percent
        assert written[stop.pause] == {"pause": {}}
        assert stop.begin < stop.pause


@given(weight=any_weight)
def test_a_weight_survives_the_way_through_parts_of_a_thousand(weight: Weight) -> None:
    """With `maxTrafficWeight: 1000` no tenth of a percent is lost."""
    assert stepping.weight_of(stepping.parts(weight, 1000), 1000) == weight


def test_a_weight_between_two_parts_is_refused_and_not_rounded() -> None:
    """A plan that cannot be kept exactly is not kept at all."""
    with pytest.raises(OffGrain, match=r"0\.1 % cannot be had in parts of 1/100, which are 1 % each"):
        stepping.parts(Weight(0.1), 100)


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ([{"setWeight": 10}, {"pause": {}}], "step 2 pauses at 10 %, where the plan has 0 %"),
        ([{"setWeight": 0}, {"pause": {}}], "the Rollout has no pause for 10 %, 100 %"),
        (
            [{"setWeight": 0}, {"pause": {}}, {"setWeight": 10}, {"pause": {"duration": "1h"}}],
            "step 4 pauses for 1h and then goes on by itself; leave `duration` out",
        ),
        (
            [
                {"setWeight": 0},
                {"pause": {}},
                {"setWeight": 10},
                {"pause": {}},
                {"setWeight": 20},
                {"pause": {}},
                {"setWeight": 100},
                {"pause": {}},
            ],
            "step 6 pauses at 20 %, where the plan has 100 %",
        ),
        (
            [
                *({"setWeight": 0}, {"pause": {}}, {"setWeight": 10}, {"pause": {}}),
                *({"setWeight": 100}, {"pause": {}}, {"analysis": {}}, {"pause": {}}),
            ],
            "step 8 pauses at 100 %, which the plan does not have",
        ),
    ],
)
def test_steps_that_are_not_the_plans_are_told_with_their_place(steps: list[dict[str, Any]], sentence: str) -> None:
    """Counted from 1, as people count."""
    assert sentence in stepping.differences(steps, (NOTHING, Weight(10), Weight(100)), total=100)


@given(
    rollout=st.text(max_size=30),
    before=st.none() | st.builds(Before, release=st.none() | releases, template=st.just({"spec": {"containers": []}})),
    taken_back=st.none() | releases,
    log=st.text(max_size=100),
)
def test_what_is_noted_is_read_again(rollout: str, before: Before | None, taken_back: Release | None, log: str) -> None:
    """By any process."""
    memory = Memory(rollout=rollout, before=before, taken_back=taken_back, log=log)
    assert load(dump(memory), where="Rollout chat") == memory


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"version": 1}', '{"version": 1, "rollout": "r", "before": 3}']
)
def test_a_note_that_cannot_be_understood_blocks(text: str) -> None:
    """It says which annotation of what."""
    with pytest.raises(TargetFailed, match="rollout-orchestrator/argo on Rollout chat cannot be understood") as failed:
        load(text, where="Rollout chat")
    assert failed.value.hint


def test_a_note_of_another_version_blocks_with_its_number() -> None:
    """A newer rollout may have written it."""
    with pytest.raises(TargetFailed, match="another version of rollout"):
        load('{"version": 2}', where="Rollout chat")


def template(image: str, **annotations: str) -> dict[str, Any]:
    """A template with the service and a container beside it."""
    return {
        "metadata": {"labels": {"app": "chat"}, "annotations": annotations},
        "spec": {"containers": [{"name": "proxy", "image": "proxy:1"}, {"name": "chat", "image": image}]},
    }


@given(release=releases)
def test_a_release_that_was_put_into_a_template_is_found_there(release: Release) -> None:
    """By digest, with its tag and commit; nothing else of the template changes."""
    containers = Containers(image="registry.example/chat", name=None)
    before = template("registry.example/chat:old", team="shop")
    after = containers.with_release(before, release, rollout="7-v2")
    assert containers.release(after) == release
    assert rollout_of(after) == "7-v2"
    assert after["spec"]["containers"][0] == before["spec"]["containers"][0]
    assert after["metadata"]["annotations"]["team"] == "shop"
    assert before == template("registry.example/chat:old", team="shop")


def test_the_commit_of_a_former_release_does_not_stay_in_the_template() -> None:
    """A release without a commit has none."""
    containers = Containers(image="registry.example/chat", name=None)
    release = Release(tag="v2", image="registry.example/chat", digest=DIGEST)
    before = template("registry.example/chat:old", **{COMMIT: "0" * 40, TAG: "v1", ROLLOUT: "r1"})
    assert containers.release(containers.with_release(before, release, rollout="r2")) == release


def test_an_image_that_somebody_else_put_there_is_known_by_its_digest() -> None:
    """In the template, else what its pods report; without either it is not known, and not guessed."""
    containers = Containers(image="registry.example/chat", name="chat")
    assert containers.release(template("registry.example/chat:v1")) is None
    reported = containers.release(template("registry.example/chat:v1"), running=DIGEST)
    assert reported == Release(tag="v1", image="registry.example/chat", digest=DIGEST)
    pinned = containers.release(template(f"registry.example/chat:v1@{DIGEST}"))
    assert pinned == reported


def rule(*backends: tuple[str, int | None]) -> dict[str, Any]:
    """A rule of an HTTPRoute."""
    return {
        "backendRefs": [{"name": name, **({} if weight is None else {"weight": weight})} for name, weight in backends]
    }


@pytest.mark.parametrize(
    ("rules", "share"),
    [
        ([rule(("chat", 75), ("chat-canary", 25))], Weight(25)),
        ([rule(("chat", None), ("chat-canary", None))], Weight(50)),
        ([rule(("chat", 0), ("chat-canary", 0))], NOTHING),
        ([rule(("chat-canary", 1)), rule(("chat", 90), ("chat-canary", 10))], Weight(10)),
        ([rule(("chat", 99), ("chat-canary", 1)), rule(("chat", 60), ("chat-canary", 40))], Weight(40)),
        ([rule(("chat", 1))], None),
        ([], None),
    ],
)
def test_the_share_of_a_route_is_that_of_the_rules_with_both_services(
    rules: list[dict[str, Any]], share: Weight | None
) -> None:
    """A backend without a weight has 1; a rule for testers splits nothing; of several the largest share counts."""
    assert canary_share({"spec": {"rules": rules}}, stable="chat", canary="chat-canary") == share
