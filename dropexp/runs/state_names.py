"""The states of a run, one word each, as run.json has them and as commands print them."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The state of a run, or of a folder that holds no run. `transitions.py` recognises and changes the first eight."""

    NEW = "new"  # nothing of it is on disk
    RUNNING = "running"  # a process has locked it
    UNKNOWN = "unknown"  # it may be running, on another machine or where this user cannot see its lock
    INTERRUPTED = "interrupted"  # it can resume
    FAILED = "failed"  # an error ended it; the next training tries again
    DIVERGED = "diverged"  # its loss is not finite: a result, which is not trained again
    DONE = "done"
    CORRUPTED = "corrupted"  # run.json, or epochs.csv of a finished run of schema 1, is not as it was written
    UNREADABLE = "unreadable"  # a folder without permission, of a later version, or of another run with the same hash
    DUPLICATE = "duplicate"  # a second folder of the same run
    BUSY = "busy"  # the outcome of a job whose run another process trains


FINISHED = (Status.DONE, Status.DIVERGED)
WRITTEN = (Status.RUNNING, Status.INTERRUPTED, Status.FAILED, *FINISHED)  # the states that run.json has
NO_RUN = (Status.CORRUPTED, Status.UNREADABLE, Status.DUPLICATE)  # of folders that do not count as a run
