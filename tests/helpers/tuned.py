"""Studies that search for settings, with trials and tested runs that are not trained."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

from helpers.fake_runs import info_of

from dropexp.config.planned_run import PlannedRun
from dropexp.config.study import Study, load_config
from dropexp.runs.epochs_table import Columns
from dropexp.training.jobs import Job
from dropexp.training.pipeline import Training

TUNED = """\
name: tuned
train_size: 100
validation_size: 100
hidden: [8, 4]
epochs: 1
arms:
  none: {variant: none}
  units: {variant: scratch}
tune:
  trials: 3
  repeats: 2
  space:
    lr: {log: [0.005, 0.5]}
    drop_probs: {each: [0.0, 0.8]}
"""

# Both arms can select lr 0.1.
SHARED = TUNED.replace("  units: {variant: scratch}", "  slow: {variant: none, lr: 0.1}").replace(
    "    lr: {log: [0.005, 0.5]}\n    drop_probs: {each: [0.0, 0.8]}",
    "    lr: {choice: [0.1, 0.2]}\n    momentum: {choice: [0.9]}",
)

Figure = Callable[[PlannedRun], float]


def by_trial(planned: PlannedRun) -> float:
    """Return an accuracy that rises with the number of the trial, so that the last one is selected."""
    assert planned.tuning is not None
    return 0.5 + planned.tuning.trial / 100


def write_outcome(job: Job, acc: float, loss: float = 0.5, status: str = "done") -> None:
    """Write the run.json of a trial or a tested run with this accuracy; for a trial it is on validation rows."""
    part = "val" if job.is_trial else "test"
    columns: Columns = {"train_loss": [0.5], "train_acc": [0.5], f"{part}_loss": [loss], f"{part}_acc": [acc]}
    job.folder.path.mkdir(parents=True, exist_ok=True)
    info = info_of(job.planned, status, columns)
    job.folder.write_info(info.model_copy(update={"tune": job.planned.tuning}))


def write_tuned(folder: Path, text: str = TUNED, acc: Figure = by_trial, *, stages: int = 2) -> Training:
    """Write study.json and the missing runs of a config below folder/runs as training does, with accuracies `acc`."""
    training = Training([tuned(folder, text)], folder / "runs", "cpu")
    for stage in islice(training.stages(), stages):
        training.start(stage, lambda: folder).close()  # writes study.json, and trains nothing
        for job in stage.unfinished:
            write_outcome(job, acc(job.planned))
    return training


def tuned(folder: Path, text: str = TUNED, *settings: str) -> Study:
    """Return the study of a config, which is written into a folder."""
    path = folder / "tuned.yaml"
    path.write_text(text)
    return load_config(path, settings)
