"""Messages to webhooks: each host gets its form, one that fails stops no other, and no address is ever shown."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.language import Language
from rollout.notify import document, slack, wecom
from rollout.notify.channels import Channels
from rollout.notify.delivery import NotDelivered
from rollout.notify.message import URGENT, Message, Reason, web_address
from rollout.notify.settings import ChannelSettings, Format
from rollout.notify.webhook import post
from tests.notify.conftest import Receiver
from tests.notify.letters import MESSAGE, channel, messages


def test_a_host_gets_its_form_and_any_other_gets_json() -> None:
    """`format` is only for proxies and for servers that speak the form of another."""
    assert channel("https://hooks.slack.com/services/T0/B0/x").form is Format.SLACK
    assert channel("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=x").form is Format.WECOM
    assert channel("https://chat.example.com/hook").form is Format.JSON
    assert channel("https://chat.example.com/hook", Format.SLACK).form is Format.SLACK


def test_slack_gets_blocks_in_which_nothing_is_markup_by_accident() -> None:
    """Slack reads & < > as markup in text, and nothing at all in plain text."""
    sent = slack.payload(MESSAGE)
    assert sent["text"] == MESSAGE.title
    header, facts, why, advice, link = _blocks(sent)
    assert header["text"] == {"type": "plain_text", "text": MESSAGE.title, "emoji": False}
    fields = facts["fields"]
    assert isinstance(fields, list)
    assert {"type": "mrkdwn", "text": "*Gate*\nhttp &lt;5xx&gt; &amp; more", "verbatim": True} in fields
    assert {"type": "mrkdwn", "text": "*Step*\n3 of 7 (5 %)", "verbatim": True} in fields
    assert why["text"] == {"type": "plain_text", "text": MESSAGE.evidence, "emoji": False}
    assert advice["text"] == {"type": "mrkdwn", "text": MESSAGE.advice, "verbatim": True}
    shown = {"type": "mrkdwn", "text": f"<{MESSAGE.link}|Show the rollout>", "verbatim": True}
    assert link["elements"] == [shown]


def _blocks(sent: dict[str, object]) -> list[dict[str, object]]:
    blocks = sent["blocks"]
    assert isinstance(blocks, list)
    return blocks


@given(message=messages)
def test_slack_never_gets_more_than_it_takes(message: Message) -> None:
    """A block over its limit is refused with the whole message, and so is an empty text."""
    blocks = _blocks(slack.payload(message, ("U024BE7LH",)))
    assert len(blocks) <= 50
    for block in blocks:
        match block:
            case {"type": "header", "text": {"type": "plain_text", "text": str(text)}}:
                assert len(text) <= 150
            case {"type": "section", "fields": [*fields]}:
                assert 1 <= len(fields) <= 10
                assert all(1 <= len(str(one["text"])) <= 2000 for one in _texts(block))
            case {"type": "section", "text": {"text": str(text)}} | {
                "type": "context",
                "elements": [{"text": str(text)}],
            }:
                assert 1 <= len(text) <= 3000
            case _:
                pytest.fail(f"no block of Slack's: {block}")


@given(message=messages)
def test_what_others_wrote_is_neither_link_nor_mention_in_slack(message: Message) -> None:
    """Every < that is sent as markup is of our own link or mention."""
    for block in _blocks(slack.payload(message)):
        marked = [one for one in _texts(block) if one["type"] == "mrkdwn"]
        for one in marked:
            own = f"<{slack.escaped(message.link)}|"
            assert "<" not in str(one["text"]).replace(own, "") or not message.link
            assert one["verbatim"] is True


def _texts(block: dict[str, object]) -> list[dict[str, object]]:
    match block:
        case {"fields": [*many]} | {"elements": [*many]}:
            return [one for one in many if isinstance(one, dict)]
        case {"text": dict(one)}:
            return [one]
        case _:
            return []


def test_people_are_mentioned_when_they_must_look() -> None:
    """In Slack a person, a group or whoever is there; nobody for good news."""
    sent = str(slack.payload(MESSAGE, ("U024BE7LH", "SAZ94GDB8", "here")))
    assert "<@U024BE7LH> <!subteam^SAZ94GDB8> <!here>" in sent
    assert "<@zhangsan>" in wecom.content(MESSAGE, ("zhangsan",))
    for reason in set(Reason) - URGENT:
        told = replace(MESSAGE, reason=reason)
        assert "<@" not in str(slack.payload(told, ("U024BE7LH",)))
        assert "<@" not in wecom.content(told, ("zhangsan",))


def test_wecom_gets_its_markdown() -> None:
    """A heading with a colour, the facts as a quote, the evidence, what to do, and the link."""
    lines = wecom.content(MESSAGE).splitlines()
    assert lines[0] == f'### <font color="warning">{MESSAGE.title}</font>'
    assert "> Gate: http ＜5xx＞ & more" in lines
    assert lines[-1] == f"[Show the rollout]({MESSAGE.link})"
    assert wecom.payload(MESSAGE) == {"msgtype": "markdown", "markdown": {"content": wecom.content(MESSAGE)}}


@given(message=messages, mention=st.lists(st.text("abcz", min_size=1, max_size=64), max_size=3))
def test_wecom_never_gets_more_than_4096_bytes(message: Message, mention: list[str]) -> None:
    """It refuses more; no character is cut in two, and who must look is still mentioned."""
    content = wecom.content(message, tuple(mention))
    assert len(content.encode()) <= wecom.MOST_BYTES
    if message.reason in URGENT:
        assert all(f"<@{name}>" in content for name in mention)


def test_the_evidence_is_cut_first_in_wecom() -> None:
    """Characters of three bytes and such as grow when they are made harmless."""
    for letter in ("发", "<", "x"):
        long = replace(MESSAGE, evidence=letter * 5000)
        content = wecom.content(long, ("zhangsan",))
        assert len(content.encode()) <= wecom.MOST_BYTES
        assert "…" in content
        assert MESSAGE.link in content
        assert MESSAGE.advice in content
        assert content.endswith("<@zhangsan>")


@given(message=messages)
def test_what_others_wrote_is_neither_link_nor_mention_in_wecom(message: Message) -> None:
    """WeCom has no way to escape anything, so look-alikes stand for what it would read."""
    content = wecom.content(message)
    ours = content.replace("</font>", "", 1)
    for colour in ("comment", "warning", "info"):
        ours = ours.replace(f'<font color="{colour}">', "", 1)
    assert "<" not in ours
    assert content.count("](") == bool(message.link)


def test_any_other_host_gets_a_document_of_facts(receiver: Receiver) -> None:
    """A text for people and a field for each fact."""
    post(channel(receiver.url), MESSAGE)
    (sent,) = receiver.bodies
    assert sent == document.payload(MESSAGE)
    assert sent["reason"] == "rolled_back"
    assert sent["at"] == "2026-03-01T12:34:56Z"
    assert (sent["step"], sent["steps"], sent["weight"]) == (3, 7, 5)
    assert sent["text"] == f"{MESSAGE.evidence}. {MESSAGE.advice}"


def test_a_refusal_names_the_host_and_not_the_address(receiver: Receiver) -> None:
    """A webhook's address is a secret; so is whatever an unknown server answers."""
    receiver.answer(500, b"secret-part")
    with pytest.raises(NotDelivered, match=r"^127\.0\.0\.1 answers 500$"):
        post(channel(receiver.url), MESSAGE)
    receiver.answer(302, Location="http://127.0.0.1:1/elsewhere")
    with pytest.raises(NotDelivered, match=r"answers 302"):
        post(channel(receiver.url), MESSAGE)
    with pytest.raises(NotDelivered) as away:
        post(channel(f"http://127.0.0.1:{_closed_port()}/secret-part"), MESSAGE)
    assert "secret" not in str(away.value)
    assert len(receiver.bodies) == 2


