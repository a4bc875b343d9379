"""Every mistake in rollout.yml is named at once, with its line, its place and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic_core import ErrorDetails

from rollout.config import parse
from rollout.config.document import Loc, read
from rollout.config.variables import expand
from rollout.config.wording import explain
from rollout.errors import ConfigurationError

TARGET = """\
target:
  nginx:
    include: /etc/nginx/rollout.d/chat.conf
    container: { port: 3210 }
"""
HEAD = "service: chat\nimage: ghcr.io/example/chat\n" + TARGET
METRICS = 'metrics: { prometheus: { url: "http://127.0.0.1:9090" } }\n'
FIRST = (HEAD + METRICS).count("\n") + 1
"""The line of what a test adds."""
F = """failures: 'f{v="$version"}'"""
T = """total: 't{v="$version"}'"""


def complaint(text: str, **env: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, path=Path("rollout.yml"), env=env)
    return str(caught.value)


def added(more: str, **env: str) -> str:
    return complaint(HEAD + METRICS + more, **env)


def test_all_mistakes_come_at_once_in_the_order_of_the_file() -> None:
    """Mistakes of different kinds in different sections, one message."""
    said = complaint(
        """\
service: Chat
enviroment: production
image: ghcr.io/example/chat:v1
target:
  nginx:
    include: relative.conf
    container: { port: 3210, helth: / }
metrics:
  prometheus: { url: "${URL}" }
steps:
  - { weight: 5, soak: 5 }
  - { weight: 3, soak: 5m }
  - { weight: 100, soak: 5m }
gates:
  - { name: g, failures: 'rate(f[5m])', total: 't', max: 0.02 }
