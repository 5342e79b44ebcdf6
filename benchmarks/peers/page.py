"""Results in words and tables: what is printed, and what stands in the page between two markers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from peers.contenders import BOOK, ONE_THREAD, PRODUCTS, SCRATCH

BEGIN, END = "<!-- peers:begin -->", "<!-- peers:end -->"
Results = dict[str, Any]  # of each part that was run: what it was taken with, and its rows


def write(page: str, results: Results, chart: str) -> str:
    """The page with what stands between the markers made anew. Raises ValueError if it lacks them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n{sections(results, chart)}\n{END}{after}"


def sections(results: Results, chart: str = "") -> str:
    """Every part that there is, in Markdown."""
    parts = {"epochs": _epochs, "whole": _whole, "many": _many}
    text, said = [], None
    for name, part in parts.items():
        if name not in results:
            continue
        taken, rows = results[name]["about"], results[name]["rows"]
        text.append(part(rows))
        if name == "epochs" and chart:
            text.append(f"![Seconds per epoch of each contender, median and range]({chart})")
        text.append("Taken in the same run." if taken == said else _taken(taken))
        said = taken
    return "\n\n".join(text)


def seconds(row: dict[str, Any], key: str | None = None) -> list[float]:
    """Of each timed epoch: of training and evaluation together, or of the one that is asked for."""
    keys = [key] if key else ["train_seconds", "test_seconds"]
    return [sum(epoch[key] for key in keys) for epoch in row["epochs"]]


def _epochs(rows: list[dict[str, Any]]) -> str:
    by_name = {row["name"]: row for row in rows}
    median = {name: statistics.median(seconds(row)) for name, row in by_name.items() if row["epochs"]}
    table = []
    for row in rows:
        name, cells = row["name"], [row["name"]]
        if row["absent"]:
            table.append([*cells, f"– ({row['absent']})", *[""] * 7])
            continue
        threads = ONE_THREAD if name.endswith(ONE_THREAD) else ""
        cells += [f"{statistics.median(seconds(row, key)):.3f}" for key in ("train_seconds", "test_seconds")]
        cells += [f"**{median[name]:.3f}**", span(seconds(row))]
        cells += ["" if threads else f"{median[BOOK] / median[name]:.2f}"]
        cells += [f"{median[name] / median[PRODUCTS + threads]:.2f}"]
        cells += [f"{row['peak_mb']:.0f}" if row["peak_mb"] else "–", _learned(row["epochs"][-1])]
        table.append(cells)
    heads = ["", "train, s", "eval, s", "epoch, s", "range", "× the book's speed", "× the products' time"]
    heads += ["peak MB", "last train loss, test accuracy"]
    alone = median[SCRATCH + ONE_THREAD] / median[PRODUCTS + ONE_THREAD]
    both = median[SCRATCH] / median[PRODUCTS]
    return "\n\n".join(
        [
            "## Beside peers",
            "Seconds per epoch of the same work: 60,000 images shuffled, batches of 256, dropout 0.2 and 0.5, SGD "
            "with lr 0.5, float32, weights from N(0, 0.01²), running loss and accuracy, then loss and accuracy of the "
            "10,000 test images. Every contender is a process of its own, started before and idle while others are "
            f"timed; they take turns for {len(by_name[BOOK]['epochs'])} rounds after an epoch that warms up. Medians "
            "and ranges.",
            markdown(heads, table),
            f"`scratch` takes {both:.2f} times its products' time on all cores and {alone:.2f} times on one thread.",
            "\n".join(f"- *{row['name']}*: {row['note']}." for row in rows if row["note"]),
        ]
    )


def _whole(rows: list[dict[str, Any]]) -> str:
    median = {row["name"]: statistics.median(row["seconds"]) for row in rows}
    table = [
        [
            name,
            f"**{median[name]:.2f}**",
            span(row["seconds"], 2),
            f"{median[BOOK] / median[name]:.2f}",
            _learned(row["last"]),
        ]
        for name, row in zip(median, rows, strict=True)
    ]
    heads = ["", "seconds", "range", "× the book's speed", "last train loss, test accuracy"]
    return "\n\n".join(
        [
            "## Whole processes",
            "Seconds from start to exit of a process that imports, loads the data, trains five epochs and evaluates "
            f"after each; in turn, {len(rows[0]['seconds'])} rounds, caches warm (compiled code, decoded data). Peers "
            "write no file; `dropexp train` writes its run folder, and unless told not to it evaluates the training "
            "set too.",
            markdown(heads, table),
        ]
    )


def _many(rows: list[dict[str, Any]]) -> str:
    def figure(row: dict[str, Any], with_start: bool) -> float:
        """Seconds that pass for a run-epoch."""
        key, workers = ("wall", 1) if with_start else ("spent", row["jobs"])
        return float(statistics.median(each[key] / each["run_epochs"] / workers for each in row["rounds"]))

    def most(row: dict[str, Any], key: str) -> str:
        values = [each[key] for each in row["rounds"] if each[key] is not None]
        return f"{max(values):.0f}" if values else "–"

    table = []
    for row in rows:
        cells = [row["name"], f"{statistics.median(each['wall'] for each in row['rounds']):.1f}"]
        cells += [f"{figure(row, True):.3f}", f"{figure(row, False):.3f}"]
        table.append([*cells, *(most(row, key) for key in ("own_mb", "mapped_mb", "mapped_shared_mb"))])
    heads = ["", "wall, s", "s per run-epoch", "without start-up", "own MB", "mapped MB", "of it shared MB"]
    one, two = rows[0], next(row for row in rows if row["jobs"] == 2)
    gain = [figure(one, start) / figure(two, start) for start in (True, False)]
    runs = one["rounds"][0]["run_epochs"] // 5
    return "\n\n".join(
        [
            "## Many runs",
            f"`dropexp train` of {runs} scratch runs of 5 epochs (`eval_train: false`). *s per run-epoch* is the whole "
            "command's wall time for each epoch of each run, *without start-up* the time of training and evaluation "
            "that `epochs.csv` has, divided by the jobs. *own* is the largest private memory (USS) that a worker was "
            "seen with while it trained, *mapped* what it had in memory of data that is mapped from a file: a lone "
            "worker's counts as its own too.",
            markdown(heads, table),
            f"Two workers of one thread do {gain[0]:.2f} times the work of one in the same time, {gain[1]:.2f} times "
            f"without start-up: an efficiency of {gain[0] / 2:.0%} and {gain[1] / 2:.0%}. (One thread: "
            "`OMP_NUM_THREADS=1`.)",
        ]
    )


def span(values: Sequence[float], digits: int = 3) -> str:
    return f"{min(values):.{digits}f}–{max(values):.{digits}f}"


def markdown(heads: list[str], rows: list[list[str]]) -> str:
    """A table whose columns are aligned in the source too, since it is also printed."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = [
        "| "
        + " | ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in [heads, *rows]
    ]
    rule = "|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _learned(epoch: dict[str, Any]) -> str:
    return f"{epoch['train_loss']:.3f}, {epoch['test_acc']:.3f}" if "test_acc" in epoch else ""


def _taken(about: dict[str, Any]) -> str:
    flags = about["flags"] or {}
    has = ", ".join(f"{'' if there else 'no '}{name}" for name, there in flags.items())
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version)
    source = (
        f"commit {about['commit'][:9]}{' with changes' if about['dirty'] else ''}" if about["commit"] else "no commit"
    )
    return (
        f"Taken on {about['date']} on {about['cpu']} ({has}), {about['threads']} threads unless said, "
        f"load average before it {about['load']}; "
        f"{about['system']}; {versions}; {source}."
    )
