"""What is requested of a comparison: its metric, its epoch, its margin, and what they are in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dropexp.analysis.arms import Arm
from dropexp.config.tasks import LINEAR_REGRESSION
from dropexp.did_you_mean import did_you_mean
from dropexp.errors import ComparisonError
from dropexp.plurals import counted
from dropexp.runs.metrics import Metric

AT = ("last", "best-val", "best-test")
MIN_MARGIN, MAX_MARGIN = 1e-6, 1e6


@dataclass(frozen=True)
class Query:
    """What is requested; `comparison.compare` explains each field."""

    baseline: str | None
    by: str | None
    metric: str | None
    at: str
    filter: Mapping[str, Any]
    published: bool
    margin: float
    interaction: Sequence[str]
    select_on: str | None

    @property
    def options(self) -> list[str]:
        """The options of the same command, other than --by, --metric and --margin."""
        options = []
        if self.baseline is not None:
            options.append(f"--baseline={self.baseline}")
        if self.at != "last":
            options.append(f"--at={self.at}")
        options += [f"--filter={key}={json.dumps(value)}" for key, value in self.filter.items()]
        if self.published:
            options.append("--published")
        if self.interaction:
            options.append(f"--interaction={','.join(self.interaction)}")
        if self.select_on is not None:
            options.append(f"--select-on={self.select_on}")
        return options


def check_margin(margin: float) -> float:
    """Return the margin. Raises ComparisonError if it is too small or too large for a verdict."""
    if not MIN_MARGIN <= margin <= MAX_MARGIN:
        raise ComparisonError(
            f"the margin is {margin:g}; allowed: a number from {MIN_MARGIN:f} to {MAX_MARGIN:,.0f}, in the "
            "metric's unit"
        )
    return margin


def parse_epoch(at: str | int) -> str:
    """Return the epoch to compare at. Raises ComparisonError for an unknown one."""
    if str(at) in AT or (str(at).isdecimal() and len(str(at)) < 20 and int(at) > 0):
        return str(at)
    similar = did_you_mean(str(at), AT)
    raise ComparisonError(f"unknown epoch {at!r:.40}{similar}; allowed: {', '.join(AT)} or a number from 1")


def in_words(metric: Metric, at: str, arms: Sequence[Arm]) -> str:
    """Return what is compared, such as "test accuracy after 5 epochs"."""
    if metric.name == "seconds":
        return metric.title
    chosen_by = "loss" if arms[0].first.task == LINEAR_REGRESSION else "accuracy"
    if at == "best-val":
        return f"{metric.title} at the epoch of best validation {chosen_by}"
    if at == "best-test":
        return f"{metric.title} at the epoch of best test {chosen_by} (optimistic)"
    epochs = [{run.epoch for run in arm.runs.values()} for arm in arms]
    if len(every := set().union(*epochs)) == 1:
        (epoch,) = every
        return f"{metric.title} after {counted(epoch, 'epoch')}"
    return f"{metric.title} at the last epoch" + (" of each run" if any(len(own) > 1 for own in epochs) else "")
