"""A selector is read, rendered and matched as Prometheus would, and nothing else is one."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollout.core.selector import Matcher, NotASelector, Operator, Selector, parse

METRICS = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]*", fullmatch=True)
LABELS = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]*", fullmatch=True)
EXACT: tuple[Operator, ...] = ("=", "!=")
BY_PATTERN: tuple[Operator, ...] = ("=~", "!~")
PATTERNS = st.one_of(
    st.sampled_from(["5..", "", "a|b", ".*", r"\d+\.\d", "$version-.+", '[^"]"']), st.text().map(re.escape)
)
MATCHERS = st.one_of(
    st.builds(Matcher, label=LABELS, operator=st.sampled_from(EXACT), value=st.text()),
    st.builds(Matcher, label=LABELS, operator=st.sampled_from(BY_PATTERN), value=PATTERNS),
)
SELECTORS = st.builds(Selector, metric=METRICS, matchers=st.lists(MATCHERS, max_size=4).map(tuple))


@given(SELECTORS)
@example(Selector(metric="a", matchers=(Matcher(label="b", operator="=", value='\\"} or up{x="\n\r\t\\n'),)))
def test_what_is_rendered_reads_back_the_same(selector: Selector) -> None:
    """Whatever the values are: quotes, backslashes, line ends, braces, text in any script."""
    assert parse(str(selector)) == selector


@given(SELECTORS)
def test_what_is_rendered_is_one_line(selector: Selector) -> None:
    """No value can end the line it stands in."""
    assert "\n" not in str(selector)


@given(st.text(alphabet=st.sampled_from("ab{}=~!\",'\\ n$1-\n")))
def test_any_text_is_a_selector_or_is_refused(text: str) -> None:
    """No text makes the reader fail in another way, and what it accepts survives another round."""
    try:
        selector = parse(text)
    except NotASelector:
        return
    assert parse(str(selector)) == selector


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("up", "up{}"),
        (" up { } ", "up{}"),
        ('up{a="b",}', 'up{a="b"}'),
        ("up{a='b\"c'}", 'up{a="b\\"c"}'),
        ('up{a="b", c=~"5..", d!="", e!~"x|y"}', 'up{a="b", c=~"5..", d!="", e!~"x|y"}'),
        ('job:http:rate{ a = "\\t\\\\n" }', 'job:http:rate{a="\t\\\\n"}'),
    ],
)
def test_the_forms_that_people_write_are_read(text: str, rendered: str) -> None:
    """Space, both quotes, a comma at the end, escapes."""
    assert str(parse(text)) == rendered


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected a metric name at character 1: the text ends"),
        ('{a="b"}', "expected a metric name at character 1"),
        ("rate(up[5m])", "expected the end at character 5: '(up[5m])' (a gate takes raw counters"),
        ("up[5m]", "a gate takes raw counters"),
        ('up{a="b"} offset 5m', "expected the end at character 11"),
        ("up{", "expected a label name or '}' at character 4: the text ends"),
        ("up{,}", "expected a label name"),
        ("up{a}", "expected =, !=, =~ or !~ at character 5"),
        ("up{a==b}", "expected a quoted value at character 6"),
        ("up{a=b}", "expected a quoted value"),
        ('up{a="b}', "expected a quoted value"),
        ('up{a="b" c="d"}', "expected ',' or '}' at character 10"),
        ('up{a="\\x"}', "unknown escape \\x"),
        ('up{a=~"("}', "the pattern of a is not one"),
        ('up{a="b"} or up', "expected the end"),
        ('up{a="\n"}', "expected a quoted value"),
    ],
)
def test_what_is_no_selector_is_refused_at_its_place(text: str, sentence: str) -> None:
    """The message says where it stops being one."""
    with pytest.raises(NotASelector) as refusal:
        parse(text)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "labels", "selected"),
    [
        ('hits{a="b"}', {"a": "b", "c": "d"}, True),
        ('hits{a="b"}', {"a": "bb"}, False),
        ('hits{a=""}', {}, True),
        ('hits{a!="b"}', {}, True),
        ('hits{a!="b"}', {"a": "b"}, False),
        ('hits{a=~"5.."}', {"a": "503"}, True),
        ('hits{a=~"5.."}', {"a": "5030"}, False),
        ('hits{a=~"x|y"}', {"a": "y"}, True),
        ('hits{a!~"x|y"}', {"a": "xy"}, True),
        ('hits{a!~".+"}', {}, True),
        ('hits{a="b", c="d"}', {"a": "b"}, False),
        ("hits", {"anything": "at all"}, True),
    ],
)
def test_matching_is_that_of_prometheus(text: str, labels: dict[str, str], selected: bool) -> None:
    """Patterns match whole values, and an absent label is an empty one."""
    selector = parse(text)
    assert selector.matches("hits", labels) is selected
    assert selector.matches("misses", labels) is False


def test_the_version_is_put_in_as_a_value() -> None:
    """In a pattern it is escaped, so a version cannot widen it; elsewhere it stands as it is."""
    selector = parse('hits{v="$version", role=~"$version-[0-9]+", x!="$version"}')
    assert selector.names_version
    assert str(selector.of("a.b")) == 'hits{v="a.b", role=~"a\\\\.b-[0-9]+", x!="a.b"}'
    assert not parse('hits{v="version"}').names_version


@given(st.text(), st.text())
def test_a_version_selects_itself_and_nothing_else(version: str, other: str) -> None:
    """`=` and `=~` agree on any version, also one that looks like a pattern."""
    for text in ('hits{v="$version"}', 'hits{v=~"$version"}'):
        selector = parse(text).of(version)
        assert selector.matches("hits", {"v": version})
        assert selector.matches("hits", {"v": other}) is (version == other)
