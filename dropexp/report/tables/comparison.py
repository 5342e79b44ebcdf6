"""What is shown of a comparison: tables of its arms, differences, settings and published figures."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from dropexp.analysis.comparison import Comparison
from dropexp.analysis.frames import records
from dropexp.did_you_mean import did_you_mean
from dropexp.errors import ComparisonError
from dropexp.report.arm_names import titled
from dropexp.report.tables.cells import (
    ABSENT,
    BARS,
    figure_cell,
    header,
    interval_cell,
    is_missing,
    number_cell,
    sparkline,
    spread_cell,
)
from dropexp.report.tables.differences import (
    best_val_table,
    differences_table,
    has_several_epochs,
    interactions_table,
    is_classification,
    repetition,
)
from dropexp.report.tables.searches import tuning_table
from dropexp.report.tables.table import Table
from dropexp.runs.metrics import METRICS, REGRESSION, Metric
from dropexp.runs.record import text

# The columns of the table of arms after the compared metric, as far as they are known, and their part of its legend.
CLASSIFICATION_COLUMNS = {
    "clean_train_acc": "train\naccuracy",
    "gap": "gap",
    "test_acc": "test\naccuracy",
    "test_loss": "test\nloss",
}
REGRESSION_COLUMNS = {
    "test_loss": "test\nloss",
    "val_loss": "validation\nloss",
    "train_loss": "train\nloss",
    "w_norm": "‖w‖",
}
TERMS = {
    "clean_train_acc": "train accuracy: in evaluation mode.",
    "gap": "gap: generalisation gap, train accuracy minus test accuracy.",
    "w_norm": "‖w‖: norm of the weights.",
}
NATS = "test loss: mean cross entropy, nats."
HALF_SQUARES = "losses: half the mean squared error, without the penalty."


def comparison_tables(comparison: Comparison, name: str | None = None) -> list[Table]:
    """Return the tables that the comparison has data for, the arms first; or only those of this name.

    Raises ComparisonError for an unknown name, and for a table that these runs have no data for.
    """
    comparison = titled(comparison)
    found: dict[str, list[Table | None]] = {
        "arms": [arms_table(comparison)],
        "probes": [probes_table(comparison)],
        "differences": [differences_table(comparison)],
        "interactions": [interactions_table(comparison)],
        "best-val": [best_val_table(comparison)],
        "selected": [tuning_table(comparison)],
        "settings": [settings_table(comparison)],
        "published": [*published_tables(comparison)],
        "fits": [*fit_tables(comparison)],
    }
    if name is not None and name not in found:
        raise ComparisonError(f"unknown table {name!r}{did_you_mean(name, found)}; the tables are {', '.join(found)}")
    shown = [table for key, tables in found.items() if name in (None, key) for table in tables if table]
    if not shown:
        has = ", ".join(key for key, tables in found.items() if any(tables))
        raise ComparisonError(f"these runs have no table {name!r}; they have {has}")
    return [of_study(table, comparison) for table in shown]


def of_study(table: Table, comparison: Comparison) -> Table:
    """Return the table with the study of the comparison, if all arms are of one."""
    studies = comparison.arms["study"].unique()
    return replace(table, study=studies[0]) if len(studies) == 1 else table


def arms_table(comparison: Comparison) -> Table:
    """Return a row per arm: runs, figures over the seeds, and the compared metric by epoch as bars."""
    metric, unit = comparison.metric, comparison.metric.unit
    classifies = is_classification(comparison)
    columns = CLASSIFICATION_COLUMNS if classifies else REGRESSION_COLUMNS
    known = comparison.arms.notna().any()
    units = {name: comparison.metrics[name].unit for name in columns if known[name] and name != metric.name}
    values = [value for curve in comparison.arms["curve"] for value in curve if not math.isnan(value)]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    rows = [
        [
            arm["arm"],
            f"{arm['n']}, {arm['diverged']} diverged" if arm["diverged"] else str(arm["n"]),
            spread_cell(arm["mean"], arm["sd"], unit),
            *(figure_cell(arm[name], one, "+" if name == "gap" else "") for name, one in units.items()),
            number_cell(arm["seconds"], ".2f"),
            sparkline(arm["curve"], low, high),
        ]
        for arm in records(comparison.arms)
    ]
    others = {name: header(columns[name], one).replace("gap, ", "gap,\n") for name, one in units.items()}
    compared = header("\n".join(metric.title.rsplit(" ", 1)), unit)
    titles = ["arm", "n", compared, *others.values(), "s/epoch", "by epoch"]
    sentences = TERMS | ({"test_loss": NATS} if classifies else {})
    terms = {others.get(name, compared): sentences[name] for name in columns if name in sentences and known[name]}
    terms["s/epoch"] = "s/epoch: median, training and test evaluation."
    if values:
        ends = f"from {figure_cell(low, unit)} ({BARS[0]}) to {figure_cell(high, unit)} ({BARS[-1]})"
        terms["by epoch"] = f"by epoch: {metric.title}, mean over the runs, {ends}."
    table = Table(
        f"Arms: {comparison.what}",
        titles,
        rows,
        fold=(0, 1),
        cut=(0, 1),
        left=(0, len(titles) - 1),
        about=f"n: runs, one per {repetition(comparison)}. ±: sample SD over the runs."
        + ("" if classifies else f" {HALF_SQUARES}"),
        terms=terms,
        secondary=("s/epoch", "by epoch", *reversed(others.values())),
    )
    return table if has_several_epochs(comparison, metric.name) else table.without(["by epoch"])


def probes_table(comparison: Comparison) -> Table | None:
    """Return the means of what probes measured, a column per metric; None without probes."""
    own = METRICS if is_classification(comparison) else REGRESSION
    known = comparison.arms.notna().any()
    probed = [metric for name, metric in comparison.metrics.items() if name not in own and known[name]]
    if not probed:
        return None
    rows = [
        [arm["arm"], *(figure_cell(arm[metric.name], metric.unit) for metric in probed)]
        for arm in records(comparison.arms)
    ]
    titles = [f" {metric.name}: {metric.title}." for metric in probed if metric.title != metric.name]
    return Table(
        f"Probes{comparison.what.removeprefix(comparison.metric.title)}",
        ["arm", *(header(metric.name, metric.unit) for metric in probed)],
        rows,
        about=f"means over the seeds; --metric NAME compares one.{''.join(titles)}",
    )


def settings_table(comparison: Comparison) -> Table | None:
    """Return the config keys that differ between arms; None if there are none or the labels already show them."""
    settings = comparison.settings
    labels_show_it = list(settings.columns) == ["arm", "variant"] and settings["arm"].equals(settings["variant"])
    if len(settings.columns) == 1 or labels_show_it:
        return None
    rows = [[ABSENT if is_missing(value) else text(value) for value in row] for row in settings.itertuples(index=False)]
    columns = [str(column) for column in settings.columns]
    return Table("Settings that differ", columns, rows, fold=range(len(columns)), left=range(len(columns)))


def published_tables(comparison: Comparison) -> list[Table]:
    """Return a table per arm with published figures: each figure, ours, and whether ours covers it."""
    return [
        _published_table(records(rows), comparison.metrics)
        for _, rows in comparison.published.groupby("arm", sort=False)
    ]


def _published_table(figures: list[dict[str, Any]], metrics: dict[str, Metric]) -> Table:
    rows = []
    for figure in figures:
        metric = metrics[figure["figure"]]
        unit = metric.unit
        rows.append(
            [
                header(metric.title, unit),
                str(figure["epoch"]),
                f"{figure_cell(figure['published'], unit)} ± {figure_cell(figure['rounding'], unit)}",
                spread_cell(figure["mean"], figure["sd"], unit),
                interval_cell(figure["low"], figure["high"], unit),
                ABSENT if is_missing(figure["inside"]) else "yes" if figure["inside"] else "no",
            ]
        )
    first = figures[0]
    source = f" ({first['source']})" if isinstance(first["source"], str) else ""
    return Table(
        f"{first['arm']}, n = {first['n']}: published figures{source} and ours",
        ["figure", "epoch", "published", "ours", "95 % of\nsingle runs", "inside"],
        rows,
        left=(0, 5),
        secondary=("95 % of\nsingle runs",),
        about="published: ± its rounding. ours: mean ± sample SD over the seeds. "
        "running figures: measured during training, with dropout active. "
        "inside: whether the published figure can be in the 95 % prediction interval for one run, given its rounding.",
        terms={"95 % of\nsingle runs": "95 % of single runs: this interval."},
    )


def fit_tables(comparison: Comparison) -> list[Table]:
    """Return a table per study with published figures: which arm they fit, the best first."""
    return [_fit_table(records(rows)) for _, rows in comparison.fits.groupby("study", sort=False)]


def _fit_table(fits: list[dict[str, Any]]) -> Table:
    best = fits[0]
    rows = [
        [
            fit["arm"],
            str(fit["n"]),
            f"{fit['log_likelihood'] - best['log_likelihood']:+z.2f}",
            f"{fit['right']} of {fit['n']}",
            f"{fit['right']} of {fit['given']}",
        ]
        for fit in fits
    ]
    return Table(
        f"{best['study']}: which arm the {best['figures']} published figures fit",
        [
            "arm",
            "n",
            "log likelihood\nminus the best",
            "own runs\nassigned correctly",
            "assigned runs\nthat belong to it",
        ],
        rows,
        about="log likelihood: natural, of all published figures, as if independent, integrated over their rounding. "
        "assigned: leave-one-out, each of our runs is assigned to the arm that it fits best.",
    )
