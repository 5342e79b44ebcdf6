"""Parts of charts: labels that do not overlap, themes, selections."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import pytest
from helpers.chart_specs import Spec
from helpers.fake_runs import write_arm

from dropexp.analysis.comparison import Comparison, compare
from dropexp.report.charts import epochs as epoch_charts
from dropexp.report.charts.style import LINE, ValueAxis, data_of, line_labels, theme
from dropexp.report.charts.sweep_axis import sweep_axis


def test_labels_of_close_lines_are_a_text_line_apart(tmp_path: Path) -> None:
    for i in range(12):
        write_arm(tmp_path, "nn", [0.8 + i * 1e-5], arm=f"arm {i}", lr=0.1 + i)
    spec = Spec(epoch_charts.learning_curves(compare((), tmp_path)))
    labels = spec.rows("text")
    low, high = spec.channels("y")[0]["scale"]["domain"]
    pixels = sorted(280 * (row["label_y"] - low) / (high - low) for row in labels)
    assert min(b - a for a, b in pairwise(pixels)) > LINE - 0.2
    assert all(-1 < pixel < 281 for pixel in pixels)
    order = sorted(labels, key=lambda row: row["mean"])
    assert [row["label_y"] for row in order] == sorted(row["label_y"] for row in order)


@pytest.mark.parametrize("log", [False, True])
def test_labels_of_distant_lines_are_at_their_ends(log: bool) -> None:
    ends = pd.DataFrame({"mean": [30.0, 1.0], "label": ["b", "a"], "arm": ["b", "a"], "n": [1, 1]})
    y = ValueAxis(alt.Y, "loss", [0.5, 60.0], log)
    _, labels = line_labels(ends, y, alt.Color("label"), (460, 280))
    rows = labels.to_dict()["datasets"].popitem()[1]
    assert [row["label_y"] for row in rows] == pytest.approx([1.0, 30.0])


@pytest.mark.parametrize(
    ("values", "scale", "ticks"),
    [([0.001, 0.01, 0.5], "log", [0.001, 0.01, 0.5]), ([64, 128], None, [64, 128]), (["a", "b"], None, [0, 1])],
)
def test_an_axis_of_a_sweep_fits_its_values(values: list[float | str], scale: str | None, ticks: list[float]) -> None:
    axis = sweep_axis("x", values, (460, 300))
    channel: Any = axis.channel.to_dict()
    assert (channel["scale"].get("type"), channel["axis"]["values"]) == (scale, ticks)
    low, high = channel["scale"]["domain"]
    positions = [axis.position(value, shift) for value in values for shift in (-0.5, 0.0, 0.5)]
    assert low < positions[0] and positions[-1] < high
    assert positions == sorted(positions)


def test_texts_below_a_sweep_are_slanted_only_if_they_would_overlap() -> None:
    for values, is_slanted in ((["none", "nn"], False), (["none", "nn", "gaussian", "dropconnect-per-example"], True)):
        (labels,) = sweep_axis("variant", values, (460, 300)).labels
        assert ("angle" in labels.to_dict()["mark"]) == is_slanted


def test_data_is_finite_numbers_of_six_digits_and_printable_text() -> None:
    frame = pd.DataFrame({"a": [1 / 3, float("nan")], "b": ["x\x1b", "y"], "c": pd.array([1, None], dtype="Int64")})
    assert isinstance(data_of(frame).values, tuple)  # which Altair does not copy
    assert list(data_of(frame).values) == [{"a": 0.333333, "b": "x\ufffd", "c": 1}, {"a": None, "b": "y", "c": None}]


def test_both_themes_set_the_same_keys_and_no_theme_is_in_a_chart(two_arms: Comparison) -> None:
    light, dark = theme(dark=False), theme(dark=True)
    assert light.keys() == dark.keys()
    assert light["text"]["color"] != dark["text"]["color"]
    assert light["background"] == dark["background"] == "transparent"
    assert set(Spec(epoch_charts.learning_curves(two_arms)).content["config"]) == {"view"}  # Altair's own
