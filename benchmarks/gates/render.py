"""The page of the comparison: what was asked, how it was simulated, and one table for each question."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from benchmarks.gates.field import AT_ONCE, OURS, SAYS, names
from benchmarks.gates.figures import (
    Book,
    Target,
    busy_traffic,
    missed,
    ratio,
    service,
    share,
    targets,
    time_ratio,
)
from benchmarks.gates.pacing import RATES, pacing_cells
from benchmarks.gates.results import HERE, Results, Row
from benchmarks.gates.scenarios import (
    FAILING,
    LLM_TIMES,
    SLOWER,
    TRAFFIC,
    Buckets,
    Cell,
    Subject,
    percent,
)

PAGE: Final = HERE / "README.md"
_NO_ROW: Final = "-"
Traffic = tuple[float, float]
Column = TypeVar("Column")


def write(results: Results) -> None:
    """Write the page from the results."""
    PAGE.write_text(page(results), encoding="utf-8")


def page(results: Results) -> str:
    """The page as text."""
    book = Book(results)
    fewest, most = book.runs()
    runs = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
    about = results.get("about", {})
    made = f"Python {about.get('python', '?')}, numpy {about.get('numpy', '?')}"
    sections = (
        _HEAD.format(runs=runs, made=made),
        _targets(targets(book)),
        _PLOTS,
        _rules(),
        *_nulls(book, fewest),
        *_bad(book),
        _ratios(book),
        *_calls(book),
        *_latency(book),
        _pacing(book),
        _LIMITS,
    )
    return "\n\n".join(section.strip("\n") for section in sections) + "\n"


_HEAD: Final = """
# The judgement, compared

Rollout's own judgement and the rules of Flagger, Argo Rollouts, Kayenta and PipeCD judge the same simulated rollouts.
This page, its plots and `results.json` are written by

```
python -m benchmarks.gates
```

which keeps what is measured already (`--again` measures anew, `--render` only writes the page, `--only bursty` only
those cells). {runs} runs of each cell, every run from a seed of its own; {made}.

A rollout raises the canary's weight from 1 % or 5 % to 10, 25 and 50 %, 30 minutes each, is scraped every 15 seconds
and watched for two hours. Stable fails 0.2 % of its requests on three instances; the canary has one instance, and a
second one from 25 % on. The limit is 2 % for every rule. A decision takes 30 seconds to reach the traffic, the same for
everyone. Rollout's rule is the product's code, with the built-in policy's gates and the budget of one gate of four. As
in that policy, the canary is deployed five minutes before its first traffic, so its warm-up is over by then; *warming
up* is the same where it is not. The peers' rules are written anew in `peers/`, from the lines of their source that each
module names.
"""

_PLOTS: Final = """
![Failed requests of the canary against its failure rate, for each rule](harm.svg)

