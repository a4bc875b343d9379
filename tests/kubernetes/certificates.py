"""A certificate for 127.0.0.1, so that clients that insist on TLS (in-cluster login does) can be tested."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate that is its own authority."""

    file: Path
    context: ssl.SSLContext


def certificate(directory: Path) -> Certificate:
    """Make one that is good for two days, with the machine's openssl."""
    file, key = directory / "ca.crt", directory / "ca.key"
    subject = ("-subj", "/CN=cluster", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    files = ("-keyout", str(key), "-out", str(file))
    subprocess.run(["openssl", "req", "-x509", *made, *subject, *files], check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return Certificate(file=file, context=context)
