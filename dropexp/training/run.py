"""One run, whole: from its config and the data to a finished run folder, going on where it was interrupted."""

from __future__ import annotations

import traceback
from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, cast

import torch

from dropexp.config.schema import Config
from dropexp.config.study import PlannedRun
from dropexp.config.tasks import LINEAR_REGRESSION
from dropexp.data.fashion_mnist import Data, split
from dropexp.errors import NewerRun
from dropexp.files import write_whole
from dropexp.nets import cuda_graph, linreg, matmul
from dropexp.nets.base import Network
from dropexp.nets.schedules import LR_SCHEDULES
from dropexp.runs.folder import FINISHED, Row, RunFolder, so_far
from dropexp.runs.holding import Outcome, hold
from dropexp.runs.provenance import provenance
from dropexp.training import probes
from dropexp.training.checkpoint import Checkpoints, State
from dropexp.training.loop import EpochRecord, fit
from dropexp.training.rng import stream

Record = EpochRecord | linreg.EpochRecord
DRAWING = "2"  # another one when noise or order are drawn otherwise: no run goes on with other draws than it began
DRAWN = "drawn"  # the data of a task without images, by the run's own stream


def train_run(
    planned: PlannedRun, folder: RunFolder, data: Data | None, device: torch.device, *, force: bool = False
) -> Generator[Row | str, None, Outcome]:
    """Train one run into its folder, yield each new row of its table, and return how it ended.

    A damaged file is set aside first, and a sentence yielded that says so. `data` may be None for a task that draws its
    own. A finished run is left as it is unless `force`; one that another process trains is "busy", and whatever goes
    wrong is an `Outcome` too. Closing the generator or KeyboardInterrupt marks a run that has begun as interrupted.
    """
    with ExitStack() as held:
        run = Run(planned, folder, data, device, force=force)
        if ended := hold(planned, folder, held, force):
            return ended
        try:
            outcome = yield from run.train()
            return run.end(outcome)
        except (KeyboardInterrupt, GeneratorExit):
            run.interrupt()
            raise
        except Exception as error:
            return run.fail(error)


