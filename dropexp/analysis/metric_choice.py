"""Choose the metric to compare: the requested one, or the first usual one that was measured."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from dropexp.analysis.arms import Arm
from dropexp.did_you_mean import did_you_mean
from dropexp.errors import ComparisonError
from dropexp.runs.metrics import USUAL, Metric

SETTING_FOR = {  # what to set for a metric that is not always measured
    "val_acc": "validation_size",
    "val_loss": "validation_size",
    "clean_train_acc": "eval_train",
    "clean_train_loss": "eval_train",
    "gap": "eval_train and eval_test",
    "test_acc": "eval_test",
    "test_loss": "eval_test",
}


def choose_metric(arms: Sequence[Arm], metrics: Mapping[str, Metric], wanted: str | None) -> str:
    """Return the metric to compare.

    Raises ComparisonError for an unknown metric, and if no run has it at the epoch that is compared.
    """
    name = wanted or usual_metric(arms, metrics)
    if name not in metrics:
        known = ", ".join(measured_metrics(arms, metrics))
        raise ComparisonError(f"unknown metric {name!r}{similar_metric(name, metrics)}; the metrics are: {known}")
    if any(arm.runs for arm in arms) and all(len(seeds_without(name, arm)) == len(arm.runs) for arm in arms):
        what = f"no run has a {metrics[name].title}"
        if epochs := _epochs_with(name, arms):
            raise ComparisonError(f"{what} at this epoch; it was measured at {_listed(epochs)}")
        if wanted is None:
            others = ", ".join(measured_metrics(arms, metrics))
            raise ComparisonError(f"{what} or validation figures; choose a metric: {others}")
        raise ComparisonError(what + (f"; set {SETTING_FOR[name]}" if name in SETTING_FOR else ""))
    return name


def similar_metric(name: str, metrics: Iterable[str]) -> str:
    """Return " (did you mean 'test_acc'?)" for a name like test_accuracy, or nothing if none is similar."""
    return did_you_mean(name.lower().replace("accuracy", "acc").replace("validation", "val"), metrics)


def _epochs_with(metric: str, arms: Sequence[Arm]) -> list[int]:
    """Return the epochs, counted from 1, at which some run measured a metric."""
    curves = [run.curve(metric) for arm in arms for run in arm.runs.values()]
    return sorted({int(i) + 1 for curve in curves for i in np.flatnonzero(np.isfinite(curve))})


def _listed(epochs: Sequence[int]) -> str:
    if len(epochs) > 5:
        return f"epochs {', '.join(map(str, epochs[:3]))}, …, {epochs[-1]}"
    return f"epoch{'s' if len(epochs) > 1 else ''} {', '.join(map(str, epochs))}"


def seeds_without(metric: str, arm: Arm) -> list[int]:
    """Return the seeds of the runs that did not measure a metric at the epoch that is compared."""
    return [seed for seed, figure in zip(arm.seeds, arm.figures(metric), strict=True) if not math.isfinite(figure)]


def measured_metrics(arms: Sequence[Arm], metrics: Iterable[str]) -> Iterator[str]:
    """Yield the metrics that some run has a figure of; all of them if no run is done."""
    runs = [run for arm in arms for run in arm.runs.values()]
    return (name for name in metrics if not runs or any(np.isfinite(run.curve(name)).any() for run in runs))


def usual_metric(arms: Sequence[Arm], metrics: Collection[str]) -> str:
    """Return the metric that is compared by default: the first one of `USUAL` that was measured."""
    known = [name for name in USUAL if name in metrics]
    return next(measured_metrics(arms, known), known[0])