"""
    )
    places = re.findall(r"^rollout\.yml:(\d+):(\d+): ([^: ]+):", said, re.MULTILINE)
    assert [(int(line), where) for line, _, where in places] == [
        (1, "service"),
        (2, "enviroment"),
        (3, "image"),
        (6, "target.nginx.include"),
        (7, "target.nginx.container.helth"),
        (9, "metrics.prometheus.url"),
        (11, "steps[0].soak"),
        (12, "steps[1].weight"),
        (15, "gates[0].failures"),
        (15, "gates[0].total"),
        (15, "gates[0].max"),
    ]
    assert all(line.startswith("  ") for line in said.splitlines() if not line.startswith("rollout.yml:"))


@pytest.mark.parametrize(
    ("more", "where", "what", "hint"),
    [
        ("gatse: []", "1:1: gatse", "unknown key", "did you mean gates?"),
        ("colour: red", "1:1: colour", "unknown key", "known: service, environment"),
        ("steps: []", "1:8: steps", "there is no step", "leave `steps` out"),
        ("gates: []", "1:8: gates", "nothing would be judged", "observe: true"),
        ("steps: 5", "1:8: steps", "this must be a list", ""),
        ("steps: [{ weight: 100 }]", "1:9: steps[0].soak", "this is missing", "How long the step lasts"),
        ("steps: [{ wieght: 100, soak: 1m }]", "1:11: steps[0].wieght", "unknown key", "did you mean weight?"),
        ("steps: [{ weight: 50, soak: 1m }]", "1:19: steps[0].weight", "the last weight is 100, not 50", "add a step"),
        ("steps: [{ weight: 101, soak: 1m }]", "1:19: steps[0].weight", "0 to 100 percent, not 101", ""),
        ("steps: [{ weight: -1, soak: 1m }]", "1:19: steps[0].weight", "0 to 100 percent, not -1", ""),
        ("steps: [{ weight: 0.05, soak: 1m }]", "1:19: steps[0].weight", "at most one decimal", "0.1"),
        ("steps: [{ weight: .nan, soak: 1m }]", "1:19: steps[0].weight", "a weight is a number", ""),
        ("steps: [{ weight: 5%, soak: 1m }]", "1:19: steps[0].weight", "without quotes or percent sign", "write 5"),
        ("steps: [{ weight: true, soak: 1m }]", "1:19: steps[0].weight", "a weight is a number", ""),
        ("steps: [{ weight: 100, soak: 30 }]", "1:30: steps[0].soak", "needs a unit: write 30s or 30m", ""),
        ("steps: [{ weight: 100, soak: '30' }]", "1:30: steps[0].soak", "needs a unit", ""),
        ("steps: [{ weight: 100, soak: soon }]", "1:30: steps[0].soak", "not a duration", ""),
        ("steps: [{ weight: 100, soak: 1m, approve: yes }]", "1:43: steps[0].approve", "true or false", ""),
        ("false_rollback: 0.01", "1:17: false_rollback", "has a percent sign: write 0.01% or 1%", ""),
        ("false_rollback: 1", "1:17: false_rollback", "has a percent sign: write 1%", ""),
        ("false_rollback: 0%", "1:17: false_rollback", "above 0% and below 50%", ""),
        ("false_rollback: 101%", "1:17: false_rollback", "between 0% and 100%", ""),
        ("interval: 0s", "1:11: interval", "longer than 0s", "scrape interval"),
        ("blind: { action: explode }", "1:18: blind.action", "'rollback' or 'hold'", ""),
        ("advance: soon", "1:10: advance", "'soak' or 'evidence'", ""),
        ("beta: 0.05", "1:7: beta", "has a percent sign: write 0.05% or 5%", ""),
        ("beta: 50%", "1:7: beta", "above 0% and below 50%", "5% is a good choice"),
        ("instances: { max_restarts: -1 }", "1:28: instances.max_restarts", "0 or more", ""),
        ("instances: { max_restarts: 1.5 }", "1:28: instances.max_restarts", "a whole number", ""),
        ("instances: { max_unready: 60 }", "1:27: instances.max_unready", "write 60s or 60m", ""),
        ("instances: { restarts: 1 }", "1:14: instances.restarts", "unknown key", "did you mean max_restarts?"),
        (
            "steps: [{ weight: 100, soak: 5m, min_soak: 1m }]",
            "1:44: steps[0].min_soak",
            "needs `advance: evid",
            "leave",
        ),
        (
            "advance: evidence\nsteps: [{ weight: 100, soak: 5m, min_soak: 6m }]",
            "2:44: steps[0].min_soak",
            "6m is longer than the soak of 5m",
            "its min_soak at least",
        ),
        ("drift: 5", "1:8: drift", "'hold' or 'restore'", ""),
        ("notify: [nowhere]", "1:10: notify[0]", "not a URL", "${SLACK_WEBHOOK}"),
        ("environment: ''", "1:14: environment", "small letters", ""),
        ("environment: 5", "1:14: environment", "this must be text", "put it in quotes"),
        ("checks: [{ name: x }]", "1:10: checks[0]", "either `http` or `command`", ""),
        ("checks: [{ http: { path: health } }]", "1:26: checks[0].http.path", "starts with one /", ""),
        ("checks: [{ http: { path: /, status: 99 } }]", "1:37: checks[0].http.status", "100 to 599", ""),
        ("checks: [{ command: ls }]", "1:21: checks[0].command", "this must be a list", ""),
        ("checks: [{ command: [] }]", "1:21: checks[0].command", "1 or more", ""),
        ("checks: [{ command: [ls], timeout: 0s }]", "1:36: checks[0].timeout", "longer than 0s", ""),
        ("steps: !!python/object:os.system [x]", "1:8: steps", "tag", "leave the tag out"),
        ("steps: &a [*a]", "1:8: steps[0]", "holds itself", ""),
        ("patience: 1h\npatience: 2h", "2:1: patience", "stands twice, first on line", "keep one"),
        ("steps: ${STEPS}", "1:8: steps", "not expanded here", "under target, metrics, notify only"),
        ("? [a]\n: b", "1:3", "a key is a word", ""),
    ],
)
def test_a_mistake_has_its_place_its_words_and_a_hint(more: str, where: str, what: str, hint: str) -> None:
    """Lines are counted from the added text; the location and the words are those of the file."""
    line, _, rest = where.partition(":")
    said = added(more + "\n")
    head = f"rollout.yml:{FIRST - 1 + int(line)}:{rest}: "
    found = [at for at, one in enumerate(said.splitlines()) if one.startswith(head) and what in one]
    assert found, said
    below = said.splitlines()[found[0] + 1 : found[0] + 2]
    assert hint in "".join(below), said


@pytest.mark.parametrize(
    ("gate", "where", "what"),
    [
        (f"{{ name: g, {F}, {T} }}", "gates[0]", "limits nothing"),
        (f"{{ name: g, {F}, {T}, max: null }}", "gates[0]", "limits nothing"),
        (f"{{ name: g, {F}, {T}, max: 2 }}", "gates[0].max", "write 2%"),
        (f"{{ name: g, {F}, {T}, max: 100% }}", "gates[0].max", "below 100%"),
        (f"{{ name: g, {F}, {T}, max_ratio: 0.9 }}", "gates[0].max_ratio", "1 or more"),
        (f"{{ name: g, {F}, {T}, max_ratio: 2x }}", "gates[0].max_ratio", "a number"),
        (f"{{ name: g, {F}, {T}, max: 2%, min_requests: 0 }}", "gates[0].min_requests", "1 or more"),
        (f"{{ name: g, failures: 'f{{', {T}, max: 2% }}", "gates[0].failures", "this is not a selector"),
        (f"{{ name: g, failures: 'f{{v!=\"$version\"}}', {T}, max: 2% }}", "gates[0].failures", "$version"),
        (f"{{ name: g, {F.replace('f{', 't{')}, {T}, max: 2% }}", "gates[0].failures", "the same counter as total"),
        (f"{{ name: g, {F}, {T.replace('$', '${X}$')}, max: 2% }}", "gates[0].total", "not expanded here"),
        (f"{{ name: ' ', {F}, {T}, max: 2% }}", "gates[0].name", ""),
    ],
)
def test_a_gate_that_is_wrong_is_named(gate: str, where: str, what: str) -> None:
    """A gate's mistakes are found one by one."""
    said = added(f"gates:\n  - {gate}\n")
    assert re.search(rf"^rollout\.yml:{FIRST + 1}:\d+: {re.escape(where)}: .*{re.escape(what)}", said, re.MULTILINE), (
        said
    )


