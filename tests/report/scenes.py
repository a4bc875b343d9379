"""Pages of rollouts at moments that people look at: the made-up rollouts of `stories`, at the pace of a real policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from rollout.core.decisions import Deploy
from rollout.core.events import CheckResult, Failed, Intended, Interrupted, Order, Paused
from rollout.core.gates import Gate
from rollout.core.plan import Plan, Step, Weight
from rollout.report.pull_request import (
    Links,
    Page,
    Shipped,
    approval_comment,
    finished_comment,
    job_summary,
    paused_comment,
    rolled_back_comment,
    started_comment,
    status_comment,
)
from tests.report.stories import LATENCY, NOON, Story
from tests.report.stories import plan as quick_plan

MINUTE = timedelta(minutes=1)
TICK = MINUTE
LINKS = Links(
    repository_url="https://github.com/octo/chat",
    run_url="https://github.com/octo/chat/actions/runs/9876543210",
    environment_url="https://chat.example.com",
)
SHIPPED = (
    Shipped(sha="cd" * 20, title="Stream answers of the model by server-sent events", author="mona", pull=482),
    Shipped(sha="9f31" * 10, title="Retry model calls once after a timeout", author="hubot", pull=479),
    Shipped(sha="07ac" * 10, title="Bump openai from 1.40.2 to 1.41.0", author="dependabot[bot]", pull=477),
    Shipped(sha="5e20" * 10, title="fix: login page flickers in dark mode", author="李雷", pull=None),
)
LOG = (
    "2026-03-01T12:00:03Z INFO  listening on :3210 version=v1.4.0",
    "2026-03-01T12:05:41Z WARN  model call took 30.0 s, trying again",
    "2026-03-01T12:05:42Z ERROR stream closed before the first token: ECONNRESET (route=/api/chat)",
    "2026-03-01T12:05:42Z ERROR TypeError: Cannot read properties of undefined (reading 'choices')",
    "    at StreamReader.next (/app/server/stream.js:118:22)",
)


def policy(*, approve: float | None = 25, more: tuple[Gate, ...] = (LATENCY,)) -> Plan:
    """The default steps of two hours and a half, with gates for requests, the model and the latency."""
    soaks = {0: 5, 1: 30, 5: 15, 10: 15, 25: 15, 50: 15, 100: 30}
    steps = tuple(
        Step(weight=Weight(weight), soak=soak * MINUTE, approve=weight == approve) for weight, soak in soaks.items()
    )
    return replace(
        quick_plan(more=more),
        steps=steps,
        interval=TICK,
        warm_up=timedelta(minutes=2),
        drain=timedelta(seconds=30),
    )


def page(story: Story, **changes: object) -> Page:
    """The story as it stands, as a page."""
    whole = Page(
        state=story.state,
        events=tuple(story.events),
        now=story.now,
        judgement=story.judgement,
        weight=story.gateway,
        links=LINKS,
        shipped=SHIPPED,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]  # changes of any field


def told(minutes: float, story: Story) -> Story:
    """The story after so many minutes, or at its end."""
    return story.run(round(minutes))


def slow_story(plan: Plan | None = None, **fields: object) -> Story:
    """A rollout at the pace of the default policy."""
    return Story(plan=plan or policy(), tick=TICK, rps=9600, **fields)  # type: ignore[arg-type]


def under_way() -> Page:
    """A good release in the middle."""
    return page(told(58, slow_story()), runs=(LINKS.run_url.replace("10", "07"), LINKS.run_url))


def starting() -> Page:
    """The first tick."""
    return page(told(1, slow_story()))


def approval() -> Page:
    """A step that a person must approve."""
    return page(told(82, slow_story()))


def paused() -> Page:
    """A pause that a person ordered."""
    return page(told(41, slow_story(orders={2400: (Order.PAUSE, "mona")})))


def rolled_back() -> Page:
    """A bad release, which went back at its first real traffic."""
    story = told(120, slow_story(failing={"http 5xx": 0.03, "llm failures": 0.16}))
    return page(story, canary_log=LOG)


def aborted() -> Page:
    """A release that a person took back."""
    return page(told(80, slow_story(orders={3600: (Order.ABORT, "mona")})))


def promoted() -> Page:
    """A good release at its end."""
    return page(told(200, slow_story(policy(approve=None))))


def first_release() -> Page:
    """The first release of a service."""
    return page(told(20, slow_story(stable=None)), shipped=())


def checks_failed() -> Page:
    """A release that failed its checks before any user came."""
    checks = (
        CheckResult(
            name="GET /api/health",
            version="canary",
            passed=False,
            detail="expected 200, got 503 after 12 ms",
            output='{"db": "migration 0042 is pending"}',
        ),
        CheckResult(name="GET /api/health", version="stable", passed=True, detail="got 200 after 2 ms", output="ok"),
    )
    return page(told(3, slow_story(checks=checks)))


def asking() -> Page:
    """The machine has paused, because the gateway serves something else."""
    story = told(41, slow_story())
    story.events.append(Paused(at=story.now, because="because the gateway serves 0 % where 5 % was ordered"))
    return page(story, weight=Weight(0))


def failing() -> Page:
    """The image cannot be pulled, and the run was stopped."""
    story = slow_story()
    story.events.append(Intended(at=NOON + MINUTE, action=Deploy()))
    because = "pull of ghcr.io/example/chat failed: denied <token> | `x`"
    story.events.append(Failed(at=NOON + MINUTE, action=Deploy(), because=because, permanent=False))
    story.events.append(Interrupted(at=NOON + 2 * MINUTE, signal="SIGTERM"))
    story.now = NOON + 2 * MINUTE
    return page(story)


SCENES = {
    scene.__name__: scene
    for scene in (
        under_way,
        starting,
        approval,
        paused,
        rolled_back,
        aborted,
        promoted,
        first_release,
        checks_failed,
        asking,
        failing,
    )
}

COMMENTS: Mapping[str, tuple[str, Callable[[Page], str]]] = {
    "under_way": ("under_way", status_comment),
    "started": ("starting", started_comment),
    "approval": ("approval", approval_comment),
    "approval_status": ("approval", status_comment),
    "paused": ("asking", paused_comment),
    "paused_status": ("paused", status_comment),
    "rolled_back": ("rolled_back", rolled_back_comment),
    "rolled_back_status": ("rolled_back", status_comment),
    "aborted": ("aborted", rolled_back_comment),
    "checks_failed": ("checks_failed", rolled_back_comment),
    "finished": ("promoted", finished_comment),
    "finished_status": ("promoted", status_comment),
    "failing": ("failing", status_comment),
    "first_release": ("first_release", status_comment),
    "summary": ("rolled_back", job_summary),
}
"""By the name of its golden file: the scene, and what is said of it."""
