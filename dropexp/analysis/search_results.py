"""What is known of the searches behind tested runs: selected settings, trials, and the budget curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dropexp.analysis.arms import Arm
from dropexp.analysis.frames import hashable
from dropexp.analysis.notes import Noted
from dropexp.config.search import TESTED_SEED
from dropexp.config.search_space import RANGES
from dropexp.runs.search_records import Records, SearchRecord

EDGE = 0.05  # of a range: a selected value nearer to an end is at the edge
RESAMPLES = 2000
NUM_FIGURES = ("val_acc", "val_loss")


@dataclass(frozen=True)
class ArmSearches:
    """The searches of one arm whose settings are tested, one per repeat."""

    arm: str  # the label
    records: Sequence[SearchRecord]


@dataclass(frozen=True)
class SearchFrames:
    """Frames with a row per repeat's selection, per trial, and per arm and number of trials; empty without searches."""

    selected: pd.DataFrame
    trials: pd.DataFrame
    budget: pd.DataFrame
    records: Mapping[str, Sequence[SearchRecord]]  # the searches, by the label of their arm


def tuning_of(arms: Sequence[Arm], records: Mapping[str, Records], titles: Mapping[str, str]) -> Noted[SearchFrames]:
    """Return what is known of the arms' searches; the notes name selected values at the edge of their range.

    `titles` are by label; the notes use them.
    """
    known = [found for arm in arms if (found := _searches_of(arm, records.get(arm.study, {}))).records]
    frames = SearchFrames(
        selected=pd.DataFrame([row for one in known for row in _selected(one)]),
        trials=pd.DataFrame([row for one in known for row in _trials(one)]),
        budget=pd.DataFrame([row for one in known for row in budget_curve(one)]),
        records={one.arm: one.records for one in known},
    )
    shown = [replace(one, arm=titles.get(one.arm, one.arm)) for one in known]
    return Noted(frames, [note for one in shown for note in [*_unequal(one, shown), *_edges(one)]])


def _searches_of(arm: Arm, records: Records) -> ArmSearches:
    """Return the searches of the arm's tested runs."""
    tuning = arm.first.tuning
    if tuning is None or tuning.role != "tested":
        return ArmSearches(arm.label, [])
    device, compared = str(arm.first.settings.get("device")), {*arm.seeds, *arm.diverged}
    own = [
        one
        for one in records.values()
        if one.device == device
        and one.selected is not None
        and one.arm_digest == arm.first.arm_digest
        and TESTED_SEED + one.repeat in compared
    ]
    return ArmSearches(arm.label, sorted(own, key=lambda one: one.repeat))


def _selected(searches: ArmSearches) -> list[dict[str, Any]]:
    return [
        {
            "arm": searches.arm,
            "repeat": one.repeat,
            "trial": one.selected,
            "trials": one.num_trials,
            **{name: getattr(one.best, name) for name in NUM_FIGURES},
            **_hashable(one.best.values),
        }
        for one in searches.records
    ]


def _hashable(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: hashable(value) for key, value in values.items()}


def _trials(searches: ArmSearches) -> list[dict[str, Any]]:
    return [
        {
            "arm": searches.arm,
            "repeat": one.repeat,
            "trial": index,
            "selected": index == one.selected,
            "status": trial.status,
            **{name: getattr(trial, name) for name in NUM_FIGURES},
            **_hashable(trial.values),
        }
        for one in searches.records
        for index, trial in enumerate(one.trials[: one.num_trials])
    ]


def budget_curve(searches: ArmSearches) -> list[dict[str, Any]]:
    """Return, for each number of trials n, the mean over the repeats of the best validation accuracy of the first n.

    `low` and `high` are the ends of a 95 % percentile bootstrap over the repeats. The mean is unbiased for this search;
    the estimators of Dodge et al. (2019) and Tang et al. (2020) assume independent draws, which Sobol points are not.
    """
    most = min(one.num_trials for one in searches.records)
    best = np.array([_best_so_far(one)[:most] for one in searches.records])  # shape (repeats, most)
    low, high = _band(best)
    return [
        {"arm": searches.arm, "trials": n + 1, "mean": mean, "low": low[n], "high": high[n], "n": len(best)}
        for n, mean in enumerate(best.mean(axis=0).tolist())
    ]


def _best_so_far(record: SearchRecord) -> NDArray[np.float64]:
    """Return the best validation accuracy of the first 1, 2, … trials; a diverged trial counts as accuracy 0."""
    figures = [0.0 if trial.val_acc is None else trial.val_acc for trial in record.trials[: record.num_trials]]
    return np.maximum.accumulate(np.array(figures, dtype=float))


def _band(best: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    repeats, most = best.shape
    if repeats < 2:
        return [math.nan] * most, [math.nan] * most
    chosen = np.random.default_rng(0).integers(repeats, size=(RESAMPLES, repeats))
    low, high = np.quantile(best[chosen].mean(axis=1), [0.025, 0.975], axis=0)
    return low.tolist(), high.tolist()


def _unequal(searches: ArmSearches, every: Sequence[ArmSearches]) -> list[str]:
    """Return a note if the arm has another budget than the first one."""
    own, first = ({record.num_trials for record in one.records} for one in (searches, every[0]))
    if own == first:
        return []
    shown = " or ".join(map(str, sorted(own)))
    return [f"{searches.arm} has {shown} trials per repeat, {every[0].arm} has {' or '.join(map(str, sorted(first)))}"]


def _edges(searches: ArmSearches) -> list[str]:
    """Return a note if selected values are near an end of their range, except an end of 0: no key allows less."""
    near = []
    for key, written in searches.records[0].space.items():
        ((kind, ends),) = written.items()
        if kind not in RANGES:
            continue
        numbers = [value for one in searches.records for value in _numbers(one.best.values[key])]
        positions = [
            one.dimension(key).position(value) for one in searches.records for value in _numbers(one.best.values[key])
        ]
        low, high = (sum(p <= EDGE for p in positions), sum(p >= 1 - EDGE for p in positions))
        near += [
            f"{key} ({count} of {len(numbers)} near {end})"
            for end, count in zip(ends, (low, high), strict=True)
            if count and end != 0
        ]
    what = f"selected values are near an end of their range, and a wider one may have better ones: {', '.join(near)}"
    return [f"{searches.arm}: {what}"] if near else []


def _numbers(value: Any) -> list[float]:
    return value if isinstance(value, list) else [value]
