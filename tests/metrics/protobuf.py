"""The few fields of Prometheus' protobuf exposition that carry a native histogram, encoded by hand.

Field numbers are those of io/prometheus/client/metrics.proto in prometheus/client_model. It has no text form that
Prometheus 2 reads.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

CONTENT_TYPE: Final = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
_HISTOGRAM: Final = 4
_VARINT, _DOUBLE, _BYTES = 0, 1, 2


@dataclass(frozen=True)
class NativeHistogram:
    """Counts by bucket number: bucket i of schema s ends at 2 ** (i / 2 ** s)."""

    schema: int
    positive: Mapping[int, int] = field(default_factory=dict)
    negative: Mapping[int, int] = field(default_factory=dict)
    zero: int = 0
    zero_threshold: float = 1e-9

    @property
    def count(self) -> int:
        return sum(self.positive.values()) + sum(self.negative.values()) + self.zero


def families(histograms: Iterable[tuple[str, Mapping[str, str], NativeHistogram]]) -> bytes:
    """Each histogram, with its name and labels, as a family of its own, each after its length."""
    return b"".join(_delimited(_family(*one)) for one in histograms)


def _family(name: str, labels: Mapping[str, str], histogram: NativeHistogram) -> bytes:
    pairs = [_message(1, _text(1, label) + _text(2, value)) for label, value in labels.items()]
    metric = b"".join(pairs) + _message(7, _histogram(histogram))
    return _text(1, name) + _text(2, "A native histogram.") + _integer(3, _HISTOGRAM) + _message(4, metric)


def _histogram(one: NativeHistogram) -> bytes:
    head = _integer(1, one.count) + _double(2, 1.0) + _signed(5, one.schema)
    zero = _double(6, one.zero_threshold) + _integer(7, one.zero)
    return head + zero + _buckets(9, one.negative) + _buckets(12, one.positive)


def _buckets(spans: int, counts: Mapping[int, int]) -> bytes:
    """One span of length 1 for each bucket, then the difference of each count to the one before."""
    places = sorted(counts)
    gaps = [*places[:1], *(later - earlier - 1 for earlier, later in pairwise(places))]
    steps = [*(counts[place] for place in places[:1]), *(counts[b] - counts[a] for a, b in pairwise(places))]
    return b"".join(_message(spans, _signed(1, gap) + _integer(2, 1)) for gap in gaps) + b"".join(
        _signed(spans + 1, step) for step in steps
    )


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _tag(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _integer(number: int, value: int) -> bytes:
    return _tag(number, _VARINT) + _varint(value)


def _signed(number: int, value: int) -> bytes:
    return _integer(number, value * 2 if value >= 0 else -value * 2 - 1)


def _double(number: int, value: float) -> bytes:
    return _tag(number, _DOUBLE) + struct.pack("<d", value)


def _message(number: int, body: bytes) -> bytes:
    return _tag(number, _BYTES) + _delimited(body)


def _text(number: int, text: str) -> bytes:
    return _message(number, text.encode())


def _delimited(body: bytes) -> bytes:
    return _varint(len(body)) + body
