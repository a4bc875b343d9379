"""The nginx file holds exactly what it should, and no text from outside can say anything else in it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rollout.core.plan import Weight
from rollout.targets.nginx.render import read_head, render, render_script
from rollout.targets.nginx.settings import NginxSettings
from rollout.targets.nginx.values import Backend, Gateway, Override, probe_addresses

GOLDEN: Final = Path(__file__).parent / "golden"
TODAY: Final = date(2026, 11, 22)
KEY: Final = "a key that nobody should read"
HOSTILE: Final = ("x; }", 'x"', "x'", "$host", "x\ny", "x y", "{", "#", "\\", "x\0", "../x", "ä", "")


def gateway(**changes: Any) -> Gateway:  # noqa: ANN401  # the fields of a dataclass, checked by it
    """A gateway with both versions."""
    fields: dict[str, Any] = {
        "service": "chat",
        "environment": "production",
        "listen": ("127.0.0.1:8080",),
        "server_name": ("chat.example.com",),
        "stable": Backend(port=21000, rollout="r1", tag="v1.0.0"),
        "canary": Backend(port=21001, rollout="r2", tag="v1.1.0"),
        "rollout": "r2",
        "secret": "0123456789abcdef" * 2,
        "cookie": "chat_uid",
        "cookie_age": timedelta(days=30),
        "testers": None,
        "access_log": "/var/log/nginx/rollout-chat.json",
        "script_file": "/var/lib/rollout/chat-production/gateway/rollout-7.js",
        "weight_file": "/var/lib/rollout/chat-production/gateway/weight",
        "read_timeout": timedelta(minutes=5),
        "max_body": "100m",
        "njs": True,
    }
    return Gateway(**(fields | changes))


TESTERS: Final = Override(key=KEY, cookie="chat_version", domain="beta.chat.example.com")


def golden(name: str, text: str) -> None:
    """Compare with the file, or write it where GOLDEN_UPDATE is set."""
    path = GOLDEN / name
    if os.environ.get("GOLDEN_UPDATE"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_the_file_with_njs_is_as_it_was_reviewed() -> None:
    """GOLDEN_UPDATE=1 writes it anew after a change that was meant."""
    one = gateway(testers=TESTERS)
    golden("njs.conf", render(one, generation=7, today=TODAY))
    golden("njs.js", render_script(one, generation=7))


def test_the_file_without_njs_is_as_it_was_reviewed() -> None:
    """The weight stands in it."""
    golden("reload.conf", render(gateway(njs=False), generation=7, weight=Weight(1.2), today=TODAY))


def test_the_key_of_the_testers_is_in_no_file_that_nginx_prints() -> None:
    """It stands in the script only, which has rights of its own, and in no repr."""
    for njs in (True, False):
        one = gateway(testers=TESTERS, njs=njs)
        assert KEY not in render(one, generation=7, today=TODAY)
        assert KEY not in repr(one)
    assert KEY in render_script(gateway(testers=TESTERS), generation=7)


@given(permille=st.integers(0, 1000), njs=st.booleans(), generation=st.integers(0, 10**15 - 1))
def test_the_first_line_tells_generation_weight_and_mode(permille: int, njs: bool, generation: int) -> None:
    """So that the next call knows what stands there."""
    weight = Weight(permille / 10)
    head = read_head(render(gateway(njs=njs), generation=generation, weight=weight, today=TODAY))
    assert head is not None
    assert (head.generation, head.weight, head.njs) == (generation, weight, njs)


@given(permille=st.integers(0, 1000))
def test_the_parts_of_the_split_are_the_weight(permille: int) -> None:
    """So many thousandths go to the canary, and the rest goes somewhere: to stable, but at 100 %."""
    text = render(gateway(njs=False), generation=1, weight=Weight(permille / 10), today=TODAY)
    assert text.count("0.1% canary;") == min(permille, 999)
    assert ("    * canary;" if permille == 1000 else "    * stable;") in text


FIELDS: Final = ("service", "environment", "rollout", "secret", "cookie", "access_log", "script_file", "max_body")


@pytest.mark.parametrize("field", FIELDS)
@given(text=st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20)))
def test_no_text_can_break_out_of_its_place(field: str, text: str) -> None:
    """A text is refused, or it is so plain that the file has the same directives as with a harmless one."""
    try:
        one = gateway(**{field: text})
    except ValueError:
        return
    assert re.fullmatch(r"[A-Za-z0-9_./@+-]+", text)
    ours = _directives(render(one, generation=1, today=TODAY))
    assert ours == _directives(render(gateway(), generation=1, today=TODAY))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_refused_wherever_it_could_stand(text: str) -> None:
    """In lists, in backends and in what testers use as well."""
    builds: list[Callable[[], object]] = [
        lambda: gateway(listen=(text,)),
        lambda: gateway(server_name=(text,)),
        lambda: Backend(port=1, rollout=text, tag="v1"),
        lambda: Backend(port=1, rollout="r", tag=text),
        lambda: Override(key="k", cookie=text),
        lambda: Override(key="k", header=text),
        lambda: Override(key="k", domain=text),
    ]
    for build in builds:
        with pytest.raises(ValueError, match="is not"):
            build()


@given(key=st.text(max_size=60))
def test_a_key_of_any_text_is_one_literal_of_the_script(key: str) -> None:
    """JSON is the escape, and it ends where it should."""
    text = render_script(gateway(testers=Override(key=key)), generation=1)
    settings = text[text.index("{\n") : text.index("\n};") + 2]
    assert json.loads(settings)["key"] == key
    assert text.count("\n") == render_script(gateway(testers=TESTERS), generation=1).count("\n")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "place", ["include", "listen", "server_name", "nginx_config", "access_log", "state", "max_body"]
)
def test_settings_refuse_hostile_text(place: str, text: str) -> None:
    """Before anything is done with it."""
    if place == "include":
        text = f"/etc/{text}.conf" if text else text
    if text == "#" and place == "include":
        text = "/etc/#.conf"
    with pytest.raises(ValidationError):
        NginxSettings.model_validate(
            {"include": "/etc/nginx/rollout.d/chat.conf", "container": {"port": 80}, place: text}
        )


@pytest.mark.parametrize(
    ("listen", "where"),
    [
        ("80", ("127.0.0.1", 80)),
        ("0.0.0.0:80", ("127.0.0.1", 80)),
        ("*:81", ("127.0.0.1", 81)),
        ("192.0.2.1:8080", ("192.0.2.1", 8080)),
        ("[::]:80", ("::1", 80)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_the_gateway_is_asked_where_it_listens(listen: str, where: tuple[str, int]) -> None:
    """Every address stands for the loopback one."""
    assert probe_addresses((listen,)) == (where,)


def test_services_and_environments_never_share_a_name() -> None:
    """`a-b` in `c` and `a` in `b-c` are two."""
    assert gateway(service="a-b", environment="c").prefix != gateway(service="a", environment="b-c").prefix


def _directives(text: str) -> list[str]:
    """The first word of every statement, without the names that are made of the service."""
    plain = re.sub(r"\"[^\"]*\"|'[^']*'", "S", re.sub(r"#.*", "", text))
    words = [statement.split() for statement in re.split(r"[;{}]", plain)]
    return [re.sub(r"rollout_\w+__\w+", "R", statement[0]) for statement in words if statement]
