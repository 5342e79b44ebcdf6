"""Write the tables and charts of docs/findings.md from trained runs; `make findings` trains them first.

    PYTHONPATH=benchmarks python -m pages.findings

Each figure is one that `dropexp compare STUDY --baseline ARM --metric METRIC` prints.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import altair as alt
import pandas as pd
from altair.typing import ChartType
from storage import DOCS, ROOT

from dropexp import compare, load_config, load_runs
from dropexp.analysis.comparison import Comparison
from dropexp.analysis.sentences import amount
from dropexp.errors import DropexpError
from dropexp.report.chart_data import domain_of
from dropexp.report.chart_parts import (
    COLORS,
    DASHES,
    SHAPES,
    WIDTH,
    ValueAxis,
    click_selection,
    data_of,
    highlight,
    line_labels,
    sweep_axis,
    titled,
)
from dropexp.report.charts import save
from dropexp.report.epoch_charts import learning_curves
from pages.markdown import replace_section

SIZES = (1000, 5000, 20000, 60000)
KINDS = ("dropout", "weight decay", "both")
MOMENTUM = "srivastava/appendix-a-momentum"
DROPS = ("scratch,drop_probs=0.2-0.5", "scratch,drop_probs=0.5-0.2")


def both(setting: str) -> tuple[str, str]:
    """The arms with dropout and without it that share a setting."""
    return f"scratch,{setting}", f"none,{setting}"


class Question(NamedTuple):
    """A row of a table on the page: `arm` minus `baseline` of a study."""

    asked: str
    config: str  # below configs/
    arm: str
    baseline: str
    metric: str = "test_acc"
    at: str | int = "last"
    where: dict[str, str] | None = None  # the arms of one family, if not all


EXERCISES = [
    Question("1: drop (0.2, 0.5) in place of (0.5, 0.2)", "exercises/drop-probs", *DROPS),
    Question("2: dropout, after 10 epochs", "exercises/more-epochs", "scratch", "none", at=10),
    Question("2: dropout, after 100", "exercises/more-epochs", "scratch", "none"),
    Question("2: what that does to the gap", "exercises/more-epochs", "scratch", "none", "gap"),
    Question("3: dropout, variance of the first hidden layer", "exercises/activations", "scratch", "none", "h1_var"),
    Question("3: and the norm of its weights", "exercises/activations", "scratch", "none", "w1_norm"),
    Question("4: dropout left on at test", "exercises/dropout-at-test", "dropout", "none", "noisy_acc"),
    Question("4: with it off", "exercises/dropout-at-test", "dropout", "none"),
    Question("5: dropout", "exercises/with-weight-decay", "dropout", "none"),
    Question("5: weight decay", "exercises/with-weight-decay", "weight-decay", "none"),
    Question("5: both", "exercises/with-weight-decay", "both", "none"),
    Question("6: noise on weights in place of units", "exercises/noise-on-weights", "weights", "units"),
    Question("7: Gaussian noise in place of dropout", "exercises/other-noise", "gaussian", "scratch"),
    Question("7: one mask for a batch", "exercises/other-noise", "per-batch", "scratch"),
    Question("7: a random rate for each batch", "exercises/other-noise", "random", "scratch"),
    Question("8: dropout on 64 units a layer", "exercises/wider-net", *both("hidden=64-64")),
    Question("8: on 1,024", "exercises/wider-net", *both("hidden=1024-1024")),
    Question("9: three values of noise in place of two", "exercises/three-values", "three-values", "two-values"),
]
PAPER = [
    *(
        Question(f"Table 9: {said}", "srivastava/table-9-regularisers", arm, "none")
        for arm, said in (
            ("l2", "L2"),
            ("l2-l1", "L2 and L1"),
            ("max-norm", "max-norm"),
            ("dropout", "dropout"),
            ("dropout-l2", "dropout and L2"),
            ("dropout-max-norm", "dropout and max-norm"),
        )
    ),
    *(
        Question(f"Figure 9a: drop {p}", "srivastava/figure-9a-rate", f"scratch,drop_probs={p}-{p}-{p}", "none")
        for p in (0.2, 0.5, 0.8)
    ),
    *(
        Question(f"Figure 9b: drop {p}, as many units left", "srivastava/figure-9b-rate-at-fixed-units", arm, "drop-0")
        for p, arm in ((0.2, "drop-0.2"), (0.5, "drop-0.5"), (0.7, "drop-0.7"))
    ),
    *(
        Question(
            f"Figure 10: dropout, {size:,} images",
            "srivastava/figure-10-training-set",
            f"images-{size},drop_probs=0.5-0.5,input_drop_prob=0.2,variant=scratch",
            f"images-{size},variant=none",
            where={"train_size": str(size)},
        )
        for size in (100, 500, 1000, 5000, 10000, 50000)
    ),
    Question("Figure 8: mean hidden activation", "srivastava/figure-8-sparsity", "scratch", "none", "h1_mean"),
    Question("Figure 8: share of zeros", "srivastava/figure-8-sparsity", "scratch", "none", "h1_zero"),
    Question("Table 10: Gaussian noise in place of dropout", "srivastava/table-10-gaussian", "gaussian", "scratch"),
    Question(
        "Appendix A: dropout at ten times the rate", MOMENTUM, "dropout-lr-x10", "dropout", where={"variant": "scratch"}
    ),
    Question("Appendix A: the same without dropout", MOMENTUM, "none-lr-x10", "none", where={"variant": "none"}),
    Question("Curriculum in place of constant dropout", "srivastava/schedules", "curriculum", "constant"),
    Question("Early dropout in place of constant", "srivastava/schedules", "early", "constant"),
    Question("Late dropout in place of constant", "srivastava/schedules", "late", "constant"),
]


def sizes() -> dict[int, Comparison]:
    """By number of training images: every kind beside the net without a regulariser."""
    study = "does-dropout-help"
    return {size: compare(study, where={"train_size": size}, baseline=f"{size}-none") for size in SIZES}


def gains(by_size: dict[int, Comparison]) -> pd.DataFrame:
    """A row per number of images and kind: its mean gain over none and the interval, in points, and the verdict."""
    rows = pd.concat([comparison.differences.assign(size=size) for size, comparison in by_size.items()])
    rows["series"] = [arm.split("-", 1)[1].replace("-", " ") for arm in rows["arm"]]
    rows[["mean", "low", "high"]] = 100 * rows[["difference", "low", "high"]]
    return rows[["size", "series", "mean", "low", "high", "verdict"]].reset_index(drop=True)


def gains_table(by_size: dict[int, Comparison]) -> str:
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
    return markdown(["images", "none: test accuracy", *(f"{kind} − none, points" for kind in KINDS)], rows)


def gains_chart(by_size: dict[int, Comparison]) -> ChartType:
    rows, height = gains(by_size), 280
    x = sweep_axis("training images", SIZES, height)
    asides = rows["series"].map(KINDS.index) / 6 - 1 / 6
    rows["x"] = [x.position(size, aside) for size, aside in zip(rows["size"], asides, strict=True)]
    y = ValueAxis(alt.Y, "test accuracy: gain over none (points)", domain_of(rows["low"], rows["high"]))
    color, shape, dash = (
        channel("series", type="nominal", legend=None, scale=alt.Scale(domain=[*KINDS], range=looks[: len(KINDS)]))
        for channel, looks in ((alt.Color, COLORS), (alt.Shape, SHAPES), (alt.StrokeDash, DASHES))
    )
    base = alt.Chart(data_of(rows)).encode(x.channel, opacity=highlight(1))
    ends = rows[rows["size"] == SIZES[-1]].assign(label=lambda ends: ends["series"])
    chart = alt.layer(
        alt.Chart(data_of(pd.DataFrame({"none": [0.0]}))).mark_rule().encode(y("none")),
        base.mark_line(strokeWidth=2).encode(y("mean"), color, dash).add_params(click_selection()),
        base.mark_rule(strokeWidth=2.5).encode(y("low"), alt.Y2("high"), color),
        base.mark_point(filled=True, size=80).encode(y("mean"), color, shape),
        *line_labels(ends, y, color, (WIDTH, height), alt.value(WIDTH)),
    ).properties(width=WIDTH, height=height)
    said = [f"{row.series}, {row.size} images: {row.mean:+.2f}" for row in rows.itertuples(index=False, name="Gain")]
    return titled(chart, "What each gains, by training images", "mean over ten seeds, 95 % interval", said)


def recipes_table() -> str:
    """Dropout beside none under two recipes."""
    found, rows = compare("recipes"), []
    said = {arm["arm"]: f"{arm['mean']:.4f} ± {arm['sd']:.4f}" for arm in found.arms.to_dict("records")}
    for recipe in ("constant", "tuned"):
        none, dropout = (f"{recipe},variant={variant}" for variant in ("none", "scratch"))
        rows.append([recipe, said[none], said[dropout], *estimate(found, dropout)])
    return markdown(["recipe", "none", "dropout (0.2, 0.5)", "dropout − none", "verdict"], rows)


def best_table() -> str:
    """The recipe that validation chose, with dropout and without it."""
    found, runs, rows = compare("best"), load_runs("best"), []
    for arm in found.arms.to_dict("records"):
        by_seed = runs.loc[(runs["variant"] == arm["arm"]) & (runs["status"] == "done"), "test_acc"]
        minus = estimate(found, arm["arm"]) if arm["arm"] != "none" else ["", ""]
        ends = f"{by_seed.min():.4f} to {by_seed.max():.4f}"
        rows.append([arm["arm"], str(arm["n"]), f"{arm['mean']:.4f} ± {arm['sd']:.4f}", ends, *minus])
    return markdown(["", "seeds", "test accuracy", "lowest to highest", "difference, 95 % interval", "verdict"], rows)


def questions_table(questions: list[Question]) -> str:
    rows = []
    for asked, config, arm, baseline, metric, at, where in questions:
        study = load_config(ROOT / "configs" / f"{config}.yaml").name
        found = compare(study, baseline=baseline, metric=metric, at=at, where=where)
        rows.append([asked, found.metric.title, *estimate(found, arm), f"[`{config}`](../configs/{config}.yaml)"])
    return markdown(["", "in", "difference, 95 % interval", "verdict", "config"], rows)


def estimate(comparison: Comparison, arm: str) -> list[str]:
    """The difference of an arm to its baseline with its interval, and the verdict."""
    row = next(row for row in comparison.differences.to_dict("records") if row["arm"] == arm)
    mean, low, high = (amount(row[name], comparison.metric.unit) for name in ("difference", "low", "high"))
    return [f"{mean} [{low.split()[0]}, {high.split()[0]}]", str(row["verdict"])]


def markdown(heads: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *rows))


def main() -> None:
    try:
        write()
    except DropexpError as error:
        sys.exit(f"{error}\n`make findings` trains the runs first")


def write() -> None:
    by_size = sizes()
    save(gains_chart(by_size), DOCS / "findings-sizes.svg")
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
