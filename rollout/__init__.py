"""Safe releases from a GitHub workflow: a canary, a judgement, and the way back."""

from __future__ import annotations

__version__ = "0.1.0"
