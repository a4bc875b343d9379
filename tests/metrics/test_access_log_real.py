"""The access log source on a log that a real nginx writes: dead upstreams, strange clients, rotation, load."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import requests

from rollout.analysis.counters import growth
from rollout.core.selector import parse
from rollout.demo.parts import Nginx, free_port, nginx
from rollout.metrics.access_log import AccessLogSource
from rollout.metrics.settings import AccessLogSettings
from tests.serving import Quiet, serving

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("nginx", path="/usr/sbin:/usr/bin") is None, reason="nginx is not installed"),
]

# The log format of the nginx target, and a header in place of its split.
CONFIG = """
log_format told escape=json '{"ts":$msec,"id":"$request_id","service":"chat","version":"$http_x_version",'
    '"why":"split","release":"v1","status":$status,"upstream_status":"$upstream_status",'
    '"upstream_addr":"$upstream_addr","rt":$request_time,"urt":"$upstream_response_time",'
    '"method":"$request_method","uri":"$uri"}';
upstream stable { server 127.0.0.1:%(stable)d max_fails=0; keepalive 4; }
upstream canary { server 127.0.0.1:%(dead)d max_fails=0; server 127.0.0.1:%(stable)d backup; keepalive 4; }
server {
    listen 127.0.0.1:%(port)d;
    access_log %(log)s told;
    location / { proxy_pass http://$http_x_version; proxy_http_version 1.1; proxy_set_header Connection ""; }
}
"""


@pytest.fixture
def stable() -> Iterator[int]:
    """A service that answers with the status its path names."""

    class Pages(Quiet, BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            code = self.path[1:4]
            self.send_response(int(code) if code.isdigit() else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with serving(Pages) as port:
        yield port


@pytest.fixture
def gateway(tmp_path: Path, stable: int) -> Iterator[Nginx]:
    """An nginx before a stable release that runs and a canary that is dead."""
    port = free_port()
    words = {"stable": stable, "dead": free_port(), "port": port, "log": tmp_path / "access.json"}
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "chat.conf").write_text(CONFIG % words)
    with nginx(tmp_path / "nginx", port=port, include=tmp_path / "include" / "*.conf", njs=False) as running:
        yield running


def test_nginx_is_counted_as_it_served(
    gateway: Nginx, tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """Every request once, under the status of the version that was chosen, through a rotation while under way."""
    path = tmp_path / "access.json"
    source = AccessLogSource(AccessLogSettings(path=path), service="chat")
    began = datetime.now(UTC)

    def send(version: str, uri: str, times: int) -> list[int]:
        url = f"http://127.0.0.1:{gateway.port}{uri}"
        with requests.Session() as session:
            return [session.get(url, headers={"X-Version": version}, timeout=5).status_code for _ in range(times)]

    def counts(labels: str) -> float:
        found = source.series(
            parse(f"http_requests_total{{{labels}}}"), since=began - timedelta(seconds=5), until=datetime.now(UTC)
        )
        return sum(growth(one, since=began, until=datetime.now(UTC)) for one in found)

    assert send("canary", "/", 20) == [200] * 20
    assert send("stable", "/200", 30) == [200] * 30
    assert send("stable", "/503", 10) == [503] * 10
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(b'GET /\xff%22%5c"\\ HTTP/1.1\r\nHost: x\r\nX-Version: stable\r\nConnection: close\r\n\r\n')
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    eventually(lambda: counts('version="stable"') == 41)
    assert counts('version="canary", code="502"') == 20
    assert counts('version="canary", code!="502"') == 0
    assert counts('version="stable", code="503"') == 10
    path.rename(path.with_name("access.json.1"))
    send("stable", "/200", 5)  # nginx still writes to the renamed file
    eventually(lambda: counts('version="stable"') == 46)
