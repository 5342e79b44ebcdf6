"""Progress bars on a terminal: one line for all runs, and one for each run in training.

As the terminal gets narrower, figures are left out first, then names are cut in the middle, then bars get shorter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.text import Text

from dropexp.cli.epoch_figures import figures
from dropexp.cli.time_left import Counts, clock_text
from dropexp.errors import printable
from dropexp.plurals import counted
from dropexp.report.shorten import distinct, without_shared
from dropexp.terminal_encoding import cut_excess, encodable
from dropexp.training.events import Ended, Epoch, Event, Note
from dropexp.training.pipeline import Stage

BAR, SHORT_BAR = 20, 8  # columns
SHORT_NAME = 20
GAP = "  "


@dataclass(frozen=True)
class Bar:
    """A line with a bar: its name, how much is done, the count in words, and figures, the least important first."""

    name: str
    done: int
    total: int
    count: str
    figures: Sequence[str] = ()

    def line(self, name: str, name_width: int, count_width: int, bar_width: int, ascii_only: bool) -> Text:
        filled = bar_width * self.done // max(self.total, 1)
        full, empty = ("#", "-") if ascii_only else ("━", "─")
        if ascii_only:
            name = encodable(name, "ascii")
        line = Text(name + " " * (name_width - cell_len(name)) + GAP)
        line.append(full * filled, "bar.complete").append(empty * (bar_width - filled), "bar.back")
        return line.append(GAP + GAP.join([self.count.rjust(count_width), *self.figures]))


class Bars:
    """Show the events of a stage on the terminal, redrawn four times a second by a thread of Rich."""

    def __init__(self, stage: Stage) -> None:
        self.noun, self.counts = stage.noun, Counts(stage.unfinished)
        runs = [job.planned for job in stage.unfinished]
        self.names = [f"{run.name}/{run.cell}" for run in runs]
        self.short_names = without_shared(self.names)
        self.training: dict[int, Sequence[str]] = {}  # figures of the last epoch, by job
        self.live = Live(self, console=Console(stderr=True))

    def show(self, event: Event) -> None:
        self.counts.add(event)
        if isinstance(event, Ended):
            self.training.pop(event.job, None)
            if event.why:
                with suppress(OSError):
                    line = printable(f"{self.names[event.job]}: {event.status}: {event.why}")
                    self.live.console.print(line, markup=False, highlight=False)
        elif isinstance(event, Epoch):
            self.training[event.job] = figures(event.row)
        elif not isinstance(event, Note):
            self.training.setdefault(event.job, ())

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        training = list(self.training)
        height = max(console.height - 4, 1)
        yield from self._overall(options.max_width, options.ascii_only)
        yield from lines([self._bar(job) for job in training[:height]], options.max_width, options.ascii_only)
        if len(training) > height:
            yield Text(f"and {len(training) - height} more")

    def _bar(self, job: int) -> Bar:
        done, total = self.counts.epochs_of.get(job, 0), self.counts.configs[job].epochs
        return Bar(self.short_names[job], done, total, f"epoch {done}/{total}", self.training.get(job, ()))

    def _overall(self, width: int, ascii_only: bool) -> Iterator[Text]:
        """Yield the line for all runs; on a narrow terminal its times are a second line."""
        counts, left = self.counts, self.counts.left
        name = f"{counts.runs_done}/{counted(counts.runs, self.noun)}"
        times = [f"{clock_text(counts.elapsed)} elapsed", f"{'-' if left is None else clock_text(left)} left"]
        epochs = f"{counts.epochs_done}/{counted(counts.epochs, 'epoch')}"
        bar = Bar(name, counts.epochs_done, counts.epochs, epochs, times)
        rest = cell_len(GAP.join([name, "", bar.count, *times]))
        if rest + SHORT_BAR > width:
            yield from lines([Bar(name, bar.done, bar.total, bar.count)], width, ascii_only)
            yield Text(GAP.join(times))
        else:
            yield bar.line(name, cell_len(name), 0, min(BAR, width - rest), ascii_only)


def lines(bars: Sequence[Bar], width: int, ascii_only: bool = False) -> list[Text]:
    """Return the bars below one another, each a line of at most `width` columns if that is possible."""
    if not bars:
        return []
    bars, name_width = list(bars), max(cell_len(bar.name) for bar in bars)
    count_width = max(cell_len(bar.count) for bar in bars)

    def excess_width(name_width: int, bar_width: int) -> int:
        figures = max(sum(len(GAP) + cell_len(figure) for figure in bar.figures) for bar in bars)
        return name_width + bar_width + count_width + 2 * len(GAP) + figures - width

    while excess_width(name_width, BAR) > 0 and any(bar.figures for bar in bars):
        bars = [Bar(bar.name, bar.done, bar.total, bar.count, bar.figures[1:]) for bar in bars]
    bar_width = BAR
    if (excess := excess_width(name_width, bar_width)) > 0:
        name_width = max(min(name_width, SHORT_NAME), name_width - excess)
    if (excess := excess_width(name_width, bar_width)) > 0:
        bar_width = max(SHORT_BAR, bar_width - excess)
    if (excess := excess_width(name_width, bar_width)) > 0:
        name_width = max(1, name_width - excess)
    names = [bar.name for bar in bars]
    if max(map(cell_len, names)) > name_width:
        names = distinct(names, max(name_width - (cut_excess("ascii") if ascii_only else 0), 1))
    return [
        bar.line(name, name_width, count_width, bar_width, ascii_only) for bar, name in zip(bars, names, strict=True)
    ]
