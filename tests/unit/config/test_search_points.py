"""The space of a search: where its points are, and that they stay the same."""

from __future__ import annotations

from typing import Any

import pytest

from dropexp.config.search_points import draw_points
from dropexp.config.search_space import Dimension

LR = Dimension("log", (0.005, 0.5))
SPACE = {
    "lr": LR,
    "momentum": Dimension("choice", (0.0, 0.9)),
    "drop_probs": Dimension("each", (0.0, 0.8)),
    "input_drop_prob": Dimension("uniform", (0.0, 0.5)),
    "batch_size": Dimension("uniform", (2, 5), whole=True),
}
STREAM = {"settings": {"variant": "scratch"}, "repeat": 0}


def drawn(num_points: int = 64, **stream: Any) -> list[dict[str, Any]]:
    return draw_points(SPACE, 2, num_points, STREAM | stream)


def test_the_first_points_stay_as_they_are() -> None:
    """In any process: other points would be other runs. Only a search in study.json would keep its points."""
    assert drawn(2) == [
        {"lr": 0.03015, "momentum": 0.0, "drop_probs": [0.3198, 0.2249], "input_drop_prob": 0.2999, "batch_size": 3},
        {"lr": 0.1298, "momentum": 0.9, "drop_probs": [0.7901, 0.4598], "input_drop_prob": 0.2013, "batch_size": 4},
    ]


def test_every_value_is_in_its_range_with_four_significant_digits() -> None:
    points = drawn()
    for key in ("lr", "input_drop_prob"):
        low, high = SPACE[key].values
        values = [point[key] for point in points]
        assert all(low <= value <= high and value == float(f"{value:.4g}") for value in values)
        assert len(set(values)) > 60
    assert all(len(point["drop_probs"]) == 2 for point in points)
    assert all(0 <= p <= 0.8 and p == float(f"{p:.4g}") for point in points for p in point["drop_probs"])
    assert {point["momentum"] for point in points} == {0.0, 0.9}
    assert all(type(point["batch_size"]) is int for point in points)
    assert [[point["batch_size"] for point in points].count(whole) for whole in (2, 3, 4, 5)] == [16] * 4


@pytest.mark.parametrize(("key", "middle"), [("lr", 0.05), ("input_drop_prob", 0.25)])
def test_half_of_the_values_are_below_the_middle_of_the_range_on_its_scale(key: str, middle: float) -> None:
    assert sum(point[key] < middle for point in drawn()) == 32  # of 64 Sobol points exactly


def test_the_entries_for_the_layers_are_drawn_separately() -> None:
    below = [tuple(p < 0.4 for p in point["drop_probs"]) for point in drawn()]
    assert {pair: below.count(pair) for pair in below} == dict.fromkeys(
        [(False, False), (False, True), (True, False), (True, True)], 16
    )


def test_choices_are_drawn_equally_often() -> None:
    space = {"batch_size": Dimension("choice", (32, 64, 128, 256))}
    values = [point["batch_size"] for point in draw_points(space, 2, 64, STREAM)]
    assert [values.count(size) for size in (32, 64, 128, 256)] == [16] * 4


def test_more_points_keep_the_first_ones() -> None:
    assert drawn(100)[:7] == drawn(7)


def test_other_streams_have_other_points() -> None:
    streams: list[dict[str, Any]] = [{}, {"repeat": 1}, {"settings": {"variant": "none"}}]
    assert len({point["lr"] for stream in streams for point in drawn(4, **stream)}) == 12


def test_rounding_never_leaves_the_range() -> None:
    narrow = Dimension("uniform", (0.123456, 0.123457))
    assert {narrow.value([u]) for u in (0.0, 0.5, 1.0)} == {0.123457}  # 0.1235 would be above it
    assert Dimension("log", (0.33333, 3)).value([0.0]) == 0.33333
    assert Dimension("uniform", (0, 1.99999)).value([1.0]) == 1.99999


@pytest.mark.parametrize(("u", "value"), [(0.0, 1), (0.5, 10), (0.75, 32), (1.0, 100)])
def test_whole_numbers_are_drawn_from_a_log_range(u: float, value: int) -> None:
    drawn = Dimension("log", (1, 100), whole=True).value([u])
    assert drawn == value and type(drawn) is int


def test_a_space_without_keys_has_the_same_empty_point_for_each_trial() -> None:
    assert draw_points({}, 2, 3, STREAM) == [{}, {}, {}]


@pytest.mark.parametrize("dimension", [LR, SPACE["input_drop_prob"]])
def test_the_position_of_a_value_is_where_it_is_drawn(dimension: Dimension) -> None:
    for u in (0.0, 0.1, 0.5, 1.0):
        assert dimension.position(dimension.value([u])) == pytest.approx(u, abs=1e-3)
