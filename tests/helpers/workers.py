"""Worker processes without torch, on a machine with little memory (Linux)."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from dropexp.runs.state_names import Status
from dropexp.training.events import Ended
from dropexp.training.jobs import Plan


def work(plan: Plan, jobs: Connection, stop: Connection, gc_threshold: tuple[int, int, int]) -> None:
    """Replace `workers._work`: each run is done immediately. If there are too many workers, the newest are killed.

    The name of the plan's data folder is the number of workers that fit into memory.
    """
    while True:
        try:
            index, _ = jobs.recv()
        except (EOFError, OSError):
            return
        assert plan.data_root is not None
        if sum(pid < os.getpid() for pid in workers_of(os.getppid())) >= int(plan.data_root.name):
            os.kill(os.getpid(), signal.SIGKILL)
        jobs.send(Ended(index, Status.DONE))


def workers_of(parent: int) -> list[int]:
    """Return the worker processes of a process."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children if _is_worker(pid)]


def _is_worker(pid: str) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):  # it has been killed
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
