"""Evaluate the runs of the study `ensembles`: single networks, Monte-Carlo dropout, and ensembles of five networks.

    python benchmarks/ensembles.py

Seeds 5g to 5g + 4 of an arm are group g. `results/studies/ensembles-evaluated.csv` gets a row per arm, group and way
to predict: *single*, the mean of the five networks in evaluation mode; *monte-carlo*, the mean of their five figures
with Monte-Carlo dropout, 50 stochastic passes each (no row without dropout); and *ensemble*, the mean prediction of the
five in evaluation mode. `dropexp evaluate` prints the same figures for the five run folders of a group.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from storage import ROOT, data_root
from study_results import DIGITS, FOLDER

from dropexp import load_config
from dropexp.config.study import Study
from dropexp.data import fashion_mnist
from dropexp.errors import DropexpError, RunError
from dropexp.program import command
from dropexp.runs.folder import default_runs_dir
from dropexp.runs.record import Run, read_runs
from dropexp.runs.state_names import Status
from dropexp.training.ensemble import evaluate_arm
from dropexp.training.evaluate import RotationFigures
from dropexp.training.trained_network import load_trained

STUDY = "ensembles"
CONFIG = str(ROOT / "configs/findings/ensembles.yaml")
SIZE = 5  # networks of an ensemble
PASSES = 50  # stochastic passes of Monte-Carlo dropout
METRICS = ("acc", "loss", "ece")


def groups_of(study: Study, runs: Iterable[Run], size: int = SIZE) -> dict[tuple[int, str, int], list[Run]]:
    """Return the study's finished runs by training images, variant and group. Raises RunError if one is missing."""
    done = {(run.config["train_size"], run.variant, run.seed): run for run in runs if run.status == Status.DONE}
    groups: dict[tuple[int, str, int], list[Run]] = defaultdict(list)
    for planned in study.runs:
        config = planned.config
        found = done.get((config.train_size, config.variant, config.seed))
        if found is None or found.settings != config.settings(str(found.settings["device"])):
            raise RunError(
                f"{planned.name}/{planned.cell} is not finished; `{command('train', '-c', CONFIG)}` trains it"
            )
        groups[int(config.train_size or 0), config.variant, config.seed // size].append(found)
    return dict(sorted(groups.items()))


def rows_of(single: RotationFigures, ensemble: RotationFigures) -> list[dict[str, Any]]:
    """Return a row per way to predict."""
    rows = [{"of": of, **{name: getattr(own, name) for name in METRICS}}
            for of, own in (("single", single), ("ensemble", ensemble))]  # fmt: skip
    if single.mc_acc is not None:
        rows.insert(1, {"of": "monte-carlo", **{name: getattr(single, f"mc_{name}") for name in METRICS}})
    return rows


def evaluate_groups(runs_dir: Path) -> pd.DataFrame:
    """Return the rows of all groups. Raises `DropexpError` if a run is missing."""
    data = fashion_mnist.load(data_root())
    rows = []
    for (images, variant, group), members in groups_of(load_config(CONFIG), read_runs(STUDY, runs_dir)).items():
        networks = (load_trained(run.folder) for run in members)
        ensemble = evaluate_arm(variant, networks, data, [], PASSES).ensemble
        assert ensemble is not None
        about = {"train_size": images, "variant": variant, "group": group}
        rows += [about | row for row in rows_of(ensemble.members[0], ensemble.figures[0])]
        print(f"{images} images, {variant}, group {group}", file=sys.stderr)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs-dir", type=Path, default=default_runs_dir())
    try:
        table = evaluate_groups(parser.parse_args().runs_dir)
    except DropexpError as error:
        sys.exit(str(error))
    table.to_csv(FOLDER / f"{STUDY}-evaluated.csv", index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")


if __name__ == "__main__":
    main()
