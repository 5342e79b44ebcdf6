"""The results of benchmarks/verdicts.py: two tables and a sentence in docs/statistics.md."""

from __future__ import annotations

import math
from typing import Any

from pages import markdown

Row = dict[str, Any]

KINDS = "difference", "equivalence"


def sections(results: Row) -> dict[str, str]:
    about, rows = results["about"], results["rows"]
    names = list(dict.fromkeys(row["distribution"] for row in rows))
    studies = {row["studies"] for row in rows}
    note = (
        f"Simulated on {about['date']}: {min(studies):,} to {max(studies):,} studies per figure, whose standard error "
        f"is at most {_largest_error(rows):.3f}. Each cell: {' / '.join(names)}."
    )
    return {"verdicts": f"{note}\n\n{table(rows)}", "two-stages": two_stages_table(results), "looks": looks(results)}


def table(rows: list[Row]) -> str:
    """Return a line per number of pairs and comparisons, with the figures of all distributions in a cell."""
    header = [
        "pairs",
        "comparisons",
        "false difference",
        "false equivalence",
        "coverage of the interval",
        "margin, SDs",
    ]
    lines = []
    for pairs, comparisons in dict.fromkeys((row["pairs"], row["comparisons"]) for row in rows):
        own = [row for row in rows if (row["pairs"], row["comparisons"]) == (pairs, comparisons)]
        figures = [_cell(own, name) for name in ("false_difference", "false_equivalence", "coverage")]
        margin = own[0]["margin"]
        reached = ["–", "cannot be reached"] if margin is None else [f"{margin:.2f}", _cell(own, "power")]
        lines.append([str(pairs), str(comparisons), *figures, *reached])
    return markdown.table([*header, "power"], lines)


def two_stages_table(results: Row) -> str:
    """Return a line per size of the pilot and number of comparisons; rates of the new study alone / of both studies."""
    lines = [
        [
            str(row["pilot"]),
            str(row["comparisons"]),
            f"{row['median']:.0f}",
            f"{row['low']:.0f} to {row['high']:.0f}",
            _figure(row["power"]),
            *(f"{_figure(row[f'false_{kind}'])} / {_figure(row[f'either_{kind}'])}" for kind in KINDS),
        ]
        for row in results["two_stages"]
    ]
    header = ["seeds of the pilot", "comparisons", "computed seeds, median", "90 % of pilots", "realised power"]
    return markdown.table([*header, *(f"false {kind}" for kind in KINDS)], lines)


def looks(results: Row) -> str:
    """Return in a sentence how often studies without a difference find one if they are looked at several times."""
    *first, last = results["looks"]
    share = f"{100 * results['false_after_looks']:.0f} %"
    return (
        f"Of simulated studies without a difference, {share} find one if they are judged after "
        f"{', '.join(map(str, first))} and {last} seeds, and stopped when p < .05."
    )


def _cell(rows: list[Row], name: str) -> str:
    return " / ".join(_figure(row[name]) for row in rows)


def _figure(share: float) -> str:
    return f"{share:.3f}".removeprefix("0")


def _largest_error(rows: list[Row]) -> float:
    """Return the largest standard error of the shares of studies."""
    names = ("false_difference", "false_equivalence", "power")
    known = [(row[name], row["studies"]) for row in rows for name in names if row[name] is not None]
    return max(math.sqrt(share * (1 - share) / studies) for share, studies in known)
