"""The results of benchmarks/scale.py: two tables in docs/scale.md."""

from __future__ import annotations

from typing import Any

from pages import markdown


def sections(results: dict[str, Any]) -> dict[str, str]:
    """Return a section for each part that was measured."""
    parts = {"overhead": overhead, "bookkeeping": bookkeeping}
    return {
        name: f"{part(results[name])}\n\n{_measured_on(results[name])}"
        for name, part in parts.items()
        if name in results
    }


def overhead(results: dict[str, Any]) -> str:
    """Return a table of the seconds of one run and of all runs, and of what each further run adds."""
    lines = []
    for name, (one, all_runs) in results["seconds"].items():
        more = 1000 * (all_runs - one) / (results["runs"] - 1)
        lines.append([name, f"{one:.1f}", f"{all_runs:.1f}", f"{more:.0f}"])
    header = ["", "1 run, s", "all runs, s", "ms per further run"]
    return f"{results['runs']:,} runs of one epoch, two at a time.\n\n{markdown.table(header, lines)}"


def bookkeeping(results: dict[str, Any]) -> str:
    """Return a table of seconds and peak memory by number of run folders."""
    commands = [*results["rows"][0]["commands"]]
    lines = []
    for row in results["rows"]:
        measured = (row["commands"][command] for command in commands)
        cells = [f"{cost['seconds']:.1f} s, {cost['peak_mb']:.0f} MB" for cost in measured]
        lines.append([f"{row['folders']:,}", f"{row['write_seconds']:.1f} s", *cells])
    return markdown.table(["folders", "writing them", *(f"`{command}`" for command in commands)], lines)


def _measured_on(results: dict[str, Any]) -> str:
    about = results["about"]
    return f"Measured on {about['date']} on {about['cpu']}, load average before {about['load']}."
