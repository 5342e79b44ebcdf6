"""A run in each of its states, without training."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from helpers import fake_runs

from dropexp.config.planned_run import PlannedRun
from dropexp.config.schema import Config
from dropexp.runs import transitions
from dropexp.runs.epochs_table import Columns
from dropexp.runs.folder import RunFolder
from dropexp.runs.run_json import RunInfo
from dropexp.runs.transitions import Outcome

SCHEMA_1 = Path(__file__).parents[1] / "schema-1"
COLUMNS: Columns = {"train_loss": [0.5, 0.25], "test_loss": [0.5, 0.3], "lr": [0.1, 0.1], "seconds": [1.0, 1.0]}
PLANNED = PlannedRun("study", None, "cell", Config.model_validate({"variant": "scratch", "lr": 0.25}))
PREDICTED = b"the predictions of 5 images"  # what is in predictions.npz


def info_of(status: str, columns: Columns) -> RunInfo:
    return fake_runs.info_of(PLANNED, status, columns)


def content(folder: RunFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.path.iterdir() if path.name != ".lock"}


def lock(run: RunFolder, *, force: bool = False, planned: PlannedRun = PLANNED) -> Outcome | None:
    with ExitStack() as locks:
        return transitions.lock_unfinished(run, planned, locks, force)
