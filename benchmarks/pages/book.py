"""Write the table of README.md that has the book's figures beside ours, from kept results.

    PYTHONPATH=benchmarks python -m pages.book

`benchmarks/study_results.py` keeps the results of the trained studies.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from storage import ROOT
from studies import BOOK
from study_results import FOLDER

from dropexp import load_config
from pages.markdown import replace_section, unaligned_table

TITLES = {"book/scratch": "3.13.2", "book/concise": "3.13.3", "book/blog-scratch": "a blog"}
SHOWN = {"train_loss": "loss", "train_acc": "train accuracy", "test_acc": "test accuracy"}


def table(folder: Path = FOLDER) -> str:
    """Return a row per source and per arm: the figures of the last epoch, and how many of all are inside."""
    rows = []
    for path in BOOK:
        study = load_config(ROOT / "configs" / f"{path}.yaml").name
        kept = pd.read_csv(folder / f"{study}-published.csv")
        last = kept[kept["epoch"] == kept["epoch"].max()].set_index(["arm", "figure"])
        arms = list(dict.fromkeys(kept["arm"]))
        printed = [last.loc[(arms[0], figure)] for figure in SHOWN]
        link = f"[{path}](configs/{path}.yaml) ({TITLES[path]})"
        rows.append([link, "printed", *map(_printed, printed), ""])
        for arm in arms:
            ours = [f"{row['mean']:.3f} ± {row['sd']:.3f}" for row in (last.loc[(arm, figure)] for figure in SHOWN)]
            inside = kept.loc[kept["arm"] == arm, "inside"]
            name = f"ours, `mask: {arm}`" if len(arms) > 1 else "ours"
            rows.append(["", name, *ours, f"{inside.sum()} of {len(inside)}"])
    return unaligned_table(["config", "", *SHOWN.values(), "inside"], rows)


def _printed(row: pd.Series) -> str:
    """Return a printed figure, with its rounding if that is visible in three decimals."""
    rounding = f" ± {row['rounding']:.3f}" if row["rounding"] >= 0.001 else ""
    return f"{row['published']:.3f}{rounding}"


def main() -> None:
    page = ROOT / "README.md"
    page.write_text(replace_section(page.read_text(encoding="utf-8"), "book", table()), encoding="utf-8")
    print(f"wrote {page}", file=sys.stderr)


if __name__ == "__main__":
    main()