class Run:
    """One run's part of training: its folder, what it goes on from, and what is kept of each epoch."""

    state: State
    identity: dict[str, str]

    def __init__(
        self,
        planned: PlannedRun,
        folder: RunFolder,
        data: Data | None,
        device: torch.device,
        *,
        stacked: bool = False,
        force: bool = False,
    ) -> None:
        self.planned = planned
        self.folder = folder
        regression = planned.config.task == LINEAR_REGRESSION
        self.data = None if regression else data
        self.device = torch.device("cpu") if regression else device
        self.route = matmul.PLAIN
        if self.data and device.type == "cpu" and not stacked:
            config = planned.config
            on_page = config.variant != "nn" and not config.fused  # which sums over whole batches, others over ROWS
            self.route = matmul.route(min(config.batch_size, len(self.data.y_train)) if on_page else matmul.ROWS)
        self.stacked = stacked
        self.force = force  # until what is there has been cleared
        self.stack = 1
        self.began = _now()
        self.last: Row | None = None
        self.going = False  # from its beginning to its end
        self.val_accs: list[float] = []  # of its epochs
        self.notes: list[str] = []  # on damaged files that were set aside

    def resume(self) -> int:
        """Go on from the checkpoint, if one counts; returns the epochs done. `notes` tells what was set aside."""
        self.identity = {
            "hash": self.planned.digest(self.device.type),
            "data": self.data.checksum if self.data else DRAWN,
            "route": "stack" if self.stacked else self.route,  # a stack draws its noise otherwise
            "drawing": DRAWING,
            "torch": str(torch.__version__),
        }
        self.state = State.fresh(self.planned.config, self.device, self.stacked)
        if self.force:
            return 0
        done, self.notes = self.state.resume(self.folder, self.identity)
        if done == 0:
            self.state = State.fresh(self.planned.config, self.device, self.stacked)  # none that is taken over in part
            self.notes += self.folder.begin_anew()
        rows = self.folder.read_rows()
        self.last = rows[-1] if rows else None
        self.val_accs = [row["val_acc"] for row in rows if "val_acc" in row]
        return done

    def begin(self, stack: int = 1) -> None:
        """Say in the folder that the run is trained, in a stack of so many; one that is forced clears it first."""
        if self.force:  # only now, when nothing keeps the training from its first epoch
            self.folder.clear()
            self.force = False
        self.going, self.stack = True, stack
        self.write_info("running")
        write_whole(self.folder.config_path, self.planned.yaml())

    def train(self) -> Generator[Row | str, None, Outcome]:
        config = self.planned.config
        done = self.resume()
        yield from self.notes
        self.begin()
        if self.stops():
            return Outcome("done")
        checkpoints = Checkpoints()
        for record in self._records(done):
            row = self.keep(record)
            if checkpoints.due(record.epoch, config.epochs) or self.stops():
                with checkpoints.writing():
                    self.save(record)
            yield row
            if not record.finite:
                return diverged(record)
            if self.stops():
                break
        return Outcome("done")

    def _records(self, done: int) -> Iterator[Record]:
        """The epochs after those that are `done`."""
        config, state = self.planned.config, self.state
        if self.data is None:
            drawn = linreg.data(
                stream(config.seed, "data"), config.train_size or linreg.NUM_TRAIN, config.validation_size
            )
            return linreg.fit(
                cast(linreg.Model, state.network),
                drawn.train,
                drawn.test,
                validation=drawn.validation,
                lr=config.lr,
                batch_size=config.batch_size,
                epochs=config.epochs,
                order=state.order,
                done=done,
            )
        data = split(self.data, config.train_size, config.validation_size, stream(config.seed, "split"))
        return fit(
            cast(Network, state.network),
            (data.X_train, data.y_train),
            (data.X_test, data.y_test),
            lr=config.lr,
            lr_schedule=LR_SCHEDULES[config.lr_schedule],
            batch_size=config.batch_size,
            epochs=config.epochs,
            order=state.order,
            validation=None if data.X_val is None or data.y_val is None else (data.X_val, data.y_val),
            clean=config.eval_train,
            done=done,
            route=self.route,
        )

    def stops(self) -> bool:
        """Whether the validation accuracy has not risen for as many epochs as `early_stopping` bears with."""
        patience = self.planned.config.early_stopping
        if patience is None or not self.val_accs:
            return False
        return len(self.val_accs) - 1 - self.val_accs.index(max(self.val_accs)) >= patience

    def keep(self, record: Record) -> Row:
        """Add the epoch to the table, with what the probes find."""
        row = self._row(asdict(record), self.planned.config) | self._probed(record.epoch)
        self.folder.append_row(row)
        self.last = row
        if "val_acc" in row:
            self.val_accs.append(row["val_acc"])
        return row

    def _probed(self, epoch: int) -> dict[str, float]:
        """What the config's probes find after this epoch; each draws from a stream of its own."""
        config = self.planned.config
        if not config.probes or self.data is None:
            return {}
        network = cast(Network, self.state.network)
        with matmul.using(self.route), cuda_graph.ieee_products():
            return probes.measure(
                config.probes,
                network,
                self.data.X_test,
                self.data.y_test,
                lambda name: stream(config.seed, f"probe/{name}/{epoch}", self.device),
            )

    def save(self, record: Record) -> None:
        """Write a checkpoint, unless the loss is not finite: from there nothing may go on."""
        if record.finite:
            write_whole(self.folder.checkpoint, self.state.to_bytes(record.epoch, self.identity, self.folder))

    def end(self, outcome: Outcome) -> Outcome:
        try:
            self.write_info(outcome.status, outcome.why)
        except OSError as error:
            outcome = Outcome("failed", f"its end cannot be written: {error}")
        self.going = False  # not before: an interrupt may come while it is written
        return outcome

    def interrupt(self) -> None:
        """Say so in the folder, unless the run has not begun here: then what stands there still holds."""
        if self.going:
            with suppress(OSError):  # a full disk shall not take the interrupt's place
                self.write_info("interrupted")

    def fail(self, error: Exception) -> Outcome:
        begun, self.going = self.going, False
        if isinstance(error, NewerRun):  # whose folder is left as it is
            return Outcome("failed", str(error))
        outcome = Outcome("failed", f"{type(error).__name__}: {error}")
        with suppress(Exception):  # a full disk, say, or a variant of a plugin that is gone
            if begun or not self.folder.may_hold_a_result():
                self.write_info(outcome.status, outcome.why, traceback="".join(traceback.format_exception(error)))
        return outcome

    @staticmethod
    def _row(record: Row, config: Config) -> Row:
        """The record without the columns that this config has not."""
        absent: tuple[str, ...] = () if config.eval_train else ("clean_train_loss", "clean_train_acc")
        absent += () if config.validation_size else ("val_loss", "val_acc")
        return {key: value for key, value in record.items() if key not in absent}

    def write_info(self, status: str, why: str | None = None, **more: Any) -> None:
        planned, ended = self.planned, None if status == "running" else _now()
        here = {
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else str(self.device),
            "threads": torch.get_num_threads(),
            "route": self.route,
            "stack": self.stack,
            "data": self.data.checksum if self.data else DRAWN,
            "began": self.began,
            "ended": ended,
        }
        self.folder.write_info(
            {
                "status": status,
                "why": why,
                "name": planned.name,
                "arm": planned.arm,
                "cell": planned.cell,
                "hash": planned.digest(self.device.type),
                "config": planned.config.model_dump(),
                "settings": planned.config.settings(self.device.type),
                **so_far(self.last),
                "files": self.folder.digests() if status in FINISHED else None,
                "provenance": provenance() | here,
                **more,
            }
        )


def diverged(record: Record) -> Outcome:
    return Outcome("diverged", f"the loss is not finite in epoch {record.epoch}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