![False rollbacks against the canary's traffic, for each rule](false.svg)
"""

_WHY: Final = """
Two targets are out of reach for the service with 5 requests/s at a first weight of 1 %, and for arithmetic alone. Its
canary gets 0.05 requests/s: two scrapes bring 1.5 requests, and no rule that errs in 1 % of rollouts can decide on
those. How the time falls with the traffic is in the row above and in the tables of detection below. And to show that a
rate is below 2 % with an error of 5 % takes at least log(20)/0.02 = 150 requests without a failure, where the first
step of 30 minutes brings 90.
"""

_LIMITS: Final = """
## What this does not show

The traffic is synthetic: Poisson requests, failures that are independent or come in geometric clusters, incidents of
two states, lognormal durations. Scrapes are simultaneous and none is lost. The peers' rules are simulated, not run.
Each subject is simulated on its own, with a quarter of the 1 % that a whole rollout may spend.
"""


def _targets(found: Sequence[Target]) -> str:
    marks = {True: "met", False: "**not met**", None: "not measured"}
    rows = [(one.what, one.wanted, one.measured, marks[one.met]) for one in found]
    return "## Targets\n\n" + _table(("what", "wanted", "measured", ""), rows, numbers=False) + "\n" + _WHY


def _rules() -> str:
    rows = [(_name(name), SAYS[name]) for name in (OURS, AT_ONCE, *names(Subject.ERRORS)[1:])]
    return "## The rules\n\n" + _table(("rule", "what it does"), rows, numbers=False)


def _prose(words: str) -> str:
    return textwrap.fill(words, 118)


def _nulls(book: Book, runs: int) -> Iterator[str]:
    bound = f"None seen in {runs:,} runs means less than {3 / max(runs, 1):.2%}, with 95 % confidence." if runs else ""
    yield _section(
        "## How many healthy canaries are rolled back?",
        "Shares of rollouts whose canary is exactly as good as stable: plain / bursty (clusters of 5 failures on "
        "average) / shared incidents (1 % of the time, about a minute each, 15 % of all requests fail). "
        f"{bound} The columns are the service's requests per second and the first weight.",
        _by_traffic(book, ("plain", "bursty", "incidents")),
    )
    yield _section(
        "### Other weather",
        "Load and failures that swing ninefold over the two hours / two cold minutes of each new instance, in which it "
        "fails 5 % / a canary whose requests go more to a route that fails often, whichever version serves it:",
        _by_traffic(book, ("diurnal", "cold start", "other routes")),
    )
    yield _section(
        "### Canaries that are worse than stable, inside the limit",
        "They fail 0.5 % / 1 % / 1.9 %, stable 0.2 %. Whether they should be rolled back is a question about the "
        "product; these are reported and no target.",
        _by_traffic(book, ("0.5 %", "1 %", "1.9 %")),
    )


def _section(title: str, words: str, table: str = "") -> str:
    return "\n\n".join(part for part in (title, _prose(words), table) if part)


def _by_traffic(book: Book, stories: Iterable[str]) -> str:
    stories = tuple(stories)

    def cell(rule: str, traffic: Traffic) -> str:
        return " / ".join(_share(share(book.row(book.errors(story, traffic), rule))) for story in stories)

    return _rule_table(names(Subject.ERRORS), TRAFFIC, service, cell)


def _bad(book: Book) -> Iterator[str]:
    yield _section(
        "## How soon is a bad canary rolled back, and how many requests fail?",
        "Median / 90th percentile of the minutes from the fault to the decision; mean number of the canary's requests "
        "that fail until 30 seconds after it. *Missed* are the rollouts that were not rolled back, or before the fault "
        "began (late ones begin at minute 45). Flagger with its own weights has promoted by then.",
    )
    stories = (*map(percent, FAILING), "5 % bursty", "5 % late", "20 % late")
    for traffic in TRAFFIC:

        def cell(rule: str, story: str, traffic: Traffic = traffic) -> str:
            return _detected(book.row(book.errors(story, traffic), rule))

        title = f"### {service(traffic)} (the canary gets {traffic[0] * traffic[1] / 100:g} requests per second)"
        yield f"{title}\n\n" + _rule_table((OURS, AT_ONCE, *names(Subject.ERRORS)[1:]), stories, str, cell)


def _ratios(book: Book) -> str:
    def cell(rule: str, column: tuple[float, bool]) -> str:
        rate, everywhere = column
        traffics = TRAFFIC if everywhere else busy_traffic()
        failed, time = ratio(book, rule, (rate,), traffics), time_ratio(book, rule, rate, traffics)
        return f"{failed:.1f}, {time:.1f}" if failed and time else _NO_ROW

    columns = [(rate, everywhere) for everywhere in (False, True) for rate in FAILING]
    table = _rule_table(
        (AT_ONCE, *names(Subject.ERRORS)[1:]),
        columns,
        lambda column: f"{percent(column[0])}, {'all six' if column[1] else 'five'}",
        cell,
    )
    return _section(
        "## How many times ours is that?",
        "Failed requests, time until the canary's traffic has gone: both as the rule's by Rollout's, geometric means "
        "over the five services whose canary gets at least 0.25 requests per second, and over all six. Read it beside "
        "the false rollbacks above: a rule that rolls back everything is quick.",
        table,
    )


def _calls(book: Book) -> Iterator[str]:
    traffics = tuple((rps, weight) for rps in (1.0, 5.0, 50.0) for weight in (1.0, 5.0))
    yield _section(
        "## Calls of a dependency: at most 1.5 times stable's failures",
        "Stable fails 1 % of its calls, the canary as many (a rollback is false), twice, three and ten times as many. "
        "Share rolled back, and the median minutes. Where traffic is too thin for an answer, Rollout gives none.",
    )
    for traffic in traffics:

        def cell(rule: str, times: int, traffic: Traffic = traffic) -> str:
            return _rolled(book.row(book.find(Subject.CALLS, f"x{times}", *traffic), rule))

        title = f"### {traffic[0]:g} calls per second, {traffic[1]:g} %"
        yield f"{title}\n\n" + _rule_table(names(Subject.CALLS), LLM_TIMES, lambda times: f"x{times}", cell)


def _latency(book: Book) -> Iterator[str]:
    yield _section(
        "## Latency: p95 at most 1.3 times stable's",
        "Durations are lognormal with stable's p95 at 402 ms; all of the canary's are longer by the same factor. Share "
        "rolled back, and the median minutes. +20 % is allowed, +30 % is the limit itself. The first weight is 5 %.",
    )
    for rps in (5.0, 50.0):
        for buckets in Buckets:

            def cell(rule: str, slower: float, rps: float = rps, buckets: Buckets = buckets) -> str:
                story = f"+{percent(slower)}, {buckets} buckets"
                return _rolled(book.row(book.find(Subject.LATENCY, story, rps, 5.0), rule))

            layout = "Prometheus's default buckets" if buckets is Buckets.DEFAULT else "buckets 2^(1/4) apart"
            yield f"### {rps:g} rps, {layout}\n\n" + _rule_table(
                names(Subject.LATENCY), SLOWER, lambda slower: f"+{percent(slower)}", cell
            )


def _pacing(book: Book) -> str:
    rows: list[tuple[str, ...]] = []
    by_traffic: dict[Traffic, list[Cell]] = {}
    for cell in pacing_cells():
        by_traffic.setdefault((cell.rps, cell.first_weight), []).append(cell)
    for traffic, many in by_traffic.items():
        parts = [service(traffic)]
        for cell in many:
            fixed, evidence = book.pacing(cell, "soak"), book.pacing(cell, "evidence")
            if fixed is None or evidence is None:
                parts.append(_NO_ROW)
            elif cell.canary == RATES[0]:
                parts.append(
                    f"{_number(fixed['median_minutes'])} -> {_number(evidence['median_minutes'])} "
                    f"(90 %: {_number(evidence['p90_minutes'])})"
                )
            else:
                parts.append(
                    f"{fixed['mean_failed']:.1f} -> {evidence['mean_failed']:.1f}"
                    + (f" ({fixed['promoted']} -> {evidence['promoted']} promoted)" if evidence["promoted"] else "")
                )
        rows.append(tuple(parts))
    head = ("service", "healthy: median minutes", *(f"{percent(rate)}: failed requests" for rate in RATES[1:]))
    return _section(
        "## What is `advance: evidence` worth?",
        "The first step lasts its 30 minutes; later ones last 5 at least, and end once there is evidence (error 5 %) "
        "that the limit is kept. Fixed steps -> steps by evidence. The median is of those promoted within four "
        "hours. These faults begin with the traffic; one that begins after the shorter rollout is not seen in it.",
        _table(head, rows),
    )


def _rule_table(
    rules: Iterable[str], columns: Iterable[Column], title: Callable[[Column], str], cell: Callable[[str, Column], str]
) -> str:
    columns = tuple(columns)
    rows = [(_name(rule), *(cell(rule, column) for column in columns)) for rule in rules]
    return _table(("rule", *map(title, columns)), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = True) -> str:
    rule = ["---", *(("---:" if numbers else "---") for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def _name(rule: str) -> str:
    return f"**{rule}**" if rule == OURS else rule


def _share(value: float | None) -> str:
    if value is None:
        return _NO_ROW
    return "0" if value == 0 else f"{value * 100:.2g} %" if value < 0.1 else f"{value * 100:.0f} %"


def _number(value: float | None) -> str:
    if value is None:
        return _NO_ROW
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def _detected(row: Row | None) -> str:
    if row is None:
        return _NO_ROW
    times = f"{_number(row['median_minutes'])} / {_number(row['p90_minutes'])}; {_number(row['mean_failed'])}"
    lost = missed(row)
    return f"{times}; *{lost:,} missed*" if lost else times


def _rolled(row: Row | None) -> str:
    if row is None:
        return _NO_ROW
    found = _share(share(row))
    return found if found == "0" else f"{found}; {_number(row['median_minutes'])}"
