"""The verbs of the command line: arguments in, one exit code out. What they do is elsewhere."""

from rollout.cli.parser import execute

__all__ = ["execute"]
