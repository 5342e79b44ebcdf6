"""Check a claim on the finished runs of a study, or return the command that trains them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from dropexp.analysis.arms import Arm, group_arms
from dropexp.analysis.notes import Noted
from dropexp.claims.claim import ClaimVerdict, Finding
from dropexp.errors import NoRuns
from dropexp.program import command
from dropexp.runs.record import read_runs

OVERFITTING, UNDERFITTING = "claims-overfitting", "claims-underfitting"  # studies of the same arms in two settings
FITS = {OVERFITTING: "overfitting, ", UNDERFITTING: "underfitting, "}  # before the setting of a finding
CONFIGS = {  # study: the config, and options, that train it
    "dropout": "configs/dropout.yaml --seeds 0..39",
    "does-dropout-help": "configs/does-dropout-help.yaml",
    "best": "configs/best.yaml",
    "exercise-1-drop-probs": "configs/exercises/drop-probs.yaml",
    "exercise-2-more-epochs": "configs/exercises/more-epochs.yaml",
    "exercise-3-activations": "configs/exercises/activations.yaml",
    "exercise-5-with-weight-decay": "configs/exercises/with-weight-decay.yaml",
    "exercise-7-other-noise": "configs/exercises/other-noise.yaml",
    "figure-11-monte-carlo": "configs/srivastava/figure-11-monte-carlo.yaml",
    OVERFITTING: "configs/claims/overfitting.yaml",
    UNDERFITTING: "configs/claims/underfitting.yaml",
}
MISSING_ARMS = "some of the arms to compare are missing"


class NotTrained(Exception):
    """A check needs arms or figures that the runs do not have; the message names them."""


def check_study(
    study: str, check: Callable[[Sequence[Arm]], Iterable[Finding]], runs_dir: Path
) -> Noted[list[Finding]]:
    """Return what a check finds in the finished runs of a study, or how to train them; notes name runs left out."""
    notes = []
    try:
        arms = group_arms(read_runs(study, runs_dir))
        notes = [f"{study}: {note}" for note in arms.notes]
        findings = list(check(arms.value))
        if not findings:
            raise NotTrained(MISSING_ARMS)
    except NoRuns:
        findings = [Finding(f"study {study}", ClaimVerdict.NOT_TRAINED, training_command(study))]
    except NotTrained as error:
        findings = [Finding(f"study {study}", ClaimVerdict.NOT_TRAINED, f"{error}; {training_command(study)}")]
    fit = FITS.get(study, "")
    return Noted([replace(f, study=study, setting=f.setting and fit + f.setting) for f in findings], notes)


def training_command(study: str) -> str:
    """Return the command that trains a study."""
    return command("train", "-c", *CONFIGS[study].split())
