"""What holds for every test: simulated worlds explain their assertions, and no test fails for being slow."""

from __future__ import annotations

import pytest
from hypothesis import settings

pytest.register_assert_rewrite(
    "tests.engine.simulation",
    "tests.engine.races",
    "tests.github.jobs",
    "tests.journals.contract",
    "tests.targets.contract",
)
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
