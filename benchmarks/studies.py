"""The studies whose results are kept for docs/findings.md, with the comparisons and charts that the page shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Judged(NamedTuple):
    """A comparison: every arm against `baseline` in a metric; `where` keeps only the runs with these settings."""

    metric: str = "test_acc"
    at: str | int = "last"
    baseline: str | None = None
    where: Mapping[str, str] | None = None

    @property
    def margin(self) -> float:
        """The least difference that matters: 0.3 points, or 0.01 nats of a loss."""
        return 0.01 if self.metric.endswith("loss") else 0.003


TUNED = [
    Judged(metric, at, baseline)
    for metric in ("test_acc", "test_loss", "ece")
    for at, baseline in (("last", "none"), ("best-val", "none"), ("last", "weight-decay"), ("last", "pixels"))
    if metric != "ece" or at == "last"  # a probe has no figure of its own at the best validation epoch
]
TUNED_STUDIES = ("findings/tuned-1000", "findings/tuned-5000")
STUDIES = dict.fromkeys(TUNED_STUDIES, TUNED)  # by path below configs/
CHARTS = dict.fromkeys(TUNED_STUDIES, ("differences",))  # of the first comparison, saved in docs/
BOOK = ("book/scratch", "book/concise", "book/blog-scratch")  # studies beside printed figures
BOOK_SEEDS = "0..39"
