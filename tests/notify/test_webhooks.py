"""Messages to webhooks: each host gets its format, one that fails stops no other, and no address is ever shown."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rollout.notify.channels import Channels
from rollout.notify.message import Message
from rollout.notify.webhook import WECOM_BYTES, NotDelivered, body, post

MESSAGE = Message(title="chat in production: v2 <b>", text="& more", reason="rolled_back")


class Receiver(ThreadingHTTPServer):
    """Keeps what it is sent; answers with the status the path names."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Take)
        self.bodies: list[object] = []

    def url(self, status: int) -> str:
        return f"http://127.0.0.1:{self.server_port}/{status}/secret-part"


class Take(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Keep the test's output clean."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_slack_gets_escaped_text() -> None:
    """Slack reads & < > as markup."""
    assert body("hooks.slack.com", MESSAGE) == {"text": "chat in production: v2 &lt;b&gt;\n&amp; more"}


def test_wecom_gets_text_that_fits() -> None:
    """WeCom refuses more than 2,048 bytes; a character is not cut in two."""
    long = Message(title="发布" * 2000, text="", reason="started")
    sent = body("qyapi.weixin.qq.com", long)
    assert sent["msgtype"] == "text"
    content = sent["text"]
    assert isinstance(content, dict)
    assert WECOM_BYTES - 3 <= len(content["content"].encode()) <= WECOM_BYTES


def test_any_other_host_gets_a_document(receiver: Receiver) -> None:
    """Title, text and a reason for programs."""
    post(receiver.url(200), MESSAGE)
    assert [{"title": MESSAGE.title, "text": "& more", "reason": "rolled_back"}] == receiver.bodies


def test_what_is_not_delivered_names_the_host_and_not_the_address(receiver: Receiver) -> None:
    """A webhook's address is a secret."""
    with pytest.raises(NotDelivered, match=r"127\.0\.0\.1 answers 500") as refused:
        post(receiver.url(500), MESSAGE)
    assert "secret" not in str(refused.value)
    with pytest.raises(NotDelivered) as away:
        post("http://127.0.0.1:1/secret", MESSAGE)
    assert "secret" not in str(away.value)


def test_one_channel_that_fails_stops_no_other(receiver: Receiver) -> None:
    """Three addresses, two of them broken: the good one gets every message, in order."""
    complaints: list[str] = []
    urls = ("http://127.0.0.1:1/", receiver.url(500), receiver.url(200))
    with Channels(urls, complain=complaints.append) as channels:
        channels.send(MESSAGE)
        channels.send(Message(title="second", text="", reason="promoted"))
    assert len(complaints) == 4
    titles = [sent["title"] for sent in receiver.bodies if isinstance(sent, dict)]
    assert [MESSAGE.title] * 2 + ["second"] * 2 == sorted(titles)
