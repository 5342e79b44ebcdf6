"""checkpoint.pt: what a run resumes from, and the network that `evaluate` loads. Saving, loading, and when to save."""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import ValidationError

from dropexp.config.schema import Config
from dropexp.config.tasks import FASHION_MNIST, LINEAR_REGRESSION
from dropexp.config.variants import VARIANTS
from dropexp.errors import ConfigError, CorruptedFile, NewerRun, Problem, RunError
from dropexp.files import add_checksum, has_checksum
from dropexp.nets.base import Network
from dropexp.nets.linreg import Model
from dropexp.runs.folder import RunFolder, read_file
from dropexp.runs.record import read_run
from dropexp.runs.run_json import SCHEMA
from dropexp.runs.status import Status
from dropexp.runs.table import Columns, num_epochs
from dropexp.training import build
from dropexp.training.rng import stream
from dropexp.training.torch_settings import own_settings

CHECKPOINT_SHARE = 0.02  # of the time since the last one: what writing a checkpoint may cost
AGAIN = "`dropexp train -c FILE --force` trains the run again"


@dataclass
class TrainingState:
    """What training changes: the network, and the generators of batch order and noise."""

    network: Network | Model
    order: torch.Generator
    noise: torch.Generator

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
        file = io.BytesIO()
        torch.save({**about, "network": self.network.state(), **generators}, file)
        return add_checksum(file.getvalue())

    def load(self, saved: Checkpoint, folder: RunFolder) -> None:
        """Restore a saved state. Raises `CorruptedFile` if it does not fit; it may then be restored in part."""
        _load_network(self.network, saved, folder)
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


def _load_network(network: Network | Model, saved: Checkpoint, folder: RunFolder) -> None:
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's, about what does not fit
            network.load(saved.network)
    except Exception as error:  # of any kind: to restart costs time, a wrong figure costs more
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
            raise CorruptedFile(path, f"its table does not have {saved['epoch']} epochs")
        return Checkpoint(columns=columns, **{k: saved[k] for k in ("epoch", "identity", "network", "order", "noise")})
    except (LookupError, TypeError) as error:
        raise CorruptedFile(path, f"{type(error).__name__}: {error}") from None


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


# For `evaluate`


@dataclass(frozen=True)
class Trained:
    """A run's network on the CPU as it was after `epoch` epochs, and remarks on it."""

    folder: RunFolder
    config: Config
    network: Network
    epoch: int
    remarks: list[str]


@own_settings()
def load_trained(folder: RunFolder) -> Trained:
    """Load the network of a run's checkpoint.

    Raises `RunError` if there is none to load, `ConfigError` if it takes no images or its variant is unknown.
    """
    run = read_run(folder)
    config = _config(folder, run.config)
    if config.task != FASHION_MNIST:
        raise ConfigError([Problem(str(folder.path), f"a run of {config.task} has no images; name another run")])
    ended = f"{folder.path} is {run.status}" + (f" ({run.why})" if run.why else "")
    try:
        saved = read(folder)
        if saved is None:
            done = run.status == Status.DONE
            lost = f"its checkpoint was removed; {AGAIN}" if done else "it has no checkpoint; train it first"
            raise RunError(f"{ended}, but {lost}")
        if folder.checkpoint.stat().st_size < 4 * build.num_params(config):  # bytes; else memory may be too small
            raise CorruptedFile(folder.checkpoint, "it is smaller than the network")
        try:
            network = build.network(config, stream(config.seed, "init"), stream(config.seed, "noise"))
        except RuntimeError as error:
            raise RunError(f"{folder.path} cannot be computed here: {error}") from None
        _load_network(network, saved, folder)
    except CorruptedFile as error:
        raise RunError(f"{error.path} is corrupted ({error.reason}); {AGAIN}") from None
    done = run.status == Status.DONE
    remarks = [] if done else [f"{ended}: this is its checkpoint after epoch {saved.epoch} of {config.epochs}"]
    if VARIANTS[config.variant].plugin != run.settings.get("plugin", ""):
        remarks.append(f"{config.variant} is not what {folder.path} was trained with: its plugin has changed since")
    if config.drop_schedule != "constant":
        schedule = f"which its {config.drop_schedule} schedule varies"
        remarks.append(f"the noise has the config's drop probabilities, {schedule}")
    return Trained(folder, config, network, saved.epoch, remarks)


def _config(folder: RunFolder, content: dict[str, Any]) -> Config:
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        if (variant := content["variant"]) not in VARIANTS:
            what = f"variant {variant!r} does not exist here; name the file that adds it by --plugin"
            raise ConfigError([Problem(str(folder.path), what)]) from None
        wrong = ", ".join(".".join(map(str, one["loc"])) or one["msg"] for one in error.errors())
        raise RunError(f"{folder.path} has an invalid config ({wrong}); train the run again") from None
