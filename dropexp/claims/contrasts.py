"""From trained runs to findings: the arms of a study, their figures by seed, and verdicts on their differences."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from dropexp.analysis.anomalies import broken_runs
from dropexp.analysis.arms import Arm, group_arms
from dropexp.analysis.baselines import differing_keys
from dropexp.analysis.measure import Curve
from dropexp.analysis.notes import Noted
from dropexp.analysis.sentences import amount, sentence
from dropexp.analysis.stats import ALPHA
from dropexp.analysis.verdicts import Pair, Verdict, VerdictWord, judge
from dropexp.claims.claim import ClaimVerdict, Finding
from dropexp.errors import NoRuns
from dropexp.plurals import counted
from dropexp.program import command
from dropexp.runs.metrics import MARGIN, NUMBER, metrics_of
from dropexp.runs.record import Run, read_runs, text

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

BySeed: TypeAlias = "pd.Series[float]"  # a figure of each run; a difference is NaN where only one side has the seed
Expected = Literal["more", "less", "equal", "no less", "no more"]

MORE, LESS = {VerdictWord.HIGHER}, {VerdictWord.LOWER}
EQUAL = {VerdictWord.EQUIVALENT, VerdictWord.NEGLIGIBLE}
# What is expected: the verdicts with which the claim holds, and those with which it fails. With all others it is open.
DECISIVE: dict[Expected, tuple[set[VerdictWord], set[VerdictWord]]] = {
    "more": (MORE, LESS | EQUAL),
    "less": (LESS, MORE | EQUAL),
    "equal": (EQUAL, MORE | LESS),
    "no less": (MORE | EQUAL, LESS),
    "no more": (LESS | EQUAL, MORE),
}
MISSING_ARMS = "some of the arms to compare are missing"
MIN_SEEDS_FOR_SPREAD = 10
EQUAL_RATIO = 5 / 4  # SDs whose ratio is between this and its inverse count as equal


class NotTrained(Exception):
    """The runs lack what a check needs; the message says what."""


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


# Figures by seed


def matched_pairs(
    arms: Sequence[Arm], one: Callable[[Run], bool], other: Callable[[Run], bool], except_keys: Collection[str] = ()
) -> list[tuple[Arm, Arm]]:
    """Return all pairs of arms of two kinds that agree in all settings but the variant and `except_keys`.

    Raises NotTrained if there is none.
    """
    kinds = [(a, b) for a in arms if one(a.first) for b in arms if other(b.first)]
    found = [(a, b) for a, b in kinds if set(differing_keys(a, b)) <= set(except_keys)]
    if not found:
        raise NotTrained(MISSING_ARMS)
    return found


def differ_at_most_in(arm: Arm, other: Arm, key: str) -> bool:
    """Return whether two arms are of one variant and agree in all settings but `key`."""
    return arm.first.variant == other.first.variant and set(differing_keys(arm, other)) <= {key}


def figures(arm: Arm, name: str, epoch: int | None = None) -> BySeed:
    """Return a figure of each run after an epoch, by default its last. Raises NotTrained if the runs do not have it."""
    if epoch and arm.runs and epoch > arm.min_epochs:
        raise NotTrained(f"{arm.label} has {counted(arm.min_epochs, 'epoch')}, not {epoch}")
    found = _by_seed({seed: curve[(epoch or 0) - 1] for seed, curve in _curves(arm, name).items()})
    if epoch and len(found) and found.isna().all():
        raise NotTrained(f"{arm.label} has no {name} at epoch {epoch}")
    return found


def first_epoch(arm: Arm, name: str, bound: BySeed) -> BySeed:
    """Return the first epoch, counted from 1, in which each run's figure reaches its bound; NaN if none does."""
    found = {}
    for seed, curve in _curves(arm, name).items():
        reached = np.flatnonzero(curve >= bound.get(seed, math.nan))
        found[seed] = reached[0] + 1 if reached.size else math.nan
    return _by_seed(found)


