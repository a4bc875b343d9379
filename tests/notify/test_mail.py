"""Mail to a real server: what arrives, what is encrypted, and what never leaves in the clear."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from queue import SimpleQueue

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from rollout.core.language import Language
from rollout.notify.channels import Channels
from rollout.notify.delivery import NotDelivered
from rollout.notify.mail import letter_of, send
from rollout.notify.mail_route import Encryption, MailRoute, mail_route
from rollout.notify.message import Reason
from tests.notify.letters import MESSAGE, channel

PASSWORD = "hunter2-secret"


class Postbox:
    """Keeps what arrives, and refuses whom it is told to."""

    def __init__(self, refuses: str = "") -> None:
        self.letters: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.encrypted: list[bool] = []
        self.users: list[str] = []
        self._refuses = refuses

    async def handle_RCPT(  # noqa: N802 - the name is the server's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address == self._refuses:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        assert isinstance(envelope.content, bytes)
        letter = BytesParser(policy=default).parsebytes(envelope.content)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        self.recipients.append(list(envelope.rcpt_tos))
        self.encrypted.append(session.ssl is not None)
        return "250 OK"

    def knows(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: LoginPassword
    ) -> AuthResult:
        """Whether the password is right."""
        self.users.append(given.login.decode())
        right = given.password == PASSWORD.encode()
        return AuthResult(success=right, handled=False)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 with its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    key = path.with_name("key.pem")
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    argv += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*argv, "-keyout", str(key), "-out", str(path)], check=True, capture_output=True, timeout=60)
    path.write_text(path.read_text() + key.read_text())
    return path


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is one that this machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@contextmanager
def server(box: Postbox, *, tls: Path | None = None, at_once: bool = False) -> Iterator[int]:
    """A mail server with this postbox: plain, or with STARTTLS, or encrypted at once; the block gets its port."""
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
    ports: SimpleQueue[int] = SimpleQueue()
    ended = asyncio.Event()
    loop = asyncio.new_event_loop()

    def protocol() -> SMTP:
        offered = None if at_once else context
        return SMTP(
            box, hostname="mail", tls_context=offered, authenticator=box.knows, auth_require_tls=False, loop=loop
        )

    async def serve() -> None:
        listening = await loop.create_server(protocol, "127.0.0.1", 0, ssl=context if at_once else None)
        async with listening:
            ports.put(listening.sockets[0].getsockname()[1])
            await ended.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield ports.get(timeout=30)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(timeout=30)


def route_to(port: int, *, encryption: Encryption = Encryption.WHERE_OFFERED, password: str = "") -> MailRoute:
    """From us to two people, with a password where one is given."""
    return MailRoute(
        host="127.0.0.1",
        port=port,
        encryption=encryption,
        sender="rollout@example.com",
        recipients=("ann@example.com", "bob@example.com"),
        user="rollout" if password else "",
        password=password,
    )


def test_a_letter_says_everything_in_plain_text() -> None:
    """Subject, facts, evidence, what to do and the link; no program answers it."""
    letter = letter_of(route_to(25), MESSAGE)
    assert letter["Subject"] == MESSAGE.title
    assert letter["Auto-Submitted"] == "auto-generated"
    text = letter.get_content()
    for part in ("Service: lobechat", "Step: 3 of 7 (5 %)", MESSAGE.evidence, MESSAGE.advice, MESSAGE.link):
        assert part in text


def test_letters_about_one_rollout_belong_together() -> None:
    """Mail programs show what refers to the same id as one conversation."""
    first, second = (letter_of(route_to(25), replace(MESSAGE, reason=reason)) for reason in list(Reason)[:2])
    other = letter_of(route_to(25), replace(MESSAGE, rollout="13-v1.4.1"))
    assert first["References"] == second["References"] != other["References"]
    assert first["Message-ID"] != second["Message-ID"]


def test_a_server_without_encryption_gets_a_letter_but_no_password() -> None:
    """In a network of one's own that is common; a password in the clear is never sent."""
    box = Postbox()
    with server(box) as port:
        send(route_to(port), replace(MESSAGE, language=Language.ZH, title="✗ 已回滚：v2"))
        with pytest.raises(NotDelivered, match="offers no encryption") as refused:
            send(route_to(port, password=PASSWORD), MESSAGE)
    (letter,) = box.letters
    assert letter["Subject"] == "✗ 已回滚：v2"
    assert "步骤: 第 3 步，共 7 步（5%）" in letter.get_content()
    assert box.recipients == [["ann@example.com", "bob@example.com"]]
    assert box.users == []
    assert PASSWORD not in str(refused.value)


