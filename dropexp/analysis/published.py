"""A source's printed figures beside ours, and which arm they fit better.

A source prints one run, rounded. Whether that run can be one of an arm's is asked figure by figure (does it lie in
the 95 % prediction interval?) and of all figures together: their likelihood under each arm's predictive distribution,
Student's t with mean and SD of the arm's runs, integrated over what rounds to the printed figure. The likelihood
multiplies figures as if they were independent, which successive epochs are not; so the rule is tried on runs whose arm
is known: each run in turn is held out, rounded as the source rounds, and given to the arm that fits it better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from dropexp.analysis.arms import Arm
from dropexp.analysis.stats import prediction_interval, spread
from dropexp.errors import RunError
from dropexp.runs.folder import RunFolder
from dropexp.runs.study_file import STUDY, read_study

PUBLISHED = ("arm", "figure", "epoch", "published", "rounding", "n", "mean", "sd", "low", "high", "inside", "source")
FITS = ("study", "arm", "n", "figures", "log_likelihood", "right", "given", "source")
LEAST_RUNS = 20  # of an arm, before a likelihood is taken from it
LEAST_SCALE, LEAST_LIKELIHOOD = 1e-12, 1e-300  # where every run has the same figure


@dataclass(frozen=True)
class Printed:
    """One printed figure, on our scale."""

    figure: str  # a column of epochs.csv
    epoch: int | None  # None: the last, of a figure that the source gives once
    value: float
    rounding: float  # half a unit of its last decimal
    arm: str | None = None  # the only one it is of, as declared


@dataclass(frozen=True)
class Source:
    """What a study's config says that a source printed, and the arms it is set beside."""

    study: str
    name: str | None
    printed: list[Printed]
    arms: list[Arm]


def sources(arms: list[Arm], notes: list[str]) -> list[Source]:
    """The source of each study that names one; figures of an arm that is not here go to the notes."""
    found = []
    for study in dict.fromkeys(arm.study for arm in arms):
        members = {arm.label.removeprefix(f"{study}/"): arm for arm in arms if arm.study == study}
        said = said_of(next(iter(members.values())).first.folder, notes)
        if not said:
            continue
        named = said.get("arm") or list(members)
        meant = []
        for name in [named] if isinstance(named, str) else named:
            own = [arm for label, arm in members.items() if name in (label, arm.first.base) and arm.seeds]
            meant += [arm for arm in own if arm not in meant]
            if not own:
                notes.append(f"{study}: the published figures are of {name!r}, which has no finished run here")
        measured = {name for arm in arms for curves in arm.curves.values() for name in curves}
        printed = [p for p in _printed(said) if p.figure in measured]
        if lost := sorted({p.figure for p in _printed(said)} - measured if measured else ()):
            notes.append(f"{study}: no run here has the published {', '.join(lost)}")
        found.append(Source(study, said.get("source"), printed, meant))
    return found


def said_of(run: RunFolder, notes: list[str]) -> dict[str, Any]:
    """What the config of this run's study says was published; nothing, and a note why, if that cannot be read."""
    try:
        said = read_study(run).get("published")
    except RunError as error:
        notes.append(f"{run.path.parent.name}: nothing published is shown: {error}")
        return {}
    if not said:
        return {}
    from pydantic import ValidationError  # which takes time, and few studies have such a section

    from dropexp.config.published import Published

    try:
        return Published.model_validate(said).model_dump(exclude_defaults=True)
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, one["loc"])) or one["msg"] for one in error.errors())
        place = run.path.parent / STUDY
        notes.append(f"{place} is damaged ({wrong}): its published figures are left out; `dropexp train` mends it")
        return {}


def beside(source: Source) -> list[tuple[Any, ...]]:
    """A row of `PUBLISHED` per arm and printed figure."""
    rows = []
    for arm in source.arms:
        for p in source.printed:
            if p.arm not in (None, arm.first.base):
                continue
            epoch = p.epoch or arm.lengths[0]
            ours = arm.at(p.figure, epoch)
            interval = prediction_interval(ours)
            mine = (*astuple(spread(ours)), *astuple(interval), interval.holds(p.value, p.rounding))
            rows.append((arm.label, p.figure, epoch, p.value, p.rounding, *mine, source.name))
    return rows