def test_two_gates_or_two_checks_of_one_name_are_told_apart() -> None:
    """The second one is the mistake."""
    gate = f"{{ name: g, {F}, {T}, max: 2% }}"
    assert "gates[1].name: another gate has this name" in added(f"gates: [{gate}, {gate}]\n")
    check = "{ name: c, command: [ls] }"
    assert "checks[1].name: another check has this name" in added(f"checks: [{check}, {check}]\n")


@pytest.mark.parametrize(
    ("image", "what"),
    [
        ("ghcr.io/example/chat:v1", "the release supplies the tag"),
        ("localhost:5000/chat:v1", "the release supplies the tag"),
        (f"chat@sha256:{'0' * 64}", "the release supplies the digest"),
        ("Chat", "in small letters"),
        ("https://ghcr.io/x", "not the name of an image's repository"),
        ("-x", "not the name of an image's repository"),
        ("a/../b", "not the name of an image's repository"),
    ],
)
def test_an_image_is_a_repository_and_nothing_more(image: str, what: str) -> None:
    """The tag and the digest come with the release."""
    assert what in complaint((HEAD + METRICS).replace("ghcr.io/example/chat", image))


@pytest.mark.parametrize("image", ["chat", "example/chat", "127.0.0.1:5000/a/b_c", "ghcr.io/a--b/c.d"])
def test_a_registry_with_a_port_is_no_tag(image: str) -> None:
    """Repositories as registries accept them."""
    made = parse((HEAD + METRICS).replace("ghcr.io/example/chat", image), path=Path("x"), env={})
    assert made.image == image


def test_targets_and_sources_are_known_by_name() -> None:
    """An unknown one gets the nearest name or the list, two are one too many, none is one too few."""
    assert "target.ngnix: unknown target\n  did you mean nginx?" in complaint(
        HEAD.replace("nginx:", "ngnix:") + METRICS
    )
    assert "metrics.graphite: unknown source\n  known: prometheus, access_log" in complaint(
        HEAD + "metrics: { graphite: {} }\n"
    )
    two = HEAD + "  kubernetes: { deployment: chat, service: chat, route: chat }\n" + METRICS
    assert "target.kubernetes: nginx is already the target" in complaint(two)
    both = complaint(HEAD + "metrics:\n  access_log:\n  prometheus: { url: 'http://x' }\n")
    assert "metrics.prometheus: access_log is already the metrics" in both
    assert "metrics: no metrics is named" in complaint(HEAD + "metrics: {}\n")
    assert "rollout.yml:1:1: target: this is missing" in complaint(METRICS)


def test_the_access_log_is_asked_only_for_what_it_knows() -> None:
    """A label it has not would match nothing, and a canary that fails would look well."""
    gate = "{{ name: g, failures: '{0}', total: 'http_requests_total{{version=\"$version\"}}', max: 2% }}"
    log = HEAD + "metrics: { access_log: {} }\ngates:\n  - "
    assert "the access log knows no llm_total" in complaint(log + gate.format('llm_total{version="$version"}'))
    assert "the access log has no label status" in complaint(
        log + gate.format('http_requests_total{version="$version", status=~"5.."}')
    )


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("", "1:1", "the file is empty"),
        ("# nothing\n", "1:1", "the file is empty"),
        ("- a\n", "1:1", "must be a mapping"),
        ("a: 1\n\tb: 2\n", "2:1", "spaces"),
        ("a: [1\nb: 2\n", "2:2", "this is not YAML"),
        ("a: b: c\n", "1:5", "quotes"),
        ("a: 1\n---\nb: 2\n", "2:1", "one file holds one rollout"),
        ("a: \x07\n", "1:4", "a character that YAML does not allow"),
        ("a: *nobody\n", "1:4", "undefined alias"),
        ("[" * 20_000, "1:1", "nested too deeply"),
        ("x" * 300_000, "1:1", "larger than"),
    ],
)
def test_what_is_no_yaml_is_pointed_at(text: str, place: str, what: str) -> None:
    """One mistake, and never a traceback."""
    said = complaint(text)
    assert said.startswith(f"rollout.yml:{place}: "), said
    assert what in said


@pytest.mark.parametrize("how", ["[{0}]", "{{ <<: [{0}] }}"])
def test_a_few_lines_of_aliases_cannot_fill_the_memory(how: str) -> None:
    """Nine levels of nine aliases stand for hundreds of millions of values."""
    levels = "a0: &a0 { k: v }\n" + "".join(
        f"a{n}: &a{n} " + how.format(", ".join([f"*a{n - 1}"] * 9)) + "\n" for n in range(1, 10)
    )
    assert "once its aliases are followed" in complaint(levels)


def test_a_variable_that_is_unset_or_empty_is_one_mistake() -> None:
    """What is left of the text is not checked as well."""
    text = HEAD + 'metrics: { prometheus: { url: "${URL}", bearer_token: "${TOKEN}" } }\n'
    said = complaint(text, URL="")
    assert "metrics.prometheus.url: the variable URL is empty" in said
    assert "metrics.prometheus.bearer_token: the variable TOKEN is not set" in said
    assert sum(line.startswith("rollout.yml") for line in said.splitlines()) == 2
    assert "names no variable" in added('notify: ["https://x/${}"]')
    assert "names no variable" in added('notify: ["https://x/${A"]', A="x")


@given(secret=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=8, max_size=40))
def test_what_a_variable_holds_is_in_no_message(secret: str) -> None:
    """Wherever it is put and whatever is wrong with it, no five characters of it come back."""
    text = """\
service: chat
image: example/chat
target:
  nginx:
    include: "${V}"
    listen: "${V}"
    server_name: "${V}"
    njs: "${V}"
    container: { port: "${V}", cpus: "${V}", health: "${V}", volumes: ["${V}"], ports: "${V}",
      health_timeout: "${V}", socket: "${V}" }
    sticky: "${V}"
    testers: { key: "${V}", domain: "${V}", "x": "${V}" }
metrics:
  prometheus: { url: "${V}", timeout: "${V}", verify: 5, headers: { A: "${V}" } }
notify: ["${V}"]
false_rollback: 0%
"""
    known = complaint(text, V="\u0001\u0002\u0003\u0004\u0005\u0006\u0007\u0008")
    said = complaint(text, V=secret)
    for at in range(len(secret) - 4):
        piece = secret[at : at + 5]
        assert piece not in said or piece in known


def test_a_refusal_may_quote_a_variable_neither_at_its_place_nor_around_it() -> None:
    """A validator's own sentence is left out where the value is from a variable, and where it shows a part of one."""
    document = read(HEAD.replace("3210", '"${PORT}"') + 'metrics: { access_log: { path: "${LOG}" } }\n')
    expanded = expand(document, {"PORT": "hunter22", "LOG": "/x"})
    places: tuple[tuple[Loc, str], ...] = (
        (("target", "nginx", "container", "port"), "the value of its variable is not accepted here"),
        (("target", "nginx"), "the values here do not go together"),
        (("metrics", "access_log"), "no unter"),
    )
    for loc, message in places:
        error: ErrorDetails = {
            "type": "value_error", "loc": loc, "msg": "", "input": None, "ctx": {"error": ValueError("no unter")},
        }  # fmt: skip
        (mistake,) = explain([error], document=document, expanded=expanded)
        assert mistake.message == message
    assert "hunter" not in repr(expanded)


