"""The figures of a run that can be compared: what each is called, its unit and which way is better."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from dropexp.config.tasks import LINEAR_REGRESSION

MARGIN = 0.003  # the smallest difference that matters, by default
NO_FIGURES = ("epoch", "lr")  # columns of epochs.csv that are no measurements
# Other columns in tables of runs and arms: a column of epochs.csv with one of these names is ignored.
_TAKEN = frozenset(
    {"name", "arm", "label", "seed", "status", "why", "path", "series", "study", "by", "n", "diverged", "mean", "sd"}
    | {"curve", "task", "variant"}
)

# points: hundredths of a fraction; squares: half the squared error; "": a number without a unit
Unit = Literal["points", "nats", "s", "squares", ""]
UNITLESS = ("squares", "")  # sentences omit them


@dataclass(frozen=True)
class Metric:
    """A column of epochs.csv, or `gap`: clean_train_acc minus test_acc."""

    name: str
    title: str
    unit: Unit
    higher_is_better: bool | None  # None: neither


def _by_name(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


METRICS = _by_name(
    Metric("test_acc", "test accuracy", "points", True),
    Metric("test_loss", "test loss", "nats", False),
    Metric("train_acc", "running train accuracy", "points", True),
    Metric("train_loss", "running train loss", "nats", False),
    Metric("clean_train_acc", "train accuracy", "points", True),
    Metric("clean_train_loss", "train loss", "nats", False),
    Metric("val_acc", "validation accuracy", "points", True),
    Metric("val_loss", "validation loss", "nats", False),
    Metric("gap", "gap", "points", False),
    Metric("seconds", "seconds per epoch", "s", False),
)
REGRESSION = _by_name(
    Metric("test_loss", "test loss", "squares", False),
    Metric("train_loss", "train loss", "squares", False),
    Metric("val_loss", "validation loss", "squares", False),
    Metric("w_norm", "norm of w", "", None),
    Metric("seconds", "seconds per epoch", "s", False),
)

# What probes measure: a column's pattern and its title. W1 and h1 are weights and activations of the first layer.
_PROBES = {
    r"w(\d+)_norm": r"norm of W\1",
    r"h(\d+)_mean": r"mean of h\1",
    r"h(\d+)_var": r"variance of h\1",
    r"h(\d+)_noisy_mean": r"mean of noisy h\1",
    r"h(\d+)_noisy_var": r"variance of noisy h\1",
    r"h(\d+)_zero": r"share of zeros in h\1",
    r"mc_acc": "Monte-Carlo accuracy",
    r"mc_loss": "Monte-Carlo loss",
    r"noisy_acc": "accuracy with dropout active",
    r"noisy_loss": "loss with dropout active",
    r"noisy_flips": "share of predictions that change from pass to pass",
    r"ece": "expected calibration error",
    r"mc_ece": "Monte-Carlo calibration error",
}


def metrics_of(task: str, columns: Iterable[str] = ()) -> dict[str, Metric]:
    """Return by name the metrics that runs of a task have, and those of their further columns."""
    return dict(_metrics_of(task, tuple(columns)))


@cache  # thousands of runs have the same columns
def _metrics_of(task: str, columns: tuple[str, ...]) -> dict[str, Metric]:
    known = REGRESSION if task == LINEAR_REGRESSION else METRICS
    more = (name for name in columns if name not in known and name not in NO_FIGURES and name not in _TAKEN)
    return known | {name: _probed(name) for name in more if re.fullmatch(r"[A-Za-z]\w{,99}", name)}


def usual(metrics: Iterable[str]) -> str:
    """Return the metric that is compared by default."""
    return "test_acc" if "test_acc" in metrics else "test_loss"


def _probed(name: str) -> Metric:
    """Return the metric of a further column; its name determines the unit and which way is better."""
    found = ((re.fullmatch(pattern, name), title) for pattern, title in _PROBES.items())
    title = next((match.expand(title) for match, title in found if match), name)
    if name.endswith("_acc"):
        return Metric(name, title, "points", True)
    if name.endswith("_loss"):
        return Metric(name, title, "nats", False)
    return Metric(name, title, "points", False) if name in ("ece", "mc_ece") else Metric(name, title, "", None)
