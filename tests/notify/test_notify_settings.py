"""What stands under `notify:`: an address or a mapping, refused early and in words that give nothing away."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from rollout.notify.mail_route import Encryption, mail_route
from rollout.notify.message import Reason
from rollout.notify.settings import Channel, ChannelSettings, Format

MAIL = "smtp://ann%40example.com:p%2Fw@mail.example.com/?from=rollout@example.com&to=a@example.com,b+c@example.com"


class Notify(BaseModel):
    """As rollout.yml holds it."""

    model_config = ConfigDict(hide_input_in_errors=True)

    notify: tuple[Channel, ...]


def entry_of(written: object) -> ChannelSettings:
    """One entry, checked."""
    return Notify.model_validate({"notify": [written]}).notify[0]


def test_an_address_alone_is_told_everything() -> None:
    """The shortest entry is the most common one."""
    entry = entry_of("https://hooks.slack.com/services/T0/B0/secret")
    assert entry.events == tuple(Reason)
    assert entry.form is Format.SLACK
    assert "secret" not in repr(entry)


def test_a_mapping_says_what_is_told_how_and_to_whom() -> None:
    """The keys in the words of the file."""
    entry = entry_of(
        {"url": "https://chat.example.com/x", "events": ["rolled_back", "blind"], "format": "wecom", "mention": ["ann"]}
    )
    assert entry.events == (Reason.ROLLED_BACK, Reason.BLIND)
    assert entry.form is Format.WECOM
    assert entry.mention == ("ann",)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("nowhere", "not a URL"),
        ("https://", "not a URL"),
        ("https://h:99999/x", "not a URL"),
        ("https://[secret/x", "not a URL"),
        ("ftp://h/x", "only http, https, smtp and smtps"),
        ("smtp://h/?to=a@b.c", "one from=address"),
        ("smtp://h/?from=a@b.c", "at least one to=address"),
        ("smtp://h/?from=a@b.c&to=", "at least one to=address"),
        ("smtp://h/?from=a@b.c&to=d@e.f%0d%0aBcc:x@y.z", "at least one to=address"),
        ("smtp://h/?from=a@b.c&to=d@e.f&cc=g@h.i", "nothing else"),
        ("smtp://h/?from", "not the URL of a mail server"),
        ("smtp:///?from=a@b.c&to=d@e.f", "names no server"),
        ("smtp://user@h/?from=a@b.c&to=d@e.f", "both a user and a password"),
        ("smtp://u:secret@h/?from=a@b.c&to=d@e.f&starttls=never", "never sent without encryption"),
        ("smtp://h/?from=a@b.c&to=d@e.f&starttls=sometimes", "can only be never"),
        ({"url": "https://h/x", "events": []}, "told nothing"),
        (5, "a URL, or a mapping"),
        (None, "a URL, or a mapping"),
        ({"url": "https://h/x", "events": ["finished"]}, "'promoted'"),
        ({"url": "https://h/x", "event": ["promoted"]}, "Extra inputs"),
        ({"url": "https://h/x", "mention": ["ann"]}, "only Slack and WeCom"),
        ({"url": "https://h/x", "format": "slack", "mention": ["<!here>"]}, "not the id of a person"),
        ({"url": "smtp://h/?from=a@b.c&to=d@e.f", "format": "json"}, "a mail has no format"),
    ],
)
def test_a_mistake_is_found_before_anything_is_released(entry: object, said: str) -> None:
    """Not when the first rollback is to be told."""
    with pytest.raises(ValidationError) as wrong:
        entry_of(entry)
    assert said in str(wrong.value)
    assert "secret" not in str(wrong.value)


def test_a_mail_address_has_all_that_is_needed() -> None:
    """Percent-encoding is undone, a plus sign stands for itself, and the port follows the scheme."""
    route = mail_route(MAIL)
    assert (route.host, route.port, route.encryption) == ("mail.example.com", 587, Encryption.WHERE_OFFERED)
    assert (route.user, route.password) == ("ann@example.com", "p/w")
    assert route.recipients == ("a@example.com", "b+c@example.com")
    assert route.sender == "rollout@example.com"
    assert "p/w" not in repr(route)
    assert mail_route(MAIL.replace("smtp:", "smtps:")).port == 465
    assert mail_route("smtp://h:25/?from=a@b&to=c@d&starttls=never").encryption is Encryption.NEVER


@given(secret=st.text("QXZ0123456789!$%/#@:?&=[]+ ", min_size=6, max_size=30))
def test_no_part_of_an_address_is_in_a_mistake(secret: str) -> None:
    """Wherever it stands and whatever is wrong with it."""
    for said in _complaints(secret):
        assert not any(secret[at : at + 5] in said for at in range(len(secret) - 4))


def _complaints(secret: str) -> list[str]:
    texts = (f"{secret}", f"https://{secret}", f"ftp://{secret}", f"smtp://{secret}", f"smtps://u:{secret}@h/?to=a@b")
    said = []
    for text in texts:
        try:
            entry_of(text)
            said.append("")
        except ValidationError as wrong:
            said.append(str(wrong))
    return said


def test_settings_are_read_without_what_sends() -> None:
    """Reading rollout.yml must stay quick: it happens at each tick and each `rollout status`."""
    read = "import sys, rollout.notify.settings, rollout.notify.channels, rollout.cli.announcing"
    tell = "print({'requests', 'smtplib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", f"{read}; {tell}"], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr
