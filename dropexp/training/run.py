"""One run in training: what it resumes from, what it writes after each epoch, and how it ends."""

from __future__ import annotations

import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

import torch

from dropexp.config.tasks import LINEAR_REGRESSION
from dropexp.data.fashion_mnist import Data
from dropexp.errors import NewerRun
from dropexp.files import write_whole
from dropexp.nets import cuda_graph, matmul
from dropexp.nets.base import Network
from dropexp.runs.folder import FINISHED, Row, so_far
from dropexp.runs.provenance import provenance
from dropexp.training import probes
from dropexp.training.checkpoint import State
from dropexp.training.events import Ended, Epoch
from dropexp.training.loop import EpochRecord
from dropexp.training.rng import stream
from dropexp.training.task import Task

DRAWING = "2"  # changes when noise or order are drawn otherwise: no run resumes with other draws than it started with
DRAWN = "drawn"  # in place of a checksum: data that a task draws from the run's own stream


class ActiveRun:
    """A run in training. `resume` gives it a network, `start` makes its folder that of a running run."""

    state: State  # from `resume` on
    identity: dict[str, str]  # what a checkpoint must match to be resumed

    def __init__(
        self, index: int, task: Task, data: Data | None, device: torch.device, *, stacked: bool, force: bool
    ) -> None:
        self.index = index  # of the task
        self.planned, self.folder = task.planned, task.folder
        self.config = self.planned.config
        regression = self.config.task == LINEAR_REGRESSION
        self.data = None if regression else data
        self.device = torch.device("cpu") if regression else device
        self.backend = matmul.PLAIN
        if self.data and device.type == "cpu" and not stacked:
            # the reference implementation and torch.nn sum over whole batches, the fused network over ROWS at most
            whole_batches = self.config.variant != "nn" and not self.config.fused
            self.backend = matmul.best_backend(
                min(self.config.batch_size, len(self.data.y_train)) if whole_batches else matmul.ROWS
            )
        self.stacked = stacked
        self.stack = 1  # runs that train together
        self.force = force  # until the old result is cleared
        self.started_at = _now()
        self.started = self.ended = False
        self.last: Row | None = None
        self.val_accs: list[float] = []  # of all epochs

    def resume(self) -> tuple[int, list[str]]:
        """Load the checkpoint if it is this run's; return the number of epochs done and notes about renamed files."""
        self.identity = {
            "hash": self.planned.digest(self.device.type),
            "data": self.data.checksum if self.data else DRAWN,
            "route": "stack" if self.stacked else self.backend,  # a stack draws its noise otherwise
            "drawing": DRAWING,
            "torch": str(torch.__version__),
        }
        self.state = State.fresh(self.config, self.device, self.stacked)
        if self.force:
            return 0, []
        done, notes = self.state.resume(self.folder, self.identity)
        if done == 0:
            self.state = State.fresh(self.config, self.device, self.stacked)  # the other may be loaded in part
            notes += self.folder.begin_anew()
        rows = self.folder.read_rows()
        self.last = rows[-1] if rows else None
        self.val_accs = [row["val_acc"] for row in rows if "val_acc" in row]
        return done, notes

    def start(self, stack: int) -> None:
        """Mark the run as running, in a stack of this size. With `force` the old result is cleared only now."""
        if self.force:
            self.folder.clear()
            self.force = False
        self.started, self.stack = True, stack
        self.write_info("running")
        write_whole(self.folder.config_path, self.planned.yaml())

    def stops_early(self) -> bool:
        """Return whether the validation accuracy has not risen for `early_stopping` epochs."""
        patience = self.config.early_stopping
        if patience is None or not self.val_accs:
            return False
        return len(self.val_accs) - 1 - self.val_accs.index(max(self.val_accs)) >= patience

    def add(self, record: EpochRecord) -> Epoch:
        """Add the epoch to the table, with the values of the probes."""
        row = record.row() | self._probe(record.epoch)
        self.folder.append_row(row)
        self.last = row
        if "val_acc" in row:
            self.val_accs.append(row["val_acc"])
        return Epoch(self.index, row)

    def _probe(self, epoch: int) -> dict[str, float]:
        """Measure the config's probes; each draws from its own stream."""
        if not self.config.probes or self.data is None:
            return {}
        with matmul.using(self.backend), cuda_graph.ieee_matmul():
            return probes.measure(
                self.config.probes,
                cast(Network, self.state.network),
                self.data.X_test,
                self.data.y_test,
                lambda name: stream(self.config.seed, f"probe/{name}/{epoch}", self.device),
            )

    def save(self, record: EpochRecord) -> None:
        """Write a checkpoint, unless the loss is not finite: nothing may resume from there."""
        if record.finite:
            write_whole(self.folder.checkpoint, self.state.to_bytes(record.epoch, self.identity, self.folder))

    def end(self, status: str, why: str | None = None) -> Ended:
        """Write the final status. If that fails, the run has failed."""
        try:
            self.write_info(status, why)
        except OSError as error:
            status, why = "failed", f"its end cannot be written: {error}"
        self.ended = True  # not earlier: an interrupt during the write must still be recorded
        return Ended(self.index, status, why)

    def diverge(self, epoch: int) -> Ended:
        return self.end("diverged", f"the loss is not finite in epoch {epoch}")

    def interrupt(self) -> None:
        """Mark the run as interrupted, unless it has not started here or has ended."""
        if self.started and not self.ended:
            with suppress(OSError):  # a full disk must not replace the interrupt
                self.write_info("interrupted")

    def fail(self, error: Exception) -> Ended:
        """Record the error in run.json, unless that would overwrite a result or a later version's file."""
        self.ended = True
        if isinstance(error, NewerRun):
            return Ended(self.index, "failed", str(error))
        why = f"{type(error).__name__}: {error}"
        with suppress(Exception):  # such as a full disk, or a plugin that is no longer loaded
            if self.started or not self.folder.may_hold_a_result():
                self.write_info("failed", why, traceback="".join(traceback.format_exception(error)))
        return Ended(self.index, "failed", why)

    def write_info(self, status: str, why: str | None = None, **more: Any) -> None:
        planned = self.planned
        here = {
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else str(self.device),
            "threads": torch.get_num_threads(),
            "route": self.backend,
            "stack": self.stack,
            "data": self.data.checksum if self.data else DRAWN,
            "began": self.started_at,
            "ended": None if status == "running" else _now(),
        }
        self.folder.write_info(
            {
                "status": status,
                "why": why,
                "name": planned.name,
                "arm": planned.arm,
                "cell": planned.cell,
                "hash": planned.digest(self.device.type),
                "config": self.config.model_dump(),
                "settings": self.config.settings(self.device.type),
                **so_far(self.last),
                "files": self.folder.digests() if status in FINISHED else None,
                "provenance": provenance() | here,
                **more,
            }
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
