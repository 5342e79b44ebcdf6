"""The network of a trained run, as `evaluate` loads it from checkpoint.pt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from dropexp.config.schema import Config
from dropexp.config.tasks import FASHION_MNIST
from dropexp.config.variant_table import VARIANTS
from dropexp.errors import ConfigError, CorruptedFile, Problem, RunError
from dropexp.nets.network_interface import Network
from dropexp.runs.epochs_table import best_epoch
from dropexp.runs.folder import RunFolder
from dropexp.runs.predictions import Predictions
from dropexp.runs.record import Run, read_run
from dropexp.runs.state_names import Status
from dropexp.training import build
from dropexp.training.checkpoint import Checkpoint, load_network, read
from dropexp.training.rng import stream
from dropexp.training.torch_settings import own_settings

AGAIN = "`dropexp train -c FILE --force` trains the run again"

At = Literal["last", "best-val"]


@dataclass(frozen=True)
class Trained:
    """A run's network on the CPU as it was after `epoch` epochs, and remarks on it; `done`: the run's status is done.

    `kept` are the predictions that training kept of that epoch, None if there are none.
    """

    folder: RunFolder
    config: Config
    network: Network
    epoch: int
    kept: Predictions | None
    remarks: list[str]
    done: bool


@own_settings()
def load_trained(folder: RunFolder, at: At = "last") -> Trained:
    """Load a network of a run's checkpoint: the last one, or that of the best validation epoch.

    Raises `RunError` if there is none to load, `ConfigError` if it takes no images or its variant is unknown.
    """
    run = read_run(folder)
    config = _config(folder, run.config)
    if config.task != FASHION_MNIST:
        raise ConfigError([Problem(str(folder.path), f"a run of {config.task} has no images; name another run")])
    try:
        saved = _read(run)
        epoch, state = _best(run, saved) if at == "best-val" else (saved.epoch, saved.network)
        # 4 bytes per parameter: building a network that is larger than its checkpoint could exhaust the memory
        if folder.checkpoint.stat().st_size < 4 * build.num_params(config):
            raise CorruptedFile(folder.checkpoint, "it is smaller than the network")
        try:
            network = build.network(config, stream(config.seed, "init"), stream(config.seed, "noise"))
        except RuntimeError as error:
            raise RunError(f"{folder.path} cannot be computed here: {error}") from None
        load_network(network, state, folder)
    except CorruptedFile as error:
        raise RunError(f"{error.path} is corrupted ({error.reason}); {AGAIN}") from None
    remarks = [*_progress(run, saved, config), *_noise(run, config)]
    if at == "last":
        remarks += _better_epoch(saved)
    done = run.status == Status.DONE
    return Trained(folder, config, network, epoch, saved.kept.predictions.get(epoch), remarks, done)


def _read(run: Run) -> Checkpoint:
    saved = read(run.folder)
    if saved is None:
        done = run.status == Status.DONE
        lost = f"its checkpoint was removed; {AGAIN}" if done else "it has no checkpoint; train it first"
        raise RunError(f"{_state(run)}, but {lost}")
    return saved


def _best(run: Run, saved: Checkpoint) -> tuple[int, Any]:
    """Return the best validation epoch and its network. Raises `RunError` if it is not kept."""
    if saved.kept.best:
        return saved.kept.best.epoch, saved.kept.best.network
    if not run.config.get("validation_size"):
        raise RunError(f"{run.folder.path} has no validation rows to choose an epoch by; set validation_size")
    raise RunError(f"{run.folder.path} has not kept the network of its best validation epoch; {AGAIN}")


def _better_epoch(saved: Checkpoint) -> list[str]:
    """Return a remark if an earlier epoch had the best validation accuracy."""
    best = best_epoch(saved.columns or {})
    if best is None or best == saved.epoch:
        return []
    kept = saved.kept.best and saved.kept.best.epoch == best
    network = "--at best-val evaluates its network" if kept else "its network is not kept"
    return [f"the validation accuracy was best after epoch {best} of {saved.epoch}: {network}"]


def _progress(run: Run, saved: Checkpoint, config: Config) -> list[str]:
    if run.status == Status.DONE:
        return []
    return [f"{_state(run)}: this is its checkpoint after epoch {saved.epoch} of {config.epochs}"]


def _state(run: Run) -> str:
    return f"{run.folder.path} is {run.status}" + (f" ({run.why})" if run.why else "")


def _noise(run: Run, config: Config) -> list[str]:
    """Return remarks on noise that is not what the run was trained with."""
    remarks = []
    if VARIANTS[config.variant].plugin != run.settings.get("plugin", ""):
        changed = "its plugin has changed since"
        remarks.append(f"{config.variant} is not what {run.folder.path} was trained with: {changed}")
    if config.drop_schedule != "constant":
        schedule = f"which its {config.drop_schedule} schedule varies"
        remarks.append(f"the noise has the config's drop probabilities, {schedule}")
    return remarks


def _config(folder: RunFolder, content: dict[str, Any]) -> Config:
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        if (variant := content["variant"]) not in VARIANTS:
            what = f"variant {variant!r} does not exist here; load the file that adds it with --plugin"
            raise ConfigError([Problem(str(folder.path), what)]) from None
        wrong = ", ".join(".".join(map(str, one["loc"])) or one["msg"] for one in error.errors())
        raise RunError(f"{folder.path} has an invalid config ({wrong}); train the run again") from None
