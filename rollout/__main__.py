"""`python -m rollout`: signals in, an exit code out."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from types import FrameType

from rollout.cli import Call, execute
from rollout.errors import Interruption, RolloutError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(argv: list[str] | None = None) -> int:
    """Run one verb of the command line; the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign shows another, and stops nothing
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    try:
        return execute(arguments, os.environ, demo=_demo)
    except RolloutError as error:
        _explain(error, as_json="--json" in arguments)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody is left to flush to at exit
        return 128 + signal.SIGPIPE
    except Interruption as interruption:
        print(f"told to stop ({interruption.signal}); `rollout run` or `rollout tick` goes on", file=sys.stderr)
        return 128 + interruption.number


def _demo(call: Call) -> int:
    from rollout.demo.run import demo  # noqa: PLC0415 - no other verb pays for it

    return demo(directory=call.arguments.directory, report=call.arguments.report, plain=call.arguments.plain)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise Interruption(signal.Signals(number).name, number)


def _explain(error: RolloutError, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": error.reason_code, "message": error.message, "hint": error.hint}))
    else:
        print(f"rollout: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
