"""A comment is an order when its first line says so, and in every other case it is answered or left alone."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollout.core.comment_orders import Misunderstood, NotForUs, Ordered, Question, read_order
from rollout.core.events import Order
from rollout.core.release import TAG

EVERY = (*Order, *Question)
TAGS = st.from_regex(TAG, fullmatch=True).filter(lambda tag: tag.lower() != "step" and not tag.endswith("."))


@pytest.mark.parametrize("order", EVERY)
def test_every_order_is_understood_by_its_word(order: Order | Question) -> None:
    """Alone, and with the release and the step that it is for, in either sequence."""
    assert read_order(f"/rollout {order}") == Ordered(order=order)
    assert read_order(f"/rollout {order} v1.4.0") == Ordered(order=order, tag="v1.4.0")
    assert read_order(f"/rollout {order} step 3") == Ordered(order=order, step=3)
    assert read_order(f"/rollout {order} v1.4.0 step 3") == Ordered(order=order, tag="v1.4.0", step=3)
    assert read_order(f"/rollout {order} step 3 v1.4.0") == Ordered(order=order, tag="v1.4.0", step=3)


@pytest.mark.parametrize(
    "body",
    [
        "/Rollout ABORT",
        "  /rollout   abort  ",
        "\n\r\n   \n/rollout abort\r\nit burns",
        "/rollout abort!",
        "/rollout `abort`.",
        "/rollout **abort**",
        "/rollout\u00a0abort",
        "/rollout abort\n\n/rollout promote",
    ],
)
def test_an_order_in_a_hurry_is_understood(body: str) -> None:
    """Case, spaces, what phones add, and anything below the first line make no difference."""
    assert read_order(body) == Ordered(order=Order.ABORT)


@pytest.mark.parametrize(
    "body",
    [
        "",
        " \n\t\n",
        "Looks good to me",
        "please /rollout abort",
        "Should we?\n/rollout abort",
        "> /rollout abort",
        "> /rollout abort\n\n/rollout abort",
        "```\n/rollout abort\n```",
        "`/rollout abort`",
        "    /rollout abort",
        "\t/rollout abort",
        "  \t/rollout abort",
        "<!-- /rollout abort -->",
        "/rollouts abort",
        "/rollout-abort",
        "/rollout/abort",
        "//rollout abort",
        "/deploy abort",
        "\u200b/rollout abort",
    ],
)
def test_talk_about_orders_is_no_order(body: str) -> None:
    """Quotes, blocks of code, later lines and other tools' commands."""
    assert read_order(body) == NotForUs()


def test_the_name_alone_asks_for_help() -> None:
    """What a person types who does not know the orders."""
    assert read_order("/rollout") == Ordered(order=Question.HELP)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("abrot", "abort"),
        ("aprove", "approve"),
        ("rollback", "abort"),
        ("roll back", "abort"),
        ("stop", "abort"),
        ("cancel", "abort"),
        ("continue", "resume"),
        ("lgtm", "approve"),
        ("stauts", "status"),
    ],
)
def test_a_wrong_word_is_answered_with_the_nearest_order(said: str, meant: str) -> None:
    """It is not followed: a person says it again."""
    answer = read_order(f"/rollout {said}")
    assert isinstance(answer, Misunderstood)
    assert f"`/rollout {meant}`" in answer.hint


def test_a_word_that_is_near_to_nothing_is_answered_with_all_orders() -> None:
    """Every one of them is in the hint."""
    answer = read_order("/rollout xyzzy")
    assert isinstance(answer, Misunderstood)
    assert '"xyzzy"' in answer.because
    assert all(f"`/rollout {order}`" in answer.hint for order in EVERY)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("/rollout abort because it burns", '"it"'),
        ("/rollout abort v1 v2", '"v2"'),
        ("/rollout abort chat/v1", '"chat/v1"'),
        ("/rollout abort @octocat", '"@octocat"'),
        ("/rollout approve step", "nothing"),
        ("/rollout approve step three", '"three"'),
        ("/rollout approve step 0", '"0"'),
        ("/rollout approve step -1", '"-1"'),
        ("/rollout approve step ²", '"²"'),
        ("/rollout approve step 12345", '"12345"'),
        ("/rollout approve step 1 step 2", '"2"'),
    ],
)
def test_what_an_order_is_for_is_understood_or_refused(body: str, named: str) -> None:
    """Never dropped: an order for another release or step must not be followed for this one."""
    answer = read_order(body)
    assert isinstance(answer, Misunderstood)
    assert answer.because.startswith(named)


def test_a_word_without_end_is_not_repeated_whole() -> None:
    """The answer stays one sentence."""
    answer = read_order(f"/rollout {'x' * 60_000}")
    assert isinstance(answer, Misunderstood)
    assert len(answer.because) < 100


@given(order=st.sampled_from(EVERY), tag=TAGS, step=st.none() | st.integers(1, 9999), below=st.text())
def test_what_is_written_is_what_is_read(order: Order | Question, tag: str, step: int | None, below: str) -> None:
    """For every tag that a release can have, and whatever stands on the lines below."""
    line = f"/rollout {order} {tag}" + (f" step {step}" if step else "")
    assert read_order(f"{line}\n{below}") == Ordered(order=order, tag=tag, step=step)


@given(body=st.text())
@example("/rollout \x00")
@example("/rollout \x1c")
def test_any_text_has_an_answer(body: str) -> None:
    """No comment can end the run."""
    assert isinstance(read_order(body), Ordered | NotForUs | Misunderstood)
    assert isinstance(read_order(f"/rollout abort {body}"), Ordered | Misunderstood)
