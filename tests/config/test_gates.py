"""A gate of rollout.yml is one of three kinds, told apart by its keys; what is wrong with it is said at its place."""

from __future__ import annotations

import dataclasses
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rollout.config import Configuration, parse, schema
from rollout.config.file import BlindSection, File, InstancesSection, StepSection
from rollout.config.gates import KINDS, EmergencySection, FailureSection, LatencySection, QuerySection
from rollout.config.values import Section
from rollout.core.gates import Emergency, FailureGate, LatencyGate, OnQuery, OnRegression, QueryGate
from rollout.core.plan import Advance, InstancesRule, Plan, Step
from rollout.errors import ConfigurationError

HEAD = """\
service: chat
image: ghcr.io/example/chat
target:
  nginx:
    include: /etc/nginx/rollout.d/chat.conf
    container: { port: 3210 }
"""
PROMETHEUS = 'metrics: { prometheus: { url: "http://127.0.0.1:9090" } }\n'
ACCESS_LOG = "metrics: { access_log: {} }\n"
F = """failures: 'f{v="$version"}'"""
T = """total: 't{v="$version"}'"""
H = """histogram: 'h_bucket{v="$version"}'"""
COUNTER = 'http_requests_total{version="$version"}'
COUNTED = f"""failures: '{COUNTER[:-1]}, code="500"}}', total: '{COUNTER}'"""
Q = """query: 'x{v="$version"}'"""


def read(more: str, metrics: str = PROMETHEUS) -> Configuration:
    return parse(HEAD + metrics + more, path=Path("rollout.yml"), env={})


def complaints(more: str, metrics: str = PROMETHEUS) -> list[str]:
    """Each mistake with its hint on one line, without the file's name, line and column."""
    with pytest.raises(ConfigurationError) as caught:
        read(more, metrics)
    told = str(caught.value).replace("\n  ", " | ").splitlines()
    return [re.sub(r"^rollout\.yml:\d+:\d+: ", "", one) for one in told]


def gate(text: str) -> object:
    """The one gate of a file."""
    (made,) = read(f"gates: [{text}]\n").plan.gates
    return made


THE_DESIGN = """\
service: lobechat
environment: production
image: ghcr.io/example/lobechat          # the release supplies the tag; the digest is resolved at the start

target:
  nginx:
    include: /etc/nginx/rollout.d/lobechat.conf
    container: { engine: docker, port: 3210, health: /api/health, env_file: .env.production }
    sticky: { cookie: lobechat_uid }
    testers: { cookie: lobechat_version, domain: beta.chat.example.com }

metrics:
  prometheus: { url: "http://prometheus.internal:9090" }

steps:
  - { weight: 0,   soak: 5m }            # deployed, healthy, reachable by testers only
  - { weight: 1,   soak: 30m }
  - { weight: 5,   soak: 15m }
  - { weight: 10,  soak: 15m }
  - { weight: 25,  soak: 15m }
  - { weight: 50,  soak: 15m, approve: true }
  - { weight: 100, soak: 30m }

gates:
  - name: http 5xx
    failures: 'http_requests_total{service="lobechat", version="$version", code=~"5.."}'
    total:    'http_requests_total{service="lobechat", version="$version"}'
    max: 2%
    emergency: { max: 3%, over: 5m }
  - name: p95 latency
    histogram: 'http_request_duration_seconds_bucket{service="lobechat", version="$version"}'
    quantile: 0.95
    max_increase: 30%
  - name: llm failures
    failures: 'llm_requests_total{service="lobechat", version="$version", outcome="error"}'
    total:    'llm_requests_total{service="lobechat", version="$version"}'
    max_ratio: 1.5

false_rollback: 1%
notify:
  - "${SLACK_WEBHOOK}"
"""


def test_the_example_of_the_design_is_a_whole_policy() -> None:
    """Its gates are those of the built-in policy, written out."""
    env = {"SLACK_WEBHOOK": "https://hooks.example.com/x"}
    written = parse(THE_DESIGN, path=Path("rollout.yml"), env=env).plan
    built_in = parse((HEAD + PROMETHEUS).replace(" chat\n", " lobechat\n"), path=Path("rollout.yml"), env={}).plan
    assert written.steps == built_in.steps
    assert [dataclasses.replace(one, if_present=True) for one in written.gates if not isinstance(one, QueryGate)] == [
        *built_in.gates
    ]


