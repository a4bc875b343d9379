"""A message as any other address takes it: one JSON document, with a text for people and a field for each fact."""

from __future__ import annotations

from datetime import UTC
from typing import Final

from rollout.core.language import Language
from rollout.notify.message import Message

SCHEMA: Final = 1
"""Grows when a field changes its meaning or goes away; new fields may come at any time."""


def payload(message: Message) -> dict[str, object]:
    """The JSON of one message."""
    return {
        "schema": SCHEMA,
        "reason": message.reason.value,
        "at": message.at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "title": message.title,
        "text": _sentences(message),
        "language": message.language.value,
        "service": message.service,
        "environment": message.environment,
        "release": message.release,
        "stable": message.stable,
        "rollout": message.rollout,
        "step": message.step,
        "steps": message.steps,
        "weight": message.weight,
        "gate": message.gate,
        "evidence": message.evidence,
        "link": message.link,
    }


def _sentences(message: Message) -> str:
    """The evidence, which ends without a stop, and the advice, which has one."""
    stop = {Language.EN: ".", Language.ZH: "。"}[message.language]
    evidence = message.evidence and f"{message.evidence.rstrip(stop)}{stop}"
    return " ".join(part for part in (evidence, message.advice) if part)
