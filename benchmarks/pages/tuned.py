"""Write the table of docs/findings.md on arms that were tuned with the same budget, from kept results.

    PYTHONPATH=benchmarks python -m pages.tuned

`benchmarks/study_results.py` keeps the results of a trained study, and draws its charts.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import studies
from storage import DOCS
from study_results import FOLDER

from pages.markdown import replace_section, unaligned_table

STUDIES = [Path(path).name for path in studies.TUNED_STUDIES]
BASELINE = "none"
METRICS = ("test_acc", "test_loss", "ece")
HEADER = ["arm", "test accuracy, %", "gain, points", "verdict", "test loss, nats", "ECE, %"]


def kept_rows(study: str, metric: str, folder: Path = FOLDER, where: str = "") -> dict[str, dict[str, Any]]:
    """Return, by arm, the columns of benchmarks/results/studies/: its mean, and its difference from `BASELINE`.

    `where` is the filter of the comparison, such as "label_noise=0.2".
    """
    kept = pd.read_csv(folder / f"{study}.csv", keep_default_na=False, na_values=[""], dtype={"where": object})
    kept["where"] = kept["where"].fillna("")
    kept = kept[(kept["metric"] == metric) & (kept["at"] == "last") & (kept["where"] == where)]
    found: dict[str, dict[str, Any]] = {}
    for row in kept.to_dict("records"):
        if BASELINE in (row["baseline"], row["arm"]):
            found.setdefault(str(row["arm"]), {str(name): value for name, value in row.items()})
    return found


def gain(row: Mapping[str, Any]) -> str:
    """Return a difference in accuracy with its interval over repeats and test images, in points."""
    mean, low, high = (f"{100 * row[name]:+.2f}" for name in ("difference", "images_low", "images_high"))
    return f"{mean} [{low}, {high}]"


def arm_rows(study: str, folder: Path = FOLDER, where: str = "") -> list[list[str]]:
    """Return a row per arm with the cells of `HEADER`; `where` is that of `kept_rows`."""
    accuracies, losses, calibration = (kept_rows(study, metric, folder, where) for metric in METRICS)
    rows = []
    for arm, row in accuracies.items():
        accuracy = f"{100 * row['mean']:.2f} ± {100 * row['sd']:.2f}"
        loss, ece = f"{losses[arm]['mean']:.3f}", f"{100 * calibration[arm]['mean']:.1f}"
        if arm == BASELINE:
            rows.append([f"`{arm}`", accuracy, "", "", loss, ece])
        else:
            loss_verdict = losses[arm]["verdict"]
            rows.append([f"`{arm}`", accuracy, gain(row), row["verdict"], f"{loss}, {loss_verdict}", ece])
    return rows


def table(study: str, folder: Path = FOLDER) -> str:
    """Return a row per arm: test accuracy, its gain over the baseline and the verdict, test loss and calibration."""
    return unaligned_table(HEADER, arm_rows(study, folder))


def main() -> None:
    page = DOCS / "findings.md"
    text = page.read_text(encoding="utf-8")
    for study in STUDIES:
        text = replace_section(text, study, table(study))
    page.write_text(text, encoding="utf-8")
    print(f"wrote {page}", file=sys.stderr)


if __name__ == "__main__":
    main()
