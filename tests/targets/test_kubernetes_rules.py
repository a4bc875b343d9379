"""The rules of a route with a canary in them: what is put in comes out, and what is not ours stays as it is."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.plan import NOTHING, Weight
from rollout.errors import TargetFailed
from rollout.targets.kubernetes.rules import Split, are_even, candidates, unwired, weighed, weight_of

SPLIT = Split(route="chat", service="chat", canary="chat-canary")
TESTERS = Split(route="chat", service="chat", canary="chat-canary", header="X-Version", value="canary", mirror=0.1)

weights = st.integers(0, 1000).map(lambda permille: Weight(permille / 10))
others = st.lists(
    st.builds(
        lambda name, weight: {"name": name, "port": 80, "weight": weight}, st.sampled_from("abc"), st.integers(0, 50)
    ),
    max_size=2,
    unique_by=lambda ref: str(ref["name"]),
)
matches = st.lists(
    st.sampled_from([{"path": {"type": "PathPrefix", "value": "/"}}, {"method": "GET"}, {"headers": [{"name": "a"}]}]),
    max_size=2,
)


@st.composite
def rules(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A user's rules: one with our service, perhaps beside other backends and between other rules."""
    own: dict[str, Any] = {
        "backendRefs": [{"name": "chat", "port": 80, "weight": draw(st.integers(1, 50))}, *draw(others)]
    }
    if found := draw(matches):
        own["matches"] = found
    if draw(st.booleans()):
        own["filters"] = [{"type": "RequestHeaderModifier"}]
    foreign = {"backendRefs": [{"name": "web", "port": 80}]}
    return [*draw(st.just([foreign]) | st.just([])), own, *draw(st.just([foreign]) | st.just([]))]


@given(rules(), st.sampled_from([SPLIT, TESTERS]), weights, weights)
def test_the_weight_that_is_put_in_is_read_whatever_was_there_before(
    before: list[dict[str, Any]], split: Split, first: Weight, second: Weight
) -> None:
    """Any weight after any other; a second time changes nothing; the rules given are left alone."""
    kept = copy.deepcopy(before)
    assert weight_of(before, split) is None
    once = weighed(before, split, first)
    twice = weighed(once, split, second)
    assert weight_of(once, split) == first
    assert weight_of(twice, split) == second
    assert weighed(twice, split, second) == twice
    assert are_even(twice, split)
    assert before == kept


@given(rules(), st.sampled_from([SPLIT, TESTERS]), weights)
def test_other_backends_keep_their_share(before: list[dict[str, Any]], split: Split, weight: Weight) -> None:
    """What goes elsewhere goes there in the same proportion; rules of others are untouched."""
    after = weighed(before, split, weight)
    assert [rule for rule in after if _names(rule) == ["web"]] == [rule for rule in before if _names(rule) == ["web"]]
    (old,) = [rule for rule in before if "chat" in _names(rule)]
    (new,) = [rule for rule in after if "chat" in _names(rule)]
    was, now = _shares(old), _shares(new)
    for name in was:
        got = now[name] + (now["chat-canary"] if name == "chat" else 0)
        assert got == pytest.approx(was[name])


@given(rules(), st.sampled_from([SPLIT, TESTERS]), weights)
def test_without_the_canary_the_shares_are_what_they_were(
    before: list[dict[str, Any]], split: Split, weight: Weight
) -> None:
    """No rule, filter or backend of ours is left."""
    after = unwired(weighed(before, split, weight), split)
    assert weight_of(after, split) is None
    assert len(after) == len(before)
    for old, new in zip(before, after, strict=True):
        assert _shares(old) == pytest.approx(_shares(new))
        assert {key: value for key, value in old.items() if key != "backendRefs"} == {
            key: value for key, value in new.items() if key != "backendRefs"
        }


def _names(rule: dict[str, Any]) -> list[str]:
    return [str(ref["name"]) for ref in rule["backendRefs"]]


def _shares(rule: dict[str, Any]) -> dict[str, float]:
    total = sum(ref.get("weight", 1) for ref in rule["backendRefs"])
    return {ref["name"]: ref.get("weight", 1) / total for ref in rule["backendRefs"]}


def test_a_plain_rule_is_as_it_was_afterwards() -> None:
    """A weight of 1 is what the API puts in where none is written."""
    before = [{"backendRefs": [{"name": "chat", "port": 80, "weight": 1}]}]
    assert unwired(weighed(before, SPLIT, Weight(12.3)), SPLIT) == before


def test_a_rule_for_testers_comes_before_the_one_it_is_for_and_is_not_counted() -> None:
    """A person counts the rules that they wrote."""
    before = [{"backendRefs": [{"name": "web"}]}, {"backendRefs": [{"name": "chat"}]}]
    after = weighed(before, TESTERS, NOTHING)
    assert [_names(rule) for rule in after] == [["web"], ["chat-canary"], ["chat", "chat-canary"]]
    assert [number for number, _ in candidates(after, TESTERS)] == [2]


def test_weights_that_are_too_large_for_a_tenth_of_a_percent_are_refused() -> None:
    """The API takes a million at most."""
    large = [{"backendRefs": [{"name": "chat", "weight": 999_999}, {"name": "web", "weight": 1}]}]
    with pytest.raises(TargetFailed, match="too large"):
        weighed(large, SPLIT, Weight(0.1))
