"""The derived files of a finished run: rewritten if they are missing or were edited. Only `train` does this.

config.yaml and epochs.csv come from run.json, predictions.npz from checkpoint.pt.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dropexp.errors import RunError
from dropexp.files import sha256, why, write_whole
from dropexp.lock import Busy
from dropexp.runs.epochs_table import to_csv
from dropexp.runs.folder import CHECKPOINT, CONFIG, EPOCHS, PREDICTIONS, RUN, RunFolder, config_yaml
from dropexp.runs.run_json import RunInfo


def repair_finished(folder: RunFolder, saved_predictions: Callable[[RunFolder], bytes]) -> list[str]:
    """Rewrite the derived files of a finished run that are missing or were edited; return messages about them.

    `saved_predictions` returns the predictions in checkpoint.pt, or raises `RunError`; it is called if they are needed.
    Files are left as they are if another process has locked the run.
    """
    try:
        info = folder.read_info()
        if not _edited(folder, info) and not _lacks_predictions(folder, info):
            return []
        with folder.lock():
            return repair(folder, info) + _repair_predictions(folder, info, saved_predictions)
    except Busy:
        return []
    except (OSError, RunError) as error:
        return [f"{folder.path} is not repaired: {why(error)}"]


def _edited(folder: RunFolder, info: RunInfo) -> dict[str, bytes]:
    """Return which derived files of a finished run are missing or were edited, and their right contents."""
    derived = {CONFIG: config_yaml(info)}
    if info.table is not None:  # else epochs.csv is not derived
        derived[EPOCHS] = to_csv(info.table)
    return {name: content for name, content in derived.items() if folder.read(name) != content}


def repair(folder: RunFolder, info: RunInfo) -> list[str]:
    """Rewrite config.yaml and epochs.csv if they are missing or were edited; the run is locked."""
    notes = []
    try:
        for name, content in _edited(folder, info).items():
            notes.append(f"{_rewrite(folder.path / name, content)} from {RUN}")
    except (OSError, RunError) as error:  # the result is complete without them
        notes.append(f"{folder.path} is not repaired: {why(error)}")
    return notes


def _rewrite(path: Path, content: bytes) -> str:
    """Rewrite a derived file; return the beginning of a message about it."""
    was = "was edited" if path.exists() else "was missing"
    write_whole(path, content, sync=False)
    return f"{path} {was} and is rewritten"


def _lacks_predictions(folder: RunFolder, info: RunInfo) -> bool:
    """Return whether a finished run has kept predictions, and their file is missing or was edited."""
    if info.predictions_sha256 is None:
        return False
    content = folder.read(PREDICTIONS)
    return content is None or sha256(content) != info.predictions_sha256


def _repair_predictions(folder: RunFolder, info: RunInfo, saved: Callable[[RunFolder], bytes]) -> list[str]:
    if not _lacks_predictions(folder, info):
        return []
    path = folder.path / PREDICTIONS
    try:
        content = saved(folder)
        if sha256(content) != info.predictions_sha256:
            raise RunError(f"the predictions in {CHECKPOINT} have another SHA-256")
        return [f"{_rewrite(path, content)} from {CHECKPOINT}"]
    except (OSError, RunError) as error:
        was = "was edited" if path.exists() else "is missing"
        return [f"{path} {was} and is not rewritten: {why(error)}"]
