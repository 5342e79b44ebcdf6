"""What a comparison, a listing or a benchmark shows: tables of text cells, alike on a terminal, in Markdown, LaTeX
and HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from dropexp.analysis.comparison import Comparison
from dropexp.config.tasks import LINEAR_REGRESSION
from dropexp.runs.metrics import METRICS, REGRESSION, UNITLESS, Metric
from dropexp.runs.record import text

if TYPE_CHECKING:
    from dropexp.runs.prune import Removal

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
    kind: str = ""  # of a comparison: arms, further, differences, settings, published or fits


# The columns of arms, beside the metric that is compared, and what they are: of accuracies, and where there is none.
_CLASSIFIED = (
    {"clean_train_acc": "train\naccuracy", "gap": "gap", "test_acc": "test\naccuracy", "test_loss": "test\nloss"},
    "train accuracy: in eval mode. gap: train accuracy in eval mode minus test accuracy. test loss: mean cross "
    "entropy, nats. ",
)
_REGRESSED = (
    {"test_loss": "test\nloss", "val_loss": "validation\nloss", "train_loss": "train\nloss", "w_norm": "‖w‖"},
    "losses: half the mean squared error, without the penalty. ‖w‖: norm of the weights. ",
)


def of(comparison: Comparison) -> list[Table]:
    """The tables that a comparison has something for, the arms first."""
    tables = [_arms(comparison), *_further(comparison)]
    if len(comparison.differences):
        tables.append(_differences(comparison))
    settings = comparison.settings
    labels_say_it = list(settings.columns) == ["arm", "variant"] and settings["arm"].equals(settings["variant"])
    if len(settings.columns) > 1 and not labels_say_it:
        tables.append(_settings(settings))
    tables += [_published(rows, comparison.metrics) for _, rows in comparison.published.groupby("arm", sort=False)]
    tables += [_fits(rows) for _, rows in comparison.fits.groupby("study", sort=False)]
    return tables


def runs(frame: pd.DataFrame) -> Table:
    """A line per run of `load_runs`: state, label, seed, last epoch, path; test accuracy, or loss in regression."""
    regressed = frame["task"] == LINEAR_REGRESSION if "task" in frame else pd.Series(False, frame.index)
    shown = [*["test_acc"] * (not regressed.all()), *["test_loss"] * bool(regressed.any())]
    rows = [
        [
            run["status"],
            *(ABSENT if pd.isna(run[key]) else str(run[key]) for key in ("label", "seed", "epoch")),
            *(_figure(run[name]) for name in shown),
            run["path"],
        ]
        for run in frame.to_dict("records")
    ]
    headers = ["state", "arm", "seed", "epoch", *(_CLASSIFIED[0][name] for name in shown), "path"]
    return Table("", headers, rows, left=(0, 1, len(headers) - 1))


def listed(removals: Sequence[Removal]) -> pd.DataFrame:
    """A row per removal: state, path, why, size in bytes."""
    rows = [(one.state, str(one.path), one.why, one.size) for one in removals]
    return pd.DataFrame(rows, columns=["state", "path", "why", "size"])


def removals(frame: pd.DataFrame) -> Table:
    """A line per folder that something may go from: state, size, why, path."""
    rows = [[row["state"], size(row["size"]), row["why"], row["path"]] for row in frame.to_dict("records")]
    return Table("", ["state", "size", "why", "path"], rows, fold=(2, 3), left=(0, 2, 3))


def size(count: int) -> str:
    """So many bytes, in a unit that fits."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def _arms(comparison: Comparison) -> Table:
    metric, form = comparison.metric, _form(comparison.metric)
    reached = [value for curve in comparison.arms["curve"] for value in curve if not math.isnan(value)]
    low, high = (min(reached), max(reached)) if reached else (0.0, 0.0)
    ends = f"from {low:{form}} ({BARS[0]}) to {high:{form}} ({BARS[-1]})"
    bars = f"by epoch: mean {metric.title}, {ends}." if reached else ""
    classified = "test_acc" in comparison.metrics
    headers, legend = _CLASSIFIED if classified else _REGRESSED
    known = comparison.arms.notna().any()
    more = {n: header for n, header in headers.items() if n != metric.name and (classified or known[n])}
    rows = [
        [
            arm["arm"],
            f"{arm['n']}, {arm['diverged']} diverged" if arm["diverged"] else str(arm["n"]),
            _spread(arm["mean"], arm["sd"], form),
            *(_figure(arm[name], "+.4f" if name == "gap" else _form(comparison.metrics[name])) for name in more),
            _figure(arm["seconds"], ".2f"),
            _sparkline(arm["curve"], low, high),
        ]
        for arm in comparison.arms.to_dict("records")
    ]
    columns = ["arm", "n", metric.title, *more.values(), "s/epoch", "by epoch"]
    return Table(
        f"Arms: {comparison.what}",
        columns,
        rows,
        fold=(0, 1),
        left=(0, len(columns) - 1),
        legend=f"n: runs, one per seed. ±: sample SD over the seeds. {legend}"
        f"s/epoch: median, training and test evaluation. {bars}",
        kind="arms",
    )


