"""Lets the assertions of the shared contract explain themselves when they fail."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.journals.contract")
