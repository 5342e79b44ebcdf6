"""Where the compared runs come from: what run.json records of their training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dropexp.analysis.comparison import Comparison
from dropexp.config.digests import arm_digest
from dropexp.plurals import counted
from dropexp.report.tables.table import Table
from dropexp.runs.folder import RunFolder

UNKNOWN = "unknown"
LABELS = {  # of the keys of a run's provenance
    "dropexp": "dropexp",
    "commit": "commit",
    "python": "Python",
    "torch": "torch",
    "data": "data checksum",
    "device": "device",
    "threads": "threads",
    "route": "matmul backend",
    "cpu": "processor",
    "platform": "system",
}


@dataclass(frozen=True)
class ComparedRun:
    """A run that a comparison counts."""

    arm: str  # the label in the comparison
    base: str  # the arm as the study's config declares it, or the variant
    study: str
    seed: int
    config: dict[str, Any]  # without the seed
    tuned: bool  # whether a search chose some of it
    device: str
    provenance: dict[str, Any]
    epoch: int  # that is compared
    predictions_sha256: str | None  # None if it has kept no predictions
    folder: RunFolder
    arm_digest: str  # of the settings that it shares with its arm


def compared_runs(comparison: Comparison) -> list[ComparedRun]:
    """Read the run.json of every run of a comparison."""
    runs = []
    for row in comparison.runs.to_dict("records"):
        folder = RunFolder(Path(row["path"]))
        info = folder.read_info()
        runs.append(
            ComparedRun(
                arm=row["arm"],
                base=info.arm or str(info.config["variant"]),
                study=row["study"],
                seed=row["seed"],
                config={key: value for key, value in info.config.items() if key != "seed"},
                tuned=info.tune is not None,
                device=str(info.settings.get("device", "auto")),
                provenance=info.provenance,
                epoch=row["epoch"],
                predictions_sha256=info.predictions_sha256,
                folder=folder,
                arm_digest=info.tune.arm if info.tune else arm_digest(info.settings),
            )
        )
    return runs


def summary(comparison: Comparison, runs: Sequence[ComparedRun]) -> str:
    """Return the number of arms and runs and the days of training, in a sentence."""
    text = f"{counted(len(comparison.arms), 'arm')}, {counted(len(runs), 'run')}"
    days = sorted({str(ended)[:10] for run in runs if (ended := run.provenance.get("ended"))})
    if days:
        text += f", trained {days[0]}" if len(days) == 1 else f", trained {days[0]} to {days[-1]}"
    return text + "."


def origin_table(runs: Sequence[ComparedRun]) -> Table | None:
    """Return the provenance of the runs, a column per group of runs that share it; None without runs."""
    if not runs:
        return None
    groups: dict[str, list[ComparedRun]] = {}
    for run in runs:
        shared = [run.provenance.get(key) for key in (*LABELS, "dirty")]
        groups.setdefault(json.dumps(shared), []).append(run)
    columns = [_column(group) for group in groups.values()]
    headings = ["runs", "trained", *LABELS.values()]
    rows = [[heading, *cells] for heading, *cells in zip(headings, *columns, strict=True)]
    width = len(columns) + 1
    return Table("Where the runs come from", [""] * width, rows, left=range(width))


def _column(group: Sequence[ComparedRun]) -> list[str]:
    provenance = group[0].provenance
    values = {key: str(provenance.get(key) or UNKNOWN) for key in LABELS}
    if provenance.get("dirty"):
        values["commit"] += ", with uncommitted changes"
    began = [str(time) for run in group if (time := run.provenance.get("began"))]
    ended = [str(time) for run in group if (time := run.provenance.get("ended"))]
    trained = UNKNOWN
    if began or ended:
        trained = f"{_time(min(began, default=UNKNOWN))} to {_time(max(ended, default=UNKNOWN))}"
    return [_seeds_by_arm(group), trained, *values.values()]


def _time(moment: str) -> str:
    return moment.replace("T", " ").replace("+00:00", " UTC")


def _seeds_by_arm(runs: Iterable[ComparedRun]) -> str:
    seeds: dict[str, list[int]] = {}
    for run in runs:
        seeds.setdefault(run.arm, []).append(run.seed)
    return "; ".join(f"{arm}: seed {str(seed_range(own)).strip('[]')}" for arm, own in seeds.items())


def seed_range(seeds: Iterable[int]) -> str | list[int]:
    """Return seeds as a config has them: a range such as 0..4 if they are consecutive, otherwise a list."""
    ordered = sorted(set(seeds))
    if len(ordered) > 1 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{ordered[0]}..{ordered[-1]}"
    return ordered
