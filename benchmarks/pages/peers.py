"""The comparison with peers as tables: printed after measuring, and shown in docs/performance.md."""

from __future__ import annotations

import statistics
from typing import Any

from peers import many, whole
from peers.contenders import BOOK, MATMULS, ONE_THREAD, SCRATCH

from pages.markdown import span, table

Results = dict[str, Any]  # by part that was measured: {"about": machine, "rows": one per contender}
CHART = "performance-peers.svg"
IN_SHORT = {  # the rows of the summary, and the contenders that they show
    "the book's loop (DataLoader, `ToTensor`, no workers)": BOOK,
    "torch eager, tensors in memory": "torch eager",
    "`nn`": "dropexp nn",
    "JAX, `jit` and `scan`": "JAX, jit + scan",
    "`scratch`": SCRATCH,
    "the matrix products of `scratch` alone": MATMULS,
}


def sections(results: Results) -> dict[str, str]:
    speeds = {"speeds": summary(results)} if "epochs" in results else {}
    return speeds | {"peers": text(results, CHART)}


def summary(results: Results) -> str:
    """Return seconds per epoch of a few contenders, and their ratios to the book's loop and to the matrix products."""
    median = {row["name"]: statistics.median(seconds(row)) for row in results["epochs"]["rows"] if row["epochs"]}
    lines = [
        [label, f"{median[name]:.2f}", f"{median[BOOK] / median[name]:.1f}", f"{median[name] / median[MATMULS]:.1f}"]
        for label, name in IN_SHORT.items()
        if name in median
    ]
    return table(["", "s/epoch", "× the book's speed", "× the matrix products' time"], lines)


def text(results: Results, chart: str = "") -> str:
    """Return the parts that were measured, in Markdown."""
    parts = {"epochs": _epochs, "whole": _whole, "many": _many}
    paragraphs, previous = [], None
    for name, part in parts.items():
        if name not in results:
            continue
        about, rows = results[name]["about"], results[name]["rows"]
        paragraphs.append(part(rows))
        if name == "epochs" and chart:
            paragraphs.append(f"![Seconds per epoch of each contender, median and range]({chart})")
        paragraphs.append("Measured in the same run." if about == previous else _measured_on(about))
        previous = about
    return "\n\n".join(paragraphs)


def seconds(row: dict[str, Any], key: str | None = None) -> list[float]:
    """Return the seconds of each timed epoch: of training and evaluation together, or of `key` alone."""
    keys = [key] if key else ["train_seconds", "test_seconds"]
    return [sum(epoch[key] for key in keys) for epoch in row["epochs"]]


def _epochs(rows: list[dict[str, Any]]) -> str:
    by_name = {row["name"]: row for row in rows}
    median = {name: statistics.median(seconds(row)) for name, row in by_name.items() if row["epochs"]}
    lines = []
    for row in rows:
        name, cells = row["name"], [row["name"]]
        if row["absent"]:
            lines.append([*cells, f"– ({row['absent']})", *[""] * 7])
            continue
        threads = ONE_THREAD if name.endswith(ONE_THREAD) else ""
        cells += [f"{statistics.median(seconds(row, key)):.3f}" for key in ("train_seconds", "test_seconds")]
        cells += [f"**{median[name]:.3f}**", span(seconds(row))]
        cells += ["" if threads else f"{median[BOOK] / median[name]:.2f}"]
        cells += [f"{median[name] / median[MATMULS + threads]:.2f}"]
        cells += [f"{row['peak_mb']:.0f}" if row["peak_mb"] else "–", _learned(row["epochs"][-1])]
        lines.append(cells)
    header = ["", "train, s", "eval, s", "epoch, s", "range", "× the book's speed", "× the matrix products' time"]
    header += ["peak MB", "last train loss, test accuracy"]
    alone = median[SCRATCH + ONE_THREAD] / median[MATMULS + ONE_THREAD]
    both = median[SCRATCH] / median[MATMULS]
    return "\n\n".join(
        [
            "## Compared with peers",
            "Seconds per epoch of the same work: 60,000 images shuffled, batches of 256, dropout 0.2 and 0.5, SGD "
            "with lr 0.5, float32, weights from N(0, 0.01²), running loss and accuracy, then loss and accuracy on the "
            "10,000 test images. Every contender is a separate process, started beforehand and idle while others are "
            f"timed; they take turns for {len(by_name[BOOK]['epochs'])} rounds after one warm-up epoch. Medians and "
            "ranges.",
            table(header, lines),
            f"`scratch` takes {both:.2f} times the time of its matrix products on all cores and {alone:.2f} times on "
            "one thread.",
            "\n".join(f"- *{row['name']}*: {row['note']}." for row in rows if row["note"]),
        ]
    )


