"""Progress in a Jupyter notebook: one bar, which the notebook redraws in place."""

from __future__ import annotations

import sys
import time
from typing import Any

from dropexp.cli.output import print_message
from dropexp.cli.time_left import Counts, clock_text
from dropexp.plurals import counted
from dropexp.training.events import Ended, Event
from dropexp.training.pipeline import Stage

REDRAW_SECONDS = 0.2  # each redraw is a message to the browser


def in_notebook() -> bool:
    """Return whether a Jupyter kernel runs this process."""
    ipython = sys.modules.get("IPython")  # where it is not loaded, there is no kernel
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class NotebookBar:
    """A bar for all epochs of a stage, with counts, the elapsed time and an estimate of the time left."""

    def __init__(self, stage: Stage) -> None:
        self.counts, self.noun = Counts(stage.unfinished), stage.noun
        self.drawn = 0.0
        self.handle = _display(self._content())

    def show(self, event: Event) -> None:
        self.counts.add(event)
        if isinstance(event, Ended) and event.why:
            print_message(f"{event.status}: {event.why}")
        now = time.monotonic()
        if now - self.drawn > REDRAW_SECONDS or (
            isinstance(event, Ended) and self.counts.runs_done == self.counts.runs
        ):
            self.drawn = now
            self.handle.update(self._content(), raw=True)

    def _content(self) -> dict[str, str]:
        counts = self.counts
        runs, epochs = counted(counts.runs, self.noun), counted(counts.epochs, "epoch")
        text = f"{counts.runs_done} of {runs}, {counts.epochs_done} of {epochs}"
        text += f", {clock_text(counts.elapsed)} elapsed"
        if counts.left:
            text += f", {clock_text(counts.left)} left"
        bar = f'<progress value="{counts.epochs_done}" max="{counts.epochs}"></progress>'
        return {"text/plain": text, "text/html": f"{bar} {text}"}


def _display(content: dict[str, str]) -> Any:
    from IPython.display import display

    return display(content, raw=True, display_id=True)  # type: ignore[no-untyped-call]  # IPython has no types for it
