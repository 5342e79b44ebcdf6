"""One run in training: what it resumes from, what it writes after each epoch, and how it ends."""

from __future__ import annotations

import traceback
from contextlib import suppress
from functools import partial
from typing import cast

import torch
from torch import Tensor

from dropexp import files
from dropexp.config.tasks import LINEAR_REGRESSION
from dropexp.data.fashion_mnist import Data
from dropexp.errors import NewerRun, RunError
from dropexp.nets import cuda_graph, matmul
from dropexp.nets.network_interface import Network
from dropexp.runs import transitions
from dropexp.runs.epochs_table import Columns, add_row, best_epoch, last_figures, num_epochs
from dropexp.runs.provenance import provenance, this_host
from dropexp.runs.run_json import RunInfo
from dropexp.runs.state_names import FINISHED, Status
from dropexp.training import probes
from dropexp.training.checkpoint import TrainingState
from dropexp.training.events import Ended, Epoch
from dropexp.training.jobs import Job
from dropexp.training.loop import EpochRecord, is_evaluated
from dropexp.training.resume import Restart, resume, would_restart
from dropexp.training.rng import stream
from dropexp.training.snapshots import predictions_of
from dropexp.training.table_columns import columns_of

SAMPLING_VERSION = "2"  # of noise and order: a run resumes only with the one that it started with
GENERATED = "drawn"  # instead of a checksum: data that a task generates from the run's own stream