def test_no_word_of_the_library_comes_through() -> None:
    """Plain words for wrong types everywhere: every value of a full file is replaced by each wrong kind in turn."""
    for wrong in ("5", "1.5", "true", "null", "x", "[]", "[1]", "{}", "{ a: b }", "2026-01-01", "''"):
        for key in (
            "service",
            "image",
            "target",
            "metrics",
            "steps",
            "gates",
            "interval",
            "advance",
            "beta",
            "instances",
            "blind",
            "drift",
            "checks",
            "notify",
        ):
            text = "".join(f"{one}: {wrong}\n" for one in [key])
            said = complaint(text)
            assert not re.search(r"pydantic|Input should|dictionary|instance of|tuple|NoneType|_type", said), said


_plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 200)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["5m", "2%", "f{v='$version'}"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "weight",
                    "soak",
                    "approve",
                    "name",
                    "failures",
                    "total",
                    "max",
                    "max_ratio",
                    "histogram",
                    "query",
                    "emergency",
                    "min_soak",
                    "max_unready",
                    "http",
                    "path",
                    "command",
                ]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    key=st.sampled_from(
        [
            "steps",
            "gates",
            "checks",
            "blind",
            "notify",
            "target",
            "metrics",
            "interval",
            "service",
            "advance",
            "instances",
        ]
    ),
    value=_plain,
)
def test_whatever_is_written_the_answer_is_a_configuration_or_its_mistakes(key: str, value: object) -> None:
    """No other exception ever leaves the reader."""
    text = (HEAD + METRICS if key not in ("target", "metrics", "service") else "image: a/b\n") + yaml.safe_dump(
        {key: value}
    )
    said = "rollout.yml:"
    try:
        parse(text, path=Path("rollout.yml"), env={})
    except ConfigurationError as wrong:
        said = str(wrong)
    assert said.startswith("rollout.yml:")


@example(weights=[5, 5, 100])
@example(weights=[5, 100, 100])
@example(weights=[0, 99.9, 100])
@given(weights=st.lists(st.integers(-1, 1002).map(lambda tenths: tenths / 10), min_size=1, max_size=5))
def test_the_rules_of_the_plan_are_all_located(weights: list[float]) -> None:
    """Weights are accepted just where the plan accepts them, and refused at their own lines."""
    good = all(0 <= weight <= 100 for weight in weights) and weights[-1] == 100 and weights == sorted(set(weights))
    more = "steps:\n" + "".join(f"  - {{ weight: {weight}, soak: 1m }}\n" for weight in weights)
    if good:
        parse(HEAD + METRICS + more, path=Path("x"), env={})
    else:
        said = added(more)
        assert all(re.match(r"rollout\.yml:\d+:15: steps\[\d\]\.weight: ", line) for line in said.splitlines()[::2]), (
            said
        )


def test_waves_are_clusters_that_a_target_must_have() -> None:
    assert "waves: waves are clusters, and this target has none" in added("waves: [{ name: eu }, { name: us }]\n")
    cluster = (
        HEAD.partition("target:")[0] + "target: { kubernetes: { deployment: chat, service: chat, route: chat } }\n"
    )
    twice = complaint(cluster + METRICS + "waves: [{ name: eu }, { name: eu }]\n")
    assert "waves[1].name: another wave has this name" in twice
    close = "steps: [{ weight: 1, soak: 5m }, { weight: 1.1, soak: 5m }, { weight: 100, soak: 5m }]\n"
    said = complaint(cluster + METRICS + close + "waves: [{ name: eu }, { name: us }]\n")
    assert "with 2 waves, weights must lie 0.2 apart" in said


def test_the_access_log_is_that_of_the_nginx_target() -> None:
    cluster = (
        HEAD.partition("target:")[0] + "target: { kubernetes: { deployment: chat, service: chat, route: chat } }\n"
    )
    assert "only the nginx target writes an access log" in complaint(cluster + "metrics: { access_log: {} }\n")
