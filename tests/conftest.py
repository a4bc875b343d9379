"""Lets the assertions of the simulated world explain themselves when they fail."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.engine.simulation")
