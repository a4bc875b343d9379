"""What a person can type, with an example for each verb."""

from __future__ import annotations

import argparse
import getpass
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rollout import __version__
from rollout.core.events import Order
from rollout.core.pacing import Pacing

EXIT_CODES: Final = """exit codes:
   0  done: promoted, or under way (tick), or nothing wrong (doctor)
   1  a defect in rollout itself; evidence that judged anew says something else (evidence)
   2  rollout.yml, an argument or a variable is wrong; nothing was changed
   3  rolled back: the former release serves everybody
   4  waiting for a person (tick)
   5  refused: another rollout is under way, or the order is stale
   6  the journal or a file of evidence cannot be read or written, or the journal has moved on
   7  the target failed
   8  the metrics cannot be had
   9  a program is missing on this machine
  10  doctor, or the look before a start, found something wrong
  11  GitHub does not answer, or the token lacks a permission
 128+ told to stop by a signal; the next run or tick goes on
"""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the command line, checked as far as arguments can be."""

    config: Path
    journal: Path | None
    json: bool
    env: Mapping[str, str]
    arguments: argparse.Namespace


Verb = Callable[[Call], int]


def execute(argv: list[str] | None, env: Mapping[str, str], *, demo: Verb) -> int:
    """Run one verb; its exit code. Raises RolloutError, and SystemExit for wrong arguments.

    `demo` is handed in, as the demo stands above the command line: it types what a user would.
    """
    call = parsed(argv, env)
    verb = call.arguments.verb
    return demo(call) if verb == "demo" else _verb(verb)(call)


def parsed(argv: list[str] | None, env: Mapping[str, str]) -> Call:
    """The call that these arguments make. Raises SystemExit for wrong ones."""
    arguments = _parser(env).parse_args(argv)
    return Call(
        config=getattr(arguments, "config", Path("rollout.yml")),
        journal=getattr(arguments, "journal", None),
        json=getattr(arguments, "json", False),
        env=env,
        arguments=arguments,
    )


def _verb(name: str) -> Verb:
    """The function behind a verb. Imported here, so that no verb pays for the imports of another."""
    match name:
        case "run" | "tick":
            from rollout.cli import driving  # noqa: PLC0415 - see above

            return driving.run if name == "run" else driving.tick
        case "plan":
            from rollout.cli import foreseeing  # noqa: PLC0415 - see above

            return foreseeing.plan
        case "status" | "doctor" | "schema" | "token":
            from rollout.cli import looking  # noqa: PLC0415 - see above

            return {
                "status": looking.status,
                "doctor": looking.doctor,
                "schema": looking.schema,
                "token": looking.token,
            }[name]
        case "init":
            from rollout.cli import beginning  # noqa: PLC0415 - see above

            return beginning.init
        case "interrupted":
            from rollout.cli import workflow  # noqa: PLC0415 - see above

            return workflow.interrupted
        case "evidence":
            from rollout.cli import evidence  # noqa: PLC0415 - see above

            return evidence.evidence
        case "replay":
            from rollout.cli import replaying  # noqa: PLC0415 - see above

            return replaying.replay
        case "record":
            from rollout.cli import recording  # noqa: PLC0415 - see above

            return recording.record
        case _:
            from rollout.cli import orders  # noqa: PLC0415 - see above

            return orders.order


def _parser(env: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rollout",
        description="Release as a canary, move traffic step by step, judge the metrics, go back by itself.",
        epilog=EXIT_CODES + "\nexample:\n  rollout doctor && rollout run v1.4.0",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rollout {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _beginning(verbs)
    _driving(verbs, env)
    _orders(verbs, env)
    _looking(verbs, env)
    _checking(verbs, env)
    demo = _add(verbs, "demo", "try it all on this machine with a small chat service", "rollout demo")
    demo.add_argument("--directory", type=Path, help="keep the files of the demo here (default: a temporary directory)")
    demo.add_argument("--report", type=Path, default=Path("rollout-demo.html"), help="where the HTML report goes")
    demo.add_argument("--plain", action="store_true", help="lines instead of a live view")
    return parser


def _beginning(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    init = _add(verbs, "init", "write a first rollout.yml and the workflow for it", "rollout init --pacing wake")
    init.add_argument(
        "--pacing",
        choices=[pacing.value for pacing in Pacing],
        default=Pacing.HOLD.value,
        help="whether a job sleeps between two looks, or leaves and is woken (default: hold)",
    )
    init.add_argument("--force", action="store_true", help="write over files that are there")
    init.add_argument("--json", action="store_true", help="one JSON document instead of text")


def _driving(verbs: argparse._SubParsersAction[argparse.ArgumentParser], env: Mapping[str, str]) -> None:
    for name, help_text, example in (
        ("run", "start or continue a rollout, and stay until it has ended", "rollout run v1.4.0"),
        ("tick", "one turn: look, decide, act, record; then leave", "rollout tick --json"),
    ):
        verb = _add(verbs, name, help_text, example)
        _common(verb, env)
        verb.add_argument("tag", nargs="?", help="the release to start; left out, the one under way goes on")
        verb.add_argument("--again", action="store_true", help="release the image even if it is stable already")
        if name == "run":
            verb.add_argument(
                "--plain", action="store_true", help="lines instead of a live view (default: no terminal)"
            )
            verb.add_argument("--html", type=Path, metavar="FILE", help="write a report with charts at the end")
    _config(
        _add(verbs, "interrupted", "note that a job was cancelled; the action calls it", "rollout interrupted"), env
    )


def _orders(verbs: argparse._SubParsersAction[argparse.ArgumentParser], env: Mapping[str, str]) -> None:
    texts = {
        Order.PROMOTE: "make the canary stable now, without the steps that are left",
        Order.APPROVE: "let the current step move on",
        Order.PAUSE: "hold the weight until resumed; a bad verdict still rolls back",
        Order.RESUME: "go on after a pause",
        Order.ABORT: "all traffic back to stable; after a promotion, to the former release while it is kept",
    }
    for order, text in texts.items():
        verb = _add(verbs, order.value, text, f"rollout {order.value} --step 3")
        _common(verb, env)
        verb.add_argument("--step", type=int, metavar="N", help="refuse unless the rollout is at this step")
        verb.add_argument("--rollout", metavar="ID", help="refuse unless this is the rollout under way")
        verb.add_argument("--by", default=_person(env), help="who orders it (default: the user of this machine)")


def _looking(verbs: argparse._SubParsersAction[argparse.ArgumentParser], env: Mapping[str, str]) -> None:
    status = _add(verbs, "status", "where the rollout stands", "rollout status --json")
    _common(status, env)
    status.add_argument("--events", action="store_true", help="every event of the journal as well")
    status.add_argument("--html", type=Path, metavar="FILE", help="write a report with charts")
    plan = _add(verbs, "plan", "the timetable of a rollout, and what its gates can see", "rollout plan --rps 50")
    _common(plan, env)
    plan.add_argument(
        "--rps", action="append", metavar="[GATE=]N", help="requests/s of all users (default: those of the last hour)"
    )
    plan.add_argument("--failing", action="append", metavar="[GATE=]RATE", help="how often stable fails, such as 0.2%%")
    doctor = _add(verbs, "doctor", "look for what would go wrong; change nothing", "rollout doctor")
    _common(doctor, env)
    _add(verbs, "schema", "print the JSON Schema of rollout.yml", "rollout schema > rollout.schema.json")
    token = _add(verbs, "token", "print a token that lets a tester reach a version", "rollout token --days 7")
    _common(token, env)
    token.add_argument("--days", type=int, default=7, help="how long it is valid, 0 to 30 (default: 7)")
    token.add_argument("--for", dest="of", choices=("canary", "stable"), default="canary", help="the version it opens")


def _checking(verbs: argparse._SubParsersAction[argparse.ArgumentParser], env: Mapping[str, str]) -> None:
    example = "rollout evidence /var/lib/rollout/journal/chat/production/evidence/7-v1.4.0/*.json.gz"
    evidence = _add(verbs, "evidence", "what a decision rested on; judges anew from the same samples", example)
    evidence.add_argument("file", type=Path, metavar="FILE", help="a file of the directory `evidence` by the journal")
    evidence.add_argument("--json", action="store_true", help="one JSON document instead of text")
    replay = _add(
        verbs, "replay", "what this policy would have done with recordings, and when", "rollout replay last-week.jsonl"
    )
    _config(replay, env)
    replay.add_argument("files", nargs="+", metavar="FILE", help="JSON Lines, as `rollout record` writes them")
    replay.add_argument("--json", action="store_true", help="one JSON document per file and line instead of text")
    record = _add(
        verbs,
        "record",
        "the raw samples of a past window, for `rollout replay`",
        "rollout record --since 3h > release.jsonl",
    )
    _config(record, env)
    record.add_argument("--journal", type=Path, metavar="DIR", help="where journals are (default: $ROLLOUT_JOURNAL)")
    record.add_argument("--since", metavar="SPAN", help="the window begins that long before its end, such as 2h")
    record.add_argument("--from", dest="begin", metavar="TIME", help="the window begins then: 2026-03-01T12:00:00Z")
    record.add_argument("--to", dest="end", metavar="TIME", help="the window ends then (default: now)")
    record.add_argument(
        "--weight", type=float, metavar="PERCENT", help="the canary's share (default: as the journal tells it)"
    )


def _config(verb: argparse.ArgumentParser, env: Mapping[str, str]) -> None:
    default = Path(env.get("ROLLOUT_CONFIG") or "rollout.yml")
    verb.add_argument("--config", "-c", type=Path, default=default, metavar="FILE", help="default: rollout.yml")


def _add(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help_text: str, example: str
) -> argparse.ArgumentParser:
    return verbs.add_parser(
        name,
        help=help_text,
        description=f"{help_text[0].upper()}{help_text[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _common(verb: argparse.ArgumentParser, env: Mapping[str, str]) -> None:
    _config(verb, env)
    verb.add_argument("--journal", type=Path, metavar="DIR", help="where journals are (default: $ROLLOUT_JOURNAL)")
    verb.add_argument("--json", action="store_true", help="one JSON document instead of text")


def _person(env: Mapping[str, str]) -> str:
    try:
        return env.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
