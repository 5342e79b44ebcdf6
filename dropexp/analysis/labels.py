"""Label runs by their arm: the declared arm or variant, and the settings that distinguish arms of one name."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable

from dropexp.runs.record import Run, text
from dropexp.runs.state_names import FINISHED, NO_RUN


def labels_of(runs: Iterable[Run], without: Collection[str] = ()) -> dict[tuple[str, str], str]:
    """Return labels by study and key: the declared arm or variant, and the settings that distinguish arms of one name.

    Keys in `without` are left out, so that several arms can share a label; otherwise labels are unique. Arms without a
    finished run do not change the labels of the others.
    """
    known = [run for run in runs if run.status not in NO_RUN]
    finished = {(run.study, run.key) for run in known if run.status in FINISHED}
    labels = _labels([run for run in known if (run.study, run.key) in finished], without)
    labels |= {arm: label for arm, label in _labels(known, without).items() if arm not in labels}
    return labels if without else _numbered(labels)


def _numbered(labels: dict[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """Number labels that are equal: the name of an arm, such as `nn,lr=0.1`, may be the label of another."""
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
