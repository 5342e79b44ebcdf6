"""A trained network, found again by its run's name."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dropexp.config.schema import Config
from dropexp.config.tasks import FASHION_MNIST
from dropexp.config.variants import VARIANTS
from dropexp.errors import ConfigError, Problem, RunError
from dropexp.nets.base import Network
from dropexp.runs.find import folders
from dropexp.runs.folder import Damaged, RunFolder, default_runs_dir
from dropexp.runs.record import read_run
from dropexp.training import build, checkpoint
from dropexp.training.rng import stream

AGAIN = "`dropexp train -c FILE --force` trains the run again"


@dataclass(frozen=True)
class Trained:
    """A run's network on the CPU as it was after `epoch` epochs, and what is to be said of it."""

    folder: RunFolder
    config: Config
    network: Network
    epoch: int
    remarks: list[str]


def find(run: str, runs_dir: Path | None = None) -> RunFolder:
    """The one run at this path or of this name: [STUDY/]FOLDER as `runs_dir` has it, its hash or the rest left out.

    Raises RunError if there is none, ConfigError if there are several.
    """
    place = runs_dir or default_runs_dir()
    try:
        found = folders([run], place)
    except RunError as error:
        there = folders([], place)
        found = [folder for folder in there if run in _names(folder)]
        if not found:
            raise RunError(f"{error}; dropexp runs lists the runs of each name" if there else str(error)) from None
    if len(found) > 1:
        some = ", ".join(str(folder.path) for folder in found[:3])
        more = ", …" if len(found) > 3 else ""
        raise ConfigError([Problem(f"RUN {run}", f"names {len(found)} runs, give one of them: {some}{more}")])
    return found[0]


def load(folder: RunFolder) -> Trained:
    """The network of this run's checkpoint.

    Raises RunError if there is none to load, ConfigError if it is no network for images or of an unknown variant.
    """
    run, status = read_run(folder), folder.status()
    config = _config(folder, run.config)
    if config.task != FASHION_MNIST:
        raise ConfigError([Problem(str(folder.path), f"a run of {config.task} has no images; name another run")])
    ended = f"{folder.path} is {status}" + (f" ({run.why})" if run.why else "")
    try:
        saved = checkpoint.read(folder)
    except Damaged as damage:
        raise RunError(f"{damage.path} is damaged ({damage.what}); {AGAIN}") from None
    if saved is None:
        lost = f"its checkpoint was dropped; {AGAIN}" if status == "done" else "it has no checkpoint; train it first"
        raise RunError(f"{ended}, but {lost}")
    if folder.checkpoint.stat().st_size < 4 * build.num_params(config):  # float32; else no memory may be enough
        raise RunError(f"{folder.checkpoint} is damaged (it is smaller than the network of {folder.path}); {AGAIN}")
    try:
        network = build.network(config, stream(config.seed, "init"), stream(config.seed, "noise"))
    except RuntimeError as error:
        raise RunError(f"{folder.path} cannot be computed here: {error}") from None
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's, of what does not fit
            network.load(saved["network"])
    except Exception as error:  # of one without a seal, damaged in whatever way
        raise RunError(f"{folder.checkpoint} is damaged ({error}); {AGAIN}") from None
    epoch = int(saved["epoch"])
    remarks = [] if status == "done" else [f"{ended}: this is its checkpoint after epoch {epoch} of {config.epochs}"]
    if VARIANTS[config.variant].plugin != run.settings.get("plugin", ""):
        remarks.append(f"{config.variant} is not what {folder.path} was trained with: its plugin has changed since")
    if config.drop_schedule != "constant":
        remarks.append(
            f"the noise has the config's drop probabilities, which its {config.drop_schedule} schedule varies"
        )
    return Trained(folder, config, network, epoch, remarks)


def _config(folder: RunFolder, content: dict[str, Any]) -> Config:
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        if (variant := content["variant"]) not in VARIANTS:
            what = f"variant {variant!r} is none of this program's; name the file that adds it by --plugin"
            raise ConfigError([Problem(str(folder.path), what)]) from None
        wrong = ", ".join(".".join(map(str, one["loc"])) or one["msg"] for one in error.errors())
        raise RunError(f"{folder.path} has a config that is wrong ({wrong}); train the run again") from None


def _names(folder: RunFolder) -> set[str]:
    cell, _, digest = folder.path.name.rpartition("-")
    study = folder.path.parent.name
    return {folder.path.name, cell, digest, f"{study}/{cell}"}
