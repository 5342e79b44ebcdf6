"""One run, whole: from its config and the data to a finished run folder, going on where it was interrupted."""

from __future__ import annotations

import io
import math
import time
import traceback
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import torch
import yaml

from dropexp import products
from dropexp.config import Config
from dropexp.data import Data, split
from dropexp.fit import EpochRecord, fit
from dropexp.provenance import provenance
from dropexp.runs import Row, RunFolder, write_whole
from dropexp.streams import stream
from dropexp.study import PlannedRun
from dropexp.variants import Network, build, page

CHECKPOINT_SHARE = 0.02  # of the time since the last one: what writing a checkpoint may cost


@dataclass(frozen=True)
class Outcome:
    """How a run ended: a status of run.json, and why if it is not "done"."""

    status: str
    why: str | None = None


@dataclass
class _State:
    """What a checkpoint holds."""

    network: Network
    order: torch.Generator
    noise: torch.Generator

    def to_bytes(self, epoch: int, identity: dict[str, str]) -> bytes:
        file = io.BytesIO()
        generators = {"order": self.order.get_state(), "noise": self.noise.get_state()}
        torch.save({"epoch": epoch, "identity": identity, "network": self.network.state(), **generators}, file)
        return file.getvalue()

    def resume(self, folder: RunFolder, identity: dict[str, str]) -> int:
        """Take over the checkpoint and cut the table to it; returns the number of epochs done, 0 if none counts."""
        try:
            saved = torch.load(folder.checkpoint, map_location="cpu", weights_only=True)
            if saved["identity"] != identity:  # begun on another route, say: two roundings are not mixed
                return 0
            epoch = int(saved["epoch"])
            folder.cut_rows(epoch)
            self.network.load(saved["network"])
            self.order.set_state(saved["order"])
            self.noise.set_state(saved["noise"])
        except Exception:  # missing, or damaged in whatever way: to train anew is cheap, a wrong number is not
            return 0
        return epoch


def train_run(
    planned: PlannedRun, folder: RunFolder, data: Data, device: torch.device, *, force: bool = False
) -> Generator[Row, None, Outcome]:
    """Train one run into its folder, yield each new row of its table, and return how it ended.

    A finished run is left as it is unless `force`. Raises `Busy` if another process trains it; whatever else goes
    wrong is an `Outcome`. Closing the generator or KeyboardInterrupt marks the run as interrupted.
    """
    with ExitStack() as held:
        run = Run(planned, folder, data, device)
        ended = run.open(held, force)
        if ended:
            return ended
        try:
            outcome = yield from run.train()
        except (KeyboardInterrupt, GeneratorExit):
            run.write_info("interrupted")
            raise
        except Exception as error:
            return run.fail(error)
        return run.end(outcome)


