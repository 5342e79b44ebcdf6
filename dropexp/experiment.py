"""One run, whole: from its config and the data to a finished run folder, going on where it was interrupted."""

from __future__ import annotations

import io
import math
import time
import traceback
from collections.abc import Generator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import torch
import yaml

from dropexp import products
from dropexp.config import Config
from dropexp.data import Data, split
from dropexp.fit import fit
from dropexp.provenance import provenance
from dropexp.runs import Row, RunFolder, write_whole
from dropexp.streams import stream
from dropexp.study import PlannedRun
from dropexp.variants import Network, build

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
        try:
            held.enter_context(folder.lock())
        except OSError as error:
            return Outcome("failed", f"its folder cannot be written: {error}")
        status = folder.status()
        if force:
            folder.clear()
        elif status in ("done", "diverged"):
            return Outcome(status, folder.read_info()["why"])
        run = _Run(planned, folder, data, device)
        try:
            outcome = yield from run.train()
        except (KeyboardInterrupt, GeneratorExit):
            run.write_info("interrupted")
            raise
        except Exception as error:
            outcome = Outcome("failed", f"{type(error).__name__}: {error}")
            with suppress(OSError):  # a full disk may be why it failed
                run.write_info(outcome.status, outcome.why, traceback=traceback.format_exc())
            return outcome
        try:
            run.write_info(outcome.status, outcome.why)
        except OSError as error:
            return Outcome("failed", f"its end cannot be written: {error}")
        return outcome


class _Run:
    def __init__(self, planned: PlannedRun, folder: RunFolder, data: Data, device: torch.device) -> None:
        self.planned = planned
        self.folder = folder
        self.data = data
        self.device = device
        rows = min(planned.config.batch_size, len(data.y_train))
        self.route = products.route(rows) if device.type == "cpu" else products.PLAIN
        self.began = _now()
        self.last: Row | None = None

    def train(self) -> Generator[Row, None, Outcome]:
        config = self.planned.config
        state = self._fresh_state()
        identity = {
            "hash": self.planned.digest(self.device.type),
            "data": self.data.checksum,
            "route": self.route,
            "torch": str(torch.__version__),
        }
        done = state.resume(self.folder, identity)
        if done == 0:
            state = self._fresh_state()  # a damaged checkpoint may have been taken over in part
            self.folder.clear()
        rows = self.folder.read_rows()
        self.last = rows[-1] if rows else None
        self.write_info("running")
        write_whole(self.folder.config_path, self._config_yaml())

        data = split(self.data, config.train_size, config.validation_size, stream(config.seed, "split"))
        validation = None if data.X_val is None or data.y_val is None else (data.X_val, data.y_val)
        saved_at, cost = time.perf_counter(), 0.0
        for record in fit(
            state.network,
            (data.X_train, data.y_train),
            (data.X_test, data.y_test),
            lr=config.lr,
            batch_size=config.batch_size,
            epochs=config.epochs,
            order=state.order,
            validation=validation,
            clean=config.eval_train,
            done=done,
            route=self.route,
        ):
            row = self._row(asdict(record), config)
            self.folder.append_row(row)
            self.last = row
            now = time.perf_counter()
            due = record.epoch == config.epochs or cost <= CHECKPOINT_SHARE * (now - saved_at)
            if due and record.finite:  # from a loss that is not, nothing may go on
                write_whole(self.folder.checkpoint, state.to_bytes(record.epoch, identity))
                saved_at = time.perf_counter()
                cost = saved_at - now
            yield row
            if not record.finite:
                return Outcome("diverged", f"the loss is not finite in epoch {record.epoch}")
        return Outcome("done")

    def _fresh_state(self) -> _State:
        config = self.planned.config
        noise = stream(config.seed, "noise", self.device)
        network = build(config, stream(config.seed, "init"), noise)
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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _finite(value: float | None) -> float | None:
    """JSON has no word for infinity."""
    return value if value is not None and math.isfinite(value) else None
