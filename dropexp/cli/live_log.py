"""Log runs to another tracker while they train."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dropexp.cli.export import Target, export_to
from dropexp.cli.output import print_message
from dropexp.errors import ExportError
from dropexp.files import what_failed
from dropexp.runs.record import read_any
from dropexp.training.events import Ended, Epoch, Event
from dropexp.training.jobs import Job

SECONDS = 2.0  # between two exports; each reads the tables of the runs with new epochs


class LiveLog:
    """Exports jobs with new epochs, every few seconds and when one ends.

    Raises `ExportError` if `target` is not installed. A later error must not end the training: it prints one message
    and ends the log; `dropexp export` exports the rest.
    """

    def __init__(self, target: Target) -> None:
        self.target, self.failed = target, False
        self.grown: set[int] = set()
        self.exported = time.monotonic()
        export_to(target, [], report=False)

    def show(self, jobs: Sequence[Job], event: Event) -> None:
        """Record an event of one of the jobs, and export if it is time."""
        if not isinstance(event, Epoch | Ended):
            return
        self.grown.add(event.job)
        if isinstance(event, Ended) or time.monotonic() - self.exported > SECONDS:
            self.export([jobs[index] for index in sorted(self.grown)])
            self.grown.clear()

    def export(self, jobs: Sequence[Job], report: bool = False) -> None:
        """Export the jobs, with the reports of their studies if `report`."""
        if self.failed:
            return
        try:
            export_to(self.target, [read_any(job.folder) for job in jobs], report=report)
        except (ExportError, OSError) as error:
            self.failed = True
            later = f"later: dropexp export --to {self.target}"
            print_message(f"note: no longer logged to {self.target}: {what_failed(error)}; {later}")
        self.exported = time.monotonic()
