"""The horizontal axis of a swept parameter: texts, or numbers on a linear, logarithmic or symmetric log scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dropexp.report.charts.style import data_of
from dropexp.runs.record import text

LONGEST, LETTER = 140, 7  # pixels of a label of text at most, and of one of its letters


@dataclass(frozen=True)
class SweepAxis:
    """The horizontal axis of a swept parameter: the channel for the field `x`, positions and labels of values."""

    channel: alt.X
    position: Callable[[Any, float], float]  # of a value, shifted by -0.5 to 0.5 of a third of the smallest distance
    labels: list[alt.Chart]  # layers that label values that are texts; numbers are labelled by the channel


def are_texts(values: Sequence[float | str]) -> bool:
    """Return whether the axis has a label for each of these values at equal distances, since not all are numbers."""
    return any(isinstance(value, str) for value in values)


def sweep_axis(title: str, values: Sequence[float | str], size: tuple[int, int]) -> SweepAxis:
    """Return the axis of a plot of `size` pixels for these values.

    Texts are at equal distances, and slanted if they would overlap. Numbers are on a linear or a logarithmic scale, or
    on a symmetric log scale if one of them is 0.
    """
    is_text = are_texts(values)
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
        widest = min(LONGEST, LETTER * max(len(text(value)) for value in values))
        is_slanted = widest > size[0] / len(values)
        padding = 14 + round(widest / math.sqrt(2)) if is_slanted else 24
        axis |= {"labels": False, "titlePadding": padding}  # labels are marks: an axis would evaluate them
    else:
        axis["labelExpr"] = "'' + datum.value"  # by default Vega shows 64 as 6e+1
    channel = alt.X("x", type="quantitative", title=title, scale=alt.Scale(**scale), axis=alt.Axis(**axis))
    frame = pd.DataFrame({"x": numbers, "name": map(text, values)})
    slant: dict[str, Any] = {"angle": 315, "align": "right"} if is_text and is_slanted else {}
    labels = (
        alt.Chart(data_of(frame))
        .mark_text(limit=LONGEST, **slant)
        .encode(channel, alt.Text("name", type="nominal"), y=alt.value(size[1] + 14))
    )

    def position(value: Any, shift: float) -> float:
        return back(to(number_of[value]) + shift * step)

    return SweepAxis(channel, position, [labels] if is_text else [])


def _kind_of_scale(title: str, numbers: Sequence[float]) -> tuple[str, float]:
    """Return "linear", "log" or "symlog" (log with a zero), and the constant of symlog, the smallest positive number.

    The scale is logarithmic if the positive numbers differ by a factor above 20, or are spaced clearly more evenly on
    it. Probabilities are always linear.
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
