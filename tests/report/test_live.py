"""The terminal shows the whole rollout at any width, and without colour."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from rollout.core.events import Order
from rollout.core.plan import Plan, Step, Weight
from rollout.report.live import view
from tests.report.stories import LATENCY, MEMORY, Story, bad, good, hungry, plan, restarting, slow


def drawn(renderable: RenderableType, width: int) -> str:
    """What a terminal without colour shows."""
    console = Console(width=width, no_color=True, file=io.StringIO(), legacy_windows=False)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def shown(story: Story, width: int = 80) -> str:
    """A story as it stands."""
    picture = view(
        story.state,
        seen_weight=story.gateway,
        wait_reason=getattr(story.then, "reason", ""),
        now=story.now,
        judgement=story.judgement,
        events=story.events,
    )
    return drawn(picture, width)


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_the_picture_keeps_to_the_width(width: int) -> None:
    """Every line is exactly as wide as the terminal: nothing wraps, nothing is cut by it."""
    for story in (good(), bad(), slow(), hungry(), restarting(), Story(plan=plan(approve=10)).run(42)):
        lines = shown(story, width).splitlines()
        assert {cell_len(text) for text in lines} == {width}


def test_a_soaking_step_is_read_without_colour() -> None:
    """Done, current and coming steps differ in their icons and lines; numbers and words say the rest."""
    text = shown(Story(plan=plan(approve=50)).run(42))
    assert "✓ 5 %     ▶ 10 %      25 %      50 %*     100 %" in text
    assert "━━━━━━━━━ ━━─────── ╌╌╌╌╌╌╌╌╌" in text
    assert "9 s of 12 s soak left" in text
    lines = rows(Story(plan=plan(approve=50)).run(42), 80)
    assert "http 5xx ✓ healthy 0.64 % of 156 0.42 % of 5,985" in lines
    assert lines[lines.index("http 5xx ✓ healthy 0.64 % of 156 0.42 % of 5,985") + 1].startswith(
        "max 2 % ░░░░░░░░ 0 % "
    )
    assert "instances ✓ healthy 2 of 2 ready, and none has restarted" in lines
    assert "ranges hold at every look at once, with 95 % confidence" in lines
    assert "rollout pause | promote | abort" in text
    assert "* a person approves before traffic moves on" in text


def test_a_rollback_shows_the_gate_that_did_it() -> None:
    """The full bar, the word, and the cause once."""
    text = shown(bad(), 120)
    lines = rows(bad(), 120)
    row = lines.index("llm failures ✗ unhealthy 18.2 % of 66 0.42 % of 4,736")
    assert lines[row + 1].startswith("1.5 × stable ████████ 100 % ")
    assert "✗ 5 %" in text
    assert text.count("at most once in 290 rollouts") == 1
    assert "rollout pause" not in text


def rows(story: Story, width: int) -> list[str]:
    """The lines without the frame and without the spaces between columns."""
    return [" ".join(line.strip("│ ").split()) for line in shown(story, width).splitlines()]


@pytest.mark.parametrize("width", [80, 120])
def test_a_slow_canary_is_shown_by_its_durations(width: int) -> None:
    """Quantiles with their ranges, where slow begins, and no word of failures."""
    lines = rows(slow(), width)
    row = lines.index("latency ✗ unhealthy p95 487 ms p95 253 ms")
    assert lines[row + 1] == "p95 + 30 % ████████ 100 % over 300 ms 200–300 ms"
    assert any(line.startswith("latency: slow is longer than 300 ms; tolerated in effect is") for line in lines)


def test_a_query_that_holds_has_values_and_no_bar() -> None:
    """What it gives of both versions, the limit, and the reason once."""
    story = hungry()
    lines = rows(story, 120)
    row = next(index for index, line in enumerate(lines) if line.startswith("memory ~ inconclusive 6"))
    assert lines[row + 1] == "max 512"
    assert " ".join(lines).count("outside the promise of false_rollback") == 1


def test_restarts_are_shown_as_the_instances_gate_says_them() -> None:
    """The sentence beside the verdict, and the cause."""
    text = " ".join(rows(restarting(), 120))
    assert "instances ✗ unhealthy restarted 3 times, and 2 are borne; 1 of 2 ready, and 1 min is borne" in text
    assert "the canary restarts again and again" in text


def test_a_pause_is_seen_with_its_command() -> None:
    """An icon in the track, a sentence with the command, and the orders that make sense."""
    text = shown(Story(plan=plan(), orders={20: (Order.PAUSE, "ann")}).run(40))
    assert "‖ 1 %" in text
    assert "! paused by ann: `rollout resume` or `rollout abort`" in text
    assert "rollout resume | promote | abort" in text


def test_a_weight_that_differs_is_said() -> None:
    """What the gateway serves stands there whatever was ordered, also when it cannot be asked."""
    story = Story(plan=plan()).run(42)
    away = view(story.state, seen_weight=None, wait_reason="no answer", now=story.now)
    assert "the gateway cannot be asked; no answer" in drawn(away, 80)


def test_more_steps_than_fit_are_windowed_around_the_current_one() -> None:
    """Thirty steps at eighty columns: the current one is among those shown, and the others are counted."""
    steps = tuple(Step(weight=Weight(n), soak=timedelta(seconds=2)) for n in (*range(29), 100))
    base = plan()
    story = Story(plan=Plan(service="chat", environment="production", steps=steps, gates=base.gates))
    story.run(60)
    text = shown(story)
    assert f"▶ {story.state.ordered}" in text
    assert "of 30" in text


def test_markup_of_others_stays_text() -> None:
    """Square brackets are no styles, escape sequences no colours."""
    story = Story(plan=plan()).run(30)
    picture = view(story.state, seen_weight=story.gateway, wait_reason="[red]x[/red] \x1b[31mq\nnew", now=story.now)
    text = drawn(picture, 120)
    assert "[red]x[/red] [31mq new" in text
    assert "\x1b" not in text


def test_names_of_gates_stay_text() -> None:
    """Of every kind of gate: no style, no colour, no line of its own."""
    forged = "[bold red]x[/] \x1b[31m\n::error::"
    more = (replace(LATENCY, name=f"a{forged}"), replace(MEMORY, name=f"b{forged}"))
    text = shown(Story(plan=plan(more=more)).run(45), 160)
    assert "a[bold red]x[/] [31m ::error::" in text
    assert "b[bold red]x[/] [31m ::error::" in text
    assert "\x1b" not in text