def _closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_slack_says_in_one_word_why_it_refuses(receiver: Receiver) -> None:
    """Such as that the channel is archived; anything longer is not repeated."""
    receiver.answer(410, b"channel_is_archived")
    with pytest.raises(NotDelivered, match=r"answers 410 \(channel_is_archived\)$"):
        post(channel(receiver.url, Format.SLACK), MESSAGE)
    receiver.answer(400, b"invalid payload: secret-part")
    with pytest.raises(NotDelivered, match=r"answers 400$"):
        post(channel(receiver.url, Format.SLACK), MESSAGE)


def test_wecom_refuses_with_an_answer_200(receiver: Receiver) -> None:
    """Only `errcode` 0 is a delivery."""
    wecom_channel = channel(receiver.url, Format.WECOM)
    receiver.answer(200, b'{"errcode": 0, "errmsg": "ok"}')
    post(wecom_channel, MESSAGE)
    receiver.answer(200, b'{"errcode": 45009, "errmsg": "api freq out of limit, from ip: 203.0.113.9"}')
    with pytest.raises(NotDelivered, match=r"answers errcode 45009 \(more than 20 messages in a minute\)$"):
        post(wecom_channel, MESSAGE)
    for nonsense in (b"ok", b"[]", b'{"errcode": "0"}', b"\xff"):
        receiver.answer(200, nonsense)
        with pytest.raises(NotDelivered, match="is not WeCom's"):
            post(wecom_channel, MESSAGE)


