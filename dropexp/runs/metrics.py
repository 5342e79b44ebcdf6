"""The figures of a run that can be compared: what each is called, its unit and which way is better."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from dropexp.config.tasks import LINEAR_REGRESSION

MARGIN = 0.003  # the smallest difference that matters, by default
NO_FIGURES = ("epoch", "lr")  # columns of epochs.csv that are not measurements
# Other columns in tables of runs and arms: a column of epochs.csv with one of these names is ignored.
_OF_RUNS = {"name", "arm", "label", "seed", "status", "why", "path", "hash", "began", "ended", "task", "variant"}
_OF_ARMS = {"series", "study", "by", "n", "diverged", "mean", "sd", "curve"}

USUAL = ("test_acc", "val_acc", "test_loss", "val_loss")  # the first of these that was measured is compared by default
CALIBRATION_BINS = 15  # of equal width, as in Guo et al. (2017)
LARGE = 1e7  # figures from here on have four digits instead of decimals


@dataclass(frozen=True)
class Unit:
    """How figures and their differences are shown to people: the name of the unit, "" for none, and the format.

    Tables as csv and json, config keys and options have figures as they are stored: accuracies as fractions.
    """

    figures: str  # in the title of an axis
    form: str
    differences: str  # in a sentence
    difference_form: str
    factor: int = 1  # from stored figures to those that are shown

    def show(self, value: float, sign: str = "") -> str:
        """Format a stored figure, or with a sign a difference, without the unit."""
        return format_figure(value * self.factor, sign + self.form)


FRACTION = Unit("%", ".2f", "points", ".2f", 100)
POINTS = Unit("points", ".2f", "points", ".2f", 100)  # percentage points, of the generalisation gap
NATS = Unit("cross entropy, nats", ".4f", "nats", ".4f")
SECONDS = Unit("s", ".4f", "s", ".3f")
SQUARES = Unit("½ · squared error", ".4g", "", ".4g")
NUMBER = Unit("", ".4g", "", ".4g")


def format_figure(value: float, form: str) -> str:
    """Format a figure, a large one with four digits: a loss before a divergence can be 1e38. Zero is never negative."""
    sign = "+" if form.startswith("+") else ""
    rounded = form.removeprefix(sign) if abs(value) < LARGE else form.removeprefix(sign).replace("f", "g")
    return format(value, f"{sign}z{rounded}")


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
    Metric("test_acc", "test accuracy", FRACTION, True),
    Metric("test_loss", "test loss", NATS, False),
    Metric("train_acc", "running train accuracy", FRACTION, True),
    Metric("train_loss", "running train loss", NATS, False),
    Metric("clean_train_acc", "train accuracy", FRACTION, True),
    Metric("clean_train_loss", "train loss", NATS, False),
    Metric("val_acc", "validation accuracy", FRACTION, True),
    Metric("val_loss", "validation loss", NATS, False),
    Metric("gap", "generalisation gap", POINTS, None),
    Metric("seconds", "seconds per epoch", SECONDS, False),
)
REGRESSION = _by_name(
    Metric("test_loss", "test loss", SQUARES, False),
    Metric("train_loss", "train loss", SQUARES, False),
    Metric("val_loss", "validation loss", SQUARES, False),
    Metric("w_norm", "norm of w", NUMBER, None),
    Metric("seconds", "seconds per epoch", SECONDS, False),
)

# What probes measure: a column's pattern and its title. W1 and h1 are weights and activations of the first layer.
_PROBES = {
    r"w(\d+)_norm": r"norm of W\1",
    r"h(\d+)_mean": r"mean of h\1",
    r"h(\d+)_var": r"variance of h\1",
    r"h(\d+)_noisy_mean": r"mean of h\1 with dropout active",
    r"h(\d+)_noisy_var": r"variance of h\1 with dropout active",
    r"h(\d+)_zero": r"share of zeros in h\1",
    r"h(\d+)_corr": r"mean absolute correlation of the units in h\1",
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
    taken = {*known, *NO_FIGURES, *_OF_RUNS, *_OF_ARMS}
    more = (name for name in columns if name not in taken)
    return known | {name: _probed(name) for name in more if re.fullmatch(r"[A-Za-z]\w{,99}", name)}


def _probed(name: str) -> Metric:
    """Return the metric of a further column; its name determines the unit and which way is better."""
    found = ((re.fullmatch(pattern, name), title) for pattern, title in _PROBES.items())
    title = next((match.expand(title) for match, title in found if match), name)
    if name.endswith("_acc"):
        return Metric(name, title, FRACTION, True)
    if name.endswith("_loss"):
        return Metric(name, title, NATS, False)
    return Metric(name, title, FRACTION, False) if name in ("ece", "mc_ece") else Metric(name, title, NUMBER, None)