def test_a_failure_gate_arrives_with_everything_it_says() -> None:
    """Rates are ratios, and `off` is a word."""
    made = gate(
        f"{{ name: g, {F}, {T}, max: 2%, max_ratio: 3, by: [route, method], regression: off, min_requests: 7, "
        "emergency: { max: 3%, over: 90s, min_requests: 40, min_failures: 2 }, observe: true }"
    )
    assert isinstance(made, FailureGate)
    assert (made.max, made.max_ratio, made.by, made.regression) == (0.02, 3.0, ("route", "method"), OnRegression.OFF)
    assert made.emergency == Emergency(max=0.03, over=timedelta(seconds=90), min_requests=40, min_failures=2)
    assert (made.min_requests, made.observe, made.if_present) == (7, True, False)


def test_a_latency_gate_arrives_with_everything_it_says() -> None:
    """An increase may be more than 100 %."""
    made = gate(f"{{ name: g, {H}, quantile: 0.5, max_increase: 150%, min_requests: 7, observe: true }}")
    assert isinstance(made, LatencyGate)
    assert str(made.histogram) == 'h_bucket{v="$version"}'
    assert (made.quantile, made.max_increase, made.min_requests, made.observe) == (0.5, 1.5, 7, True)


def test_a_query_gate_arrives_with_everything_it_says() -> None:
    """The query is the user's own text, whatever it is; limits are in its own unit."""
    query = 'sum by (a) (rate(x{v="$version", b=~".+"}[5m])) / 2'
    made = gate(f"{{ name: g, query: '{query}', min: -0.5, for: 3, action: rollback, observe: true }}")
    assert isinstance(made, QueryGate)
    assert (made.query, made.max, made.min, made.max_increase) == (query, None, -0.5, None)
    assert (made.scrapes, made.action, made.observe) == (3, OnQuery.ROLL_BACK, True)
    zero, more = gate(f"{{ name: g, {Q}, max: 0 }}"), gate(f"{{ name: g, {Q}, max_increase: 400% }}")
    assert isinstance(zero, QueryGate)
    assert isinstance(more, QueryGate)
    assert (zero.max, more.max_increase) == (0.0, 4.0)