def _further(comparison: Comparison) -> list[Table]:
    """What probes measured, a column each; none if there was no probe."""
    own = METRICS if "test_acc" in comparison.metrics else REGRESSION
    shown = [m for name, m in comparison.metrics.items() if name not in own and comparison.arms[name].notna().any()]
    if not shown:
        return []
    rows = [
        [arm["arm"], *(_figure(arm[metric.name], _form(metric)) for metric in shown)]
        for arm in comparison.arms.to_dict("records")
    ]
    said = ". ".join(f"{metric.name}: {metric.title}" for metric in shown if metric.title != metric.name)
    return [
        Table(
            f"Further figures{comparison.what.removeprefix(comparison.metric.title)}",
            ["arm", *(metric.name for metric in shown)],
            rows,
            legend=f"means over the seeds; --metric NAME compares one. {said}".rstrip(". ") + ".",
            kind="further",
        )
    ]


def _differences(comparison: Comparison) -> Table:
    form = _form(comparison.metric)
    side = "higher" if comparison.metric.higher_is_better is None else "better"
    rows = [
        [
            f"{d['arm']} - {d['baseline']}",
            str(d["pairs"]),
            _figure(d["difference"], f"+{form}"),
            _interval(d["low"], d["high"], f"+{form}"),
            _p(d["p_holm"]),
            _p(d["p_equivalent"]),
            _figure(d["wins"], ".0%"),
            _figure(d["detectable"], form),
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
        f"won: pairs in which the arm is {side}, ties half. "
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


def _published(published: pd.DataFrame, metrics: dict[str, Metric]) -> Table:
    records = published.to_dict("records")
    rows = [
        [
            metrics[p["figure"]].title,
            str(p["epoch"]),
            f"{_figure(p['published'], form)} ± {_figure(p['rounding'], form)}",
            _spread(p["mean"], p["sd"], form),
            _interval(p["low"], p["high"], form),
            {True: "yes", False: "no"}.get(p["inside"], ABSENT),
        ]
        for p in records
        for form in [_form(metrics[p["figure"]])]
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


def _form(metric: Metric) -> str:
    """Four decimals; of what has no unit, and may be of any size, four digits."""
    return ".4g" if metric.unit in UNITLESS else ".4f"


def _figure(value: float, form: str = ".4f") -> str:
    return ABSENT if math.isnan(value) else format(value, form)


def _p(value: float) -> str:
    return _figure(value) if math.isnan(value) or value >= 0.0001 else "<.0001"


def _spread(mean: float, sd: float, form: str = ".4f") -> str:
    return _figure(mean, form) if math.isnan(sd) else f"{mean:{form}} ± {sd:{form}}"


def _interval(low: float, high: float, form: str = ".4f") -> str:
    return ABSENT if math.isnan(low) else f"[{low:{form}}, {high:{form}}]"


def _sparkline(curve: Sequence[float], low: float, high: float) -> str:
    """A bar per epoch, at one scale for all arms; of a long curve evenly spaced epochs, the last too."""
    if len(curve) > CURVE_WIDTH:
        curve = [curve[round(i * (len(curve) - 1) / (CURVE_WIDTH - 1))] for i in range(CURVE_WIDTH)]
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if math.isnan(v) else BARS[round((v - low) * scale)] for v in curve) or ABSENT
