"""Evidence as files beside the journal: written whole or not at all, read whole or not at all.

    <directory>/<rollout>/<time of the event in the journal>.json.gz     {"sum":"<64 hex>","evidence":{...}}

The sum covers the evidence, so that a file that was edited is noticed.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import itertools
import os
import re
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rollout.errors import ConfigurationError, EvidenceUnreadable
from rollout.evidence import codec
from rollout.evidence.values import Evidence

LARGEST: Final = 1 << 30
"""Bytes of a file once it is unpacked; a rollout of a day with a hundred instances is far smaller."""

_LEVEL: Final = 6
_WHOLE: Final = re.compile(rb'\{"sum":"([0-9a-f]{64})","evidence":(\{.*\})\}\n', re.DOTALL)


def path_of(directory: Path, rollout: str, at: datetime, *, nth: int = 1) -> Path:
    """Where the evidence of the verdict lies that was noted then; of the nth one at that very moment."""
    more = f"-{nth}" if nth > 1 else ""
    return directory / rollout / f"{at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}{more}.json.gz"


def write(directory: Path, evidence: Evidence) -> Path:
    """Keep evidence; the file it is in. Raises OSError, and leaves nothing half written behind."""
    paths = (path_of(directory, evidence.rollout, evidence.at, nth=nth) for nth in itertools.count(1))
    path = next(path for path in paths if not path.exists())
    path.parent.mkdir(parents=True, exist_ok=True)
    text = codec.dump(evidence)
    whole = b'{"sum":"%s","evidence":%s}\n' % (hashlib.sha256(text).hexdigest().encode(), text)
    fresh = path.with_suffix(".new")
    try:
        with fresh.open("wb") as file:
            file.write(gzip.compress(whole, _LEVEL, mtime=0))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    return path


def read(path: Path) -> Evidence:
    """What a file holds. Raises EvidenceUnreadable, and ConfigurationError where there is no such file."""
    try:
        with gzip.open(path, "rb") as file:
            whole = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path} does not exist", hint="evidence lies in the directory `evidence` beside the journal"
        ) from None
    except gzip.BadGzipFile as wrong:
        raise _unreadable(path, f"it is no evidence file: {wrong}") from None
    except (EOFError, zlib.error):
        raise _unreadable(path, "it is cut off, or was changed") from None
    except OSError as wrong:
        raise _unreadable(path, wrong.strerror or str(wrong)) from None
    if len(whole) > LARGEST:
        raise _unreadable(path, f"it holds more than {LARGEST >> 20} MB")
    found = _WHOLE.fullmatch(whole)
    if found is None:
        raise _unreadable(path, "it is cut off, or no evidence file")
    if hashlib.sha256(found[2]).hexdigest().encode() != found[1]:
        raise _unreadable(path, "it was changed after it was written: its checksum differs")
    try:
        return codec.load(found[2])
    except codec.UnreadableEvidence as wrong:
        raise _unreadable(path, str(wrong)) from None


def _unreadable(path: Path, why: str) -> EvidenceUnreadable:
    return EvidenceUnreadable(f"{path} cannot be read: {why}", hint="take another copy of it")
