"""The verbs of the command line: arguments in, one exit code out. What they do is elsewhere."""

from rollout.cli.parser import Call, execute

__all__ = ["Call", "execute"]
