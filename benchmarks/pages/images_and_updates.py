"""Write the table and the chart of docs/findings.md on numbers of images and of updates, from kept results.

    PYTHONPATH=benchmarks python -m pages.images_and_updates

`benchmarks/study_results.py` keeps the results of the trained study.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from altair.typing import ChartType
from storage import DOCS
from studies import EPOCHS, IMAGES
from study_results import FOLDER

from dropexp.analysis.frames import records
from pages.dark import save_light_and_dark
from pages.gains import gains_chart
from pages.markdown import replace_section, unaligned_table
from pages.tuned import gain

STUDY = "images-and-updates"
HEADER = ["images", "updates", "none, %", "gain, points", "verdict", "test loss: dropout − none, nats", "verdict"]


def cells(metric: str, folder: Path = FOLDER) -> Iterator[tuple[int, int, dict[str, Any], dict[str, Any]]]:
    """Yield the number of images and of updates, and the kept rows of none and of dropout, of each comparison."""
    kept = pd.read_csv(folder / f"{STUDY}.csv")
    kept = kept[kept["metric"] == metric]
    for images in IMAGES:
        for updates, epochs in EPOCHS.items():
            where = f"train_size={images},epochs={epochs[IMAGES.index(images)]}"
            none, dropout = records(kept[kept["where"] == where].sort_values("pairs", na_position="first"))
            yield images, updates, none, dropout


def table(folder: Path = FOLDER) -> str:
    """Return a row per number of images and of updates: the gain of dropout in accuracy, and in the loss."""
    rows = []
    for (images, updates, none, dropout), (*_, loss) in zip(
        cells("test_acc", folder), cells("test_loss", folder), strict=True
    ):
        accuracy = f"{100 * none['mean']:.2f} ± {100 * none['sd']:.2f}"
        difference, low, high = (f"{loss[name]:+.3f}" for name in ("difference", "images_low", "images_high"))
        rows.append(
            [f"{images:,}", f"{updates:,}", accuracy, gain(dropout), dropout["verdict"],
             f"{difference} [{low}, {high}]", loss["verdict"]]
        )  # fmt: skip
    return unaligned_table(HEADER, rows)


def chart(folder: Path = FOLDER) -> ChartType:
    """Return the gain of dropout over the number of images, a line per number of updates."""
    series = [f"{updates:,} updates" for updates in EPOCHS]
    rows = [
        {"size": images, "series": f"{updates:,} updates"}
        | {to: 100 * dropout[name] for to, name in (("mean", "difference"), ("low", "low"), ("high", "high"))}
        for images, updates, _, dropout in cells("test_acc", folder)
    ]
    title = "Gain of dropout over none, by number of training images and updates"
    return gains_chart(pd.DataFrame(rows), series, title, "mean over eight seeds, 95 % interval over seeds")


def main() -> None:
    save_light_and_dark(chart(), DOCS / f"findings-{STUDY}.svg")
    page = DOCS / "findings.md"
    page.write_text(replace_section(page.read_text(encoding="utf-8"), STUDY, table()), encoding="utf-8")
    print(f"wrote {page}", file=sys.stderr)


if __name__ == "__main__":
    main()
