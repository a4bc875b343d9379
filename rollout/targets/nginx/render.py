"""The nginx file that splits the traffic, as a pure function of a value that cannot be built wrong.

No text reaches the file that a strict pattern has not passed, so nothing can end a directive or a string. The same
user falls into the same thousandth with and without njs: both modes cut the hash of nginx's own `split_clients` at the
same places (a thousand parts of 0.1 %, whose rounding adds up as in ngx_http_split_clients_module.c).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from rollout.core.plan import NOTHING, Weight
from rollout.targets.nginx.script import script
from rollout.targets.nginx.tokens import LONGEST, valid_tokens
from rollout.targets.nginx.values import Gateway, probe_addresses

_HEAD: Final = re.compile(r"# rollout: generation ([0-9]{1,15}), weight ([0-9]{1,4})/1000, (njs|reload)\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What the first line of a file says."""

    generation: int
    weight: Weight
    """The weight the file itself sets; with njs the weight file of the same generation overrides it."""
    njs: bool


def read_head(text: str) -> Head | None:
    """What the first line of a file of ours says; None where the file is not one."""
    found = _HEAD.match(text)
    if found is None or int(found[2]) > 1000:
        return None
    return Head(generation=int(found[1]), weight=Weight(int(found[2]) / 10), njs=found[3] == "njs")


