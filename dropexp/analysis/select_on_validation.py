"""Select the settings of each arm on validation rows: the rule for studies that list settings and have no search."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from dropexp.analysis.arms import Arm
from dropexp.analysis.notes import Noted
from dropexp.analysis.titles import title_of_base
from dropexp.config.tune_section import NOT_TUNED
from dropexp.did_you_mean import did_you_mean
from dropexp.errors import ComparisonError
from dropexp.runs.metrics import Metric
from dropexp.runs.record import text

NOT_SELECTED = sorted(NOT_TUNED - {"variant", "seed", "probes"})  # arms that differ in one of these do not compete


def select_settings(
    arms: Sequence[Arm], name: str, metrics: Mapping[str, Metric], titles: Mapping[str, str], by: str | None = None
) -> Noted[list[Arm]]:
    """Return, for each declared arm or variant, the settings with the best mean validation metric over the seeds.

    Arms with different values of `by`, or of a key in `NOT_SELECTED`, such as `train_size`, do not compete. Settings
    with a diverged run are not selected. The notes name what was selected from how many; `titles` are by label and
    replace the labels in them. Raises ComparisonError for a metric that is not of validation rows, or that no run has.
    """
    of_validation = [metric for metric in metrics if metric.startswith("val_")]
    known = [metric for metric in of_validation if any(np.isfinite(arm.figures(metric)).any() for arm in arms)]
    if name not in known:
        allowed = f"the runs have {' and '.join(known)}" if known else "the runs have none; set validation_size"
        similar = did_you_mean(name, known)
        raise ComparisonError(f"--select-on {name}{similar}: settings are selected on a validation metric; {allowed}")
    groups: dict[tuple[str, ...], list[Arm]] = defaultdict(list)
    for arm in arms:
        question = [text(arm.first.setting(key)) for key in (*NOT_SELECTED, *([by] if by else []))]
        groups[(arm.study, arm.first.base, *question)].append(arm)
    selected, notes = [], []
    for (study, *_), candidates in groups.items():
        shown = title_of_base(candidates[0], titles)
        measured = [arm for arm in candidates if arm.runs and not arm.diverged and np.isfinite(arm.figures(name)).all()]
        if not measured:
            notes.append(f"{study}: no settings of {shown} are selected: none has {metrics[name].title} for every run")
            continue
        sign = 1 if metrics[name].higher_is_better else -1
        best = max(measured, key=lambda arm: sign * float(arm.figures(name).mean()))
        selected.append(best)
        seeds = {len(arm.seeds) for arm in measured}
        unequal = "; they have different numbers of seeds" if len(seeds) > 1 else ""
        what = f"{titles.get(best.label, best.label)} is selected from {len(candidates)} settings of {shown}"
        notes.append(f"{study}: {what}, by mean {metrics[name].title}{unequal}")
    if not selected:
        raise ComparisonError("\n".join(notes))
    return Noted(selected, notes)
