"""Who competes: every rule under its name, in the order of the tables."""

from __future__ import annotations

from typing import Final

from benchmarks.gates import ours
from benchmarks.gates.peers import argo, flagger, guide, kayenta, pipecd
from benchmarks.gates.rules import Rule
from benchmarks.gates.scenarios import Cell, Sort, Subject

OURS: Final = ours.NAME
AT_ONCE: Final = ours.AT_ONCE
NATIVE: Final = "flagger, own weights"
HELD: Final = "flagger"
ARGO: Final = "argo, rate"
KAYENTA: Final = "kayenta, 30 min"

PEERS: Final = (
    Rule(name=HELD, family="flagger", decide=flagger.held, says="success rate over 1 m each minute, 5 failed checks"),
    Rule(name=ARGO, family="argo", decide=argo.rate, says="`rate[5m]` each 5 minutes, `failureLimit: 3`"),
    Rule(name="argo, irate", family="argo", decide=argo.irate, says="`irate[5m]` each 5 minutes, `failureLimit: 3`"),
    Rule(
        name="argo, first failure",
        family="argo",
        decide=argo.first_failure,
        says="`rate[5m]` each 5 minutes, `failureLimit` left out",
    ),
    Rule(
        name=KAYENTA,
        family="kayenta",
        decide=kayenta.half_hourly,
        says="Mann-Whitney of one-minute values, each 30 minutes",
    ),
    Rule(
        name="kayenta, 60 min",
        family="kayenta",
        decide=kayenta.hourly,
        says="Mann-Whitney of one-minute values, each 60 minutes",
    ),
    Rule(
        name="pipecd, threshold",
        family="pipecd",
        decide=pipecd.threshold,
        says="six values of `rate[5m]` each 5 minutes, `failureLimit` left out",
    ),
    Rule(
        name="pipecd, limit 3",
        family="pipecd",
        decide=pipecd.threshold_3,
        says="six values of `rate[5m]` each 5 minutes, `failureLimit: 3`",
    ),
    Rule(
        name="pipecd, comparison",
        family="pipecd",
        decide=pipecd.comparison,
        says="Mann-Whitney of six values of `rate[5m]` each 5 minutes, 5 %",
    ),
    Rule(name="guide", family="guide", decide=guide.plain, says="30 m each 15 minutes, 5 m at 3 % each minute"),
    Rule(
        name="guide, guarded",
        family="guide",
        decide=guide.guarded,
        says="the same with at least 100 requests and 5 failures",
    ),
)

FAMILIES: Final = {rule.name: rule.family for rule in PEERS} | {NATIVE: "flagger", OURS: "rollout", AT_ONCE: "rollout"}
SAYS: Final = {rule.name: rule.says for rule in PEERS} | {
    NATIVE: "the same, the weight rises with each passed check",
    OURS: "every 15 s scrape, evidence that may be looked at any number of times",
    AT_ONCE: "the same where the canary gets traffic at once, so that its warm-up is still on (for bad canaries only)",
}


def rules_of(cell: Cell) -> tuple[str, ...]:
    """Everything that is measured in a cell."""
    warming = cell.subject is Subject.ERRORS and cell.sort is Sort.BAD
    return (*names(cell.subject), *((AT_ONCE,) if warming else ()))


def names(subject: Subject) -> tuple[str, ...]:
    """The rules that judge a subject, ours first."""
    found = [OURS, *(rule.name for rule in PEERS if subject in rule.subjects)]
    if subject is Subject.ERRORS:
        found.insert(2, NATIVE)
    return tuple(found)
