"""What a run goes on from: its network and generators, saved after an epoch, and when that is worth its time."""

from __future__ import annotations

import io
import operator
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dropexp.config.schema import Config
from dropexp.config.tasks import LINEAR_REGRESSION
from dropexp.errors import NewerRun, RunError
from dropexp.files import is_sealed, sealed, sha256
from dropexp.nets.base import Network
from dropexp.nets.linreg import Model
from dropexp.runs.folder import SCHEMA, Damaged, RunFolder, read_file
from dropexp.training import build
from dropexp.training.rng import stream

CHECKPOINT_SHARE = 0.02  # of the time since the last one: what writing a checkpoint may cost


@dataclass
class State:
    """What a checkpoint holds."""

    network: Network | Model
    order: torch.Generator
    noise: torch.Generator

    @classmethod
    def fresh(cls, config: Config, device: torch.device, stacked: bool) -> State:
        """What a run begins with: each part drawn from a stream of its own."""
        init, order = stream(config.seed, "init"), stream(config.seed, "order")
        noise = stream(config.seed, "noise", device)
        if config.task == LINEAR_REGRESSION:
            return cls(build.regression(config, init), order, noise)
        return cls((build.reference_mlp if stacked else build.network)(config, init, noise), order, noise)

    def to_bytes(self, epoch: int, identity: dict[str, str], folder: RunFolder) -> bytes:
        """The checkpoint after `epoch` epochs, sealed; it knows the table up to there too."""
        file = io.BytesIO()
        about = {"schema": SCHEMA, "epoch": epoch, "identity": identity, "table": sha256(folder.table(epoch))}
        generators = {"order": self.order.get_state(), "noise": self.noise.get_state()}
        torch.save({**about, "network": self.network.state(), **generators}, file)
        return sealed(file.getvalue())

    def resume(self, folder: RunFolder, identity: dict[str, str]) -> tuple[int, list[str]]:
        """Take over the checkpoint and cut the table to it; returns the number of epochs done, 0 if none counts.

        What is damaged in the folder is set aside, and named in the sentences that are returned too. Raises `NewerRun`.
        """
        done, damaged = 0, dict[Path, str]()
        try:
            folder.check()
        except Damaged as damage:
            damaged[damage.path] = damage.set_aside()
        except NewerRun:
            raise
        except RunError:  # no run.json: a checkpoint does not need it
            pass
        try:
            done = self._take_over(folder, identity)
        except Damaged as damage:
            if damage.path not in damaged:  # of a table that was set aside, the checkpoint misses the rows too
                damaged[damage.path] = damage.set_aside()
        return done, [*damaged.values()]

    def _take_over(self, folder: RunFolder, identity: dict[str, str]) -> int:
        saved = read(folder)
        if saved is None or saved["identity"] != identity:  # begun on another route, say: two roundings are not mixed
            return 0
        folder.cut_rows(saved["epoch"], saved.get("table"))
        try:
            with warnings.catch_warnings(action="ignore"):  # torch's, of what does not fit
                self.network.load(saved["network"])
            self.order.set_state(saved["order"])
            self.noise.set_state(saved["noise"])
        except Exception as error:  # in whatever way: to train anew is cheap, a wrong number is not
            raise Damaged(folder.checkpoint, f"it does not fit, {type(error).__name__}") from None
        return int(saved["epoch"])


def read(folder: RunFolder) -> dict[str, Any] | None:
    """What the checkpoint holds, None if there is none. Raises `RunError` if it may not be read, `Damaged`, `NewerRun`.

    One of an earlier version has neither schema nor seal, and says nothing of the table.
    """
    path = folder.checkpoint
    content = read_file(path)
    if content is None:
        return None
    try:
        whole = is_sealed(content)
    except ValueError as error:
        raise Damaged(path, error) from None
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's, of a damaged file: what loads is looked at
            saved: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        newer, earlier = bool(saved.get("schema", SCHEMA) > SCHEMA), "schema" not in saved
        saved["identity"], operator.index(saved["epoch"])
    except Exception as error:  # torch has many words for it
        raise Damaged(path, f"torch cannot load it, {type(error).__name__}") from None
    if newer:
        raise NewerRun(path)
    if not whole and not earlier:
        raise Damaged(path, "its seal is gone")
    return saved


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
