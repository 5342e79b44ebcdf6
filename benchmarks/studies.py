"""The studies whose results are kept for docs/findings.md, with the comparisons and charts that the page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Judged(NamedTuple):
    """A comparison: every arm against `baseline` in a metric; `where` keeps only the runs with these settings.

    `by` is the key on the horizontal axis of a chart of a sweep. `interaction` is two keys: does the effect of one
    depend on the other?
    """

    metric: str = "test_acc"
    at: str | int = "last"
    baseline: str | None = None
    where: Mapping[str, float | str] | None = None
    by: str | None = None
    interaction: Sequence[str] = ()

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
LABEL_NOISE_LEVELS = (0, 0.2, 0.4)
LABEL_NOISE = [Judged(baseline="none,label_noise=0.0", by="label_noise", interaction=("variant", "label_noise"))] + [
    Judged(metric, "last", baseline, {"label_noise": level})
    for level in LABEL_NOISE_LEVELS
    for metric in ("test_acc", "test_loss", "ece")
    for baseline in ("none", "weight-decay")
]
IMAGES = (1000, 5000, 20000, 60000)
EPOCHS = {940: (235, 47, 12, 4), 2820: (705, 141, 36, 12), 8460: (2115, 423, 107, 36)}  # of IMAGES, by updates
IMAGES_AND_UPDATES = [
    Judged(metric, where={"train_size": images, "epochs": epochs})
    for metric in ("test_acc", "test_loss", "ece")
    for each in EPOCHS.values()
    for images, epochs in zip(IMAGES, each, strict=True)
] + [Judged(where={"train_size": images}, interaction=("variant", "epochs")) for images in IMAGES]
TUNED_STUDIES = ("findings/tuned-1000", "findings/tuned-5000", "findings/tuned-20000")
ENSEMBLES = [
    Judged(metric, where={"train_size": images})
    for images in (5000, 60000)
    for metric in ("test_acc", "test_loss", "ece")
]
STUDIES = {  # by path below configs/
    **dict.fromkeys(TUNED_STUDIES, TUNED),
    "findings/label-noise": LABEL_NOISE,
    "findings/images-and-updates": IMAGES_AND_UPDATES,
    "findings/ensembles": ENSEMBLES,
}
CHARTS = {  # of the first comparison, saved in docs/
    **dict.fromkeys(TUNED_STUDIES, ("differences",)),
    "findings/label-noise": ("sweep",),
}
BOOK = ("book/scratch", "book/concise", "book/blog-scratch")  # studies beside printed figures
BOOK_SEEDS = "0..39"
