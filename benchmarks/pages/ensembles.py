"""Write the table and the chart of docs/findings.md on ensembles and Monte-Carlo dropout, from kept results.

    PYTHONPATH=benchmarks python -m pages.ensembles

`benchmarks/ensembles.py` keeps the results of the trained study.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from altair.typing import ChartType
from ensembles import STUDY as STUDY
from storage import DOCS
from study_results import FOLDER

from dropexp.analysis.stats import Difference, paired_difference
from pages.dark import save_light_and_dark
from pages.gains import gains_chart
from pages.markdown import replace_section, unaligned_table

HEADER = [
    "images", "predictor", "trained networks", "test accuracy, %", "gain, points", "test loss, nats",
    "difference, nats", "ECE, %",
]  # fmt: skip


class Predictor(NamedTuple):
    """A way to predict: the variant of its networks, and a value of the column `of` of the kept results."""

    variant: str
    of: str
    title: str
    networks: int = 1


BASELINE = Predictor("none", "single", "one network without dropout")
DROPOUT = Predictor("scratch", "single", "one network with dropout")
MONTE_CARLO = Predictor("scratch", "monte-carlo", "Monte-Carlo dropout, 50 passes")
FIVE = Predictor("none", "ensemble", "five networks without dropout", 5)
FIVE_WITH_DROPOUT = Predictor("scratch", "ensemble", "five networks with dropout", 5)
PREDICTORS = (BASELINE, DROPOUT, MONTE_CARLO, FIVE, FIVE_WITH_DROPOUT)


PAIRS = (
    (FIVE, BASELINE),
    (FIVE_WITH_DROPOUT, DROPOUT),
    (MONTE_CARLO, DROPOUT),
    (FIVE, MONTE_CARLO),
    (FIVE_WITH_DROPOUT, FIVE),
)


class Results:
    """The kept results: figures by group of five seeds."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.kept = pd.read_csv(folder / f"{STUDY}-evaluated.csv", keep_default_na=False)
        self.sizes = sorted(set(self.kept["train_size"]))

    def figures(self, images: int, predictor: Predictor, metric: str) -> pd.Series[float]:
        """Return a figure of each group, indexed by group."""
        kept = self.kept
        own = (kept["train_size"] == images) & (kept["variant"] == predictor.variant) & (kept["of"] == predictor.of)
        return kept[own].set_index("group")[metric].sort_index()

    def difference(self, images: int, one: Predictor, other: Predictor, metric: str) -> Difference:
        """Return the mean difference over groups, paired, with its 95 % t-interval."""
        ours, theirs = (self.figures(images, each, metric) for each in (one, other))
        assert list(ours.index) == list(theirs.index)
        return paired_difference(ours, theirs)


def interval(found: Difference, factor: float, digits: int) -> str:
    """Return a difference and its interval as text."""
    mean, low, high = (f"{factor * value:+.{digits}f}" for value in (found.mean, found.low, found.high))
    return f"{mean} [{low}, {high}]"


def table(folder: Path = FOLDER) -> str:
    """Return a row per number of images and predictor, with its differences from one network without dropout."""
    results, rows = Results(folder), []
    for images in results.sizes:
        for predictor in PREDICTORS:
            acc, loss, ece = (results.figures(images, predictor, metric).mean() for metric in ("acc", "loss", "ece"))
            differences = ["", ""]
            if predictor != BASELINE:
                gain, change = (results.difference(images, predictor, BASELINE, metric) for metric in ("acc", "loss"))
                differences = [interval(gain, 100, 2), interval(change, 1, 3)]
            rows.append(
                [f"{images:,}", predictor.title, str(predictor.networks), f"{100 * acc:.2f}", differences[0],
                 f"{loss:.3f}", differences[1], f"{100 * ece:.1f}"]
            )  # fmt: skip
    return unaligned_table(HEADER, rows)


def pairs_table(folder: Path = FOLDER) -> str:
    """Return a row per number of images and pair of predictors: their differences in accuracy, loss and ECE."""
    results = Results(folder)
    rows = [
        [f"{images:,}", f"{one.title} − {other.title}"]
        + [
            interval(results.difference(images, one, other, metric), factor, digits)
            for metric, factor, digits in (("acc", 100, 2), ("loss", 1, 3), ("ece", 100, 1))
        ]
        for images in results.sizes
        for one, other in PAIRS
    ]
    return unaligned_table(["images", "difference", "test accuracy, points", "test loss, nats", "ECE, points"], rows)


def chart(folder: Path = FOLDER) -> ChartType:
    """Return the gain of each predictor over one network without dropout, by number of training images."""
    results, rows = Results(folder), []
    for images in results.sizes:
        for predictor in PREDICTORS[1:]:
            gain = results.difference(images, predictor, BASELINE, "acc")
            ends = {"mean": 100 * gain.mean, "low": 100 * gain.low, "high": 100 * gain.high}
            rows.append({"size": images, "series": predictor.title} | ends)
    series = [predictor.title for predictor in PREDICTORS[1:]]
    title = "Gain over one network without dropout, by number of training images"
    return gains_chart(pd.DataFrame(rows), series, title, "mean over eight groups of five seeds, 95 % interval")


def main() -> None:
    save_light_and_dark(chart(), DOCS / f"findings-{STUDY}.svg")
    page = DOCS / "findings.md"
    text = replace_section(page.read_text(encoding="utf-8"), STUDY, table())
    page.write_text(replace_section(text, f"{STUDY}-pairs", pairs_table()), encoding="utf-8")
    print(f"wrote {page}", file=sys.stderr)


if __name__ == "__main__":
    main()
