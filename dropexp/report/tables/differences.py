"""What is shown of the differences between arms: tables of them, of interactions, and of best validation epochs."""

from __future__ import annotations

from typing import Any

from dropexp.analysis import two_way
from dropexp.analysis.comparison import Comparison
from dropexp.analysis.frames import records
from dropexp.analysis.sentences import amount
from dropexp.report.tables.cells import (
    NOT_KEPT,
    figure_cell,
    header,
    interval_cell,
    is_missing,
    number_cell,
    p_cell,
    spread_cell,
)
from dropexp.report.tables.table import Table
from dropexp.runs.metrics import Unit


def differences_table(comparison: Comparison) -> Table | None:
    """Return a row per arm with a baseline: the paired difference, its statistics and the verdict."""
    if comparison.differences.empty:
        return None
    unit = comparison.metric.unit
    side = "higher" if comparison.metric.higher_is_better is None else "better"
    of_images = is_classification(comparison) and comparison.metric.name in two_way.METRICS
    rows = [
        [
            f"{row['arm']} - {row['baseline']}",
            str(row["pairs"]),
            figure_cell(row["difference"], unit, "+"),
            interval_cell(row["low"], row["high"], unit, "+"),
            *([_images_cell(row, unit)] if of_images else []),
            p_cell(row["p_holm"]),
            p_cell(row["p_equivalent_holm"]),
            number_cell(row["wins"], ".0%"),
            figure_cell(row["detectable"], unit),
            row["verdict"],
        ]
        for row in records(comparison.differences)
    ]
    intervals = ["95 % interval", *(["over seeds\nand images"] if of_images else [])]
    headers = ["arm - baseline", "pairs", "difference", *intervals, "p", "TOST\np", "win\nrate"]
    headers += ["minimum\ndetectable\ndifference", "verdict"]
    margin = amount(comparison.margin, unit, "g")
    adjusted = ", not adjusted for the number of rows; the verdict uses the p-values, which are adjusted"
    if len(rows) == 1:
        adjusted = ""
    return Table(
        f"Differences: {comparison.what}",
        headers,
        rows,
        fold=(0, len(headers) - 1),
        left=(0, len(headers) - 1),
        secondary=("win\nrate", "minimum\ndetectable\ndifference", *intervals[1:], "TOST\np", "p", "pairs"),
        about=f"difference: mean over pairs of runs with the same {repetition(comparison)}{_in_points(unit)}. "
        f"interval: 95 % t-interval of one difference{adjusted}.",
        terms={
            **dict.fromkeys(intervals[1:], "over seeds and images: the same for new seeds and new test images."),
            "p": "p: two-sided sign-flip test, Holm-adjusted over these rows.",
            "TOST\np": f"TOST p: two one-sided t-tests against ±{margin}, Holm-adjusted too.",
            "win\nrate": f"win rate: pairs in which the arm is {side}; ties count half.",
            "minimum\ndetectable\ndifference": "minimum detectable difference: the smallest margin for which this "
            "many pairs have 80 % power to detect a true difference of the margin.",
        },
    )


def interactions_table(comparison: Comparison) -> Table | None:
    """Return a row per interaction: the two differences, the difference between them, and the verdict."""
    if comparison.interactions.empty:
        return None
    unit = comparison.metric.unit
    rows = [
        [
            f"({row['arm']}) − ({row['baseline']})",
            str(row["pairs"]),
            figure_cell(row["effect"], unit, "+"),
            figure_cell(row["baseline_effect"], unit, "+"),
            figure_cell(row["difference"], unit, "+"),
            interval_cell(row["low"], row["high"], unit, "+"),
            p_cell(row["p_holm"]),
            p_cell(row["p_equivalent_holm"]),
            figure_cell(row["detectable"], unit),
            row["verdict"],
        ]
        for row in records(comparison.interactions)
    ]
    headers = [
        "interaction",
        "seeds",
        "first\ndifference",
        "second\ndifference",
        "first −\nsecond",
        "95 % interval",
        "p",
    ]
    return Table(
        f"Interactions: {comparison.what}",
        [*headers, "TOST\np", "minimum\ndetectable\ndifference", "verdict"],
        rows,
        fold=(0, 9),
        left=(0, 9),
        secondary=(
            "minimum\ndetectable\ndifference",
            "second\ndifference",
            "first\ndifference",
            "TOST\np",
            "p",
            "seeds",
        ),
        about="first − second: the interaction, a difference of differences; mean over the seeds that all four arms "
        "have. It is 0 if the effects of the two keys add up. The other columns are those of the differences.",
        terms={"p": "p-values: adjusted over these rows."},
    )


def _images_cell(row: dict[str, Any], unit: Unit) -> str:
    if row["pairs"] > 1 and not row["kept"]:
        return NOT_KEPT
    return interval_cell(row["images_low"], row["images_high"], unit, "+")


def best_val_table(comparison: Comparison) -> Table | None:
    """Return a row per arm at the last and at the best validation epoch; None without several validated epochs."""
    validated = "val_acc" if is_classification(comparison) else "val_loss"
    if comparison.best_val.empty or not has_several_epochs(comparison, validated):
        return None
    metric, unit = comparison.metric, comparison.metric.unit
    rows = [
        [
            row["arm"],
            str(row["n"]),
            f"{row['earliest']} to {row['latest']}" if row["earliest"] < row["latest"] else str(row["latest"]),
            *(spread_cell(row[at], row[f"{at}_sd"], unit) for at in ("last", "best")),
            *(_difference_cell(row, at, unit) for at in ("last", "best")),
        ]
        for row in records(comparison.best_val)
    ]
    headers = ["arm", "n", "best\nepochs", "last epoch", "best validation", "difference,\nlast epoch"]
    chosen_by = comparison.metrics[validated].title.removeprefix("validation ")
    return Table(
        f"Last epoch and best validation epoch: {header(metric.title, unit)}",
        [*headers, "difference,\nbest validation"],
        rows,
        secondary=("difference,\nlast epoch", "best\nepochs", "last epoch", "n"),
        about=f"best validation: each run at the epoch of its best validation {chosen_by}. ±: sample SD over seeds. "
        "difference: from the baseline, mean over pairs of runs and 95 % t-interval. "
        "--at best-val judges the differences at the best validation epochs.",
    )


def _difference_cell(row: dict[str, Any], at: str, unit: Unit) -> str:
    mean, low, high = (row[f"{at}_{name}"] for name in ("difference", "low", "high"))
    interval = "" if is_missing(low) else f" {interval_cell(low, high, unit, '+')}"
    return f"{figure_cell(mean, unit, '+')}{interval}"


def _in_points(unit: Unit) -> str:
    return ", in percentage points" if unit.factor != 1 else ""


def is_classification(comparison: Comparison) -> bool:
    return "test_acc" in comparison.metrics


def has_several_epochs(comparison: Comparison, metric: str) -> bool:
    """Return whether any run has a metric at several epochs."""
    if comparison.curves.empty:
        return False
    return bool((comparison.curves.dropna(subset=metric).groupby(["arm", "seed"]).size() > 1).any())


def repetition(comparison: Comparison) -> str:
    """Return in what the runs of an arm differ: in their seed, or in the repeat of a search."""
    searched = len(comparison.tuning.records)
    return "repeat" if searched == len(comparison.arms) else "seed or repeat" if searched else "seed"
