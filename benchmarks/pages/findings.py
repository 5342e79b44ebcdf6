"""Write the tables and charts of docs/findings.md from trained runs; `make findings` trains them first.

    PYTHONPATH=benchmarks python -m pages.findings

Each figure is one that `dropexp compare STUDY --baseline ARM --metric METRIC` prints.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import pandas as pd
from altair.typing import ChartType
from storage import DOCS, ROOT

from dropexp import compare, load_config, load_runs
from dropexp.analysis.comparison import Comparison
from dropexp.analysis.sentences import amount
from dropexp.errors import DropexpError
from dropexp.report.charts.by_name import save
from dropexp.report.charts.epochs import learning_curves
from pages.gains import gains_chart
from pages.markdown import replace_section, unaligned_table

SIZES = (1000, 5000, 20000, 60000)
KINDS = ("dropout", "weight decay", "both")
TITLE = "Gain over no regulariser, by number of training images"
MOMENTUM = "srivastava/appendix-a-momentum"
DROPS = ("scratch,drop_probs=[0.2, 0.5]", "scratch,drop_probs=[0.5, 0.2]")


def both(setting: str) -> tuple[str, str]:
    """Return the arm with dropout and the one without it that share a setting."""
    return f"scratch,{setting}", f"none,{setting}"


class Question(NamedTuple):
    """A row of a table on the page: `arm` minus `baseline` of a study."""

    label: str
    config: str  # path below configs/, without the suffix
    arm: str
    baseline: str
    metric: str = "test_acc"
    at: str | int = "last"
    where: dict[str, str] | None = None  # only these arms


EXERCISES = [
    Question("1: drop probabilities (0.2, 0.5) against (0.5, 0.2)", "exercises/drop-probs", *DROPS),
    Question("2: dropout, after 10 epochs", "exercises/more-epochs", "scratch", "none", at=10),
    Question("2: dropout, after 100 epochs", "exercises/more-epochs", "scratch", "none"),
    Question("2: the generalisation gap, after 100 epochs", "exercises/more-epochs", "scratch", "none", "gap"),
    Question("3: dropout, variance of the first hidden layer", "exercises/activations", "scratch", "none", "h1_var"),
    Question("3: dropout, norm of the first layer's weights", "exercises/activations", "scratch", "none", "w1_norm"),
    Question("4: dropout active at test time", "exercises/dropout-at-test", "dropout", "none", "noisy_acc"),
    Question("4: dropout, evaluation mode", "exercises/dropout-at-test", "dropout", "none"),
    Question("5: dropout", "exercises/with-weight-decay", "dropout", "none"),
    Question("5: weight decay", "exercises/with-weight-decay", "weight-decay", "none"),
    Question("5: both", "exercises/with-weight-decay", "both", "none"),
    Question("6: a mask per batch on weights against dropout", "exercises/noise-on-weights", "weights", "units"),
    Question("6: a mask per image on weights against dropout", "exercises/noise-on-weights", "per-example", "units"),
    Question("7: Gaussian noise against dropout", "exercises/other-noise", "gaussian", "scratch"),
    Question("7: one mask per batch against dropout", "exercises/other-noise", "per-batch", "scratch"),
    Question("7: a random rate per batch against dropout", "exercises/other-noise", "random", "scratch"),
    Question("8: dropout, 64 units per layer", "exercises/wider-net", *both("hidden=[64, 64]")),
    Question("8: dropout, 1,024 units per layer", "exercises/wider-net", *both("hidden=[1024, 1024]")),
    Question("9: three values of noise against two", "exercises/three-values", "three-values", "two-values"),
]
PAPER = [
    *(
        Question(f"Table 9: {name}", "srivastava/table-9-regularisers", arm, "none")
        for arm, name in (
            ("l2", "L2"),
            ("l2-l1", "L2 and L1"),
            ("max-norm", "max-norm"),
            ("dropout", "dropout"),
            ("dropout-l2", "dropout and L2"),
            ("dropout-max-norm", "dropout and max-norm"),
        )
    ),
    *(
        Question(f"Figure 9a: drop {p}", "srivastava/figure-9a-rate", f"scratch,drop_probs=[{p}, {p}, {p}]", "none")
        for p in (0.2, 0.5, 0.8)
    ),
    *(
        Question(
            f"Figure 9b: drop {p}, equal active units",
            "srivastava/figure-9b-rate-at-fixed-units",
            arm,
            "drop-0",
        )
        for p, arm in ((0.2, "drop-0.2"), (0.5, "drop-0.5"), (0.7, "drop-0.7"))
    ),
    *(
        Question(
            f"Figure 10: dropout, {size:,} images",
            "srivastava/figure-10-training-set",
            f"images-{size},drop_probs=[0.5, 0.5],input_drop_prob=0.2,variant=scratch",
            f"images-{size},variant=none",
            where={"train_size": str(size)},
        )
        for size in (100, 500, 1000, 5000, 10000, 50000)
    ),
    Question("Figure 8: mean hidden activation", "srivastava/figure-8-sparsity", "scratch", "none", "h1_mean"),
    Question("Figure 8: share of zeros", "srivastava/figure-8-sparsity", "scratch", "none", "h1_zero"),
    Question("Table 10: Gaussian noise against dropout", "srivastava/table-10-gaussian", "gaussian", "scratch"),
    Question(
        "Appendix A: ten times the lr, with dropout",
        MOMENTUM,
        "dropout-lr-x10",
        "dropout",
        where={"variant": "scratch"},
    ),
    Question(
        "Appendix A: ten times the lr, without dropout", MOMENTUM, "none-lr-x10", "none", where={"variant": "none"}
    ),
    Question("Curriculum against constant dropout", "srivastava/schedules", "curriculum", "constant"),
    Question("Early against constant dropout", "srivastava/schedules", "early", "constant"),
    Question("Late against constant dropout", "srivastava/schedules", "late", "constant"),
]


def sizes() -> dict[int, Comparison]:
    """Return the comparison of every kind with the network without a regulariser, by number of training images."""
    study = "does-dropout-help"
    return {size: compare(study, filter={"train_size": size}, baseline=f"{size}-none") for size in SIZES}


def gains(by_size: dict[int, Comparison]) -> pd.DataFrame:
    """Return the mean gain over none with its interval, in points, and the verdict, per number of images and kind."""
    rows = pd.concat([comparison.differences.assign(size=size) for size, comparison in by_size.items()])
    rows["series"] = [arm.split("-", 1)[1].replace("-", " ") for arm in rows["arm"]]
    rows[["mean", "low", "high"]] = 100 * rows[["difference", "low", "high"]]
    return rows[["size", "series", "mean", "low", "high", "verdict"]].reset_index(drop=True)


def gains_table(by_size: dict[int, Comparison]) -> str:
    """Return the gains as a table: a row per number of images, a column per kind."""
    none = {
        size: comparison.arms.set_index("arm").loc[f"{size}-none", ["mean", "sd"]]
        for size, comparison in by_size.items()
    }
    cells = {
        (row.size, row.series): f"{row.mean:+.2f} [{row.low:+.2f}, {row.high:+.2f}] {row.verdict}"
        for row in gains(by_size).itertuples(index=False, name="Gain")
    }
    rows = [
        [f"{size:,}", f"{acc['mean']:.4f} ± {acc['sd']:.4f}", *(cells[size, kind] for kind in KINDS)]
        for size, acc in none.items()
    ]
    return unaligned_table(["images", "none: test accuracy", *(f"{kind} − none, points" for kind in KINDS)], rows)


def sizes_chart(by_size: dict[int, Comparison]) -> ChartType:
    """Return the gains over the number of images, a line per kind."""
    return gains_chart(gains(by_size), KINDS, TITLE, "mean over ten seeds, 95 % interval")


def recipes_table() -> str:
    """Return accuracies with and without dropout under two recipes."""
    found, rows = compare("recipes"), []
    accuracies = {arm["arm"]: f"{arm['mean']:.4f} ± {arm['sd']:.4f}" for arm in found.arms.to_dict("records")}
    for recipe in ("constant", "tuned"):
        none, dropout = (f"{recipe},variant={variant}" for variant in ("none", "scratch"))
        rows.append([recipe, accuracies[none], accuracies[dropout], *estimate(found, dropout)])
    return unaligned_table(["recipe", "none", "dropout (0.2, 0.5)", "dropout − none", "verdict"], rows)


def best_table() -> str:
    """Return the accuracies of the recipe that validation chose, with dropout and without it."""
    found, runs, rows = compare("best"), load_runs("best"), []
    for arm in found.arms.to_dict("records"):
        by_seed = runs.loc[(runs["variant"] == arm["arm"]) & (runs["status"] == "done"), "test_acc"]
        difference = estimate(found, arm["arm"]) if arm["arm"] != "none" else ["", ""]
        extremes = f"{by_seed.min():.4f} to {by_seed.max():.4f}"
        rows.append([arm["arm"], str(arm["n"]), f"{arm['mean']:.4f} ± {arm['sd']:.4f}", extremes, *difference])
    return unaligned_table(
        ["arm", "seeds", "test accuracy", "lowest to highest", "difference, 95 % interval", "verdict"], rows
    )


def questions_table(questions: list[Question]) -> str:
    """Return the difference and the verdict of each question."""
    rows = []
    for q in questions:
        study = load_config(ROOT / "configs" / f"{q.config}.yaml").name
        found = compare(study, baseline=q.baseline, metric=q.metric, at=q.at, filter=q.where)
        link = f"[`{q.config}`](../configs/{q.config}.yaml)"
        rows.append([q.label, found.metric.title, *estimate(found, q.arm), link])
    return unaligned_table(["", "metric", "difference, 95 % interval", "verdict", "config"], rows)


def estimate(comparison: Comparison, arm: str) -> list[str]:
    """Return the difference of an arm to its baseline with its interval, and the verdict."""
    row = next(row for row in comparison.differences.to_dict("records") if row["arm"] == arm)
    mean, low, high = (amount(row[name], comparison.metric.unit) for name in ("difference", "low", "high"))
    return [f"{mean} [{low.split()[0]}, {high.split()[0]}]", str(row["verdict"])]


def main() -> None:
    try:
        write()
    except DropexpError as error:
        sys.exit(f"{error}\n`make findings` trains the runs first")


def write() -> None:
    """Write the charts and the tables."""
    by_size = sizes()
    chart = sizes_chart(by_size)
    save(chart, DOCS / "findings-sizes.svg")
    for study in ("recipes", "best"):
        save(learning_curves(compare(study)), DOCS / f"findings-{study}.svg")
    tables = {
        "sizes": gains_table(by_size),
        "recipes": recipes_table(),
        "best": best_table(),
        "exercises": questions_table(EXERCISES),
        "paper": questions_table(PAPER),
    }
    page = DOCS / "findings.md"
    text = page.read_text(encoding="utf-8")
    for name, table in tables.items():
        text = replace_section(text, name, table)
    page.write_text(text, encoding="utf-8")
    print(f"wrote {page}", file=sys.stderr)


if __name__ == "__main__":
    main()
