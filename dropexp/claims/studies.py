"""The studies that claims are judged by: where their configs are, and their runs as they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from dropexp.analysis.arms import Arm, arms_of
from dropexp.claims.finding import Finding, Word
from dropexp.errors import NoRuns
from dropexp.runs.record import read_runs

# What trains a study, by its name.
CONFIGS = {
    "dropout": "configs/dropout.yaml --seeds 0..39",
    "does-dropout-help": "configs/does-dropout-help.yaml",
    "best": "configs/best.yaml",
    "exercise-1-drop-probs": "configs/exercises/drop-probs.yaml",
    "exercise-2-more-epochs": "configs/exercises/more-epochs.yaml",
    "exercise-3-activations": "configs/exercises/activations.yaml",
    "exercise-5-with-weight-decay": "configs/exercises/with-weight-decay.yaml",
    "exercise-7-other-noise": "configs/exercises/other-noise.yaml",
    "figure-11-monte-carlo": "configs/srivastava/figure-11-monte-carlo.yaml",
}


class NotTrained(Exception):
    """The runs lack what a check needs; says what."""


def from_runs(
    study: str, check: Callable[[Sequence[Arm]], Iterable[Finding]], runs_dir: Path, notes: list[str]
) -> list[Finding]:
    """What a check finds in the finished runs of a study, or how to train them; what is left out goes to the notes."""
    left_out: list[str] = []
    try:
        found = list(check(arms_of(read_runs(study, runs_dir), left_out)))
    except NoRuns:
        found = [Finding(f"study {study}", Word.NOT_TRAINED, training(study))]
    except NotTrained as error:
        found = [Finding(f"study {study}", Word.NOT_TRAINED, f"{error}; {training(study)}")]
    notes += [f"{study}: {note}" for note in left_out]
    return [replace(finding, study=study) for finding in found]


def training(study: str) -> str:
    """The command that trains it."""
    return f"dropexp train -c {CONFIGS[study]}"