class Checkpoints:
    """When to write them: after the last epoch, and before it as often as CHECKPOINT_SHARE of the time allows."""

    def __init__(self) -> None:
        self.saved_at, self.cost = time.perf_counter(), 0.0

    def due(self, epoch: int, epochs: int) -> bool:
        return epoch == epochs or self.cost <= CHECKPOINT_SHARE * (time.perf_counter() - self.saved_at)

    @contextmanager
    def writing(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.saved_at = time.perf_counter()
        self.cost = self.saved_at - began


class Run:
    """One run's part of training: its folder, what it goes on from, and what is kept of each epoch."""

    state: _State
    identity: dict[str, str]

    def __init__(
        self,
        planned: PlannedRun,
        folder: RunFolder,
        data: Data,
        device: torch.device,
        *,
        stacked: bool = False,
    ) -> None:
        self.planned = planned
        self.folder = folder
        self.data = data
        self.device = device
        config = planned.config
        on_page = config.variant != "nn" and not config.fused  # which sums over whole batches, others over ROWS
        rows = min(config.batch_size, len(data.y_train)) if on_page else products.ROWS
        self.route = products.route(rows) if device.type == "cpu" and not stacked else products.PLAIN
        self.build = page if stacked else build
        self.stacked = stacked
        self.stack = 1
        self.began = _now()
        self.last: Row | None = None
        self.going = False  # from its beginning to its end

    def open(self, held: ExitStack, force: bool) -> Outcome | None:
        """Hold the folder; returns how the run has ended, if it has. Raises `Busy`."""
        try:
            held.enter_context(self.folder.lock())
        except OSError as error:
            return Outcome("failed", f"its folder cannot be written: {error}")
        status = self.folder.status()
        if force:
            self.folder.clear()
        elif status in ("done", "diverged"):
            return Outcome(status, self.folder.read_info()["why"])
        return None

    def resume(self) -> int:
        """Take over the checkpoint, if there is one to go on from; returns the number of epochs done."""
        self.state = self._fresh_state()
        self.identity = {
            "hash": self.planned.digest(self.device.type),
            "data": self.data.checksum,
            "route": "stack" if self.stacked else self.route,  # a stack draws its noise otherwise
            "torch": str(torch.__version__),
        }
        done = self.state.resume(self.folder, self.identity)
        if done == 0:
            self.state = self._fresh_state()  # a damaged checkpoint may have been taken over in part
            self.folder.clear()
        return done

    def begin(self, stack: int = 1) -> None:
        """Say in the folder that the run is trained, in a stack of so many."""
        self.going, self.stack = True, stack
        rows = self.folder.read_rows()
        self.last = rows[-1] if rows else None
        self.write_info("running")
        write_whole(self.folder.config_path, self._config_yaml())

    def train(self) -> Generator[Row, None, Outcome]:
        config = self.planned.config
        done = self.resume()
        self.begin()
        data = split(self.data, config.train_size, config.validation_size, stream(config.seed, "split"))
        validation = None if data.X_val is None or data.y_val is None else (data.X_val, data.y_val)
        checkpoints = Checkpoints()
        for record in fit(
            self.state.network,
            (data.X_train, data.y_train),
            (data.X_test, data.y_test),
            lr=config.lr,
            batch_size=config.batch_size,
            epochs=config.epochs,
            order=self.state.order,
            validation=validation,
            clean=config.eval_train,
            done=done,
            route=self.route,
        ):
            row = self.keep(record)
            if checkpoints.due(record.epoch, config.epochs):
                with checkpoints.writing():
                    self.save(record)
            yield row
            if not record.finite:
                return diverged(record)
        return Outcome("done")

    def keep(self, record: EpochRecord) -> Row:
        """Add the epoch to the table."""
        row = self._row(asdict(record), self.planned.config)
        self.folder.append_row(row)
        self.last = row
        return row

    def save(self, record: EpochRecord) -> None:
        """Write a checkpoint, unless the loss is not finite: from there nothing may go on."""
        if record.finite:
            write_whole(self.folder.checkpoint, self.state.to_bytes(record.epoch, self.identity))

    def end(self, outcome: Outcome) -> Outcome:
        self.going = False
        try:
            self.write_info(outcome.status, outcome.why)
        except OSError as error:
            return Outcome("failed", f"its end cannot be written: {error}")
        return outcome

    def fail(self, error: Exception) -> Outcome:
        self.going = False
        outcome = Outcome("failed", f"{type(error).__name__}: {error}")
        with suppress(OSError):  # a full disk may be why it failed
            self.write_info(outcome.status, outcome.why, traceback="".join(traceback.format_exception(error)))
        return outcome

    def _fresh_state(self) -> _State:
        config = self.planned.config
        noise = stream(config.seed, "noise", self.device)
        network = self.build(config, stream(config.seed, "init"), noise)
        return _State(network, stream(config.seed, "order"), noise)

    @staticmethod
    def _row(record: Row, config: Config) -> Row:
        """The record without the columns that this config has not."""
        absent: tuple[str, ...] = () if config.eval_train else ("clean_train_loss", "clean_train_acc")
        absent += () if config.validation_size else ("val_loss", "val_acc")
        return {key: value for key, value in record.items() if key not in absent}

    def _config_yaml(self) -> bytes:
        content = {"name": self.planned.name, **self.planned.config.model_dump()}
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode()

    def write_info(self, status: str, why: str | None = None, **more: Any) -> None:
        planned, ended = self.planned, None if status == "running" else _now()
        here = {
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else str(self.device),
            "threads": torch.get_num_threads(),
            "route": self.route,
            "stack": self.stack,
            "data": self.data.checksum,
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
                "rows": self.last["epoch"] if self.last else 0,
                "last": self.last and {key: _finite(value) for key, value in self.last.items()},
                "provenance": provenance() | here,
                **more,
            }
        )


def diverged(record: EpochRecord) -> Outcome:
    return Outcome("diverged", f"the loss is not finite in epoch {record.epoch}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _finite(value: float | None) -> float | None:
    """JSON has no word for infinity."""
    return value if value is not None and math.isfinite(value) else None
