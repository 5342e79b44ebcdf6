"""Holding a run's folder to train it, or saying how the run has ended. Without torch, for the driver of a cluster."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from dropexp.config.study import PlannedRun
from dropexp.errors import RunError
from dropexp.lock import Busy, not_written
from dropexp.runs.folder import FINISHED, RunFolder


@dataclass(frozen=True)
class Outcome:
    """How a run ended: a status of run.json or "busy", and why if it is not "done"."""

    status: str
    why: str | None = None
    note: str | None = None  # on a damaged file that was set aside


def hold(planned: PlannedRun, folder: RunFolder, held: ExitStack, force: bool) -> Outcome | None:
    """Hold the folder as long as `held` is; returns how the run has ended, if it has and need not begin anew."""
    note = None
    try:
        held.enter_context(folder.lock())
        status = folder.status(planned.has)
        if status == "broken" and not force and (note := folder.mend_config(planned.yaml())):
            status = folder.status()
        if status in FINISHED and not force:
            return Outcome(status, folder.read_info().get("why"), note)
    except Busy:
        return Outcome("busy", "another process is training it")
    except RunError as error:  # it is a link, of a later version, or another's
        return Outcome("failed", str(error))
    except OSError as error:
        return Outcome("failed", f"its folder {not_written(error)}")
    return None
