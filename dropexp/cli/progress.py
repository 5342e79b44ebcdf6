"""Progress on stderr: bars on a terminal, a line per epoch elsewhere, nothing with --quiet."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dropexp.cli.output import print_message
from dropexp.data import download
from dropexp.errors import printable
from dropexp.runs.metrics import format_figure
from dropexp.runs.table import Row
from dropexp.training.events import Ended, Epoch, Event, Note
from dropexp.training.train import Stage

# What an epoch's line shows: title and format of each column.
CLASSIFICATION = {
    "train_loss": ("loss", ".4f"),
    "train_acc": ("train", ".3f"),
    "val_acc": ("val", ".3f"),
    "test_acc": ("test", ".3f"),
}
REGRESSION = {"train_loss": ("loss", ".4g"), "val_loss": ("val", ".4g"), "test_loss": ("test", ".4g")}


class Watcher(Protocol):
    """Shows how training proceeds."""

    def show(self, event: Event) -> None: ...


@contextmanager
def watching(stage: Stage, quiet: bool) -> Iterator[Watcher]:
    """Yield the watcher that suits stderr."""
    if quiet or not stage.unfinished:
        yield _Silent()
    elif on_terminal():
        bars = _Bars(stage)
        with _shown(bars.progress):
            yield bars
    else:
        yield _Lines(stage)


@contextmanager
def _shown(progress: Progress) -> Iterator[None]:
    """Show bars; under nohup the command outlives its terminal."""
    with suppress(OSError):
        progress.start()
    try:
        yield
    finally:
        with suppress(OSError):
            progress.stop()


def on_terminal() -> bool:
    """Return whether stderr can redraw progress bars: a terminal, and not a CI service, whose log keeps every line."""
    terminal = sys.stderr is not None and sys.stderr.isatty()  # None where it was closed at the start
    return terminal and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


def figures(row: Row) -> str:
    """Format an epoch's losses and accuracies, as far as they were measured."""
    shown = CLASSIFICATION if "train_acc" in row else REGRESSION
    known = ((title, row.get(name), form) for name, (title, form) in shown.items())
    return "  ".join(f"{title} {format_figure(value, form)}" for title, value, form in known if value is not None)


class _Silent:
    def show(self, event: Event) -> None:
        pass


class _Lines:
    """Print a line per epoch, and one for each run that did not end as "done"."""

    def __init__(self, stage: Stage) -> None:
        self.jobs = stage.unfinished
        self.what = "" if stage.title == "runs" else f"{stage.title.removesuffix('s')} "
        self.ended = 0

    def show(self, event: Event) -> None:
        if not isinstance(event, Epoch | Ended):
            return
        run = self.jobs[event.job].planned
        if isinstance(event, Epoch):
            row = event.row
            what = f"epoch {row['epoch']}/{run.config.epochs}  {figures(row)}  {row['seconds']:.2f} s"
            self._print(self.ended + 1, f"{run.name}/{run.cell}  {what}")
        else:
            self.ended += 1
            if event.why:
                self._print(self.ended, f"{run.name}/{run.cell}  {event.status}: {event.why}")

    def _print(self, number: int, line: str) -> None:
        print_message(f"[{self.what}{number}/{len(self.jobs)}] {line}")


class _Bars:
    """Show a bar for each run in training, and one for all runs."""

    def __init__(self, stage: Stage) -> None:
        self.jobs, self.title = stage.unfinished, stage.title
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        total = sum(job.planned.config.epochs for job in self.jobs)
        self.all_runs = self.progress.add_task(f"all {self.title}, epochs", total=total, note=self._count(0))
        self.bars: dict[int, TaskID] = {}
        self.epochs: dict[int, int] = {}
        self.ended = 0

    def show(self, event: Event) -> None:
        if isinstance(event, Note):
            return
        run = self.jobs[event.job].planned
        if event.job not in self.bars:
            self.bars[event.job] = self.progress.add_task(f"{run.name}/{run.cell}", total=run.config.epochs, note="")
        if isinstance(event, Epoch):
            epoch = self.epochs[event.job] = event.row["epoch"]
            self.progress.update(self.bars[event.job], completed=epoch, note=figures(event.row))
        elif isinstance(event, Ended):
            self.ended += 1
            self.epochs[event.job] = run.config.epochs
            self.progress.remove_task(self.bars.pop(event.job))
            if event.why:
                line = printable(f"{run.name}/{run.cell}: {event.status}: {event.why}")
                with suppress(OSError):
                    self.progress.console.print(line, markup=False)
        done = sum(self.epochs.values())
        self.progress.update(self.all_runs, completed=done, note=self._count(self.ended))

    def _count(self, ended: int) -> str:
        return f"{ended} of {len(self.jobs)} {self.title} done"


@contextmanager
def downloading(quiet: bool) -> Iterator[download.Progress | None]:
    """Yield a callback for `download.fetch` that shows a bar per file on a terminal, or prints a line per file."""
    if quiet:
        yield None
    elif on_terminal():
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        progress = Progress(*columns, console=Console(stderr=True))
        bars: dict[str, TaskID] = {}

        def bar(name: str, done: int, total: int) -> None:
            if name not in bars:
                bars[name] = progress.add_task(name)
            progress.update(bars[name], completed=done, total=total)

        with _shown(progress):
            yield bar
    else:

        def line(name: str, done: int, total: int) -> None:
            if done == total:
                print_message(f"downloaded {name}, {total / 1e6:.1f} MB")

        yield line