class ActiveRun:
    """A run in training. `resume` gives it a network, `start` marks its folder as running."""

    training_state: TrainingState  # from `resume` on

    def __init__(
        self, index: int, job: Job, data: Data | None, device: torch.device, *, stacked: bool, force: bool
    ) -> None:
        self.index = index  # of the job
        self.planned, self.folder = job.planned, job.folder
        self.config = self.planned.config
        regression = self.config.task == LINEAR_REGRESSION
        self.data = None if regression else data
        self.device = torch.device("cpu") if regression else device
        self.backend = matmul.PLAIN
        if self.data and device.type == "cpu" and not stacked:
            # the reference implementation sums over whole batches, all others over at most ROWS rows at once
            whole_batches = self.config.variant != "nn" and not self.config.fused
            self.backend = matmul.best_backend(
                min(self.config.batch_size, len(self.data.y_train)) if whole_batches else matmul.ROWS
            )
        self.stacked = stacked
        self.stack = 1  # runs that train together
        self.force = force  # until the old result is replaced
        self.began = self.first_began = transitions.now()
        self.ended = False
        self.names = columns_of(self.config)
        self.columns: Columns = {}  # the table so far

    def resume(self) -> list[str]:
        """Load the checkpoint if it is this run's, else a fresh network; return notes about corrupted files."""
        fresh = partial(TrainingState.fresh, self.config, self.device, self.stacked)
        if self.force:
            self.training_state, self.columns = fresh(), {}
            return []
        resumed = resume(self.folder, self.planned, self.identity, fresh, self._is_complete)
        self.training_state, self.columns = resumed.state, resumed.columns
        if self.done:
            with suppress(RunError):
                before = self.folder.read_info().provenance
                self.first_began = before.get("first_began") or before.get("began") or self.began
        return resumed.notes

    def would_restart(self) -> Restart | None:
        """Return why an unfinished run would restart, and write nothing; None if it would resume or start."""
        return would_restart(self.folder, self.identity, self._is_complete)

    @property
    def done(self) -> int:
        """The number of epochs done."""
        return num_epochs(self.columns)

    @property
    def identity(self) -> dict[str, str]:
        """What a checkpoint must have for the run to resume from it."""
        return {
            "hash": self.planned.digest(self.device.type),
            "data": self.data.checksum if self.data else GENERATED,
            "route": "stack" if self.stacked else self.backend,  # a stack samples its noise differently
            "drawing": SAMPLING_VERSION,
            "torch": str(torch.__version__),
        }

    def start(self, stack: int) -> list[str]:
        """Mark the run as running, in a stack of this size; return notes. With `force` this replaces the old result."""
        self.stack = stack
        notes = transitions.start(self.folder, self._info(Status.RUNNING), self.columns)
        self.force = False
        return notes

    def stops_early(self) -> bool:
        """Return whether val_acc was measured after the last epoch and has not improved for `early_stopping` epochs."""
        return self._stops_early(self.columns)

    def _stops_early(self, columns: Columns) -> bool:
        patience, best = self.config.early_stopping, best_epoch(columns)
        if patience is None or best is None or columns["val_acc"][-1] is None:
            return False
        return num_epochs(columns) - best >= patience

    def _is_complete(self, columns: Columns) -> bool:
        """Return whether no epoch is left to train."""
        return num_epochs(columns) == self.config.epochs or self._stops_early(columns)

    def add(self, record: EpochRecord, test_outputs: Tensor | None) -> Epoch:
        """Add the epoch to the table, with the values of the probes, and keep its network and predictions if needed.

        What was not measured is None.
        """
        figures = record.row() | self._probe(record.epoch)
        row = {name: figures.get(name) for name in self.names}
        self.folder.append_row(row)
        add_row(self.columns, row)
        if self.data is not None and record.finite:
            self._keep(record.epoch, test_outputs, self.data)
        return Epoch(self.index, row)

    def _keep(self, epoch: int, test_outputs: Tensor | None, data: Data) -> None:
        """Keep the network after the best validation epoch so far, and predictions after that and the last epoch."""
        is_best = best_epoch(self.columns) == epoch
        if is_best:
            self.training_state.kept.keep_network(epoch, cast(Network, self.training_state.network))
        if test_outputs is not None and (is_best or self._is_complete(self.columns)):
            self.training_state.kept.keep_predictions(epoch, predictions_of(test_outputs, data.y_test))

    def _probe(self, epoch: int) -> dict[str, float]:
        """Measure the config's probes; each draws from its own stream."""
        evaluated = is_evaluated(epoch, self.config.epochs, self.config.eval_every)
        if not self.config.probes or self.data is None or not evaluated:
            return {}
        with matmul.using(self.backend), cuda_graph.ieee_matmul():
            return probes.measure(
                self.config.probes,
                cast(Network, self.training_state.network),
                self.data.X_test,
                self.data.y_test,
                lambda name: stream(self.config.seed, f"probe/{name}/{epoch}", self.device),
            )

    def save(self, record: EpochRecord) -> None:
        """Write a checkpoint if all losses are finite; no run may resume from a diverged network."""
        if not record.finite:
            return
        content = self.training_state.to_bytes(self.identity, self.columns)
        is_last = self._is_complete(self.columns)
        transitions.save(self.folder, content, None if is_last else self._info(Status.RUNNING))

    def finish(self) -> Ended:
        return self._finish(Status.DONE)

    def diverge(self, epoch: int) -> Ended:
        return self._finish(Status.DIVERGED, f"the loss is not finite in epoch {epoch}")

    def _finish(self, status: Status, why: str | None = None) -> Ended:
        """Write the result. If that fails, the run has failed."""
        try:
            predictions = self.training_state.kept.content if status == Status.DONE else None
            transitions.finish(self.folder, self._info(status, why), predictions)
        except OSError as error:
            status, why = Status.FAILED, f"its result cannot be written: {files.why(error)}"
        self.ended = True
        return Ended(self.index, status, why)

    def interrupt(self) -> None:
        """Mark the run as interrupted, if it is running."""
        with suppress(OSError, RunError):  # an error, such as a full disk, must not replace the interrupt
            transitions.stop(self.folder, Status.INTERRUPTED)

    def fail(self, error: Exception) -> Ended:
        """Record the error in run.json, unless that would overwrite a result or a later version's file."""
        if isinstance(error, NewerRun):
            self.ended = True
            return Ended(self.index, Status.FAILED, str(error))
        text = "".join(traceback.format_exception(error))
        return self.fail_because(f"{type(error).__name__}: {error}", text)

    def fail_because(self, why: str, traceback: str | None = None) -> Ended:
        """Record a failure in run.json, unless that would overwrite a result."""
        with suppress(Exception):  # such as a full disk, or a plugin that is no longer loaded
            transitions.fail(self.folder, why, traceback, lambda: self._info(Status.FAILED))
        self.ended = True
        return Ended(self.index, Status.FAILED, why)

    def _info(self, status: Status, why: str | None = None) -> RunInfo:
        """Return the new content of run.json."""
        planned, columns = self.planned, self.columns
        here = {
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else str(self.device),
            "threads": torch.get_num_threads(),
            "route": self.backend,
            "stack": self.stack,
            "data": self.data.checksum if self.data else GENERATED,
            "began": self.began,
            "first_began": self.first_began,  # of a run that resumed, when its first epoch began
            **({"host": this_host(), "ended": None} if status == Status.RUNNING else {"ended": transitions.now()}),
        }
        return RunInfo(
            status=status,
            why=why,
            name=planned.name,
            arm=planned.arm,
            cell=planned.cell,
            hash=planned.digest(self.device.type),
            config=self.config.model_dump(),
            settings=self.config.settings(self.device.type),
            tune=planned.tuning,
            epoch=num_epochs(columns),
            last={**last_figures(columns)},
            provenance=provenance() | here,
            table=columns if status in FINISHED else None,
        )
