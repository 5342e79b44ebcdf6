"""The results of benchmarks/noises.py: a table in docs/performance.md."""

from __future__ import annotations

import statistics
from typing import Any

from pages import markdown


def sections(results: dict[str, Any]) -> dict[str, str]:
    about, rounds = results["about"], results["rounds"]
    software = f"{about['threads']} threads, torch {about['versions']['torch']}"
    heading = f"{about['cpu']}, {software}, {about['date']}; {rounds} rounds after a warm-up."
    return {"noises": f"{heading}\n\n{table(results)}"}


def table(results: dict[str, Any]) -> str:
    """Return, by noise, the median seconds of an epoch and the ratio to the base noise in the same round."""
    seconds = results["seconds"]
    lines = []
    for name, measured in seconds.items():
        ratios = [a / b for a, b in zip(measured, seconds[results["base"]], strict=True)]
        median = statistics.median(ratios)
        lines.append([name, f"{statistics.median(measured):.3f}", f"{median:.2f}", markdown.span(ratios, 2)])
    return markdown.table(["noise", "s/epoch", f"relative to {results['base']}", "range"], lines)
