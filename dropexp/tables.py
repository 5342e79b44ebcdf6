"""What a comparison, a listing or a benchmark shows: tables of text cells, alike on a terminal, in Markdown, LaTeX
and HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from dropexp.comparison import Comparison
from dropexp.history import text
from dropexp.metrics import METRICS

if TYPE_CHECKING:
    from dropexp import benchmark

ABSENT = "-"
BARS = "▁▂▃▄▅▆▇█"
CURVE_WIDTH = 20  # longer curves are thinned to so many bars


@dataclass(frozen=True)
class Table:
    title: str
    headers: Sequence[str]  # a line break where a console may save width
    rows: Sequence[Sequence[str]]
    fold: Sequence[int] = (0,)  # columns whose words may go on several lines; a figure never does
    left: Sequence[int] = (0,)
    legend: str = ""
    kind: str = ""  # of a comparison: arms, differences, settings, published or fits


def of(comparison: Comparison) -> list[Table]:
    """The tables that a comparison has something for, the arms first."""
    tables = [_arms(comparison)]
    if len(comparison.differences):
        tables.append(_differences(comparison))
    settings = comparison.settings
    labels_say_it = list(settings.columns) == ["arm", "variant"] and settings["arm"].equals(settings["variant"])
    if len(settings.columns) > 1 and not labels_say_it:
        tables.append(_settings(settings))
    tables += [_published(rows) for _, rows in comparison.published.groupby("arm", sort=False)]
    tables += [_fits(rows) for _, rows in comparison.fits.groupby("study", sort=False)]
    return tables


def runs(frame: pd.DataFrame) -> Table:
    """A line per run of `load_runs`: state, label, seed, last epoch, test accuracy, path."""
    rows = [
        [
            run["status"],
            *(ABSENT if pd.isna(run[key]) else str(run[key]) for key in ("label", "seed", "epoch")),
            _figure(run["test_acc"]),
            run["path"],
        ]
        for run in frame.to_dict("records")
    ]
    return Table("", ["state", "arm", "seed", "epoch", "test\naccuracy", "path"], rows, left=(0, 1, 5))


def timings(result: benchmark.Result) -> Table:
    """The timings of a benchmark and their ratios."""
    book, products = result.timings[0].median, result.timings[-1].median
    rows = [
        [
            timing.name,
            f"{timing.median:.3f}",
            f"{min(timing.seconds):.3f} - {max(timing.seconds):.3f}",
            f"{book / timing.median:.1f}",
            f"{timing.median / products:.2f}",
        ]
        for timing in result.timings
    ]
    peak = (
        ""
        if result.peak_mb is None
        else f" Peak memory of training: {result.peak_mb:.0f} MB above torch, imported and multiplying."
    )
    legend = (
        "An epoch trains on 60,000 images and evaluates 10,000; all were timed in turn in one process. "
        f"Threads: {result.threads}. Matrix products of nn, scratch and alone: {result.route}.{peak}"
    )
    headers = ["", "s/epoch", "min - max", "times the\nbook's speed", "times the\nproducts' time"]
    return Table("Epoch time, median", headers, rows, legend=legend)


def _arms(comparison: Comparison) -> Table:
    metric = comparison.metric
    reached = [value for curve in comparison.arms["curve"] for value in curve if not math.isnan(value)]
    low, high = (min(reached), max(reached)) if reached else (0.0, 0.0)
    bars = f"by epoch: mean {metric.title}, from {low:.4f} ({BARS[0]}) to {high:.4f} ({BARS[-1]})." if reached else ""
    more = {"clean_train_acc": "train\naccuracy", "gap": "gap", "test_acc": "test\naccuracy", "test_loss": "test\nloss"}
    more = {name: header for name, header in more.items() if name != metric.name}
    rows = [
        [
            arm["arm"],
            f"{arm['n']}, {arm['diverged']} diverged" if arm["diverged"] else str(arm["n"]),
            _spread(arm["mean"], arm["sd"]),
            *(_figure(arm[name], "+.4f" if name == "gap" else ".4f") for name in more),
            _figure(arm["seconds"], ".2f"),
            _sparkline(arm["curve"], low, high),
        ]
        for arm in comparison.arms.to_dict("records")
    ]
    headers = ["arm", "n", metric.title, *more.values(), "s/epoch", "by epoch"]
    return Table(
        f"Arms: {comparison.what}",
        headers,
        rows,
        fold=(0, 1),
        left=(0, len(headers) - 1),
        legend="n: runs, one per seed. ±: sample SD over the seeds. train accuracy: in eval mode. gap: train "
        "accuracy in eval mode minus test accuracy. test loss: mean cross entropy, nats. "
        f"s/epoch: median, training and test evaluation. {bars}",
        kind="arms",
    )


def _differences(comparison: Comparison) -> Table:
    rows = [
        [
            f"{d['arm']} - {d['baseline']}",
            str(d["pairs"]),
            _figure(d["difference"], "+.4f"),
            _interval(d["low"], d["high"], "+.4f"),
            _p(d["p_holm"]),
            _p(d["p_equivalent"]),
            _figure(d["wins"], ".0%"),
            _figure(d["detectable"]),
            d["verdict"],
        ]
        for d in comparison.differences.to_dict("records")
    ]
    return Table(
        f"Differences: {comparison.what}",
        ["arm - baseline", "pairs", "difference", "95 % interval", "p", "p equal", "won", "detectable", "verdict"],
        rows,
        fold=(0, 8),
        left=(0, 8),
        legend="difference: mean over pairs of runs with one seed. interval: 95 % t-interval of that mean. "
        "p: two-sided sign-flip test, after Holm over these rows (the interval is not). "
        f"p equal: two one-sided t-tests against ±{comparison.margin:g}. "
        "won: pairs in which the arm is better, ties half. "
        "detectable: the difference that a paired t-test finds in 80 of 100 studies of so many pairs.",
        kind="differences",
    )


def _settings(settings: pd.DataFrame) -> Table:
    rows = [
        [ABSENT if value is None or value is pd.NA or value != value else text(value) for value in row]
        for row in settings.itertuples(index=False)
    ]
    columns = [str(column) for column in settings.columns]
    return Table(
        "Settings that differ", columns, rows, fold=range(len(columns)), left=range(len(columns)), kind="settings"
    )


def _published(published: pd.DataFrame) -> Table:
    records = published.to_dict("records")
    rows = [
        [
            METRICS[p["figure"]].title,
            str(p["epoch"]),
            f"{_figure(p['published'])} ± {_figure(p['rounding'])}",
            _spread(p["mean"], p["sd"]),
            _interval(p["low"], p["high"]),
            {True: "yes", False: "no"}.get(p["inside"], ABSENT),
        ]
        for p in records
    ]
    source = f" ({records[0]['source']})" if isinstance(records[0]["source"], str) else ""
    return Table(
        f"{records[0]['arm']}, n = {records[0]['n']}, beside the published figures{source}",
        ["figure", "epoch", "published", "ours", "95 % of\nsingle runs", "inside"],
        rows,
        left=(0, 5),
        legend="ours: mean ± sample SD over the seeds. running: taken in training, with the noise on. "
        "95 % of single runs: prediction interval for one run of ours. "
        "published: ± its rounding. inside: whether it may lie there, given its rounding.",
        kind="published",
    )


def _fits(fits: pd.DataFrame) -> Table:
    records = fits.to_dict("records")
    rows = [
        [
            fit["arm"],
            str(fit["n"]),
            f"{fit['log_likelihood'] - records[0]['log_likelihood']:+.2f}",
            f"{fit['right']} of {fit['n']}",
            f"{fit['right']} of {fit['given']}",
        ]
        for fit in records
    ]
    return Table(
        f"{records[0]['study']}: which arm the {records[0]['figures']} published figures fit",
        ["arm", "n", "log likelihood\nto the best", "own runs\ngiven back", "runs given\nits own"],
        rows,
        legend="log likelihood: natural, of all published figures, as if they were independent, integrated over their "
        "rounding. given back: how many of the arm's runs the same rule, each held out in turn, gives to the arm. "
        "its own: how many of all runs that the rule gives to the arm are of it.",
        kind="fits",
    )


def _figure(value: float, form: str = ".4f") -> str:
    return ABSENT if math.isnan(value) else format(value, form)


def _p(value: float) -> str:
    return _figure(value) if math.isnan(value) or value >= 0.0001 else "<.0001"


def _spread(mean: float, sd: float) -> str:
    return _figure(mean) if math.isnan(sd) else f"{mean:.4f} ± {sd:.4f}"


def _interval(low: float, high: float, form: str = ".4f") -> str:
    return ABSENT if math.isnan(low) else f"[{low:{form}}, {high:{form}}]"


def _sparkline(curve: Sequence[float], low: float, high: float) -> str:
    """A bar per epoch, at one scale for all arms; of a long curve evenly spaced epochs, the last too."""
    if len(curve) > CURVE_WIDTH:
        curve = [curve[round(i * (len(curve) - 1) / (CURVE_WIDTH - 1))] for i in range(CURVE_WIDTH)]
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if math.isnan(v) else BARS[round((v - low) * scale)] for v in curve) or ABSENT


def markdown(tables: Sequence[Table], remarks: Sequence[str] = ()) -> str:
    """Tables with titles and legends, and remarks as a list, for GitHub."""
    blocks = [_markdown(table) for table in tables]
    return "\n".join([*blocks, *(f"- {_escaped(remark)}" for remark in remarks)]).rstrip()


def _markdown(table: Table) -> str:
    marks = ["---" if i in table.left else "---:" for i in range(len(table.headers))]
    lines = [[header.replace("\n", " ") for header in table.headers], marks, *table.rows]
    grid = "\n".join("| " + " | ".join(map(_escaped, line)) + " |" for line in lines)
    return f"**{_escaped(table.title)}**\n\n{grid}\n\n{table.legend}\n" if table.title else grid


def _escaped(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


_LATEX = str.maketrans(
    {
        **{c: f"\\{c}" for c in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"},
        **{
            ">": r"\textgreater{}",
            "±": r"$\pm$",
            "×": r"$\times$",
            "−": "$-$",
            "–": "--",
            "≥": r"$\ge$",
            "≤": r"$\le$",
        },
    }
)


def latex(tables: Sequence[Table], remarks: Sequence[str] = ()) -> str:
    """Tables for a LaTeX document with the package booktabs; bars by epoch are left out, remarks are comments."""
    return "\n".join([*map(_latex, tables), *("% " + " ".join(remark.split()) for remark in remarks)]).rstrip()


def _latex(table: Table) -> str:
    shown = [i for i, header in enumerate(table.headers) if header != "by epoch"]
    lines = [[line[i].replace("\n", " ").translate(_LATEX) for i in shown] for line in (table.headers, *table.rows)]
    head, *body = [" & ".join(line) + r" \\" for line in lines]
    columns = "".join("l" if i in table.left else "r" for i in shown)
    caption = _in_latex(table.title)
    return "\n".join(
        [
            *(r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", rf"\begin{{tabular}}{{{columns}}}"),
            *(r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""),
        ]
    )


def _in_latex(cell: str) -> str:
    return cell.replace("\n", " ").translate(_LATEX)