def at_loss(arm: Arm, name: str, loss: str, aim: BySeed) -> BySeed:
    """Return a figure of each run where its loss first reaches its aim, interpolated linearly in log loss."""
    losses, found = _curves(arm, loss), {}
    for seed, curve in _curves(arm, name).items():
        measured = np.flatnonzero(np.isfinite(losses[seed]))
        reached = np.flatnonzero(losses[seed][measured] <= aim.get(seed, math.nan))
        if reached.size:
            around = measured[max(0, reached[0] - 1) : reached[0] + 1]
            found[seed] = float(np.interp(-math.log(aim[seed]), -np.log(losses[seed][around]), curve[around]))
    return _by_seed(found)


def lowest(arm: Arm, name: str) -> BySeed:
    """Return the minimum of each run's figure over its epochs."""
    return _by_seed({seed: np.nanmin(curve) for seed, curve in _curves(arm, name).items()})


def layer_columns(arms: Sequence[Arm], kind: str, what: str) -> list[str]:
    """Return the columns of all layers: h1_zero, … for kind "h" and what "zero". Raises NotTrained if none exist."""
    names = {name for arm in arms for run in arm.runs.values() for name in run.curves}
    found = [name for name in sorted(names) if re.fullmatch(rf"{kind}\d+_{what}", name)]
    if not found:
        raise NotTrained(f"no run of {' or '.join(arm.label for arm in arms)} has a figure such as {kind}1_{what}")
    return found


def _curves(arm: Arm, name: str) -> dict[int, Curve]:
    """Return a figure by seed and epoch; nothing if all runs diverged. Raises NotTrained if no run has the figure."""
    curves = {seed: run.curve(name) for seed, run in arm.runs.items()}
    if curves and not any(np.isfinite(curve).any() for curve in curves.values()):
        raise NotTrained(f"no run of {arm.label} has the figure {name}")
    return curves


def _by_seed(found: Mapping[int, float]) -> BySeed:
    return pd.Series(found, dtype=float)


# Verdicts


@dataclass(frozen=True)
class Contrast:
    """A difference that a claim is about, and the setting of the runs."""

    subject: str
    setting: str
    pair: Pair


def contrast(
    arm: Arm,
    base: Arm,
    name: str,
    sides: Sequence[BySeed] = (),
    where: str = "",
    epoch: int | None = None,
    relative: bool = False,
) -> Contrast:
    """Return the contrast of two arms in the figure `name` at an epoch, by default the last.

    `sides` are the figures of both if they are not those of one epoch, and `where` names them in words. `relative`:
    differences are in % of the base's figure.
    """
    metric = metrics_of(arm.first.task, [name])[name]
    ours, theirs = sides or [figures(side, name, epoch) for side in (arm, base)]
    what = metric.title + where
    pair = Pair(
        arm=arm.label,
        baseline=base.label,
        differences=values(100 * (ours / theirs - 1) if relative else ours - theirs),
        what=f"{what} (% of {base.label}'s)" if relative else what,
        higher_is_better=None,
        unit=NUMBER if relative else metric.unit,
        broken=broken_runs(arm, base),
    )
    return Contrast(f"{what} of {arm.label}", setting(arm, epoch), pair)


def setting(arm: Arm, epoch: int | None = None) -> str:
    """Describe how an arm is trained: images, epochs, drop probabilities."""
    run = arm.first
    lengths = {arm.min_epochs, arm.max_epochs} if arm.runs else {run.config["epochs"]}
    epochs = "-".join(map(str, sorted({epoch} if epoch else lengths)))
    described = f"{arm.value('train_size'):,} images × {epochs} epochs"
    if run.setting("drop_probs") is not None:
        described += f" at p = {text(run.setting('drop_probs'))}"
        if at_input := run.setting("input_drop_prob"):
            described += f" and {at_input} of the pixels"
    return described


def values(by_seed: BySeed) -> NDArray[np.float64]:
    """Return the figures of the seeds that both sides have."""
    return np.asarray(by_seed[np.isfinite(by_seed)], dtype=np.float64)