def test_one_channel_that_fails_stops_no_other(receiver: Receiver) -> None:
    """Three addresses, two of them broken: the good one gets every message, in order, and the bad ones are named."""
    complaints: list[str] = []
    receiver.answers = [(500, {}, b""), (500, {}, b"")]
    addresses = (channel(f"http://127.0.0.1:{_closed_port()}/secret-part"), channel(receiver.url))
    with Channels(addresses, complain=complaints.append) as channels:
        channels.send(MESSAGE)
        channels.send(replace(MESSAGE, reason=Reason.PROMOTED))
        channels.send(replace(MESSAGE, reason=Reason.STARTED))
    assert [sent["reason"] for sent in receiver.bodies] == ["rolled_back", "promoted", "started"]
    assert sorted(complaints) == [
        "a notification (promoted) was not delivered: 127.0.0.1 answers 500",
        "a notification (promoted) was not delivered: 127.0.0.1: ConnectionError",
        "a notification (rolled_back) was not delivered: 127.0.0.1 answers 500",
        "a notification (rolled_back) was not delivered: 127.0.0.1: ConnectionError",
        "a notification (started) was not delivered: 127.0.0.1: ConnectionError",
    ]


def test_a_channel_gets_only_what_it_asked_for(receiver: Receiver) -> None:
    """`events` names the moments."""
    with Channels((channel(receiver.url, events=(Reason.BLIND,)),), complain=pytest.fail) as channels:
        for reason in Reason:
            channels.send(replace(MESSAGE, reason=reason))
    assert [sent["reason"] for sent in receiver.bodies] == ["blind"]


def test_a_server_that_is_busy_is_asked_again_and_one_that_may_have_taken_it_is_not(receiver: Receiver) -> None:
    """A message is sent once: 429 and 503 have not taken it, 500 may have."""
    receiver.answers = [(429, {"Retry-After": "0"}, b""), (503, {"Retry-After": "0"}, b""), (200, {}, b"ok")]
    with Channels((channel(receiver.url),), complain=pytest.fail) as channels:
        channels.send(MESSAGE)
    assert len(receiver.bodies) == 3
    receiver.answers = [(429, {"Retry-After": "3600"}, b"")]
    complaints: list[str] = []
    with Channels((channel(receiver.url),), complain=complaints.append) as channels:
        channels.send(MESSAGE)
    assert len(receiver.bodies) == 4
    assert complaints == ["a notification (rolled_back) was not delivered: 127.0.0.1 answers 429"]


def test_the_end_of_a_process_does_not_wait_for_ever() -> None:
    """All channels together have a few seconds, and what may be lost is said; a process told to stop leaves sooner."""
    never = threading.Event()
    complaints: list[str] = []

    hosts = [channel("http://h1/x"), channel("http://h2/x")]

    def hang(settings: ChannelSettings, message: Message) -> None:
        never.wait(30)

    def work() -> None:
        with Channels(hosts, complain=complaints.append, deliver=hang, last_words_s=30, hurried_s=0.05) as channels:
            channels.send(MESSAGE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert complaints == [f"it is not known whether the last notifications reached {host}" for host in ("h1", "h2")]
    never.set()


def test_the_labels_are_chinese_where_the_message_is() -> None:
    """Labels and the name of the link follow the language."""
    told = replace(MESSAGE, language=Language.ZH)
    assert "> 环境：production" in wecom.content(told)
    assert "[查看发布详情](" in wecom.content(told)
    assert "*步骤*\\n第 3 步，共 7 步（5%）" in str(slack.payload(told))


def test_an_address_that_has_just_failed_holds_up_nothing() -> None:
    """Three tries of the first message, one of the next; after a delivery there is patience again."""
    tried: list[Reason] = []
    complaints: list[str] = []

    def fail(settings: ChannelSettings, message: Message) -> None:
        tried.append(message.reason)
        if message.reason is not Reason.PROMOTED:
            raise NotDelivered("h: ConnectionError", after_s=0)

    reasons = (Reason.STARTED, Reason.BLIND, Reason.PROMOTED, Reason.ROLLED_BACK)
    with Channels((channel("http://h/x"),), complain=complaints.append, deliver=fail) as channels:
        for reason in reasons:
            channels.send(replace(MESSAGE, reason=reason))
    assert tried == [*[Reason.STARTED] * 3, Reason.BLIND, Reason.PROMOTED, *[Reason.ROLLED_BACK] * 3]
    assert len(complaints) == 3


@pytest.mark.parametrize("text", ["", "javascript:alert(1)", "https://", "ftp://h/x", "//h/x"])
def test_what_is_no_web_address_is_no_link(text: str) -> None:
    """An empty link is left out everywhere."""
    assert web_address(text) == ""
    assert "Show the rollout" not in str(slack.payload(replace(MESSAGE, link=web_address(text))))


@given(text=st.text(max_size=50))
def test_a_link_ends_where_it_ends(text: str) -> None:
    """Nothing in it closes a link of Slack's or WeCom's, and what was encoded already is left alone."""
    made = web_address(f"https://example.com/{text}")
    assert not set(made) & set("<>|()[]`\"' \n")
    assert web_address("https://example.com/a%20b?c=d#e") == "https://example.com/a%20b?c=d#e"
