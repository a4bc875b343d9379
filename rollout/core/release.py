"""What is released: a tag, the commit it points to and the image pinned by digest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One release of the service. Only the digest is ever deployed; the tag is for people."""

    tag: str
    """The tag of the image and of the commit, such as `v1.4.0`."""
    image: str
    """The repository of the image without tag or digest, such as `ghcr.io/example/lobechat`."""
    digest: str
    """`sha256:` and 64 hexadecimal digits, resolved once when the rollout starts."""
    commit: str = ""
    """The commit the tag points to; empty where nobody said."""

    def __post_init__(self) -> None:
        if not TAG.fullmatch(self.tag):
            raise ValueError(f"{self.tag!r} is not a tag: letters, digits, '_', '.' and '-', at most 128")
        if not DIGEST.fullmatch(self.digest):
            raise ValueError(f"{self.digest!r} is not a digest: sha256: and 64 hexadecimal digits")

    @property
    def reference(self) -> str:
        """The image by digest, as an engine pulls it."""
        return f"{self.image}@{self.digest}"

    def __str__(self) -> str:
        return f"{self.tag} ({self.digest[7:19]})"