def judge_contrasts(contrasts: Sequence[Contrast], expected: Expected, margin: float = MARGIN) -> Iterator[Finding]:
    """Return a finding per contrast, judged as one family like `dropexp compare` does."""
    verdicts = judge([contrast.pair for contrast in contrasts], margin)
    return (_finding(*judged, expected) for judged in zip(contrasts, verdicts, strict=True))


def _finding(contrast: Contrast, verdict: Verdict, expected: Expected) -> Finding:
    """Return whether a difference is as expected.

    "no less" and "no more" also hold if the whole 95 % interval excludes a difference of the margin the wrong way, and
    no run diverged or is at chance level.
    """
    holding, failing = DECISIVE[expected]
    found = ClaimVerdict.OPEN
    if verdict.word in holding:
        found = ClaimVerdict.HOLDS
    elif verdict.word in failing:
        found = ClaimVerdict.FAILS
    difference, evidence = verdict.difference, sentence(verdict)
    worst = {"no less": -verdict.margin, "no more": verdict.margin}.get(expected)
    if found is ClaimVerdict.OPEN and worst is not None and not contrast.pair.broken:
        excluded = difference.low > worst if expected == "no less" else difference.high < worst
        if excluded:
            found = ClaimVerdict.HOLDS
            evidence += f" But the interval excludes a difference of {amount(worst, contrast.pair.unit)}."
    figures = {
        "mean": difference.mean,
        "low": difference.low,
        "high": difference.high,
        "p": verdict.p_holm,
        "p_equal": verdict.p_equivalent_holm,
        "n": difference.pairs,
    }
    return Finding(contrast.subject, found, evidence, figures, contrast.setting)


def sd_ratio(subject: str, a: NDArray[np.float64], b: NDArray[np.float64], setting: str = "") -> Finding:
    """Return whether a (n,) varies less than b (n,), which is paired with it by seed; both normally distributed.

    The interval of SD(a)/SD(b) is that of Pitman (1939) and Morgan (1939) for correlated values: the square root of
    (s_a²/s_b²)·(K ± √(K² − 1)), K = 1 + 2·(1 − r²)·t²/(n − 2). HOLDS: the 95 % interval is below 1. FAILS: it is
    above, or the 90 % interval, which is two one-sided tests at 5 %, is between 4/5 and 5/4. OPEN: everything else,
    and always below ten seeds.
    """
    n = len(a)
    if n < MIN_SEEDS_FOR_SPREAD or not (a.std() > 0 and b.std() > 0):
        why = f"n = {n}: comparing SDs needs {MIN_SEEDS_FOR_SPREAD} seeds or more, and both SDs above 0"
        return Finding(subject, ClaimVerdict.OPEN, why, {"n": n}, setting)
    ratio, r = float(a.std() / b.std()), float(np.corrcoef(a, b)[0, 1])

    def interval(alpha: float) -> tuple[float, float]:
        K = 1 + 2 * max(0.0, 1 - r**2) * float(stdtrit(n - 2, 1 - alpha / 2)) ** 2 / (n - 2)
        return ratio * math.sqrt(K - math.sqrt(K**2 - 1)), ratio * math.sqrt(K + math.sqrt(K**2 - 1))

    (low, high), (low_90, high_90) = interval(ALPHA), interval(2 * ALPHA)
    equal = low_90 > 1 / EQUAL_RATIO and high_90 < EQUAL_RATIO
    found = ClaimVerdict.OPEN
    if high < 1:
        found = ClaimVerdict.HOLDS
    elif low > 1 or equal:
        found = ClaimVerdict.FAILS
    bounds = f"equal within {1 / EQUAL_RATIO:g} to {EQUAL_RATIO:g}"
    evidence = (
        f"SD {ratio:.2f} times as large, 95 % interval [{low:.2f}, {high:.2f}], 90 % [{low_90:.2f}, {high_90:.2f}], "
        f"n = {n}, normality assumed; {bounds if equal else f'{bounds} is not shown'}"
    )
    return Finding(subject, found, evidence, {"mean": ratio, "low": low, "high": high, "n": n}, setting)
