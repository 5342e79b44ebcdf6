"""What the figures of a comparison do not show."""

from __future__ import annotations

from collections.abc import Sequence

from dropexp.analysis.arms import Arm
from dropexp.analysis.metric_choice import seeds_without
from dropexp.runs.metrics import Metric


def caveats(arms: Sequence[Arm], metric: Metric, at: str) -> list[str]:
    """Return notes on arms of one run, an epoch chosen on the test set, runs of unequal length, missing figures."""
    single = [arm.label for arm in arms if len(arm.runs) == 1]
    notes = [f"n = 1, no spread can be estimated: {', '.join(single)}"] if single else []
    if at == "best-test":
        notes.append("the epoch was chosen on the test set: figures at best-test are optimistic")
    for arm in arms:
        fewest, most = arm.min_epochs, arm.max_epochs
        if fewest != most:
            epochs = f"{fewest} to {most} epochs; means by epoch end at epoch {fewest}, which all reached"
            notes.append(f"{arm.label}: its runs have {epochs}")
    for arm in arms:
        if seeds := seeds_without(metric.name, arm):
            notes.append(f"{arm.label}: no {metric.title} for seed {', '.join(map(str, seeds))}")
    return notes
