"""Progress on stderr: bars on a terminal or in a notebook, lines elsewhere, nothing with --quiet."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from dropexp.cli.epoch_figures import figures
from dropexp.cli.output import print_message
from dropexp.cli.progress_bars import SHORT_BAR, Bars
from dropexp.cli.progress_in_notebook import NotebookBar, in_notebook
from dropexp.cli.time_left import Counts, clock_text
from dropexp.data.download import Progress as DownloadProgress
from dropexp.plurals import counted
from dropexp.runs.epochs_table import Row
from dropexp.training.events import Ended, Epoch, Event
from dropexp.training.pipeline import Stage


class Watcher(Protocol):
    """Shows how training proceeds."""

    def show(self, event: Event) -> None: ...


@contextmanager
def watching(stage: Stage, quiet: bool, log_every: int = 1) -> Iterator[Watcher]:
    """Yield the watcher that suits stderr. Without a terminal it prints every `log_every`-th epoch of a run."""
    if quiet or not stage.unfinished:
        yield _Silent()
    elif on_terminal():
        bars = Bars(stage)
        with _shown(bars.live):
            yield bars
    elif in_notebook():
        yield NotebookBar(stage)
    else:
        yield _Lines(stage, log_every)


@contextmanager
def _shown(progress: Progress | Live) -> Iterator[None]:
    """Show bars. Errors of the terminal are ignored, since under nohup the command outlives it."""
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


class _Silent:
    def show(self, event: Event) -> None:
        pass


class _Lines:
    """Print a line per epoch, or for every N-th epoch and the last, and one for each run that did not end as "done"."""

    def __init__(self, stage: Stage, every: int) -> None:
        self.counts, self.every = Counts(stage.unfinished), every
        self.what = "" if stage.noun == "run" else f"{stage.noun}s: "
        runs = [job.planned for job in stage.unfinished]
        self.names = [f"{run.name}/{run.cell}" for run in runs]
        self.unprinted: dict[int, Row] = {}  # the last row of a job

    def show(self, event: Event) -> None:
        self.counts.add(event)
        if isinstance(event, Epoch):
            epoch = event.row["epoch"]
            if epoch % self.every == 0 or epoch == self.counts.configs[event.job].epochs:
                self.unprinted.pop(event.job, None)
                self._print_epoch(event.job, event.row)
            else:
                self.unprinted[event.job] = event.row
        elif isinstance(event, Ended):
            if row := self.unprinted.pop(event.job, None):  # it ended early
                self._print_epoch(event.job, row)
            if event.why:
                self._print(event.job, f"{event.status}: {event.why}")

    def _print_epoch(self, job: int, row: Row) -> None:
        epoch = f"epoch {row['epoch']}/{self.counts.configs[job].epochs}"
        self._print(job, "  ".join([epoch, *figures(row), f"{row['seconds']:.2f} s"]))

    def _print(self, job: int, what: str) -> None:
        counts, left = self.counts, self.counts.left
        estimate = f", {clock_text(left)} left" if left else ""
        epochs = f"{counts.epochs_done}/{counted(counts.epochs, 'epoch')}"
        print_message(f"[{self.what}{epochs}{estimate}] {self.names[job]}  {what}")


def _progress(done: ProgressColumn, transient: bool = False) -> Progress:
    """Return bars with a name, with what is done, and with the time left; they vanish at the end if `transient`."""
    left = (TimeRemainingColumn(compact=True), TextColumn("left"))
    columns = (TextColumn("{task.description}"), BarColumn(SHORT_BAR), done, *left)
    return Progress(*columns, console=Console(stderr=True), transient=transient)


@contextmanager
def downloading(quiet: bool) -> Iterator[DownloadProgress | None]:
    """Yield a callback for `dataset_files.fetch` that shows a bar per file on a terminal, or prints a line per file."""
    if quiet:
        yield None
    elif on_terminal():
        progress = _progress(DownloadColumn())
        bars: dict[str, TaskID] = {}

        def bar(name: str, done: int, total: int) -> None:
            if name not in bars:
                bars[name] = progress.add_task(name, total=None)  # a size of None is unknown
            progress.update(bars[name], completed=done, total=total or None)

        with _shown(progress):
            yield bar
    else:

        def line(name: str, done: int, total: int) -> None:
            if done == total:
                print_message(f"downloaded {name}, {total / 1e6:.1f} MB")

        yield line


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Yield a function to call after each of `total` steps; a terminal shows how many are done, until all are."""
    if total < 2 or not on_terminal():
        yield lambda: None
        return
    progress = _progress(MofNCompleteColumn(), transient=True)
    task = progress.add_task(what, total=total)
    with _shown(progress):
        yield lambda: progress.advance(task)
