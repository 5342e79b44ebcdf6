"""checkpoint.pt: what a run resumes from, and the networks that `evaluate` loads. Saving, loading, and when to save."""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from dropexp.config.schema import Config
from dropexp.config.tasks import LINEAR_REGRESSION
from dropexp.errors import CorruptedFile, NewerRun, RunError
from dropexp.files import add_checksum, has_checksum
from dropexp.nets.linreg import Model
from dropexp.nets.network_interface import Network
from dropexp.plurals import counted
from dropexp.runs.epochs_table import Columns, num_epochs
from dropexp.runs.folder import RunFolder, read_file
from dropexp.runs.predictions import decode
from dropexp.runs.run_json import SCHEMA
from dropexp.training import build
from dropexp.training.rng import stream
from dropexp.training.snapshots import BestNetwork, Kept

CHECKPOINT_SHARE = 0.02  # of the time since the last one: what writing a checkpoint may cost


@dataclass
class TrainingState:
    """What training changes: the network, the generators of batch order and noise, and what is kept of epochs."""

    network: Network | Model
    order: torch.Generator
    noise: torch.Generator
    kept: Kept = field(default_factory=Kept)

    @classmethod
    def fresh(cls, config: Config, device: torch.device, stacked: bool) -> TrainingState:
        """Return the state before the first epoch, each part drawn from its own stream."""
        init, order = stream(config.seed, "init"), stream(config.seed, "order")
        noise = stream(config.seed, "noise", device)
        if config.task == LINEAR_REGRESSION:
            return cls(build.regression(config, init), order, noise)
        return cls((build.reference_mlp if stacked else build.network)(config, init, noise), order, noise)

    def to_bytes(self, identity: dict[str, str], columns: Columns) -> bytes:
        """Return the content of checkpoint.pt after the epochs of the columns."""
        about = {"schema": SCHEMA, "epoch": num_epochs(columns), "identity": identity, "columns": columns}
        generators = {"order": self.order.get_state(), "noise": self.noise.get_state()}
        kept: dict[str, Any] = {}
        if self.kept.best is not None:
            kept["best"] = vars(self.kept.best)
        if self.kept.content is not None:
            kept["predictions"] = torch.frombuffer(bytearray(self.kept.content), dtype=torch.uint8)
        file = io.BytesIO()
        torch.save({**about, "network": self.network.state(), **generators, **kept}, file)
        return add_checksum(file.getvalue())

    def load(self, saved: Checkpoint, folder: RunFolder) -> None:
        """Restore a saved state. Raises `CorruptedFile` if it does not fit; it may then be restored in part."""
        load_network(self.network, saved.network, folder)
        try:
            self.order.set_state(saved.order)
            self.noise.set_state(saved.noise)
        except Exception as error:
            raise CorruptedFile(folder.checkpoint, f"its generators do not fit, {type(error).__name__}") from None


@dataclass(frozen=True)
class Checkpoint:
    """The content of checkpoint.pt."""

    epoch: int
    identity: dict[str, str]  # what must be equal for a run to resume from it
    columns: Columns | None  # the table as far as it goes; None in schema 1
    network: Any
    order: Any
    noise: Any
    kept: Kept


def load_network(network: Network | Model, saved: Any, folder: RunFolder) -> None:
    """Restore a saved state of a network. Raises `CorruptedFile` if it does not fit."""
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's, about what does not fit
            network.load(saved)
    except Exception as error:  # of any kind: a restart is better than a wrong figure
        raise CorruptedFile(folder.checkpoint, f"its network does not fit, {type(error).__name__}") from None


def read(folder: RunFolder) -> Checkpoint | None:
    """Read checkpoint.pt; None if there is none. Raises `CorruptedFile`, `NewerRun` or another `RunError`."""
    path = folder.checkpoint
    content = read_file(path)
    if content is None:
        return None
    try:
        has_one = has_checksum(content)
    except ValueError as error:
        raise CorruptedFile(path, error) from None
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's, about a corrupted file
            saved: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        is_newer = bool(saved["schema"] > SCHEMA)
    except Exception as error:  # torch raises many kinds
        raise CorruptedFile(path, f"torch cannot load it, {type(error).__name__}") from None
    if is_newer:
        raise NewerRun(path)
    if not has_one:
        raise CorruptedFile(path, "it has no checksum")
    try:
        if not _is_identity(saved["identity"]):
            raise CorruptedFile(path, "it has no identity")
        columns = saved["columns"] if saved["schema"] == SCHEMA else None
        if columns is not None and not _is_table(columns, saved["epoch"]):
            raise CorruptedFile(path, f"its table does not have {counted(saved['epoch'], 'epoch')}")
        fields = {key: saved[key] for key in ("epoch", "identity", "network", "order", "noise")}
        return Checkpoint(columns=columns, kept=_kept(path, saved), **fields)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CorruptedFile(path, f"{type(error).__name__}: {error}") from None


def _kept(path: Path, saved: dict[str, Any]) -> Kept:
    """Return what a checkpoint has kept of single epochs, which is nothing in those of earlier versions."""
    best, content = saved.get("best"), saved.get("predictions")
    if best is not None and not (isinstance(best, dict) and type(best["epoch"]) is int):
        raise TypeError("its best epoch is not a whole number")
    network = BestNetwork(best["epoch"], best["network"]) if best else None
    if content is None:
        return Kept(network)
    encoded = content.numpy().tobytes()
    return Kept(network, encoded, decode(path, encoded))


def _is_identity(identity: Any) -> bool:
    return isinstance(identity, dict) and all(isinstance(text, str) for pair in identity.items() for text in pair)


def _is_table(columns: Any, epoch: Any) -> bool:
    return (
        isinstance(columns, dict)
        and all(isinstance(name, str) and isinstance(column, list) for name, column in columns.items())
        and {*map(len, columns.values())} == {epoch}
        and all(figure is None or type(figure) is float for column in columns.values() for figure in column)
    )


class CheckpointTimer:
    """Decides when to save: after the last epoch, and before it as often as CHECKPOINT_SHARE of the time allows."""

    def __init__(self) -> None:
        self.saved_at, self.cost = time.perf_counter(), 0.0

    def should_save(self, epoch: int, epochs: int) -> bool:
        return epoch == epochs or self.cost <= CHECKPOINT_SHARE * (time.perf_counter() - self.saved_at)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Measure what saving costs."""
        began = time.perf_counter()
        yield
        self.saved_at = time.perf_counter()
        self.cost = self.saved_at - began


def saved_predictions(folder: RunFolder) -> bytes:
    """Return the predictions in checkpoint.pt, the content of predictions.npz. Raises `RunError` if there are none."""
    saved = read(folder)
    if saved is None or saved.kept.content is None:
        raise RunError(f"{folder.checkpoint} {'is missing' if saved is None else 'has no predictions'}")
    return saved.kept.content
