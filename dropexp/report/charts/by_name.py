"""The charts of a comparison by name: all on a sheet, one alone, and their files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import altair as alt
import vl_convert
from altair.typing import ChartType
from altair.utils import schemapi

from dropexp.analysis.comparison import Comparison
from dropexp.did_you_mean import did_you_mean
from dropexp.errors import ChartError
from dropexp.files import write_result
from dropexp.report.arm_names import for_charts
from dropexp.report.charts import arms as arm_charts
from dropexp.report.charts import classes as class_charts
from dropexp.report.charts import epochs as epoch_charts
from dropexp.report.charts.book import book
from dropexp.report.charts.budget import budget
from dropexp.report.charts.glyphs import note_on_glyphs
from dropexp.report.charts.style import AUTO, Size, grid, theme, vega

SUFFIXES = (".png", ".svg", ".pdf", ".html")

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>dropexp</title><style>body { background: white }</style>
<script>%(script)s</script></head><body><div id="chart"></div>
<script>vegaEmbed("#chart", ...%(figures)s);</script></body></html>
"""


@dataclass(frozen=True)
class Kind:
    """A kind of chart: what draws it, and what runs need for it; `draw` returns None for runs that lack it."""

    draw: Callable[[Comparison, Size], ChartType | None]
    needs: str = "finished runs"
    on_sheet: bool = True


_PREDICTIONS = "kept predictions, which runs of earlier versions and runs without test figures lack"
KINDS = {
    "book": Kind(book, "losses and accuracies of training"),
    "learning": Kind(epoch_charts.learning_curves),
    "arms": Kind(arm_charts.arms),
    "differences": Kind(arm_charts.differences, "an arm that has a baseline"),
    "sweep": Kind(arm_charts.sweep, "the option --by KEY"),
    "budget": Kind(budget, "a search for settings, the section `tune`"),
    "usual": Kind(epoch_charts.usual_curves, "the option --metric with what a probe measured"),
    "loss": Kind(epoch_charts.loss, "losses"),
    "gap": Kind(epoch_charts.gap, "the train accuracy in evaluation mode: eval_train"),
    "published": Kind(epoch_charts.published, "published figures in the config"),
    "confusion": Kind(class_charts.confusion, _PREDICTIONS, on_sheet=False),
    "classes": Kind(class_charts.classes, _PREDICTIONS, on_sheet=False),
    "reliability": Kind(class_charts.reliability, _PREDICTIONS, on_sheet=False),
}


def check_kind(name: str) -> None:
    """Raise ChartError for a chart that does not exist, with the nearest name."""
    if name not in KINDS:
        raise ChartError(f"unknown chart {name!r}{did_you_mean(name, KINDS)}; the charts are {', '.join(KINDS)}")


@schemapi.debug_mode(False)  # validating each part takes as long as drawing it; the tests validate
def single(comparison: Comparison, name: str, size: Size = AUTO, title: str | None = None) -> ChartType:
    """Draw one chart. A `title` replaces the chart's own and its legend; "" removes them.

    Raises ChartError for an unknown name, and for a chart that these runs have no data for.
    """
    check_kind(name)
    chart = KINDS[name].draw(for_charts(comparison), size)
    if chart is None:
        raise ChartError(f"chart {name!r} cannot be drawn from these runs: it needs {KINDS[name].needs}")
    if title is not None:
        chart.title = title or alt.Undefined
    return chart


@schemapi.debug_mode(False)
def overview(comparison: Comparison) -> ChartType:
    """Draw every chart that the comparison has data for, one below the other."""
    shown = for_charts(comparison)
    kinds = {name: kind for name, kind in KINDS.items() if kind.on_sheet}
    if comparison.metric.name == "gap":
        del kinds["gap"]  # the learning curves show it
    charts = [chart for kind in kinds.values() if (chart := kind.draw(shown, AUTO)) is not None]
    title = alt.Title(f"dropexp: {comparison.what}", fontSize=20, offset=20)
    page: ChartType = grid(charts, 1).resolve_scale(shape="independent", color="independent", strokeDash="independent")
    return page.properties(title=title, description=" ".join(str(chart.description) for chart in charts))


def save(chart: ChartType, path: Path) -> str | None:
    """Write a picture or, as .html, a page that needs no network, and create its folder.

    Return a note if no font has some of its characters. Raises ChartError for another suffix.
    """
    suffix = suffix_of(path)
    spec = chart.to_dict(validate=False)  # the tests validate
    config = theme(dark=False) | {"background": "white"}
    if suffix == ".png":
        content = vl_convert.vegalite_to_png(spec, config=config, scale=2)
    elif suffix == ".svg":
        content = vl_convert.vegalite_to_svg(spec, config=config).encode()
    elif suffix == ".pdf":
        content = vl_convert.vegalite_to_pdf(spec, config=config)
    else:
        menu = {"export": True, "source": False, "compiled": False, "editor": False}
        figures = json.dumps([spec, {"config": config, "actions": menu}]).replace("<", "\\u003c")  # a label </script>
        content = (_PAGE % {"script": vega(), "figures": figures}).encode()
    write_result(path, content)
    return note_on_glyphs(spec, path)


def suffix_of(path: Path) -> str:
    """Return the suffix of a chart's file. Raises ChartError for one that no chart can be written as."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ChartError(f"{path}: unknown kind of chart {suffix!r}; allowed: {', '.join(SUFFIXES)}")
    return suffix
