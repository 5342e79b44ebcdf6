"""The results of benchmarks/gpu.py: a table in docs/performance.md."""

from __future__ import annotations

from typing import Any


def sections(results: dict[str, Any]) -> dict[str, str]:
    lines = [f"{results['device']}, torch {results['torch']}, CUDA {results['cuda']}, {results['date']}:", ""]
    lines += ["| What | Measured | Bound | Passed |", "|---|--:|--:|---|", *map(line, results["rows"])]
    return {"gpu": "\n".join(lines)}


def line(row: dict[str, Any]) -> str:
    """Return a row of the table in Markdown. A timing has no verdict, only a target."""
    bound = "" if row["bound"] is None else f"≤ {row['bound']:g} {row['unit']}".rstrip()
    passed = {True: "yes", False: "NO", None: ""}[row["passed"]]
    value = f"{row['value']:.3g} {row['unit']}".rstrip()
    return f"| {row['what']} | {value} | {bound} | {passed} |"
