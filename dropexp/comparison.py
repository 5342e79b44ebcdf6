"""Arms -> tables: figures over seeds, how arms differ, and a source's figures beside ours."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dropexp.arms import METRICS, Arm, NoRuns, arms_of, read_runs
from dropexp.runs import read_study
from dropexp.stats import paired_difference, prediction_interval, spread

ARMS = ("arm", "study", "n", "diverged", "test_acc_sd", *METRICS, "curve")
DIFFERENCES = ("arm", "baseline", "pairs", "difference", "low", "high")
PUBLISHED = ("arm", "figure", "epoch", "published", "rounding", "n", "mean", "sd", "low", "high", "inside", "source")

_HOLDS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


class ComparisonError(ValueError):
    """A baseline or requirement that names nothing in the comparison; says what it could name."""


@dataclass(frozen=True)
class Comparison:
    """Accuracies and gaps are fractions, losses nats, seconds per epoch; what is not known is NaN.

    arms         a row per arm, columns `ARMS`: means over the seeds at the last epoch; `seconds` is the
                 median over the epochs after the first; `curve` a list, the mean test accuracy per epoch
    differences  arm minus baseline in final test accuracy, paired by seed, with its 95 % t-interval
    published    per arm, figure and epoch: the source's figure and how far it was rounded, ours, the 95 %
                 prediction interval for one run and whether the source's figure, unrounded, may lie `inside` it
    notes        what was left out, and what the figures do not show, in sentences
    """

    arms: pd.DataFrame
    differences: pd.DataFrame
    published: pd.DataFrame
    notes: list[str]

    def to_csv(self) -> str:
        """A row per arm, the columns of its difference joined on; the curve apart, in full precision."""
        arms = self.arms.drop(columns="curve")
        return arms.merge(self.differences, on="arm", how="left").to_csv(index=False, lineterminator="\n")

    def to_json(self) -> str:
        """All of it in full precision; what is not known is null."""
        frames = {"arms": self.arms, "differences": self.differences, "published": self.published}
        records = {name: _plain(frame.to_dict("records")) for name, frame in frames.items()}
        return json.dumps({"schema": 1, **records, "notes": self.notes}, indent=2, ensure_ascii=False, allow_nan=False)


def compare(
    paths_or_names: str | Iterable[str] = (), runs_dir: Path | str | None = None, baseline: str | None = None
) -> Comparison:
    """The arms, and their differences to the arm labelled `baseline`, else to the variant none of the
    same declared arm, or of the study.

    Raises NoRuns if nothing is finished, ComparisonError if no arm is called `baseline`.
    """
    notes: list[str] = []
    arms = arms_of(read_runs(paths_or_names, runs_dir), notes)
    if not arms:
        raise NoRuns("\n".join(["no run is done; dropexp train -c FILE goes on where runs stopped", *notes]))
    if single := [arm.label for arm in arms if len(arm.done) == 1]:
        notes.append(f"one run is not a result: {', '.join(single)}")
    differences = _differences(arms, _baselines(arms, baseline, notes), notes)
    published = _published(arms, notes)
    return Comparison(
        pd.DataFrame([_figures(arm) for arm in arms], columns=list(ARMS)),
        pd.DataFrame(differences, columns=list(DIFFERENCES)).astype({"pairs": "Int64"}),
        pd.DataFrame(published, columns=list(PUBLISHED)),
        notes,
    )


def require(comparison: Comparison, requirement: str) -> str | None:
    """None if `requirement`, as in "nn.test_acc >= 0.83", holds, else a sentence on what fell short.

    Raises ComparisonError if it cannot be read or names no arm or metric.
    """
    arms = {arm["arm"]: arm for arm in comparison.arms.to_dict("records")}
    # A label may hold dots, so the metric is what follows the last one before the operator.
    parts = re.fullmatch(r"\s*(.+)\.(\w+)\s*(>=|<=|>|<)\s*(-?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*", requirement)
    if parts is None:
        raise ComparisonError(
            f"{requirement!r} is no requirement; write ARM.METRIC OP NUMBER, OP one of {' '.join(_HOLDS)}, "
            f"such as '{next(iter(arms))}.test_acc >= 0.83'"
        )
    label, metric, sign, bound = parts.groups()
    for kind, name, allowed in (("arm", label, arms), ("metric", metric, METRICS)):
        if name not in allowed:
            raise ComparisonError(f"{requirement!r}: no {kind} {name!r}; there are: {', '.join(allowed)}")

    arm, holds, limit = arms[label], _HOLDS[sign], float(bound)
    if arm["diverged"]:
        return f"{label} meets no requirement: {arm['diverged']} of its runs diverged ({arm['n']} are done)"
    value = arm[metric]
    if holds(value, limit):
        return None
    if math.isnan(value):
        return f"{label}.{metric} is not known: its runs have no such figure"
    shown = f"{value:.4f}"
    if holds(float(shown), limit):  # rounding would contradict the sentence
        shown = repr(value)
    kind = "median" if metric == "seconds" else "mean"
    return f"{label}.{metric} is {shown} ({kind} of {arm['n']}), not {sign} {bound}"


def _figures(arm: Arm) -> dict[str, Any]:
    last = {name: spread([run.figures[name] for run in arm.done.values()]) for name in METRICS}
    # The first epoch also warms up; a run of one epoch has no other.
    seconds = [s for c in arm.curves for s in (c["seconds"][1:] if len(c["seconds"]) > 1 else c["seconds"])]
    epochs = max((len(curve["test_acc"]) for curve in arm.curves), default=0)
    return {
        "arm": arm.label,
        "study": arm.study,
        "n": len(arm.done),
        "diverged": arm.diverged,
        "test_acc_sd": last["test_acc"].sd,
        **{name: found.mean for name, found in last.items()},
        "seconds": float(np.median(seconds)) if seconds else math.nan,
        "curve": [spread(arm.at("test_acc", epoch)).mean for epoch in range(epochs)],
    }


def _baselines(arms: list[Arm], wanted: str | None, notes: list[str]) -> dict[str, Arm]:
    """The baseline of each arm that has one, by its label."""
    if wanted is not None:
        chosen = {arm.label: arm for arm in arms}
        if wanted not in chosen:
            raise ComparisonError(f"no arm {wanted!r} to be the baseline; there are: {', '.join(chosen)}")
        return dict.fromkeys(chosen, chosen[wanted])
    found = {}
    for study in dict.fromkeys(arm.study for arm in arms):
        members = [arm for arm in arms if arm.study == study]
        plain = [arm for arm in members if arm.first.variant == "none"]
        for arm in members:
            # wide,nn has wide,none beside it; else the study's only one will do
            own = [other for other in plain if other.first.arm == arm.first.arm] or plain
            if len(own) == 1:
                found[arm.label] = own[0]
        if len(members) > 1 and not any(arm.label in found for arm in members):
            many = "no arm" if not plain else f"{len(plain)} arms"
            notes.append(f"{study}: {many} without dropout to compare with; --baseline ARM names another")
    return found


def _differences(arms: list[Arm], baselines: dict[str, Arm], notes: list[str]) -> list[tuple[Any, ...]]:
    rows = []
    for arm in arms:
        base = baselines.get(arm.label, arm)
        if base is arm:
            continue
        common = [seed for seed in arm.done if seed in base.done]
        pair = ([side.done[seed].figures["test_acc"] for seed in common] for side in (arm, base))
        d = paired_difference(*pair)
        rows.append((arm.label, base.label, *astuple(d)))  # in the order of DIFFERENCES
        title = f"{arm.label} - {base.label}"
        for side, other in ((arm, base), (base, arm)):
            if lone := [str(seed) for seed in side.done if seed not in other.done]:
                notes.append(f"{title}: not paired, only in {side.label}: seed {', '.join(lone)}")
        if len(common) < 2:
            had = "one pair of runs is not a result" if common else "no seed in common"
            notes.append(f"{title}: {had}, so there is no interval")
    return rows


def _published(arms: list[Arm], notes: list[str]) -> list[tuple[Any, ...]]:
    rows = []
    for study in dict.fromkeys(arm.study for arm in arms):
        members = {arm.label.removeprefix(f"{study}/"): arm for arm in arms if arm.study == study}
        said = read_study(next(iter(members.values())).first.folder).get("published")
        if not said:
            continue
        named = said.get("arm") or list(members)
        for name in [named] if isinstance(named, str) else named:
            meant = [arm for label, arm in members.items() if name in (label, arm.first.base) and arm.done]
            rows += [row for arm in meant for row in _beside(arm, said)]
            if not meant:
                notes.append(f"{study}: the published figures are of {name!r}, which has no finished run here")
    return rows


def _beside(arm: Arm, said: dict[str, Any]) -> list[tuple[Any, ...]]:
    rows = []
    for figure, name, scale in (
        ("train_loss", "loss", said.get("loss_scale") or 1),
        ("train_acc", "train_acc", 1),
        ("test_acc", "test_acc", 1),
    ):
        printed_figures = said.get(name) or []
        rounding = _rounding(printed_figures) * scale
        for epoch, printed in enumerate(printed_figures):
            ours = arm.at(figure, epoch)
            value, interval = printed * scale, prediction_interval(ours)
            source = (arm.label, figure, epoch + 1, value, rounding)
            mine = (*astuple(spread(ours)), *astuple(interval), interval.holds(value, rounding))
            rows.append((*source, *mine, said.get("source")))  # in the order of PUBLISHED
    return rows


def _rounding(figures: list[float]) -> float:
    """Half a unit of the last decimal that any of the figures was printed with."""
    exponents = [Decimal(repr(figure)).normalize().as_tuple().exponent for figure in figures]
    return 0.5 * 10.0 ** min((e for e in exponents if isinstance(e, int)), default=0)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
