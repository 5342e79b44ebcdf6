"""Tables for people: Rich on a console, Markdown as text, both from the same cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dropexp.comparison import Comparison

if TYPE_CHECKING:
    from dropexp import benchmark

ABSENT = "-"
BARS = "▁▂▃▄▅▆▇█"
FOLD_WIDTH = 12  # a name is not folded into less
CURVE_WIDTH = 20  # longer curves are thinned to so many bars

FIGURES = {"train_loss": "train loss", "train_acc": "train accuracy", "test_acc": "test accuracy"}


@dataclass(frozen=True)
class _Table:
    title: str
    headers: Sequence[str]  # a line break where a console may save width
    rows: Sequence[Sequence[str]]
    fold: Sequence[int] = (0,)  # columns whose words may go on several lines; a figure never does
    left: Sequence[int] = (0,)
    legend: str = ""


def show(comparison: Comparison, console: Console) -> None:
    """Print the tables of a comparison, each with its legend, and its notes."""
    for table in _tables(comparison):
        _print(table, console)
    for note in comparison.notes:
        console.print(Text(f"note: {note}"), soft_wrap=not console.is_terminal)


def show_runs(runs: pd.DataFrame, console: Console) -> None:
    """Print a line per run of `load_runs`: state, label, seed, last epoch, test accuracy, path."""
    _print(_runs(runs), console)


def markdown_runs(runs: pd.DataFrame) -> str:
    """The same as a table of GitHub's Markdown."""
    return _markdown(_runs(runs))


def show_benchmark(result: benchmark.Result, console: Console) -> None:
    """Print the timings of a benchmark and their ratios."""
    book, products = result.timings[0].median, result.timings[-1].median
    rows = [
        [
            timing.name,
            f"{timing.median:.3f}",
            f"{min(timing.seconds):.3f} - {max(timing.seconds):.3f}",
            f"{book / timing.median:.1f}",
            f"{timing.median / products:.2f}",
        ]
        for timing in result.timings
    ]
    peak = (
        ""
        if result.peak_mb is None
        else f" Peak memory of training: {result.peak_mb:.0f} MB above torch, imported and multiplying."
    )
    legend = (
        "An epoch trains on 60,000 images and evaluates 10,000; all were timed in turn in one process. "
        f"Threads: {result.threads}. Matrix products of nn, scratch and alone: {result.route}.{peak}"
    )
    headers = ["", "s/epoch", "min - max", "times the\nbook's speed", "times the\nproducts' time"]
    _print(_Table("Epoch time, median", headers, rows, legend=legend), console)


def _runs(runs: pd.DataFrame) -> _Table:
    rows = [
        [
            run["status"],
            *(ABSENT if pd.isna(run[key]) else str(run[key]) for key in ("label", "seed", "epoch")),
            _figure(run["test_acc"]),
            run["path"],
        ]
        for run in runs.to_dict("records")
    ]
    return _Table("", ["state", "arm", "seed", "epoch", "test\naccuracy", "path"], rows, left=(0, 1, 5))


def markdown(comparison: Comparison) -> str:
    """The same tables for GitHub."""
    blocks = [f"**{_escape(table.title)}**\n\n{_markdown(table)}\n\n{table.legend}\n" for table in _tables(comparison)]
    return "\n".join([*blocks, *(f"- {_escape(note)}" for note in comparison.notes)]).rstrip()


def _markdown(table: _Table) -> str:
    marks = ["---" if i in table.left else "---:" for i in range(len(table.headers))]
    lines = [[header.replace("\n", " ") for header in table.headers], marks, *table.rows]
    return "\n".join("| " + " | ".join(map(_escape, line)) + " |" for line in lines)


def _tables(comparison: Comparison) -> list[_Table]:
    tables = [_arms(comparison.arms)]
    if len(comparison.differences):
        tables.append(_differences(comparison.differences))
    published = [_published(rows) for _, rows in comparison.published.groupby("arm", sort=False)]
    return tables + published


