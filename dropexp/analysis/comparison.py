"""Compare the arms of studies: select runs, group them into arms, measure them, judge their differences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from dropexp.analysis import frames
from dropexp.analysis.anomalies import broken_runs, notes_on_runs
from dropexp.analysis.arms import Arm, columns_of, group_arms
from dropexp.analysis.baselines import NOT_SETTINGS, baselines_of, task_of
from dropexp.analysis.caveats import caveats
from dropexp.analysis.comparison_query import Query, check_margin, in_words, parse_epoch
from dropexp.analysis.differences import differences_of
from dropexp.analysis.headlines import Headline, headlines
from dropexp.analysis.interactions import interactions_of
from dropexp.analysis.last_and_best_epoch import best_val_frame
from dropexp.analysis.metric_choice import choose_metric, usual_metric
from dropexp.analysis.notes import Noted
from dropexp.analysis.plan_new_study import new_studies_of
from dropexp.analysis.published_comparison import PublishedRow, Source, published_rows, sources_of
from dropexp.analysis.published_likelihood import Fit, fit_arms, fit_sentence
from dropexp.analysis.search_results import SearchFrames, tuning_of
from dropexp.analysis.select_on_validation import select_settings
from dropexp.analysis.select_runs import Selection, notes_on_others, select
from dropexp.analysis.titles import named, titles_of
from dropexp.config.other_libraries.keys import similar_key
from dropexp.config.study import Study
from dropexp.errors import ComparisonError, NoRuns
from dropexp.runs.metrics import MARGIN, Metric, metrics_of
from dropexp.runs.record import Run, keep
from dropexp.runs.state_names import FINISHED
from dropexp.runs.study_file import Declared


@dataclass(frozen=True, repr=False)
class Comparison:
    """Arms, their differences and everything else that `compare` computes.

    Accuracies and `gap` are fractions, losses are in nats, `seconds` are per epoch; unknown figures are NaN.

    metric, what the metric that is compared, and the same in words with the epoch: "test accuracy after 5 epochs"
    usual        the metric that is compared by default
    metrics      by name, every figure that runs of this task have, and what probes measured in any of these runs
    by, margin   the swept parameter, if any; differences within ±margin do not matter
    options      further options of the same command: baseline, at, filter, published, interaction, select-on
    arms         a row per arm: `arm` (its label), `series` (the label without `by`), `study`, `by` (its value), `n`,
                 `diverged`, `mean` and `sd` of the metric over the seeds, the mean of every metric (`seconds`: the
                 median) over the runs that have it, and `curve`: the metric's mean by epoch, as far as all runs go
    differences  a `DifferenceRow` per arm that has a baseline
    interactions a `DifferenceRow` per interaction of two keys, with `effect` and `baseline_effect`; empty by default
    best_val     a row per arm with validation rows, at the last and the best validation epoch: see `best_val_frame`
    tuning       the searches of arms with tested runs: selected settings, trials and the budget curve
    published    a `PublishedRow` per arm and printed figure
    fits         a `Fit` per arm; empty by default
    settings     a row per arm, a column per config key that differs between arms; None where a variant does not use it
    runs         a row per run that is done: arm, series, study, by, seed, path, epoch, every metric at that epoch
    curves       a row per such run and epoch, the same columns but the path
    declared     by study, what its config files define and declare
    titles       the display names of arms, series and sides of an interaction: config labels
    broken       by arm, which of its runs diverged or are at chance level, in words; arms without any are left out
    headlines    a `Headline` per question: its verdicts, and the command that decides what is open
    findings     each verdict in a sentence, with its statistics
    notes        what was left out, and what the figures do not show, in sentences
    """

    metric: Metric
    usual: Metric
    metrics: dict[str, Metric]
    what: str
    by: str | None
    margin: float
    options: list[str]
    arms: pd.DataFrame
    differences: pd.DataFrame
    interactions: pd.DataFrame
    best_val: pd.DataFrame
    tuning: SearchFrames
    published: pd.DataFrame
    fits: pd.DataFrame
    settings: pd.DataFrame
    runs: pd.DataFrame
    curves: pd.DataFrame
    declared: dict[str, list[Declared]]
    titles: dict[str, str]
    broken: dict[str, list[str]]
    headlines: list[Headline]
    findings: list[str]
    notes: list[str]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(self.arms['arm'])}: {self.what}>"

    def to_csv(self) -> str:
        """Return a row per interaction or, without any, per arm: joined with its difference, without the curve."""
        if not self.interactions.empty:
            return frames.csv(self.interactions)
        arms = self.arms.drop(columns="curve").merge(self.differences, on="arm", how="left")
        return frames.csv(arms)

    def trials_csv(self) -> str:
        """Return a row per trial of the searches behind the compared runs."""
        return frames.csv(self.tuning.trials)

    def trials_json(self) -> str:
        """Return the same rows; unknown figures are null."""
        return json.dumps(frames.json_records(self.tuning.trials), indent=2, ensure_ascii=False, allow_nan=False)

    def to_json(self) -> str:
        """Return everything but single runs, in full precision; unknown figures are null."""
        content = {
            "schema": 1,
            "metric": self.metric.name,
            "what": self.what,
            "by": self.by,
            "margin": self.margin,
            "arms": frames.json_records(self.arms),
            "differences": frames.json_records(self.differences),
            "interactions": frames.json_records(self.interactions),
            "best_val": frames.json_records(self.best_val),
            "selected": frames.json_records(self.tuning.selected),
            "budget": frames.json_records(self.tuning.budget),
            "published": frames.json_records(self.published),
            "fits": frames.json_records(self.fits),
            "settings": frames.json_records(self.settings),
            "headlines": list(map(str, self.headlines)),
            "findings": self.findings,
            "notes": self.notes,
        }
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


def compare(
    paths_or_names: str | Iterable[str] | Study | Mapping[str, Any] = (),
    runs_dir: Path | str | None = None,
    baseline: str | None = None,
    *,
    by: str | None = None,
    metric: str | None = None,
    at: str | int = "last",
    filter: Mapping[str, Any] | None = None,  # noqa: A002, the name of the command's option
    published: bool = False,
    margin: float = MARGIN,
    config: Study | str | Path | Mapping[str, Any] | Sequence[Study] | None = None,
    interaction: Sequence[str] = (),
    select_on: str | None = None,
) -> Comparison:
    """Compare arms with the arm labelled `baseline`, or by default with their matching arm without dropout.

    The default baseline of linear regression is the arm without weight decay. A matching arm shares all other
    settings; if there is none, the only arm without dropout is the baseline.

    by          a config key that orders the arms: the swept parameter
    metric      a column of the runs' tables; by default the first of test_acc, val_acc, test_loss and val_loss that was
                measured
    at          the epoch that is compared: "last", "best-val", "best-test" or a number
    filter      keeps runs whose config keys have these values
    published   whether to compute which arm a source's figures fit best
    margin      the smallest difference that matters: a fraction for accuracies and `gap`, else in the metric's unit
    config      instead of names: a config, a study or a list of studies; exactly the runs that it defines are
                compared. A study or a dict can also be the first argument
    select_on   a validation metric: of each declared arm or variant, only the settings with its best mean are compared
    interaction two config keys: whether the effect of one depends on the other; `baseline` has the reference values

    Raises NoRuns if no run is done, ComparisonError for a baseline, metric, key or epoch that does not exist.
    """
    if isinstance(paths_or_names, Study | Mapping):
        paths_or_names, config = (), paths_or_names
    if filter is not None and not isinstance(filter, Mapping):
        raise ComparisonError(
            f"filter is {filter!r}; it must be a dict of config keys and values, such as {{'lr': 0.1}}"
        )
    query = Query(
        baseline=baseline,
        by=by,
        metric=metric,
        at=parse_epoch(at),
        filter=filter or {},
        published=published,
        margin=check_margin(margin),
        interaction=interaction,
        select_on=select_on,
    )
    selected = select(paths_or_names, runs_dir, config)
    runs = keep(selected.runs, query.filter)
    notes = selected.notes if config is not None else [*selected.notes, *notes_on_others(runs, selected.declared)]
    return _compare_runs(runs, replace(selected, notes=notes), query)


def _compare_runs(runs: Sequence[Run], selected: Selection, query: Query) -> Comparison:
    task = task_of(runs)
    order = [digest for entries in selected.declared.values() for one in entries for digest in one.seeds or ()]
    grouped = _group(runs, query, order)
    metrics = metrics_of(task, columns_of(grouped.value))
    chosen = Noted(grouped.value, [])
    titles = titles_of(grouped.value, selected.declared)
    if query.select_on is not None:
        chosen = select_settings(grouped.value, query.select_on, metrics, titles, query.by)
    arms = chosen.value
    metric = metrics[choose_metric(arms, metrics, query.metric)]
    what = in_words(metric, query.at, arms)
    baselines = baselines_of(arms, query.baseline, titles)
    planned = new_studies_of(selected.runs, selected.records, selected.train_options, selected.missing)
    differences = differences_of(arms, baselines.value, planned, metric, what, query.margin, titles)
    reference = next((arm for arm in arms if arm.label == query.baseline), None)
    interactions = interactions_of(arms, query.interaction, reference, planned, metric, what, query.margin, titles)
    tuning = tuning_of(arms, selected.records, titles)
    sources = sources_of(arms, selected.declared)
    fits_by_source = _fits(sources.value, titles) if query.published else Noted([], [])
    shown = named(arms, titles)
    fit_sentences = [
        fit_sentence([replace(fit, arm=titles.get(fit.arm, fit.arm)) for fit in fits]) for fits in fits_by_source.value
    ]
    return Comparison(
        metric=metric,
        usual=metrics[usual_metric(arms, metrics)],
        metrics=metrics,
        what=what,
        by=query.by,
        margin=query.margin,
        options=query.options,
        arms=frames.arms_frame(arms, metric.name, metrics, query.by),
        differences=differences.value.frame,
        interactions=interactions.value.frame,
        best_val=best_val_frame(arms, baselines.value, metric.name, query.at),
        tuning=tuning.value,
        published=frames.frame_of([row for one in sources.value for row in published_rows(one)], PublishedRow),
        fits=frames.frame_of([fit for one in fits_by_source.value for fit in one], Fit),
        settings=frames.settings_frame(arms),
        runs=frames.runs_frame(arms, metrics, query.by),
        curves=frames.curves_frame(arms, metrics, query.by),
        declared=selected.declared,
        titles={**titles, **interactions.value.titles},
        broken={arm.label: broken for arm, one in zip(arms, shown, strict=True) if (broken := broken_runs(one))},
        headlines=[
            *headlines(differences.value.verdicts, titles),
            *headlines(interactions.value.verdicts, interactions.value.titles),
            *map(Headline, fit_sentences),
        ],
        findings=[
            *differences.value.frame["sentence"],
            *interactions.value.frame["sentence"],
            *fit_sentences,
        ],
        notes=[
            *selected.notes,
            *_with_titles(grouped.notes, titles),
            *chosen.notes,
            *tuning.notes,
            *caveats(shown, metric, query.at),
            *notes_on_runs(shown, metric, query.margin, query.at),
            *baselines.notes,
            *differences.notes,
            *interactions.notes,
            *sources.notes,
            *fits_by_source.notes,
        ],
    )


def _group(runs: Sequence[Run], query: Query, order: Sequence[str]) -> Noted[list[Arm]]:
    """Return the arms. Raises NoRuns or ComparisonError if there is none, or no run has the key to order them by."""
    if query.by is not None and not any(query.by in run.config for run in runs):
        known = sorted({key for run in runs for key in run.config} - NOT_SETTINGS)
        raise ComparisonError(f"no run has a key {query.by!r} to order arms by{similar_key(query.by, known)}")
    if query.by == "seed":
        raise ComparisonError("arms cannot be ordered by seed: an arm has a run for each seed")
    grouped = group_arms(runs, query.at, query.by, order)
    if not any(run.status in FINISHED for run in runs) or (not grouped.value and query.at == "last"):
        raise NoRuns(
            "\n".join(
                ["no run is finished; the same `dropexp train` command again resumes interrupted runs", *grouped.notes]
            )
        )
    if not grouped.value:
        raise ComparisonError("\n".join([f"no run has figures at {query.at}", *grouped.notes]))
    return grouped


def _with_titles(notes: Iterable[str], titles: Mapping[str, str]) -> list[str]:
    """Return the notes with an arm's title instead of its label at their start; no label contains a colon."""
    parts = [note.partition(": ") for note in notes]
    return [f"{titles.get(label, label)}{colon}{rest}" for label, colon, rest in parts]


def _fits(sources: Sequence[Source], titles: Mapping[str, str]) -> Noted[list[list[Fit]]]:
    """Return the fits of each source that has any."""
    if not sources:
        return Noted([], ["no study has published figures to fit"])
    found = [fit_arms(source, titles) for source in sources]
    return Noted([fits.value for fits in found if fits.value], [note for fits in found for note in fits.notes])
