"""Write the table of docs/findings.md on wrong labels, from kept results.

    PYTHONPATH=benchmarks python -m pages.label_noise

`benchmarks/study_results.py` keeps the results of the trained study, and draws its charts.
"""

from __future__ import annotations

import sys
from pathlib import Path

from storage import DOCS
from studies import LABEL_NOISE_LEVELS
from study_results import FOLDER

from pages.markdown import replace_section, unaligned_table
from pages.tuned import HEADER, arm_rows

STUDY = "label-noise"


def table(folder: Path = FOLDER) -> str:
    """Return a row per share of wrong labels and arm, with the columns of the other tuned arms."""
    rows = [
        [f"{100 * level:.0f} %", *row]
        for level in LABEL_NOISE_LEVELS
        for row in arm_rows(STUDY, folder, f"label_noise={level}")
    ]
    return unaligned_table(["wrong labels", *HEADER], rows)


def main() -> None:
    page = DOCS / "findings.md"
    page.write_text(replace_section(page.read_text(encoding="utf-8"), STUDY, table()), encoding="utf-8")
    print(f"wrote {page}", file=sys.stderr)


if __name__ == "__main__":
    main()