@pytest.mark.parametrize(
    ("text", "where", "what", "hint"),
    [
        # which kind it is
        (f"{F}, {T}, {H}, max: 2%", "gates[0]", "mixes `failures` and `total` with `histogram`", "a gate of each"),
        (f"{H}, {Q}", "gates[0]", "mixes `histogram` with `query`", "a gate of each"),
        ("max: 2%", "gates[0]", "does not say what it looks at", "give it `failures` and `total`, or `histogram`, or"),
        ("quantile: 0.9", "gates[0]", "does not say what", "`quantile` belongs to a gate with `histogram`"),
        ("max_ratio: 2", "gates[0]", "does not say what", "`max_ratio` belongs to a gate with `failures` and `total`"),
        ("quantile: 0.9, max_ratio: 2", "gates[0]", "does not say what it looks at", "belongs to a gate with"),
        (f"{F}, {T}, max: 2%, quantile: 0.9", "gates[0].quantile", "`quantile` belongs to a gate with `histogram`", ""),
        (f"{H}, max: 2%", "gates[0].max", "`max` belongs to a gate with `failures` and `total` or `query`", "leave"),
        (f"{Q}, max: 2, min_requests: 5", "gates[0].min_requests", "`failures` and `total` or `histogram`", "for"),
        (f"{H}, for: 5", "gates[0].for", "`for` belongs to a gate with `query`", ""),
        ("histgram: h, quantile: 0.9", "gates[0].histgram", "unknown key", "did you mean histogram?"),
        ("querry: q, max: 1", "gates[0].querry", "unknown key", "did you mean query?"),
        (f"{Q}, max: 1, scrapes: 5", "gates[0].scrapes", "unknown key", ""),
        (f"{F}, max: 2%", "gates[0].total", "this is missing", "everything the failures are a part of"),
        # a failure rate
        (f"{F}, {T}", "gates[0]", "limits nothing", "max: 2%, max_ratio: 1.5 or both"),
        (f"{F}, {T}, max_ratio: 2, regression: hold", "gates[0].regression", "`regression` needs `max`", "add max"),
        (f"{F}, {T}, max_ratio: 2, emergency: {{ max: 3%, over: 5m }}", "gates[0].emergency", "needs `max`", "add max"),
        (f"{F}, {T}, max: 2%, regression: never", "gates[0].regression", "'rollback', 'hold' or 'off'", ""),
        (f"{F}, {T}, max: 2%, emergency: 3%", "gates[0].emergency", "must be a mapping", ""),
        (f"{F}, {T}, max: 2%, emergency: {{ max: 3% }}", "gates[0].emergency.over", "this is missing", "window"),
        (f"{F}, {T}, max: 2%, emergency: {{ max: 3, over: 5m }}", "gates[0].emergency.max", "write 3%", ""),
        (f"{F}, {T}, max: 2%, emergency: {{ max: 1%, over: 5m }}", "gates[0].emergency.max", "1% is below", "no lower"),
        (f"{F}, {T}, max: 2%, emergency: {{ max: 3%, over: 0s }}", "gates[0].emergency.over", "longer than 0s", "5m"),
        (f"{F}, {T}, max: 2%, emergency: {{ max: 3%, ovr: 5m }}", "gates[0].emergency.ovr", "unknown key", "over?"),
        (f"{F}, {T}, max: 2%, emergency: {{ max: 3%, over: 5m, min_failures: 0 }}", "gates[0].emergency.min_failures",
         "1 or more", ""),
        (f"{F}, {T}, max: 2%, by: route", "gates[0].by", "must be a list", "Labels within"),
        (f"{F}, {T}, max: 2%, by: ['a-b']", "gates[0].by[0]", "not the name of a label", "route"),
        (f"{F}, {T}, max: 2%, by: [route, v]", "gates[0].by[1]", "v tells canary from stable", "such as route"),
        # a latency
        (f"{H}, quantile: 95%", "gates[0].quantile", "a number from 0.5 to below 1", "write 0.95"),
        (f"{H}, quantile: 95", "gates[0].quantile", "a number from 0.5 to below 1", "write 0.95"),
        (f"{H}, quantile: 1", "gates[0].quantile", "a number from 0.5 to below 1", ""),
        (f"{H}, max_increase: 0.3", "gates[0].max_increase", "write 0.3% or 30%", ""),
        (f"{H}, max_increase: 0%", "gates[0].max_increase", "above 0%", ""),
        (f"{H}, max_increase: 1001%", "gates[0].max_increase", "between 0% and 1000%", ""),
        ("histogram: 'histogram_quantile(0.95, h)'", "gates[0].histogram", "this is not a selector", ""),
        ("histogram: 'h_bucket'", "gates[0].histogram", "no label equals $version", ""),
        ("histogram: 'h_bucket{v=\"$version\", le=\"1\"}'", "gates[0].histogram", "all of its buckets", "le out"),
        # a query
        (Q, "gates[0]", "limits nothing", "max: 80, min: 1 or max_increase: 30%"),
        (f"{Q}, max: 80%", "gates[0].max", "a bare number", "the query's own unit"),
        (f"{Q}, max: .inf", "gates[0].max", "a bare number", ""),
        (f"{Q}, min: true", "gates[0].min", "a bare number", ""),
        (f"{Q}, max: 2, min: 1", "gates[0].min", "`max` is already the limit of this query", "keep one"),
        (f"{Q}, max: 2, max_increase: 5%", "gates[0].max_increase", "`max` is already the limit", "keep one"),
        (f"{Q}, max: 2, for: 5m", "gates[0].for", "a whole number", "a number, not a duration"),
        (f"{Q}, max: 2, for: 0", "gates[0].for", "1 or more", ""),
        (f"{Q}, max: 2, action: page", "gates[0].action", "'hold' or 'rollback'", ""),
        ("query: 'up', max: 2", "gates[0].query", "the query lacks $version", 'version="$version"'),
        ("query: 5, max: 2", "gates[0].query", "must be text", "quotes"),
        ("query: 'x{v=\"$version\", a=\"${A}\"}', max: 2", "gates[0].query", "not expanded here", ""),
    ],
)  # fmt: skip
def test_a_gate_that_is_wrong_gets_one_error_at_its_place_with_a_hint(
    text: str, where: str, what: str, hint: str
) -> None:
    """One mistake is one error, and says what to do."""
    (said,) = complaints(f"gates: [{{ name: g, {text} }}]\n")
    assert said.startswith(f"{where}: "), said
    assert what in said
    assert hint in said.partition(" | ")[2]