def render(gateway: Gateway, *, generation: int, weight: Weight = NOTHING, today: date) -> str:
    """The text of the include file, for the `http` block. `today` dates the tokens that are listed without njs."""
    mode = "njs" if gateway.njs else "reload"
    parts: list[Iterable[str]] = [
        [
            f"# rollout: generation {generation}, weight {weight.permille}/1000, {mode}",
            "# Written by rollout for the http block. Changes by hand are lost.",
        ],
        _upstreams(gateway),
        _identity(gateway),
        _split(gateway, weight),
        _testers(gateway, today),
        _version(gateway),
        _log(gateway),
        _server(gateway, generation, weight),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def render_script(gateway: Gateway, *, generation: int, weight: Weight = NOTHING) -> str:
    """The text of the njs script. It holds the testers' key: only the master process, which is root, may read it."""
    return script(
        {
            "prefix": gateway.prefix,
            "service": gateway.service,
            "weight_file": gateway.weight_file,
            "weight": weight.permille,
            "generation": generation,
            "key": gateway.testers.key if gateway.testers else "",
            "longest": LONGEST.days,
            "status": _status(gateway, generation),
        }
    )


def _map(source: str, target: str, cases: Iterable[tuple[str, str]]) -> list[str]:
    return [f"map {source} ${target} {{", *(f"    {case} {value};" for case, value in cases), "}"]


def _status(gateway: Gateway, generation: int) -> dict[str, object]:
    return {
        "rollout": gateway.rollout,
        "generation": generation,
        "stable": gateway.stable.rollout if gateway.stable else None,
        "canary": gateway.canary.rollout if gateway.canary else None,
    }


def _upstreams(gateway: Gateway) -> Iterator[str]:
    prefix = gateway.prefix
    if gateway.stable:
        yield f"upstream {prefix}_stable {{"
        yield f"    server 127.0.0.1:{gateway.stable.port} max_fails=0;"
        yield "    keepalive 32;"
        yield "}"
    if gateway.canary:
        yield f"upstream {prefix}_canary {{"
        yield f"    server 127.0.0.1:{gateway.canary.port} max_fails=0;"
        if gateway.stable:
            yield f"    server 127.0.0.1:{gateway.stable.port} backup max_fails=0;  # answers where the canary is dead"
        yield "    keepalive 32;"
        yield "}"
    host, port = probe_addresses(gateway.listen)[0]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    yield f"upstream {gateway.upstream} {{  # for a TLS server of your own: proxy_pass http://{gateway.upstream};"
    yield f"    server {address};"
    yield "    keepalive 32;"
    yield "}"


def _identity(gateway: Gateway) -> Iterator[str]:
    p = gateway.prefix
    age = int(gateway.cookie_age.total_seconds())
    yield from _map(
        f"$cookie_{gateway.cookie}", f"{p}_key", [("default", f"$cookie_{gateway.cookie}"), ('""', "$request_id")]
    )
    believed = "$http_x_forwarded_proto" if gateway.on_loopback else '""'
    yield from _map(believed, f"{p}_scheme", [("default", "$scheme"), ("https", "https"), ("http", "http")])
    yield from _map(f"${p}_scheme", f"{p}_secure", [("default", '""'), ("https", '"; Secure"')])
    new = f'"{gateway.cookie}=$request_id; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax${p}_secure"'
    yield from _map(f"$cookie_{gateway.cookie}", f"{p}_set_cookie", [("default", '""'), ('""', new)])


def _split(gateway: Gateway, weight: Weight) -> Iterator[str]:
    p = gateway.prefix
    key = f'"{gateway.rollout}:${{{p}_key}}"'
    if gateway.njs:
        yield f"js_import {p} from {gateway.script_file};"
        yield f"js_set ${p}_split {p}.split;"
        yield f"split_clients {key} ${p}_bucket {{"
        yield from _thousandths(str(n) for n in range(999))
        yield "    * 999;"
    else:
        yield f"split_clients {key} ${p}_split {{"
        yield from _thousandths("canary" for _ in range(min(weight.permille, 999)))
        yield f"    * {'canary' if weight.permille == 1000 else 'stable'};"
    yield "}"


def _thousandths(values: Iterable[str]) -> Iterator[str]:
    cells = [f"0.1% {value};" for value in values]
    for at in range(0, len(cells), 10):
        yield "    " + " ".join(cells[at : at + 10])


def _testers(gateway: Gateway, today: date) -> list[str]:
    testers, p = gateway.testers, gateway.prefix
    if testers is None:
        return []
    header = "$http_" + testers.header.lower().replace("-", "_")
    cookie = f"$cookie_{testers.cookie}" if testers.cookie else '""'
    lines = _map(header, f"{p}_token", [("default", header), ('""', cookie)])
    lines += _map(header, f"{p}_token_from", [("default", "header"), ('""', "cookie")])
    lines += (
        [f"js_set ${p}_token_version {p}.token;"] if gateway.njs else _listed(p, gateway.service, testers.key, today)
    )
    lines += _map(
        "$host", f"{p}_by_domain", [("default", '""'), *([(testers.domain, "canary")] if testers.domain else [])]
    )
    forced = [(f'"~^{v}:{by}:"', f'"{v}:{by}"') for v in ("canary", "stable") for by in ("cookie", "header")]
    lines += _map(
        f'"${p}_token_version:${p}_token_from:${p}_by_domain"',
        f"{p}_forced",
        [("default", '""'), *forced, ('"~^:[a-z]+:canary$"', '"canary:domain"')],
    )
    return lines


def _listed(prefix: str, service: str, key: str, today: date) -> list[str]:
    """The tokens as a list. Days ahead are counted in x: a token whose count begins with today's has not expired."""
    tokens = [
        (f'"~^{re.escape(token)}$"', f'"{version}:{"x" * (expires - today).days}"')
        for version, expires, token in valid_tokens(key, service=service, today=today)
    ]
    days = [(f'"~^{today + timedelta(days=n)}T"', f'"{"x" * n}"') for n in range(LONGEST.days + 1)]
    return [
        *_map(f"${prefix}_token", f"{prefix}_token_life", [("default", '"-"'), *tokens]),
        *_map("$time_iso8601", f"{prefix}_today", [("default", '"-"'), *days]),
        *_map(
            f'"${prefix}_today;${prefix}_token_life"',
            f"{prefix}_token_version",
            [("default", '""'), *((f'"~^(x*);{v}:\\1"', v) for v in ("canary", "stable"))],
        ),
    ]


def _version(gateway: Gateway) -> Iterator[str]:
    p = gateway.prefix
    stable = "stable" if gateway.stable else "none"
    forced = f"${p}_forced" if gateway.testers else '""'
    if gateway.canary:
        yield from _map(f"${p}_split", f"{p}_share", [("default", stable), ("canary", "canary")])
        yield from _map(
            forced, f"{p}_version", [("default", f"${p}_share"), ('"~^canary:"', "canary"), ('"~^stable:"', stable)]
        )
        reasons = [(f'"~:{by}$"', by) for by in ("cookie", "header", "domain")]
        yield from _map(forced, f"{p}_why", [("default", "split"), *reasons])
        release = [("canary", f'"{gateway.canary.tag}"')]
    else:
        yield from _map('""', f"{p}_version", [("default", stable)])
        yield from _map('""', f"{p}_why", [("default", "stable")])
        release = []
    if gateway.stable:
        release.append(("stable", f'"{gateway.stable.tag}"'))
    yield from _map(f"${p}_version", f"{p}_release", [("default", '""'), *release])


def _log(gateway: Gateway) -> Iterator[str]:
    p = gateway.prefix
    fields = (
        ("ts", "$msec"),
        ("id", '"$request_id"'),
        ("service", f'"{gateway.service}"'),
        ("version", f'"${p}_version"'),
        ("why", f'"${p}_why"'),
        ("release", f'"${p}_release"'),
        ("status", f"${p}_status"),
        ("upstream_status", '"$upstream_status"'),
        ("upstream_addr", '"$upstream_addr"'),
        ("rt", "$request_time"),
        ("urt", '"$upstream_response_time"'),
        ("method", '"$request_method"'),
        ("uri", '"$uri"'),
    )
    yield from _map("$status", f"{p}_status", [("default", "$status"), ('"~^0"', "0")])  # 000 is not a JSON number
    yield f"log_format {p} escape=json '{{" + ",".join(f'"{name}":{value}' for name, value in fields) + "}';"


def _server(gateway: Gateway, generation: int, weight: Weight) -> Iterator[str]:
    p = gateway.prefix
    names = [*gateway.server_name, gateway.status_host]
    if gateway.testers and gateway.testers.domain and gateway.testers.domain not in names:
        names.insert(0, gateway.testers.domain)
    default = " default_server" if "_" in gateway.server_name else ""
    yield from _map("$http_upgrade", f"{p}_connection", [("default", "upgrade"), ('""', '""')])
    yield from _map("$http_host", f"{p}_host", [("default", "$http_host"), ('""', "$host")])
    yield "server {"
    yield from (f"    listen {listen}{default};" for listen in gateway.listen)
    yield f"    server_name {' '.join(names)};"
    yield f"    access_log {gateway.access_log} {p};"
    yield f"    client_max_body_size {gateway.max_body};"
    yield f"    location = {gateway.status_path} {{"
    yield "        access_log off;"
    if gateway.njs:
        yield f"        js_content {p}.status;"
    else:
        status = json.dumps({**_status(gateway, generation), "weight": weight.percent, "problem": ""})
        yield "        default_type application/json;"
        yield "        add_header Cache-Control no-store;"
        yield f"        return 200 '{status}\\n';"
    yield "    }"
    yield "    location / {"
    yield from (f"        {line}" for line in _proxy(gateway))
    yield "    }"
    yield "}"


def _proxy(gateway: Gateway) -> Iterator[str]:
    p = gateway.prefix
    seconds = max(1, int(gateway.read_timeout.total_seconds()))
    yield f"if (${p}_version = none) {{ return 503; }}"
    yield f"add_header Set-Cookie ${p}_set_cookie always;"
    yield f"proxy_pass http://{p}_${p}_version;"
    yield "proxy_http_version 1.1;"
    yield f"proxy_set_header Host ${p}_host;"
    yield "proxy_set_header Upgrade $http_upgrade;"
    yield f"proxy_set_header Connection ${p}_connection;"
    yield "proxy_set_header X-Real-IP $remote_addr;"
    yield "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
    yield f"proxy_set_header X-Forwarded-Proto ${p}_scheme;"
    yield f"proxy_set_header X-Forwarded-Host ${p}_host;"
    yield "proxy_set_header X-Request-Id $request_id;"
    yield f"proxy_set_header X-Rollout-Version ${p}_version;"
    yield "proxy_redirect off;"
    yield "proxy_buffering off;"
    yield "proxy_connect_timeout 5s;"
    yield f"proxy_read_timeout {seconds}s;"
    yield "proxy_next_upstream error timeout;"
    yield "proxy_next_upstream_tries 2;"
