"""In which language people are told: one word that the reports and the notifications share, and nothing else."""

from __future__ import annotations

from enum import StrEnum


class Language(StrEnum):
    """The languages that every text for people exists in."""

    EN = "en"
    ZH = "zh"