def test_all_mistakes_of_all_gates_come_at_once() -> None:
    """A mistake in one key hides none in another, of whatever kind the gates are."""
    said = complaints(
        f"""\
gates:
  - {{ name: a, {F}, {T}, max: 5%, by: [v], emergency: {{ max: 1%, over: 5 }}, quantile: 0.9 }}
  - {{ name: a, {H}, quantile: 2, max_increase: 0.3, observe: yes }}
  - {{ name: c, {Q}, for: 5m, action: stop }}
  - {{ name: d, quantile: 3 }}
  - 5
"""
    )
    assert [one.split(": ")[0] for one in said] == [
        "gates[0].by[0]",
        "gates[0].emergency.max",
        "gates[0].emergency.over",
        "gates[0].quantile",
        "gates[1].name",
        "gates[1].quantile",
        "gates[1].max_increase",
        "gates[1].observe",
        "gates[2]",
        "gates[2].for",
        "gates[2].action",
        "gates[3]",
        "gates[3].quantile",
        "gates[4]",
    ]


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (f"{H}", "gates[0].histogram", "the access log knows no histograms"),
        (f"{Q}, max: 1", "gates[0].query", "the access log knows no queries"),
        (
            f"{COUNTED}, max: 2%, by: [route]",
            "gates[0].by[0]",
            "the access log has no label route",
        ),
    ],
)
def test_the_access_log_answers_no_gate_but_one_of_failures(text: str, where: str, what: str) -> None:
    """It is told before anything is started, with what would answer."""
    (said,) = complaints(f"gates: [{{ name: g, {text} }}]\n", ACCESS_LOG)
    assert said.startswith(f"{where}: {what}"), said
    assert " | " in said


def _defaults_of_section(section: type[Section]) -> dict[str, Any]:
    return {name: field.default for name, field in section.model_fields.items() if not field.is_required()}


def _defaults_of_value(value: type[Any]) -> dict[str, Any]:
    return {
        field.name: field.default for field in dataclasses.fields(value) if field.default is not dataclasses.MISSING
    }


@pytest.mark.parametrize(
    ("section", "value", "beside"),
    [
        (FailureSection, FailureGate, {"if_present"}),
        (EmergencySection, Emergency, set()),
        (LatencySection, LatencyGate, {"if_present"}),
        (QuerySection, QueryGate, set()),
        (InstancesSection, InstancesRule, set()),
        (StepSection, Step, set()),
    ],
)
def test_every_default_of_a_section_is_that_of_the_plan(
    section: type[Section], value: type[Any], beside: set[str]
) -> None:
    """Neither side can change alone. What only the built-in policy says has no key."""
    wanted = {name: default for name, default in _defaults_of_value(value).items() if name not in beside}
    written = _defaults_of_section(section)
    # quantile and max_increase have a default on both sides; what the file requires has none on either
    assert written == wanted


def test_every_default_of_the_file_is_that_of_the_plan() -> None:
    """Steps and gates are the policy's; the rest of the plan has one default, in two places."""
    wanted = _defaults_of_value(Plan)
    blind = _defaults_of_section(BlindSection)
    assert (blind["budget"], blind["action"]) == (wanted.pop("blind_budget"), wanted.pop("on_blind"))
    assert File.model_fields["drift"].default == wanted.pop("on_drift")
    assert File.model_fields["instances"].default.model_dump() == dataclasses.asdict(wanted.pop("instances"))
    assert {name: File.model_fields[name].default for name in wanted} == wanted


