"""The horizontal axis of a swept parameter: texts, or numbers on a linear, logarithmic or symmetric log scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dropexp.report.chart_parts import data_of
from dropexp.runs.record import text

LABEL, LETTER = 140, 6  # pixels of the longest label, and of a letter on average


@dataclass(frozen=True)
class SweepAxis:
    """The horizontal axis of a swept parameter: the channel for the field `x`, positions and labels of values."""

    channel: alt.X
    position: Callable[[Any, float], float]  # of a value, shifted by -0.5 to 0.5 of the space between values
    labels: list[alt.Chart]  # layers that label values that are texts; numbers are labelled by the channel


def label_columns(values: Sequence[float | str]) -> tuple[int, int]:
    """Return how many columns the labels of texts need, and their width in pixels; Vega fits labels of numbers."""
    if not any(isinstance(value, str) for value in values):
        return 0, 0
    widths = [min(LABEL, LETTER * len(text(value))) for value in values]
    return len(values), max((one + two) // 2 for one, two in pairwise([*widths, widths[-1]])) + LETTER


def sweep_axis(title: str, values: Sequence[float | str], height: int) -> SweepAxis:
    """Return the axis for these values: an index for texts; for numbers linear, logarithmic, or symlog with a zero."""
    is_text = any(isinstance(value, str) for value in values)
    numbers: list[Any] = [float(i) for i in range(len(values))] if is_text else [*values]
    number_of = dict(zip(values, numbers, strict=True))
    kind, constant = ("linear", 1.0) if is_text else _kind_of_scale(title, numbers)
    to, back = _transforms(kind, constant)
    positions = np.sort([to(number) for number in numbers])
    step = float(np.diff(positions).min()) / 3 if len(positions) > 1 else 1 / 3
    scale: dict[str, Any] = {"domain": [back(positions[0] - step), back(positions[-1] + step)], "nice": False}
    if kind != "linear":
        scale |= {"type": kind, **({"constant": constant} if kind == "symlog" else {})}
        title += ", symmetric log" if kind == "symlog" else ", logarithmic"
    axis: dict[str, Any] = {"values": sorted(numbers)} if len(values) <= 10 or is_text else {}
    if is_text:
        axis |= {"labels": False, "titlePadding": 24}  # labels are marks: an axis would evaluate them as expressions
    else:
        axis["labelExpr"] = "'' + datum.value"  # by default Vega shows 64 as 6e+1
    channel = alt.X("x", type="quantitative", title=title, scale=alt.Scale(**scale), axis=alt.Axis(**axis))
    frame = pd.DataFrame({"x": numbers, "name": map(text, values)})
    labels = (
        alt.Chart(data_of(frame))
        .mark_text(limit=LABEL)
        .encode(channel, alt.Text("name", type="nominal"), y=alt.value(height + 14))
    )

    def position(value: Any, shift: float) -> float:
        return back(to(number_of[value]) + shift * step)

    return SweepAxis(channel, position, [labels] if is_text else [])


def _kind_of_scale(title: str, numbers: Sequence[float]) -> tuple[str, float]:
    """Return "log" or "symlog" if the positive numbers are spaced more evenly in it, else "linear"; and its constant.

    Probabilities are always linear.
    """
    positive = sorted({number for number in numbers if number > 0})
    if min(numbers) < 0 or len(positive) < 2 or title.startswith("drop_probs"):
        return "linear", 1.0
    log = positive[-1] > 20 * positive[0] or (
        len(positive) > 2 and _unevenness(np.log(positive)) < _unevenness(np.array(positive)) / 1.5
    )
    return ("symlog" if min(numbers) == 0 else "log") if log else "linear", positive[0]


def _unevenness(positions: NDArray[np.float64]) -> float:
    gaps = np.diff(positions)
    return float(gaps.max() / gaps.min())


def _transforms(kind: str, constant: float) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """Return the functions from a number to its position on the axis, and back."""
    match kind:
        case "log":
            return math.log, math.exp
        case "symlog":
            return (
                lambda x: math.copysign(math.log1p(abs(x) / constant), x),
                lambda z: math.copysign(math.expm1(abs(z)) * constant, z),
            )
    return float, float
