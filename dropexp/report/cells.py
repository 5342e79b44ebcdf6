"""The cells of tables: figures, intervals and curves as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from dropexp.runs.metrics import format_figure

ABSENT = "-"
NOT_KEPT = "not kept"  # predictions: of a run that an earlier version trained, or of another epoch
BARS = "▁▂▃▄▅▆▇█"
CURVE_WIDTH = 20  # bars of a curve; longer curves are thinned


def is_missing(value: Any) -> bool:
    """Return whether a cell has no value; pd.isna would test the items of a list."""
    return value is None or value is pd.NA or value != value


def figure_cell(value: float, form: str = ".4f") -> str:
    """Format a figure; it is `ABSENT` if it is unknown."""
    return ABSENT if math.isnan(value) else format_figure(value, form)


def p_cell(value: float) -> str:
    """Format a p-value with four decimals."""
    return figure_cell(value) if math.isnan(value) or value >= 0.0001 else "<.0001"


def spread_cell(mean: float, sd: float, form: str) -> str:
    """Format a mean and its SD, if that is known."""
    return figure_cell(mean, form) if math.isnan(sd) else f"{format_figure(mean, form)} ± {format_figure(sd, form)}"


def interval_cell(low: float, high: float, form: str) -> str:
    """Format an interval; it is `ABSENT` if its ends are unknown."""
    return ABSENT if math.isnan(low) else f"[{format_figure(low, form)}, {format_figure(high, form)}]"


def sparkline(curve: Sequence[float], low: float, high: float) -> str:
    """Draw a bar per measured epoch on a scale from `low` to `high`; of many, evenly spaced ones with the last."""
    curve = [value for value in curve if not math.isnan(value)]
    if len(curve) > CURVE_WIDTH:
        curve = [curve[round(i * (len(curve) - 1) / (CURVE_WIDTH - 1))] for i in range(CURVE_WIDTH)]
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in curve) or ABSENT
