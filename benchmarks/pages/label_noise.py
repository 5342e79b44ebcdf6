"""Write the table of docs/findings.md on wrong labels, from kept results.

PYTHONPATH=benchmarks python -m pages.label_noise
"""

from __future__ import annotations

import sys
from pathlib import Path

from storage import DOCS
from studies import LABEL_NOISE_LEVELS
from study_results import FOLDER

from pages.markdown import replace_section, unaligned_table
from pages.tuned import BASELINE, gain, kept_rows

STUDY = "label-noise"


def table(folder: Path = FOLDER) -> str:
    """Return a row per share of wrong labels and arm: test accuracy, its gain over the baseline, test loss and ECE."""
    rows = []
    for level in LABEL_NOISE_LEVELS:
        accuracies, losses, calibration = (
            kept_rows(STUDY, metric, folder, f"label_noise={level}") for metric in ("test_acc", "test_loss", "ece")
        )
        for arm, row in accuracies.items():
            compared = ["", ""] if arm == BASELINE else [gain(row), row["verdict"]]
            accuracy = f"{100 * row['mean']:.2f} ± {100 * row['sd']:.2f}"
            loss, ece = f"{losses[arm]['mean']:.3f}", f"{100 * calibration[arm]['mean']:.1f}"
            loss += "" if arm == BASELINE else f", {losses[arm]['verdict']}"
            rows.append([f"{100 * level:.0f} %", f"`{arm}`", accuracy, *compared, loss, ece])
    header = ["wrong labels", "arm", "test accuracy, %", "gain, points", "verdict", "test loss, nats", "ECE, %"]
    return unaligned_table(header, rows)


def main() -> None:
    page = DOCS / "findings.md"
    page.write_text(replace_section(page.read_text(encoding="utf-8"), STUDY, table()), encoding="utf-8")
    print(f"wrote {page}", file=sys.stderr)


if __name__ == "__main__":
    main()