@pytest.mark.usefixtures("trusted")
def test_a_password_is_sent_after_starttls(certificate: Path) -> None:
    """As the common server at port 587 wants it."""
    box = Postbox()
    with server(box, tls=certificate) as port:
        send(route_to(port, password=PASSWORD), MESSAGE)
    assert (box.encrypted, box.users) == ([True], ["rollout"])


@pytest.mark.usefixtures("trusted")
def test_a_connection_may_be_encrypted_at_once(certificate: Path) -> None:
    """As the common server at port 465 wants it, and as the URL says it."""
    box = Postbox()
    with server(box, tls=certificate, at_once=True) as port:
        send(mail_route(f"smtps://rollout:{PASSWORD}@127.0.0.1:{port}/?from=r@example.com&to=a@example.com"), MESSAGE)
    assert box.recipients == [["a@example.com"]]


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    """Both ways of encrypting; a server whose certificate is for show is reached with starttls=never."""
    box = Postbox()
    with server(box, tls=certificate) as port:
        with pytest.raises(NotDelivered, match="its certificate is not trusted"):
            send(route_to(port, password=PASSWORD), MESSAGE)
        with pytest.raises(NotDelivered, match="its certificate is not trusted"):
            send(route_to(port), MESSAGE)
        send(route_to(port, encryption=Encryption.NEVER), MESSAGE)
    assert (len(box.letters), box.users) == (1, [])
    with (
        server(box, tls=certificate, at_once=True) as port,
        pytest.raises(NotDelivered, match="its certificate is not trusted"),
    ):
        send(route_to(port, encryption=Encryption.AT_ONCE), MESSAGE)


@pytest.mark.usefixtures("trusted")
def test_a_wrong_password_is_told_without_it(certificate: Path) -> None:
    """Only the host and the number of the answer."""
    with server(Postbox(), tls=certificate) as port, pytest.raises(NotDelivered) as refused:
        send(route_to(port, password="wrong-secret"), MESSAGE)
    assert str(refused.value) == "127.0.0.1 answers 535 (SMTPAuthenticationError)"


def test_recipients_that_are_refused_are_counted() -> None:
    """Those that are not refused get their letter."""
    box = Postbox(refuses="bob@example.com")
    with server(box) as port, pytest.raises(NotDelivered, match="refuses 1 of 2 recipients"):
        send(route_to(port), MESSAGE)
    assert box.recipients == [["ann@example.com"]]
    only = replace(route_to(port), recipients=("bob@example.com",))
    with server(box) as port, pytest.raises(NotDelivered, match="refuses every one of 1 recipients"):
        send(replace(only, port=port), MESSAGE)


def test_a_channel_may_be_a_mail_server() -> None:
    """The same fan-out, by the URL of rollout.yml; one that is away is named by its host."""
    box = Postbox()
    complaints: list[str] = []
    with server(box) as port:
        query = "?from=rollout@example.com&to=ann@example.com"
        good, bad = channel(f"smtp://127.0.0.1:{port}/{query}"), channel(f"smtp://localhost:1/{query}")
        with Channels((bad, good), complain=complaints.append) as channels:
            channels.send(MESSAGE)
    assert len(box.letters) == 1
    assert complaints == ["a notification (rolled_back) was not delivered: localhost: nobody answers at port 1"]