def test_the_whole_rollout_says_how_it_advances_and_what_its_instances_may_do() -> None:
    """Each top-level key arrives in the plan."""
    plan = read("advance: evidence\nbeta: 2.5%\ninstances: { max_restarts: 0, max_unready: 30s }\n").plan
    assert (plan.advance, plan.beta) == (Advance.EVIDENCE, 0.025)
    assert plan.instances == InstancesRule(max_restarts=0, max_unready=timedelta(seconds=30))
    assert read("").plan.advance is Advance.SOAK


def test_evidence_shortens_no_step_of_testers_nor_the_first_with_users_nor_the_last() -> None:
    """Elsewhere a step lasts five minutes, or its soak where that is less, or what it says itself."""
    steps = """\
steps:
  - { weight: 0, soak: 10m }
  - { weight: 1, soak: 30m }
  - { weight: 5, soak: 15m }
  - { weight: 10, soak: 2m }
  - { weight: 25, soak: 15m, min_soak: 9m }
  - { weight: 100, soak: 30m }
"""
    plan = read("advance: evidence\n" + steps).plan
    assert [step.min_soak and step.min_soak // timedelta(minutes=1) for step in plan.steps] == [
        None, None, 5, 2, 9, None,
    ]  # fmt: skip
    soaked = read(steps.replace(", min_soak: 9m", "")).plan
    assert all(step.min_soak is None for step in soaked.steps)
    built_in = read("advance: evidence\n").plan
    assert [step.weight.percent for step in built_in.steps if step.min_soak is not None] == [5, 10, 25, 50]
    said = read(
        steps.replace("0, soak: 10m", "0, soak: 10m, min_soak: 0s").replace("steps", "advance: evidence\nsteps")
    )
    assert said.plan.steps[0].min_soak == timedelta(0)


_keys = st.sampled_from(sorted({key for kind in KINDS for key in kind.keys} | {"over", "histgram", "x"}))
_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 200),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["2%", "3%", "30%", "5m", "hold", "rollback", "off", 'f{v="$version"}', 'g{v="$version", le="1"}']),
    st.lists(st.sampled_from(["route", "v", "a-b", 5]), max_size=2),
    st.fixed_dictionaries(
        {}, optional={"max": st.sampled_from(["1%", "3%", 3]), "over": st.sampled_from(["5m", "0s", 1])}
    ),
)


@example(gate={"name": "g", "histogram": 'f{v="$version"}', "max_increase": "1000%"})
@example(gate={"name": "g", "query": "$version", "max": 10**400})
@example(gate={"name": "g", "failures": "f", "total": "f", "emergency": {"max": "1%"}})
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(gate=st.dictionaries(_keys, _values, max_size=7))
def test_whatever_a_gate_says_it_is_a_gate_of_the_plan_or_its_mistakes_have_places(gate: dict[str, object]) -> None:
    """The rules say first what the plan would refuse: no mistake is of the whole file, and none is a traceback."""
    text = yaml.safe_dump({"gates": [gate]}, allow_unicode=True)
    try:
        made = read(text)
    except ConfigurationError as caught:
        said = str(caught)
    else:
        said = ""
        assert len(made.plan.gates) == 1
    told = [one for one in said.splitlines() if not one.startswith("  ")]
    assert all(re.match(r"rollout\.yml:\d+:\d+: (gates\[0\]|x|over)", one) for one in told), told
    assert not re.search(r"pydantic|Input should|tuple|NoneType|union|discriminator|Section", said)
    assert not re.search(r"gates\[0\]: (gate '|emergency: )", said), f"only the plan refused it: {said}"


def test_the_schema_tells_the_kinds_apart_and_its_examples_are_right() -> None:
    """An editor offers the keys of each kind and needs those that name it; each example loads as a gate of its kind."""
    made = schema()
    choices = made["properties"]["gates"]["items"]["anyOf"]
    assert [one["$ref"].rpartition("/")[2] for one in choices] == [kind.tag for kind in KINDS]
    for kind, value in zip(KINDS, (FailureGate, LatencyGate, QueryGate), strict=True):
        part = made["$defs"][kind.tag]
        assert set(part["properties"]) == set(kind.keys)
        assert set(part["required"]) == {"name", *kind.named_by}
        assert part["additionalProperties"] is False
        (example_,) = part["examples"]
        (gate_,) = read(yaml.safe_dump({"gates": [example_]})).plan.gates
        assert isinstance(gate_, value)
