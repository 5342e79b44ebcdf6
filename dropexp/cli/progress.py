"""Progress on stderr: bars on a terminal, a line per epoch elsewhere, nothing with --quiet."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
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

from dropexp.data import download
from dropexp.runs.table import Row
from dropexp.training.events import Ended, Epoch, Event, Note
from dropexp.training.trial import Trial


class Watcher(Protocol):
    """Shows how training proceeds."""

    def show(self, event: Event) -> None: ...


@contextmanager
def watching(trials: Sequence[Trial], quiet: bool) -> Iterator[Watcher]:
    """Yield the watcher that suits stderr."""
    if quiet or not trials:
        yield _Silent()
    elif on_terminal():
        bars = _Bars(trials)
        bars.progress.start()
        try:
            yield bars
        finally:
            with suppress(OSError):  # the terminal was closed, which has interrupted the command already
                bars.progress.stop()
    else:
        yield _Lines(trials)


def on_terminal() -> bool:
    """Return whether stderr can redraw progress bars: a terminal, and not a CI service, whose log keeps every line."""
    return sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


def figures(row: Row) -> str:
    """Format an epoch's losses and accuracies."""
    if "test_acc" not in row:  # linear regression has only losses
        return f"loss {row['train_loss']:.4g}  test {row['test_loss']:.4g}"
    validation = f"  val {row['val_acc']:.3f}" if "val_acc" in row else ""
    return f"loss {row['train_loss']:.4f}  train {row['train_acc']:.3f}{validation}  test {row['test_acc']:.3f}"


class _Silent:
    def show(self, event: Event) -> None:
        pass


class _Lines:
    """Print a line per epoch, and one for each run that did not end as "done"."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self.trials = trials
        self.ended = 0

    def show(self, event: Event) -> None:
        if not isinstance(event, Epoch | Ended):
            return
        run = self.trials[event.trial].planned
        if isinstance(event, Epoch):
            row = event.row
            what = f"epoch {row['epoch']}/{run.config.epochs}  {figures(row)}  {row['seconds']:.2f} s"
            self._print(self.ended + 1, f"{run.name}/{run.cell}  {what}")
        else:
            self.ended += 1
            if event.why:
                self._print(self.ended, f"{run.name}/{run.cell}  {event.status}: {event.why}")

    def _print(self, number: int, line: str) -> None:
        print(f"[{number}/{len(self.trials)}] {line}", file=sys.stderr, flush=True)


class _Bars:
    """Show a bar for each run in training, and one for all runs."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self.trials = trials
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        total = sum(trial.planned.config.epochs for trial in trials)
        self.all_runs = self.progress.add_task("all runs, epochs", total=total, note=f"0 of {len(trials)} runs done")
        self.bars: dict[int, TaskID] = {}
        self.epochs: dict[int, int] = {}
        self.ended = 0

    def show(self, event: Event) -> None:
        if isinstance(event, Note):
            return
        run = self.trials[event.trial].planned
        if event.trial not in self.bars:
            self.bars[event.trial] = self.progress.add_task(f"{run.name}/{run.cell}", total=run.config.epochs, note="")
        if isinstance(event, Epoch):
            epoch = self.epochs[event.trial] = event.row["epoch"]
            self.progress.update(self.bars[event.trial], completed=epoch, note=figures(event.row))
        elif isinstance(event, Ended):
            self.ended += 1
            self.epochs[event.trial] = run.config.epochs
            self.progress.remove_task(self.bars.pop(event.trial))
            if event.why:
                line = f"{run.name}/{run.cell}: {event.status}: {event.why}"
                self.progress.console.print(line, markup=False)
        done = sum(self.epochs.values())
        self.progress.update(self.all_runs, completed=done, note=f"{self.ended} of {len(self.trials)} runs done")


@contextmanager
def downloading(quiet: bool) -> Iterator[download.Progress | None]:
    """Yield a callback for `download.fetch` that shows a bar per file on a terminal, or prints a line per file."""
    if quiet:
        yield None
    elif on_terminal():
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        ) as progress:
            bars: dict[str, TaskID] = {}

            def bar(name: str, done: int, total: int) -> None:
                if name not in bars:
                    bars[name] = progress.add_task(name)
                progress.update(bars[name], completed=done, total=total)

            yield bar
    else:

        def line(name: str, done: int, total: int) -> None:
            if done == total:
                print(f"downloaded {name}, {total / 1e6:.1f} MB", file=sys.stderr, flush=True)

        yield line