def _arms(arms: pd.DataFrame) -> _Table:
    reached = [value for curve in arms["curve"] for value in curve if not math.isnan(value)]
    low, high = (min(reached), max(reached)) if reached else (0.0, 0.0)
    rows = [
        [
            arm["arm"],
            f"{arm['n']}, {arm['diverged']} diverged" if arm["diverged"] else str(arm["n"]),
            _spread(arm["test_acc"], arm["test_acc_sd"]),
            _figure(arm["clean_train_acc"]),
            _figure(arm["gap"], "+.4f"),
            _figure(arm["test_loss"]),
            _figure(arm["seconds"], ".2f"),
            _sparkline(arm["curve"], low, high),
        ]
        for arm in arms.to_dict("records")
    ]
    return _Table(
        "Arms, at the last epoch",
        ["arm", "n", "test accuracy", "train\naccuracy", "gap", "test\nloss", "s/epoch", "by epoch"],
        rows,
        fold=(0, 1),
        left=(0, 7),
        legend="n: runs, one per seed. ±: sample SD over the seeds. train accuracy: in eval mode. gap: train "
        "accuracy in eval mode minus test accuracy. test loss: mean cross entropy, nats. "
        "s/epoch: median, training and test evaluation. "
        f"by epoch: mean test accuracy, from {low:.4f} ({BARS[0]}) to {high:.4f} ({BARS[-1]}).",
    )


def _differences(differences: pd.DataFrame) -> _Table:
    rows = [
        [
            f"{d['arm']} - {d['baseline']}",
            str(d["pairs"]),
            _figure(d["difference"], "+.4f"),
            _interval(d["low"], d["high"], "+.4f"),
        ]
        for d in differences.to_dict("records")
    ]
    return _Table(
        "Differences in test accuracy",
        ["arm - baseline", "pairs", "difference", "95 % interval"],
        rows,
        legend="difference: mean over pairs of runs with one seed. interval: 95 % t-interval of that mean.",
    )


def _published(published: pd.DataFrame) -> _Table:
    records = published.to_dict("records")
    rows = [
        [
            FIGURES[p["figure"]],
            str(p["epoch"]),
            f"{_figure(p['published'])} ± {_figure(p['rounding'])}",
            _spread(p["mean"], p["sd"]),
            _interval(p["low"], p["high"]),
            {True: "yes", False: "no"}.get(p["inside"], ABSENT),
        ]
        for p in records
    ]
    source = f" ({records[0]['source']})" if isinstance(records[0]["source"], str) else ""
    return _Table(
        f"{records[0]['arm']}, n = {records[0]['n']}, beside the published figures{source}",
        ["figure", "epoch", "published", "ours", "95 % of\nsingle runs", "inside"],
        rows,
        left=(0, 5),
        legend="ours: mean ± sample SD over the seeds. train loss and accuracy: running, noise on. "
        "95 % of single runs: prediction interval for one run of ours. "
        "published: ± its rounding. inside: whether it may lie there, given its rounding.",
    )


def _print(table: _Table, console: Console) -> None:
    """A pipe gets the natural width; a terminal folds words, and runs over rather than cut a figure."""
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for i, header in enumerate(table.headers):
        cells = [row[i] for row in table.rows]
        words = [word for cell in [*cells, header] for word in cell.split()]
        lines = [line for cell in [*cells, header] for line in cell.split("\n")]
        folds = i in table.fold
        drawn.add_column(
            Text(header),
            justify="left" if i in table.left else "right",
            overflow="fold",
            no_wrap=not folds,
            min_width=min(FOLD_WIDTH, max(map(cell_len, words))) if folds else max(map(cell_len, lines)),
        )
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    endless = console.options.update(width=100_000)
    drawn.width = console.measure(drawn, options=endless).maximum
    soft = not console.is_terminal
    if console.is_terminal:
        least = sum(column.min_width or 0 for column in drawn.columns) + 2 * (len(drawn.columns) - 1)
        drawn.width = max(least, min(drawn.width, console.width))
    if table.title:
        console.print(Text(table.title, style="bold"), soft_wrap=soft)
    with console.capture() as capture:
        console.print(drawn, crop=False)
    for line in capture.get().splitlines():
        console.out(line.rstrip() if soft else line, highlight=False)
    if table.legend:
        console.print(Text(table.legend, style="dim"), soft_wrap=soft)
    console.print()


def _figure(value: float, form: str = ".4f") -> str:
    return ABSENT if math.isnan(value) else format(value, form)


def _spread(mean: float, sd: float) -> str:
    return _figure(mean) if math.isnan(sd) else f"{mean:.4f} ± {sd:.4f}"


def _interval(low: float, high: float, form: str = ".4f") -> str:
    return ABSENT if math.isnan(low) else f"[{low:{form}}, {high:{form}}]"


def _sparkline(curve: Sequence[float], low: float, high: float) -> str:
    """A bar per epoch, at one scale for all arms; of a long curve evenly spaced epochs, the last too."""
    if len(curve) > CURVE_WIDTH:
        curve = [curve[round(i * (len(curve) - 1) / (CURVE_WIDTH - 1))] for i in range(CURVE_WIDTH)]
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if math.isnan(v) else BARS[round((v - low) * scale)] for v in curve) or ABSENT


def _escape(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
