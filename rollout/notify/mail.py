"""One message by mail: plain text to one server, encrypted wherever that is to be had. It knows nothing of rollouts.

All mails about one rollout refer to the same id, so that mail programs show them together (RFC 5322, 3.6.4).
"""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from typing import Final

from rollout.notify.delivery import SOON_S, NotDelivered
from rollout.notify.mail_route import Encryption, MailRoute
from rollout.notify.message import Message
from rollout.notify.wording import MORE, labelled, labels_of_text

TIMEOUT_S: Final = 5.0


def send(route: MailRoute, message: Message) -> None:
    """Send it to everybody the route names. Raises NotDelivered, also where only some of them are refused."""
    letter = letter_of(route, message)
    try:
        with _connected(route) as server:
            if route.password:
                server.login(route.user, route.password)
            refused = server.send_message(letter)
    except smtplib.SMTPRecipientsRefused as wrong:
        raise NotDelivered(f"{route.host} refuses every one of {len(wrong.recipients)} recipients") from None
    except smtplib.SMTPResponseException as wrong:
        raise NotDelivered(f"{route.host} answers {wrong.smtp_code} ({type(wrong).__name__})") from None
    except ssl.SSLCertVerificationError as wrong:
        raise NotDelivered(f"{route.host}: its certificate is not trusted ({wrong.verify_message})") from None
    except ConnectionRefusedError:
        raise NotDelivered(f"{route.host}: nobody answers at port {route.port}", after_s=SOON_S) from None
    except (smtplib.SMTPException, OSError, ValueError) as wrong:
        raise NotDelivered(f"{route.host}: {type(wrong).__name__}") from None
    if refused:
        raise NotDelivered(f"{route.host} refuses {len(refused)} of {len(route.recipients)} recipients")


def letter_of(route: MailRoute, message: Message) -> EmailMessage:
    """The mail with its headers."""
    domain = route.sender.rpartition("@")[2]
    letter = EmailMessage(policy=SMTP)
    letter["Subject"] = message.title
    letter["From"] = route.sender
    letter["To"] = ", ".join(route.recipients)
    letter["Date"] = format_datetime(message.at)
    letter["Message-ID"] = make_msgid(domain=domain)
    letter["References"] = f"<{_thread(message)}@{domain}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(text_of(message), charset="utf-8", cte="quoted-printable")
    return letter


def text_of(message: Message) -> str:
    """The mail's text."""
    why, advice = labels_of_text(message.language)
    parts = ["\n".join(f"{label}: {value}" for label, value in labelled(message))]
    if message.evidence:
        parts.append(f"{why}: {message.evidence}")
    if message.advice:
        parts.append(f"{advice}: {message.advice}")
    if message.link:
        parts.append(f"{MORE[message.language]}: {message.link}")
    return "\n\n".join(parts) + "\n"


def _thread(message: Message) -> str:
    named = "\n".join((message.service, message.environment, message.rollout))
    return f"rollout.{hashlib.sha256(named.encode()).hexdigest()[:24]}"


def _connected(route: MailRoute) -> smtplib.SMTP:
    """A connection as safe as the route asks for. Raises NotDelivered rather than send a password in the clear."""
    context = ssl.create_default_context()
    if route.encryption is Encryption.AT_ONCE:
        return smtplib.SMTP_SSL(route.host, route.port, timeout=TIMEOUT_S, context=context)
    server = smtplib.SMTP(route.host, route.port, timeout=TIMEOUT_S)
    try:
        _encrypt(server, route, context)
    except BaseException:
        server.close()
        raise
    return server


def _encrypt(server: smtplib.SMTP, route: MailRoute, context: ssl.SSLContext) -> None:
    server.ehlo_or_helo_if_needed()
    if route.encryption is Encryption.WHERE_OFFERED and server.has_extn("starttls"):
        server.starttls(context=context)
    elif route.password:
        raise NotDelivered(f"{route.host} offers no encryption, and a password is not sent without it")
