"""Keep the results of trained studies, so that pages can be written and checked without their runs.

    python benchmarks/study_results.py findings/tuned-1000

For each study, `results/studies/` gets two files: NAME-runs.csv with a row per run (the settings that differ among
them and the figures of the last epoch), and NAME.csv with a row per arm and comparison of benchmarks/studies.py.
Charts are saved as docs/findings-NAME-CHART.svg, and again for dark pages. For the book's studies there are
NAME-published.csv, with a row per printed figure, and NAME-fits.csv, with the likelihood of all of them in each arm.
Interactions of two keys, where studies.py names them, are in NAME-interactions.csv.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from pages.dark import save_light_and_dark
from storage import DOCS, RESULTS, ROOT
from studies import BOOK, BOOK_SEEDS, CHARTS, STUDIES, Judged

from dropexp import compare, load_config, load_runs
from dropexp.analysis.comparison import Comparison
from dropexp.errors import DropexpError
from dropexp.report.charts.by_name import single
from dropexp.runs.folder import default_runs_dir

FOLDER = RESULTS / "studies"
# equal for all runs, or specific to this machine
NOT_KEPT = {"name", "path", "label", "status", "why", "began", "ended", "epoch", "seconds"}
DIGITS = 15  # significant digits: with fewer, a tie could be rounded otherwise than by `dropexp compare`


def run_table(study: str, runs_dir: Path) -> pd.DataFrame:
    """Return a row per finished run: its hash, the settings that differ, and the figures of the last epoch."""
    runs = load_runs(study, runs_dir=runs_dir)
    runs = runs[runs["status"].isin(["done", "diverged"])].assign(diverged=lambda rows: rows["status"] == "diverged")
    kept = [column for column in runs if column not in NOT_KEPT and runs[column].astype(str).nunique() > 1]
    return runs[kept].sort_values([name for name in ("arm", "role", "repeat", "trial", "seed") if name in kept])


def judge(config: Path, judged: Judged, runs_dir: Path) -> Comparison:
    """Return the comparison of a trained study."""
    return compare(
        config=config,
        runs_dir=runs_dir,
        metric=judged.metric,
        at=judged.at,
        baseline=judged.baseline,
        filter=judged.where,
        by=judged.by,
        interaction=judged.interaction,
        margin=judged.margin,
    )


def judged_table(found: Comparison, judged: Judged) -> pd.DataFrame:
    """Return a row per arm: its mean and SD, its difference to the baseline with intervals, and the verdict."""
    differences = found.differences.drop(columns=["sentence", "kept"])
    table = found.arms[["arm", "n", "diverged", "mean", "sd"]].merge(differences, on="arm", how="left")
    where = ",".join(f"{key}={value}" for key, value in (judged.where or {}).items())
    for i, (name, value) in enumerate({"metric": judged.metric, "at": judged.at, "where": where}.items()):
        table.insert(i, name, value)
    return table


def keep(path: str, runs_dir: Path, folder: Path = FOLDER, docs: Path = DOCS) -> None:
    """Write the two tables of a study, named by its path below configs/, and its charts."""
    config = ROOT / "configs" / f"{path}.yaml"
    name = load_config(config).name
    found = [judge(config, one, runs_dir) for one in STUDIES[path]]
    for chart in CHARTS.get(path, ()):
        save_light_and_dark(single(found[0], chart), docs / f"findings-{name}-{chart}.svg")
    judged = pd.concat(list(map(judged_table, found, STUDIES[path])))
    interactions = pd.concat([one.interactions for one in found]).drop(columns="sentence", errors="ignore")
    tables = {name: judged, f"{name}-runs": run_table(name, runs_dir), f"{name}-interactions": interactions}
    _save({file: table for file, table in tables.items() if len(table)}, folder)


def keep_published(path: str, runs_dir: Path, folder: Path = FOLDER) -> None:
    """Write the tables of a study that has printed figures, named by its path below configs/."""
    study = load_config(ROOT / "configs" / f"{path}.yaml", seeds=BOOK_SEEDS)
    found = compare(config=study, runs_dir=runs_dir, published=True)
    tables = {f"{study.name}-published": found.published, f"{study.name}-fits": found.fits}
    _save({file: table for file, table in tables.items() if len(table)}, folder)


def _save(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file, table in tables.items():
        table.to_csv(folder / f"{file}.csv", index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")
        print(f"{file}.csv: {len(table)} rows", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    known = [*STUDIES, *BOOK]
    parser.add_argument("studies", nargs="*", default=known, choices=known, metavar="STUDY")
    parser.add_argument("--runs-dir", type=Path, default=default_runs_dir())
    options = parser.parse_args()
    try:
        for path in options.studies:
            (keep_published if path in BOOK else keep)(path, options.runs_dir)
    except DropexpError as error:
        sys.exit(str(error))  # of missing runs, with the command that trains them


if __name__ == "__main__":
    main()