def _whole(rows: list[dict[str, Any]]) -> str:
    median = {row["name"]: statistics.median(row["seconds"]) for row in rows}
    lines = [
        [
            name,
            f"**{median[name]:.2f}**",
            span(row["seconds"], 2),
            f"{median[BOOK] / median[name]:.2f}",
            _learned(row["last"]),
        ]
        for name, row in zip(median, rows, strict=True)
    ]
    header = ["", "seconds", "range", "× the book's speed", "last train loss, test accuracy"]
    return "\n\n".join(
        [
            "## Whole processes",
            f"Seconds from start to exit of a process that imports, loads the data, trains {whole.EPOCHS} epochs and "
            f"evaluates after each; in turn, {len(rows[0]['seconds'])} rounds, caches warm (compiled code, decoded "
            "data). Peers write no file; `dropexp train` writes its run folder, and by default it evaluates the "
            "training set too.",
            table(header, lines),
        ]
    )


def _many(rows: list[dict[str, Any]]) -> str:
    def figure(row: dict[str, Any], with_start: bool) -> float:
        """Return the median seconds per run-epoch."""
        key, workers = ("wall", 1) if with_start else ("spent", row["jobs"])
        return float(statistics.median(each[key] / each["run_epochs"] / workers for each in row["rounds"]))

    def most(row: dict[str, Any], key: str) -> str:
        values = [each[key] for each in row["rounds"] if each[key] is not None]
        return f"{max(values):.0f}" if values else "–"

    lines = []
    for row in rows:
        cells = [row["name"], f"{statistics.median(each['wall'] for each in row['rounds']):.1f}"]
        cells += [f"{figure(row, True):.3f}", f"{figure(row, False):.3f}"]
        lines.append([*cells, *(most(row, key) for key in ("own_mb", "mapped_mb", "mapped_shared_mb"))])
    header = ["", "wall, s", "s per run-epoch", "without start-up", "own MB", "mapped MB", "of which shared, MB"]
    one, two = rows[0], next(row for row in rows if row["jobs"] == 2)
    gain = [figure(one, start) / figure(two, start) for start in (True, False)]
    runs = one["rounds"][0]["run_epochs"] // many.EPOCHS
    return "\n\n".join(
        [
            "## Many runs",
            f"`dropexp train` of {runs} scratch runs of {many.EPOCHS} epochs (`eval_train: false`). *s per run-epoch* "
            "is the wall time of the whole command divided by the number of epochs of all runs; *without start-up* is "
            "the time of training and evaluation from `epochs.csv`, divided by the jobs. *own* is the largest private "
            "memory (USS) sampled from a worker while it trained. *mapped* is its resident memory of data mapped from "
            "a file; with a single worker it is part of *own* too.",
            table(header, lines),
            f"Two workers with one thread each do {gain[0]:.2f} times the work of one in the same time, {gain[1]:.2f} "
            f"times without start-up: an efficiency of {gain[0] / 2:.0%} and {gain[1] / 2:.0%}. (One thread: "
            "`OMP_NUM_THREADS=1`.)",
        ]
    )


def _learned(epoch: dict[str, Any]) -> str:
    return f"{epoch['train_loss']:.3f}, {epoch['test_acc']:.3f}" if "test_acc" in epoch else ""


def _measured_on(about: dict[str, Any]) -> str:
    flags = about["flags"] or {}
    instructions = ", ".join(f"{'' if present else 'no '}{name}" for name, present in flags.items())
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version)
    source = (
        f"commit {about['commit'][:9]}{' with changes' if about['dirty'] else ''}" if about["commit"] else "no commit"
    )
    return (
        f"Measured on {about['date']} on {about['cpu']} ({instructions}), {about['threads']} threads by default, "
        f"load average before {about['load']}; "
        f"{about['system']}; {versions}; {source}."
    )