def fits(source: Source, notes: list[str]) -> list[tuple[Any, ...]]:
    """A row of `FITS` per arm, the best fit first; none, and a note why, where there is nothing to choose from.

    `log_likelihood` is that of the printed figures, natural; `right` how many of the arm's own runs the same rule
    gives back to it, `given` how many runs of all arms it gives to it.
    """
    if len(source.arms) < 2:
        notes.append(f"{source.study}: a likelihood needs two arms beside the published figures to choose from")
        return []
    few = [f"{arm.label} has {len(arm.seeds)}" for arm in source.arms if len(arm.seeds) < LEAST_RUNS]
    if few:
        notes.append(f"{source.study}: a likelihood needs {LEAST_RUNS} runs of each arm; {', '.join(few)}")
        return []
    of_all = [p for p in source.printed if p.arm is None]
    ours = [_matrix(arm, of_all) for arm in source.arms]
    known = np.logical_and.reduce([~np.isnan(matrix).any(axis=0) for matrix in ours])
    ours = [matrix[:, known] for matrix in ours]
    printed = [p for p, is_known in zip(of_all, known, strict=True) if is_known]
    if not printed:
        notes.append(f"{source.study}: no published figure has one of ours in every run")
        return []
    halves = np.array([p.rounding for p in printed])
    theirs = log_likelihood(np.array([p.value for p in printed]), halves, ours)
    given = _given(ours, halves)
    rows = []
    for i, arm in enumerate(source.arms):
        mine = (float(theirs[i]), int(given[i, i]), int(given[:, i].sum()))
        rows.append((source.study, arm.label, len(arm.seeds), len(printed), *mine, source.name))
    return sorted(rows, key=lambda row: -row[FITS.index("log_likelihood")])


def fit_in_words(rows: Sequence[tuple[Any, ...]]) -> str:
    """The best fit of one source in a sentence, with what the answer is worth."""
    best, second = (dict(zip(FITS, row, strict=True)) for row in rows[:2])
    factor = best["log_likelihood"] - second["log_likelihood"]
    times = f"{math.exp(factor):,.3g} times" if factor < 20 else f"10^{factor / math.log(10):.0f} times"
    said = (dict(zip(FITS, row, strict=True)) for row in rows)
    worth = " and ".join(f"{fit['right']} of {fit['n']} runs of {fit['arm']}" for fit in said)
    return (
        f"{best['study']}: the {best['figures']} published figures fit {best['arm']} best: they are {times} as likely "
        f"there as under {second['arm']}. What that is worth: by the same rule {worth}, each held out in turn, go to "
        f"the right arm, and of {best['given']} that go to {best['arm']} {best['right']} are its own."
    )


def log_likelihood(
    values: NDArray[np.float64], halves: NDArray[np.float64], arms: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Of one run's figures, shape (figures,), each within ± its half of what was printed, under each arm's runs,
    shape (runs, figures) each; shape (arms,).

    Source: the predictive distribution of a normal sample with unknown mean and SD, Student's t with n − 1 degrees of
    freedom, centre x̄ and scale SD·√(1 + 1/n) (Gelman et al., Bayesian Data Analysis, 3rd edition, 3.2).
    """
    found = []
    for runs in arms:
        n = len(runs)
        scale = np.maximum(runs.std(axis=0, ddof=1) * math.sqrt(1 + 1 / n), LEAST_SCALE)
        low, high = ((values + side - runs.mean(axis=0)) / scale for side in (-halves, halves))
        low, high = np.where(low > 0, -high, low), np.where(low > 0, -low, high)  # the lower tail is the exact one
        found.append(np.log(np.maximum(stdtr(n - 1, high) - stdtr(n - 1, low), LEAST_LIKELIHOOD)).sum())
    return np.array(found)


def _given(ours: list[NDArray[np.float64]], halves: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many runs of each arm (rows), each held out and rounded like the source, fit each arm (columns) best."""
    given = np.zeros((len(ours), len(ours)), dtype=np.int64)
    for own, runs in enumerate(ours):
        for i, run in enumerate(runs):
            others = [np.delete(matrix, i, axis=0) if j == own else matrix for j, matrix in enumerate(ours)]
            rounded = np.round(run / (2 * halves)) * 2 * halves
            given[own, np.argmax(log_likelihood(rounded, halves, others))] += 1
    return given


def _matrix(arm: Arm, printed: list[Printed]) -> NDArray[np.float64]:
    """The arm's figures where the source has some, shape (runs, figures); NaN where a run has none."""

    def at(curve: NDArray[np.float64], epoch: int | None) -> float:
        return float(curve[epoch - 1 if epoch else -1]) if (epoch or 0) <= len(curve) else math.nan

    return np.array([[at(curves[p.figure], p.epoch) for p in printed] for curves in arm.curves.values()])


def _printed(said: dict[str, Any]) -> list[Printed]:
    found = []
    for figure, name, scale in (
        ("train_loss", "loss", said.get("loss_scale") or 1),
        ("train_acc", "train_acc", 1),
        ("test_acc", "test_acc", 1),
    ):
        values = said.get(name) or []
        rounding = _rounding(values) * scale
        found += [Printed(figure, i + 1, value * scale, rounding) for i, value in enumerate(values)]
    norms = said.get("w_norm") or {}
    return found + [Printed("w_norm", None, norm, _rounding([norm]), arm) for arm, norm in norms.items()]


def _rounding(figures: list[float]) -> float:
    """Half a unit of the last decimal that any of the figures was printed with."""
    exponents = [Decimal(repr(figure)).normalize().as_tuple().exponent for figure in figures]
    return 0.5 * 10.0 ** min((e for e in exponents if isinstance(e, int)), default=0)
