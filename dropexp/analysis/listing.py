"""Label runs by their arm, and list them: a row per run."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dropexp.runs.metrics import METRICS
from dropexp.runs.record import Run, keep, read_runs, text
from dropexp.runs.status import FINISHED, NO_RUN, Status


def labels_of(runs: Iterable[Run], without: Collection[str] = ()) -> dict[tuple[str, str], str]:
    """Return labels by study and key: the declared arm or variant, and the settings that tell apart arms of one name.

    Keys in `without` are left out, so that several arms can share a label; otherwise labels are unique. Arms without a
    finished run do not change the labels of the others.
    """
    known = [run for run in runs if run.status not in NO_RUN]
    finished = {(run.study, run.key) for run in known if run.status in FINISHED}
    labels = _labels([run for run in known if (run.study, run.key) in finished], without)
    labels |= {arm: label for arm, label in _labels(known, without).items() if arm not in labels}
    return labels if without else _numbered(labels)


def _numbered(labels: dict[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """Number labels that are equal: an arm may be named as the settings of another are shown, such as `nn,lr=0.1`."""
    unique: dict[str, tuple[str, str]] = {}
    for arm, label in labels.items():
        candidates = itertools.chain([label], (f"{label}#{n}" for n in itertools.count(2)))
        unique[next(new for new in candidates if new not in unique)] = arm
    return {arm: label for label, arm in unique.items()}


def _labels(runs: Iterable[Run], without: Collection[str]) -> dict[tuple[str, str], str]:
    sharing: dict[tuple[str, str], dict[str, Run]] = defaultdict(dict)
    for run in runs:
        sharing[run.study, run.base].setdefault(run.key, run)
    several = len({study for study, _ in sharing}) > 1
    labels = {}
    for (study, base), members in sharing.items():
        names = sorted({name for run in members.values() for name in run.settings} - {"seed", *without})
        differing = [n for n in names if len({text(run.setting(n)) for run in members.values()}) > 1]
        for key, run in members.items():
            values = {name: run.setting(name) for name in differing}
            label = ",".join([base, *(f"{name}={text(value)}" for name, value in values.items() if value is not None)])
            labels[study, key] = f"{study}/{label}" if several else label
    return labels


def load_runs(
    paths_or_names: str | Iterable[str] = (),
    runs_dir: Path | str | None = None,
    where: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Return a row per run: name, arm, label, seed, status, its config keys and the figures of its last epoch.

    `where` keeps runs whose keys have these values. A second folder of the same run is left out. A folder that
    cannot be read has status "corrupted" or "unreadable" and the reason in `why`. Raises NoRuns if there is no run.
    """
    runs = [run for run in keep(read_runs(paths_or_names, runs_dir), where or {}) if run.status != Status.DUPLICATE]
    labels = labels_of(runs)
    rows: list[dict[str, Any]] = [
        {
            "name": run.study,
            "arm": run.arm,
            "label": labels.get((run.study, run.key)),
            "seed": run.seed,
            "status": run.status,
            "why": run.why,
            "path": str(run.folder.path),
            "epoch": run.epoch,
        }
        for run in runs
    ]
    for row, run in zip(rows, runs, strict=True):
        row |= {key: value for key, value in run.config.items() if key not in row}
        row |= run.figures or dict.fromkeys(METRICS, math.nan)
    return pd.DataFrame(rows).astype({"seed": "Int64", "epoch": "Int64"})
