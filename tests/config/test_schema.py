"""The committed schema, the reference page and the code say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

from rollout.config import schema, schema_text
from rollout.config.reference import PAGE, SCHEMA_FILE, page
from rollout.core.duration import PATTERN, parse_duration

ROOT = Path(__file__).parents[2]
AGAIN = "run `python -m rollout.config.reference`"


def test_the_committed_schema_is_that_of_the_code() -> None:
    """Editors use the file, the program uses the models."""
    assert (ROOT / SCHEMA_FILE).read_text(encoding="utf-8") == schema_text(), AGAIN


def test_the_tables_of_the_page_are_those_of_the_schema() -> None:
    """Nobody has to remember the page."""
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    assert page(text) == text, AGAIN


def test_every_key_is_described() -> None:
    """An editor shows the description of whatever the cursor is on."""
    made = schema()
    for name, part in {"rollout.yml": made, **made["$defs"]}.items():
        for key, value in part.get("properties", {}).items():
            assert value.get("description") or "$ref" in json.dumps(value), f"{name}: {key} has no description"


def test_values_appear_as_users_write_them() -> None:
    """Durations and percentages are text with a unit, defaults included."""
    keys = schema()["properties"]
    assert (keys["interval"]["type"], keys["interval"]["default"]) == ("string", "15s")
    assert (keys["false_rollback"]["type"], keys["false_rollback"]["default"]) == ("string", "1%")
    assert schema()["$defs"]["FailureSection"]["properties"]["failures"]["pattern"] == r"\$version"
    assert "PT" not in {str(value.get("default"))[:2] for value in keys.values()}


def test_the_duration_pattern_accepts_what_the_program_reads() -> None:
    """The schema's pattern and `parse_duration` agree on the usual forms."""
    for text in ("500ms", "30s", "5m", "2h", "1d", "1h30m"):
        parse_duration(text)
        assert re.fullmatch(PATTERN, text)
    assert not re.fullmatch(PATTERN, "5")
