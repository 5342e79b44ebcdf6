"""Training as it is seen: bars on a terminal, a line per epoch elsewhere, nothing if asked for quiet."""

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
from dropexp.runs.folder import Row
from dropexp.training.trainer import Event, Task


class Watcher(Protocol):
    """Is told what happens to the tasks."""

    def tell(self, event: Event) -> None:
        """Show an event."""
        ...


@contextmanager
def watching(tasks: Sequence[Task], quiet: bool) -> Iterator[Watcher]:
    """The watcher that fits where stderr goes."""
    if quiet:
        yield _Silent()
    elif on_terminal():
        bars = _Bars(tasks)
        bars.progress.start()
        try:
            yield bars
        finally:
            with suppress(OSError):  # the terminal was closed: that is an interrupt already
                bars.progress.stop()
    else:
        yield _Lines(tasks)


def on_terminal() -> bool:
    """Whether somebody looks at stderr; CI services pretend to be terminals, but keep every line."""
    return sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


def figures(row: Row) -> str:
    """An epoch's losses and accuracies."""
    if "test_acc" not in row:  # linear regression has losses only
        return f"loss {row['train_loss']:.4g}  test {row['test_loss']:.4g}"
    validation = f"  val {row['val_acc']:.3f}" if "val_acc" in row else ""
    return f"loss {row['train_loss']:.4f}  train {row['train_acc']:.3f}{validation}  test {row['test_acc']:.3f}"


class _Silent:
    def tell(self, event: Event) -> None:
        pass


class _Lines:
    """A plain line per epoch, and one for each run that did not end well."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = tasks
        self.ended = 0

    def tell(self, event: Event) -> None:
        run = self.tasks[event.task].planned
        name = f"{run.name}/{run.cell}"
        self.ended += event.status is not None
        if event.row:
            epoch = f"epoch {event.row['epoch']}/{run.config.epochs}"
            line = f"{name}  {epoch}  {figures(event.row)}  {event.row['seconds']:.2f} s"
        elif event.why:
            line = f"{name}  {event.status}: {event.why}"
        else:
            return
        print(f"[{self.ended + (event.status is None)}/{len(self.tasks)}] {line}", file=sys.stderr, flush=True)


class _Bars:
    """A bar for each run in training, and one for all of them."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = tasks
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        total = sum(task.planned.config.epochs for task in tasks)
        self.study = self.progress.add_task("all runs, epochs", total=total, note=f"0 of {len(tasks)} runs done")
        self.bars: dict[int, TaskID] = {}
        self.epochs: dict[int, int] = {}
        self.ended = 0

    def tell(self, event: Event) -> None:
        run = self.tasks[event.task].planned
        if event.task not in self.bars:
            label = f"{run.name}/{run.cell}"
            self.bars[event.task] = self.progress.add_task(label, total=run.config.epochs, note="")
        if event.row:
            self.epochs[event.task] = event.row["epoch"]
            self.progress.update(self.bars[event.task], completed=event.row["epoch"], note=figures(event.row))
        if event.status:
            self.ended += 1
            self.epochs[event.task] = run.config.epochs
            self.progress.remove_task(self.bars.pop(event.task))
        if event.why:
            told = f"{run.name}/{run.cell}: {event.status}: {event.why}"
            self.progress.console.print(told, markup=False)
        done = sum(self.epochs.values())
        self.progress.update(self.study, completed=done, note=f"{self.ended} of {len(self.tasks)} runs done")


@contextmanager
def downloading(quiet: bool) -> Iterator[download.Progress | None]:
    """A callback for `fetch.fetch`: a bar per file on a terminal, a line per file elsewhere."""
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
