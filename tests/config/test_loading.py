"""A rollout.yml that is right becomes a Configuration with the defaults of the built-in policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rollout.config import Configuration, load, parse
from rollout.core.gates import Emergency, FailureGate, LatencyGate, QueryGate
from rollout.core.plan import OnBlind, OnDrift
from rollout.errors import ConfigurationError
from rollout.metrics.settings import AccessLogSettings, PrometheusSettings
from rollout.targets.nginx.settings import NginxSettings

EXAMPLES = Path(__file__).parents[2] / "examples"

MINIMAL = """\
service: chat
image: ghcr.io/example/chat
target:
  nginx:
    include: /etc/nginx/rollout.d/chat.conf
    container: { port: 3210 }
metrics:
  prometheus: { url: "http://127.0.0.1:9090" }
"""


def read(text: str, **env: str) -> Configuration:
    return parse(text, path=Path("rollout.yml"), env=env)


def test_four_keys_are_a_working_file_with_the_policy_of_the_guide() -> None:
    """The minimal file gets the built-in steps and the built-in gates, with the service's name as a value."""
    plan = read(MINIMAL).plan
    assert [(step.weight.percent, step.soak // timedelta(minutes=1)) for step in plan.steps] == [
        (0, 5), (1, 30), (5, 15), (10, 15), (25, 15), (50, 15), (100, 30),
    ]  # fmt: skip
    assert [step.weight.percent for step in plan.steps if step.approve] == [50]
    http, latency, llm = plan.gates
    assert isinstance(http, FailureGate)
    assert (http.name, http.max, http.max_ratio, http.if_present) == ("http 5xx", 0.02, None, True)
    assert http.emergency == Emergency(max=0.03, over=timedelta(minutes=5))
    assert str(http.failures) == 'http_requests_total{service="chat", version="$version", code=~"5.."}'
    assert isinstance(latency, LatencyGate)
    assert (latency.name, latency.quantile, latency.max_increase, latency.if_present) == (
        "p95 latency",
        0.95,
        0.3,
        True,
    )
    assert str(latency.histogram) == 'http_request_duration_seconds_bucket{service="chat", version="$version"}'
    assert isinstance(llm, FailureGate)
    assert (llm.name, llm.max, llm.max_ratio, llm.if_present) == ("llm failures", None, 1.5, True)
    assert (plan.environment, plan.false_rollback, plan.on_blind, plan.on_drift) == (
        "production", 0.01, OnBlind.ROLL_BACK, OnDrift.HOLD,
    )  # fmt: skip
    assert (plan.interval, plan.warm_up, plan.keep) == (
        timedelta(seconds=15), timedelta(minutes=2), timedelta(hours=24),
    )  # fmt: skip


def test_every_key_arrives_in_the_plan() -> None:
    """What the file says about the whole rollout stands in the plan, each in its unit."""
    more = """\
environment: staging
steps: [{ weight: 0.1, soak: 90s, approve: true }, { weight: 100, soak: 0s }]
gates:
  - { name: g, failures: 'f{v="$version"}', total: 't{v="$version"}',
      max: 0.5 %, max_ratio: 2, min_requests: 7, observe: true }
false_rollback: 0.1%
interval: 1s
warm_up: 0s
blind: { budget: 1m, action: hold }
drift: restore
patience: 1d
drain: 500ms
keep: 1h30m
notify: ["https://hooks.example.com/x"]
"""
    made = read(MINIMAL + more)
    plan = made.plan
    assert (plan.steps[0].weight.percent, plan.steps[0].soak, plan.steps[0].approve) == (
        0.1,
        timedelta(seconds=90),
        True,
    )
    gate = plan.gates[0]
    assert isinstance(gate, FailureGate)
    assert (gate.max, gate.max_ratio, gate.min_requests, gate.observe, gate.if_present) == (0.005, 2.0, 7, True, False)
    assert (plan.environment, plan.false_rollback, plan.interval) == ("staging", 0.001, timedelta(seconds=1))
    assert (plan.blind_budget, plan.on_blind, plan.on_drift) == (timedelta(minutes=1), OnBlind.HOLD, OnDrift.RESTORE)
    assert (plan.warm_up, plan.patience, plan.drain, plan.keep) == (
        timedelta(0), timedelta(days=1), timedelta(milliseconds=500), timedelta(minutes=90),
    )  # fmt: skip
    assert [one.url.get_secret_value() for one in made.notify] == ["https://hooks.example.com/x"]
    assert "hooks" not in repr(made)


def test_an_access_log_with_nothing_behind_it_is_a_source_and_gets_the_gate_it_can_answer() -> None:
    """`access_log:` alone is set, with its defaults; calls to a language model are nothing nginx knows of."""
    made = read(MINIMAL.replace('prometheus: { url: "http://127.0.0.1:9090" }', "access_log:"))
    assert isinstance(made.metrics, AccessLogSettings)
    assert made.metrics_name == "access_log"
    assert [gate.name for gate in made.plan.gates] == ["http 5xx"]


def test_the_name_of_the_service_cannot_leave_its_selector() -> None:
    """A name that could is refused before it is put anywhere."""
    with pytest.raises(ConfigurationError, match="small letters, digits and dashes"):
        read(MINIMAL.replace("service: chat", "service: 'a\"}'"))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/rollout.yml")), ids=lambda path: path.parent.name)
def test_the_examples_load(path: Path) -> None:
    """The files that users copy are right."""
    made = load(path, env=dict.fromkeys(("SLACK_WEBHOOK", "PAGER_WEBHOOK"), "https://hooks.example.com/x"))
    assert made.target_name in path.read_text()
    assert made.plan.steps[-1].weight.percent == 100


def test_the_second_example_writes_out_the_built_in_policy() -> None:
    """It says so in its first lines, so it must stay true; only `if_present` cannot be written."""
    written = load(EXAMPLES / "02-lobechat/rollout.yml", env={"SLACK_WEBHOOK": "https://hooks.example.com/x"}).plan
    built_in = read(MINIMAL.replace("chat\n", "lobechat\n", 1)).plan
    assert written.steps == built_in.steps
    assert written.gates == tuple(
        replace(gate, if_present=False) for gate in built_in.gates if not isinstance(gate, QueryGate)
    )


def test_anchors_aliases_and_merge_keys_save_typing() -> None:
    """What a mapping says itself wins over what it merges in."""
    made = read(
        MINIMAL
        + """\
steps:
  - &step { weight: 5, soak: 15m, approve: true }
  - { <<: *step, weight: 50 }
  - { weight: 100, <<: [*step], approve: false }
"""
    )
    assert [(step.weight.percent, step.soak, step.approve) for step in made.plan.steps] == [
        (5, timedelta(minutes=15), True),
        (50, timedelta(minutes=15), True),
        (100, timedelta(minutes=15), False),
    ]


def test_words_that_old_yaml_takes_for_booleans_are_text() -> None:
    """`njs: off` is the word off."""
    made = read(MINIMAL.replace("    container", "    njs: off\n    container"))
    assert isinstance(made.target, NginxSettings)
    assert made.target.njs == "off"


def test_variables_are_put_into_addresses_and_a_doubled_dollar_stands_for_one() -> None:
    """`${NAME}` comes from the environment that was given, and from nowhere else."""
    text = MINIMAL.replace(
        '{ url: "http://127.0.0.1:9090" }', '{ url: "http://${HOST}:9090", bearer_token: "a$${b}$c${TOKEN}" }'
    )
    made = read(text, HOST="prom", TOKEN="${HOST}")
    assert isinstance(made.metrics, PrometheusSettings)
    assert made.metrics.url == "http://prom:9090"
    assert made.metrics.bearer_token is not None
    assert made.metrics.bearer_token.get_secret_value() == "a${b}$c${HOST}"


def test_a_check_may_use_the_variables_of_its_shell() -> None:
    """In `checks`, `${NAME}` belongs to the program."""
    made = read(MINIMAL + "checks: [{ command: [sh, -c, 'curl ${ROLLOUT_URL}'] }]\n")
    assert made.checks[0].command == ("sh", "-c", "curl ${ROLLOUT_URL}")


def test_a_file_that_is_absent_or_unreadable_or_not_text_says_so(tmp_path: Path) -> None:
    """Each is a ConfigurationError that says what to do."""
    with pytest.raises(ConfigurationError, match="does not exist"):
        load(tmp_path / "rollout.yml", env={})
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path, env={})
    (tmp_path / "x.yml").write_bytes(b"service: a\nimage: \xff\n")
    with pytest.raises(ConfigurationError, match=r"x\.yml:2: this is not UTF-8"):
        load(tmp_path / "x.yml", env={})


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    """Some editors write one."""
    (tmp_path / "rollout.yml").write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert load(tmp_path / "rollout.yml", env={}).plan.service == "chat"
