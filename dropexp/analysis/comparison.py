"""Arms -> tables: figures over seeds, how arms differ and what that is worth, a source's figures beside ours."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dropexp.analysis import published, verdicts
from dropexp.analysis.arms import Arm, arms_of, columns_of, epochs_of, measured
from dropexp.analysis.baselines import baselines, caveat, task_of
from dropexp.analysis.published import FITS, PUBLISHED
from dropexp.analysis.stats import paired_difference, spread
from dropexp.config.tasks import LINEAR_REGRESSION
from dropexp.errors import ComparisonError, NoRuns
from dropexp.runs.folder import FINISHED
from dropexp.runs.metrics import MARGIN, Metric, metrics_of, usual
from dropexp.runs.record import keep, read_runs, text

ARMS = ("arm", "series", "study", "by", "n", "diverged", "mean", "sd")
DIFFERENCES = (
    *("arm", "baseline", "pairs", "difference", "low", "high", "p", "p_holm", "wins", "p_equivalent"),
    *("detectable", "pairs_needed", "verdict", "sentence"),
)
AT = ("last", "best-val", "best-test")
MARGINS = (1e-6, 1e6)
HOW_TO_HAVE = {
    **dict.fromkeys(("val_acc", "val_loss"), "; set validation_size"),
    **dict.fromkeys(("clean_train_acc", "clean_train_loss", "gap"), "; set eval_train"),
}


@dataclass(frozen=True)
class Comparison:
    """Accuracies and gaps are fractions, losses nats, seconds per epoch; what is not known is NaN.

    metric, what what is compared, and in words: "test accuracy after 5 epochs"
    metrics      by name, every figure that runs of this task have, and what probes measured in any of these
    by, margin   the key that arms go by, if any; differences within ±margin, in the metric's unit, count as none
    asked        what else was asked for, as the command's options: baseline, at, filter, published
    arms         a row per arm, columns `ARMS`, `metrics` and `curve`: `mean` and `sd` of the metric, means of every
                 other over the seeds (`seconds`: the median), of the runs that know them; `curve` a list, the metric's
                 mean by epoch as far as all runs go; `series` the label without `by`, whose value is in `by`
    differences  a row per arm that has a baseline, columns `DIFFERENCES`: arm minus baseline, paired by seed, with
                 its 95 % t-interval, sign-flip p, the same after Holm, share of pairs won, TOST p, the
                 difference that so many pairs find in 80 of 100 studies, how many pairs find the margin, and the
                 verdict in a word and a sentence
    published    per arm, figure and epoch, columns `PUBLISHED`: the source's figure and how far it was rounded, ours,
                 the 95 % prediction interval for one run and whether the source's figure, unrounded, may lie `inside`
    fits         per arm, columns `FITS`: how likely all published figures are under it; empty unless asked for
    settings     a row per arm, a column per config key that differs between arms; None where a variant has no use
                 for the key
    runs         a row per run that counts: arm, series, study, by, seed, path, epoch, every metric at that epoch
    curves       a row per such run and epoch, the same columns but the path
    findings     the verdicts, in sentences
    notes        what was left out, and what the figures do not show, in sentences
    """

    metric: Metric
    metrics: dict[str, Metric]
    what: str
    by: str | None
    margin: float
    asked: list[str]
    arms: pd.DataFrame
    differences: pd.DataFrame
    published: pd.DataFrame
    fits: pd.DataFrame
    settings: pd.DataFrame
    runs: pd.DataFrame
    curves: pd.DataFrame
    findings: list[str]
    notes: list[str]

    def to_csv(self) -> str:
        """A row per arm, the columns of its difference joined on; the curve apart, in full precision."""
        arms = self.arms.drop(columns="curve")
        return arms.merge(self.differences, on="arm", how="left").to_csv(index=False, lineterminator="\n")

    def to_json(self) -> str:
        """All of it but single runs, in full precision; what is not known is null."""
        frames = {name: getattr(self, name) for name in ("arms", "differences", "published", "fits", "settings")}
        content = {
            "schema": 1,
            **{"metric": self.metric.name, "what": self.what, "by": self.by, "margin": self.margin},
            **{name: _plain(frame.to_dict("records")) for name, frame in frames.items()},
            **{"findings": self.findings, "notes": self.notes},
        }
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


def compare(
    paths_or_names: str | Iterable[str] = (),
    runs_dir: Path | str | None = None,
    baseline: str | None = None,
    *,
    by: str | None = None,
    metric: str | None = None,
    at: str | int = "last",
    where: Mapping[str, Any] | None = None,
    likelihood: bool = False,
    margin: float = MARGIN,
) -> Comparison:
    """The arms, and their differences to the arm labelled `baseline`, else to the arm without dropout (in linear
    regression without weight decay) that shares its settings, or to the only one there is.

    `metric` is a column of the runs' tables, else the test accuracy, or the test loss where there is none; `by` names
    a config key that arms are ordered by; `at` the epoch that counts: "last", "best-val", "best-test" or a number;
    `where` keeps runs whose keys have these values; `likelihood` asks which arm a source's figures fit.
    Raises NoRuns if nothing is finished, ComparisonError for a baseline, metric, key or epoch that is not there.
    """
    if not MARGINS[0] <= margin <= MARGINS[1]:
        raise ComparisonError(
            f"a margin of {margin}: it is a number from {MARGINS[0]} to {MARGINS[1]}, in the metric's unit"
        )
    at = _moment(at)
    notes: list[str] = []
    runs = keep(read_runs(paths_or_names, runs_dir), where or {})
    task = task_of(runs)
    if by is not None and not any(by in run.config for run in runs):
        known = sorted({key for run in runs for key in run.config} - {"seed", "name", "arm"})
        raise ComparisonError(f"no run has a key {by!r} to go by; there are: {', '.join(known)}")
    if by == "seed":
        raise ComparisonError("an arm is its runs over seeds, so arms cannot go by seed")
    arms = arms_of(runs, notes, at, by)
    if not any(run.status in FINISHED for run in runs) or (not arms and at == "last"):
        raise NoRuns("\n".join(["no run is done; dropexp train -c FILE goes on where runs stopped", *notes]))
    if not arms:
        raise ComparisonError("\n".join([f"no run has figures at {at}", *notes]))
    metrics = metrics_of(task, columns_of(arms))
    metric = metric or usual(metrics)
    if metric not in metrics:
        raise ComparisonError(f"no metric {metric!r}; there are: {', '.join(measured(arms, metrics))}")
    if single := [arm.label for arm in arms if len(arm.seeds) == 1]:
        notes.append(f"one run is not a result: {', '.join(single)}")
    if at == "best-test":
        notes.append("the epoch was chosen on the test set: figures at best-test are optimistic")
    notes += [
        f"{arm.label}: its runs have {fewest} to {most} epochs; by epoch, means go to epoch {fewest}, which all reached"
        for arm in arms
        for fewest, most in [arm.lengths]
        if fewest != most
    ]
    unknown = {arm.label: _unknown(arm, metric) for arm in arms}
    if not any(len(arm.seeds) > len(unknown[arm.label]) for arm in arms) and any(arm.seeds for arm in arms):
        raise ComparisonError(f"no run here has a {metrics[metric].title}{HOW_TO_HAVE.get(metric, '')}")
    notes += [
        f"{label}: no {metrics[metric].title} is known of seed {', '.join(map(str, seeds))}"
        for label, seeds in unknown.items()
        if seeds
    ]
    what = _what(metrics[metric], at, arms)
    differences = _differences(arms, baselines(arms, baseline, notes), metrics[metric], what, margin, notes)
    found = published.sources(arms, notes)
    if likelihood and not found:
        notes.append("no config here has published figures to fit")
    fits = [rows for source in found if (rows := published.fits(source, notes))] if likelihood else []
    findings = [*differences["sentence"], *map(published.fit_in_words, fits)]
    return Comparison(
        metrics[metric],
        metrics,
        what,
        by,
        margin,
        _asked(baseline, at, where or {}, likelihood),
        pd.DataFrame([_figures(arm, metric, metrics, by) for arm in arms]).astype({"by": object}),
        differences,
        pd.DataFrame([row for source in found for row in published.beside(source)], columns=list(PUBLISHED)),
        pd.DataFrame([row for rows in fits for row in rows], columns=list(FITS)),
        _settings(arms),
        pd.DataFrame([row for arm in arms for row in _runs(arm, metrics, by)]),
        _curves(arms, metrics, by),
        findings,
        notes,
    )


def _asked(baseline: str | None, at: str, where: Mapping[str, Any], likelihood: bool) -> list[str]:
    options = [f"--baseline={baseline}"] if baseline is not None else []
    options += [f"--at={at}"] if at != "last" else []
    options += [f"--filter={key}={json.dumps(value)}" for key, value in where.items()]
    return options + ["--published"] * likelihood


def _unknown(arm: Arm, metric: str) -> list[int]:
    return [seed for seed in arm.seeds if not math.isfinite(arm.figure(metric, seed))]


def _moment(at: str | int) -> str:
    if str(at) in AT or (str(at).isdecimal() and len(str(at)) < 20 and int(at) > 0):
        return str(at)
    raise ComparisonError(f"no epoch {at!r:.40}; it is {', '.join(AT)} or a number from 1")


def _what(metric: Metric, at: str, arms: list[Arm]) -> str:
    if metric.name == "seconds":
        return metric.title
    chosen_by = "loss" if arms[0].first.task == LINEAR_REGRESSION else "accuracy"
    if at == "best-val":
        return f"{metric.title} at the epoch of best validation {chosen_by}"
    if at == "best-test":
        return f"{metric.title} at the epoch of best test {chosen_by} (optimistic)"
    epochs = sorted({epoch for arm in arms for epoch in arm.epochs.values()})
    if len(epochs) != 1:
        unequal = any(len(set(arm.epochs.values())) > 1 for arm in arms)
        return f"{metric.title} at the last epoch{' of each run' * unequal}"
    return f"{metric.title} after {epochs[0]} epoch{'s' * (epochs[0] != 1)}"


def _figures(arm: Arm, metric: str, metrics: Iterable[str], by: str | None) -> dict[str, Any]:
    known = {name: [*filter(math.isfinite, arm.figures(name))] for name in metrics}
    chosen = spread(known[metric])
    told = (*_named(arm, by).values(), len(arm.seeds), arm.diverged, chosen.mean, chosen.sd)
    return {
        **dict(zip(ARMS, told, strict=True)),
        **{name: spread(figures).mean for name, figures in known.items()},
        "seconds": float(np.median(known["seconds"])) if known["seconds"] else math.nan,
        "curve": [spread([*filter(math.isfinite, arm.at(metric, epoch + 1))]).mean for epoch in range(arm.lengths[0])],
    }


def _named(arm: Arm, by: str | None) -> dict[str, Any]:
    return {"arm": arm.label, "series": arm.series, "study": arm.study, "by": arm.value(by) if by else None}


def _runs(arm: Arm, metrics: Iterable[str], by: str | None) -> list[dict[str, Any]]:
    return [
        {
            **_named(arm, by),
            **{"seed": seed, "path": str(arm.paths[seed]), "epoch": arm.epochs[seed]},
            **{name: arm.figure(name, seed) for name in metrics},
        }
        for seed in arm.seeds
    ]


def _curves(arms: list[Arm], metrics: Iterable[str], by: str | None) -> pd.DataFrame:
    runs = [(arm, seed, curves) for arm in arms for seed, curves in arm.curves.items()]
    if not runs:
        return pd.DataFrame()
    lengths = [epochs_of(curves) for *_, curves in runs]
    told = pd.DataFrame([{**_named(arm, by), "seed": seed} for arm, seed, _ in runs])
    table = told.loc[np.repeat(told.index, lengths)].reset_index(drop=True)
    table["epoch"] = np.concatenate([np.arange(1, length + 1) for length in lengths])
    return table.assign(**{name: np.concatenate([curves[name] for *_, curves in runs]) for name in metrics})


def _settings(arms: list[Arm]) -> pd.DataFrame:
    """What tells the arms apart."""
    keys = sorted({key for arm in arms for key in arm.first.config} - {"seed", "name", "arm"})
    values = {key: [arm.first.setting(key) for arm in arms] for key in keys}
    differing = {k: v for k, v in values.items() if len({text(value) for value in v if value is not None}) > 1}
    return pd.DataFrame({"arm": [arm.label for arm in arms], **differing})


def _differences(
    arms: list[Arm], baselines: dict[str, Arm], metric: Metric, what: str, margin: float, notes: list[str]
) -> pd.DataFrame:
    pairs, rows = [], []
    for arm in arms:
        base = baselines.get(arm.label, arm)
        if base is arm:
            continue
        common = [seed for seed in arm.seeds if seed in base.epochs]
        both = np.array([[side.figure(metric.name, seed) for seed in common] for side in (arm, base)])
        ours, theirs = both[:, np.isfinite(both).all(axis=0)]
        d = paired_difference(ours, theirs)
        absent = f"no pair of runs has a {metric.title}" if common else "they have no seed in common"
        if missing := [side.label for side in (arm, base) if not side.seeds]:
            absent = f"no run of {' and '.join(missing)} is done"
        measured = (what, metric.higher_is_better, metric.unit)
        pairs.append(verdicts.Pair(arm.label, base.label, ours - theirs, *measured, caveat(arm, base), absent))
        interval = {"difference": d.mean, "low": d.low, "high": d.high}
        rows.append({"arm": arm.label, "baseline": base.label, "pairs": d.pairs, **interval})
        for side, other in ((arm, base), (base, arm)):
            if lone := [str(seed) for seed in side.seeds if seed not in other.epochs]:
                notes.append(f"{arm.label} - {base.label}: not paired, only in {side.label}: seed {', '.join(lone)}")
    for row, verdict in zip(rows, verdicts.judge(pairs, margin), strict=True):
        row |= {"p": verdict.p, "p_holm": verdict.p_holm, "wins": verdict.wins}
        row |= {"p_equivalent": verdict.p_equivalent, "detectable": verdict.detectable}
        row |= {"pairs_needed": verdict.pairs_needed, "verdict": str(verdict.word), "sentence": verdict.sentence}
    return pd.DataFrame(rows, columns=list(DIFFERENCES)).astype({"pairs": "Int64", "pairs_needed": "Int64"})


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if value is pd.NA:
        return None
    return None if isinstance(value, float) and not math.isfinite(value) else value
