"""The results of benchmarks/soak.py: the chart of docs/scale.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
from altair.typing import ChartType

from dropexp.report.charts.by_name import save
from dropexp.report.charts.data import domain_of
from dropexp.report.charts.style import (
    WIDTH,
    ValueAxis,
    click_selection,
    data_of,
    grid,
    highlight,
    line_ends,
    line_labels,
    looks_of,
    titled,
)

SHM = "new in /dev/shm"
TITLES = {"own_mb": "own memory, MB", "files": "open files", "threads": "threads", "shm": SHM}  # by what was sampled


def draw(results: dict[str, Any], folder: Path) -> None:
    save(chart(results), folder / "soak.svg")


def growth_lines(results: dict[str, Any]) -> list[str]:
    """Return, by process, how much each measure grew per 1,000 runs."""
    return [
        f"{name}: " + ", ".join(f"{TITLES[key]} {more:+g}" for key, more in growth.items())
        for name, growth in results["growth"].items()
    ]


def chart(results: dict[str, Any]) -> ChartType:
    """Return a panel per measure: its value in each process against the number of runs started."""
    samples, height = results["samples"], 150
    names = [*{name: None for sample in samples for name in sample["processes"]}, SHM]
    looks = looks_of(names)
    x_scale = alt.Scale(domain=[0, results["runs"]], nice=False)
    x = alt.X("runs", type="quantitative", title="runs started", scale=x_scale, axis=alt.Axis(tickCount=5))
    panels: list[ChartType] = []
    for key, title in TITLES.items():
        frame = pd.DataFrame(
            {"runs": sample["runs"], "series": name, "mean": values[key]}
            for sample in samples
            for name, values in [*sample["processes"].items(), (SHM, {"shm": sample["shm"]})]
            if key in values
        )
        y = ValueAxis(alt.Y, title, domain_of(frame["mean"], pd.Series([0.0, 1.0])))
        base = alt.Chart(data_of(frame)).encode(x, y("mean"), looks.color, looks.dash, opacity=highlight(1))
        lines = base.mark_line(strokeWidth=2)
        labels = line_labels(line_ends(frame), y, looks.color, (WIDTH, height))
        panels.append(alt.layer(lines.add_params(click_selection()), *labels).properties(width=WIDTH, height=height))
    title = f"{results['runs']:,} runs in one command with {results['jobs']} workers"
    return titled(grid(panels, 1), title, "each process from its start to its exit", growth_lines(results))
