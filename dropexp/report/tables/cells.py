"""The cells of tables: figures, intervals and curves as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from dropexp.analysis.sentences import rounded_p
from dropexp.runs.metrics import Unit, format_figure

ABSENT = "-"
NOT_KEPT = "not kept"  # predictions: of a run that an earlier version trained, or of another epoch
BARS = "▁▂▃▄▅▆▇█"
CURVE_WIDTH = 20  # bars of a curve; longer curves are thinned


def is_missing(value: Any) -> bool:
    """Return whether a cell has no value; pd.isna would test the items of a list."""
    return value is None or value is pd.NA or value != value


def number_cell(value: float, form: str = ".4f") -> str:
    """Format a number without a unit; it is `ABSENT` if it is unknown."""
    return ABSENT if math.isnan(value) else format_figure(value, form)


def figure_cell(value: float, unit: Unit, sign: str = "") -> str:
    """Format a stored figure as people read it: accuracies in %, differences of them in percentage points."""
    return ABSENT if math.isnan(value) else unit.show(value, sign)


def header(title: str, unit: Unit) -> str:
    """Return the header of a column of figures, with the unit if it is not that of csv."""
    return f"{title}, {unit.figures}" if unit.factor != 1 else title


def p_cell(value: float) -> str:
    """Format a p-value with at least four decimals."""
    if math.isnan(value):
        return ABSENT
    return "<.0001" if value < 0.0001 else rounded_p(value, 4)


def spread_cell(mean: float, sd: float, unit: Unit) -> str:
    """Format a mean and its SD, if that is known."""
    return figure_cell(mean, unit) if math.isnan(sd) else f"{unit.show(mean)} ± {unit.show(sd)}"


def interval_cell(low: float, high: float, unit: Unit, sign: str = "") -> str:
    """Format an interval; it is `ABSENT` if its ends are unknown."""
    return ABSENT if math.isnan(low) else f"[{unit.show(low, sign)}, {unit.show(high, sign)}]"


def sparkline(curve: Sequence[float], low: float, high: float) -> str:
    """Draw a bar per measured epoch on a scale from `low` to `high`; at most `CURVE_WIDTH`, evenly spaced."""
    curve = [value for value in curve if not math.isnan(value)]
    if len(curve) > CURVE_WIDTH:
        curve = [curve[round(i * (len(curve) - 1) / (CURVE_WIDTH - 1))] for i in range(CURVE_WIDTH)]
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in curve) or ABSENT
