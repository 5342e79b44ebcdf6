"""The results of benchmarks/two_way.py: a table in docs/statistics.md."""

from __future__ import annotations

import math
from typing import Any

from pages import markdown

Row = dict[str, Any]

METHODS = {"over_seeds": "over seeds", "two_way": "over seeds and images", "bootstrap": "two-way bootstrap"}
EFFECTS = {0.0: "none", 1.0: "as large", 3.0: "three times"}


def sections(results: Row) -> dict[str, str]:
    rows = results["rows"]
    studies = {row["studies"] for row in rows}
    names = " / ".join(dict.fromkeys(row["values"] for row in rows))
    note = (
        f"Simulated on {results['about']['date']}: {min(studies):,} comparisons per figure with {results['images']:,} "
        f"test images; a standard error of about {math.sqrt(0.95 * 0.05 / min(studies)):.3f}. Each cell: {names}."
    )
    return {"two-way": f"{note}\n\n{table(rows)}"}


def table(rows: list[Row]) -> str:
    """Return a line per number of seeds and effect of the images, with the coverage of each interval."""
    lines = []
    for seeds, ratio in dict.fromkeys((row["seeds"], row["ratio"]) for row in rows):
        own = [row for row in rows if (row["seeds"], row["ratio"]) == (seeds, ratio)]
        cells = [" / ".join(f"{row[name]:.3f}".removeprefix("0") for row in own) for name in METHODS]
        lines.append([str(seeds), EFFECTS[ratio], *cells])
    return markdown.table(["seeds", "effect of images", *METHODS.values()], lines)
