"""The growth benchmark, but for the timing: FLOPs by hand, what is counted, tables and charts of made-up figures."""

from __future__ import annotations

import multiprocessing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import growth
import growth_page
import pytest
from growth import SWEEPS, Shape
from growth_page import BEGIN, CHARTS, END
from torch.utils.flop_counter import FlopCounterMode

from dropexp.nets import matmul


def point(shape: Shape, peak_mb: float | None = 300.0) -> dict[str, Any]:
    """As if the limit was 100 GFLOP/s, the products took 1.25 times as long and the step 1.8 times, or up to 2.2."""
    limit = shape.flops(shape.train_size) / 1e11
    taken = {"step": [1.8 * limit, 2.2 * limit, 2 * limit], "products": [1.25 * limit] * 3, "rate": [1e11] * 3}
    rows, times = shape.turn()
    return {**shape.facts(rows), "rows": rows, "times": times, **taken, "peak_mb": peak_mb}


def results(peak_mb: float | None = 300.0) -> dict[str, Any]:
    shapes = dict.fromkeys(Shape(**{key: value}) for key, values in SWEEPS.items() for value in values)
    about = {"date": "2026-01-02", "cpu": "A, 2 cores", "load": 0.1, "system": "Linux", "versions": {"torch": "2.15.0"}}
    points = [point(shape, peak_mb) for shape in shapes]
    known = {"about": about, "threads": 2, "route": "onednn", "side": 2048, "book": asdict(Shape())}
    return {**known, "visits": 3, "rounds": 1, "points": points}


def test_flops_are_those_counted_by_hand() -> None:
    forward = 784 * 256 + 256 * 256 + 256 * 10
    assert Shape().flops(1) == 2 * (forward + forward + (256 * 256 + 256 * 10))
    assert round(Shape().flops(60_000) / 1e9, 1) == 72.7  # as in the study's notes
    assert Shape(width=3, depth=1).flops(7) == 7 * 2 * (2 * 784 * 3 + 3 * 3 * 10)


@pytest.mark.parametrize("batch_size", [256, 3000])  # sums over more rows than oneDNN sums in one piece too
def test_a_point_times_steps_and_their_products(
    batch_size: int, real_root: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared_cache))
    monkeypatch.setattr(growth, "SIDE", 64)
    ours, theirs = multiprocessing.Pipe()
    shape = Shape(batch_size=batch_size, train_size=3000)
    matmul.route()  # multiplies too, when it is asked for the first time
    with FlopCounterMode(display=False) as counted:
        growth.measure(real_root, shape, 2, 1e6, theirs)
    figures = ours.recv()
    assert [len(figures[name]) for name in ("step", "products", "rate")] == [2, 2, 2]
    turns = 1 + 3 * figures["times"] * 2  # the first warms up; each round is one of steps and one of products
    large = 3 * growth.TRIES * 2 * growth.SIDE**3
    assert counted.get_total_flops() == turns * shape.flops(figures["rows"]) + large


def test_a_turn_is_about_as_long_whatever_the_shape() -> None:
    assert Shape().turn() == (60_000, 1)
    assert Shape(train_size=1000).turn() == (1000, 58)
    for shape in (Shape(width=8192), Shape(depth=32)):
        rows, times = shape.turn()
        assert rows % shape.batch_size == 0 and rows >= growth.STEPS * shape.batch_size and times == 1


def test_rounds_of_all_visits_count_and_the_most_memory() -> None:
    first = point(Shape())
    again = {**first, "step": [0.1], "products": [0.2], "rate": [3e11], "peak_mb": 350.0}
    both = growth.merged(growth.merged(None, first), again)
    assert (both["step"], both["rate"], both["peak_mb"]) == ([*first["step"], 0.1], [1e11] * 3 + [3e11], 350.0)
    assert growth_page.best(both, "products") == pytest.approx(0.2 / (first["flops"] / 3e11))
    assert growth.merged(both, {**again, "peak_mb": None})["peak_mb"] == 350.0


def test_what_is_held_is_counted() -> None:
    held = Shape(train_size=1000).memory(1000)
    assert held[growth_page.LAYERS] == pytest.approx(2 * 4 * (784 * 256 + 256 * 256 + 2560 + 522) / 1e6)
    assert held[growth_page.DATA] == pytest.approx((71_000 * 3144 + 1000 * 56) / 1e6)
    rows = 256 + 232  # three whole batches and the last
    assert held[growth_page.BUFFERS] == pytest.approx((4 * rows * (4 * 512 + 30) + 256 * (3144 + 512)) / 1e6)


def test_the_table_has_the_quickest_round_ratios_and_says_what_was_scaled() -> None:
    lines = growth_page.table(results(), "width").splitlines()
    assert len(lines) == 2 + len(SWEEPS["width"])
    book, widest = ([cell.strip() for cell in lines[at].strip("|").split("|")] for at in (2, -1))
    assert book[:5] == ["256", "1.31", "0.909", "0.727", "18.00"]
    assert book[5:9] == ["**1.80**", "1.80–2.20", "1.25", "300"]
    assert widest[0] == "8192" and widest[1].endswith("\\*")
    assert [row["batch_size"] for row in growth_page.swept(results(), "batch_size")] == SWEEPS["batch_size"]


@pytest.mark.parametrize("peak_mb", [300.0, None])
def test_charts_and_page_are_drawn(peak_mb: float | None, tmp_path: Path) -> None:
    (tmp_path / "performance.md").write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n", encoding="utf-8")
    growth_page.write(results(peak_mb), tmp_path)
    text = (tmp_path / "performance.md").read_text(encoding="utf-8")
    assert CHARTS.keys() == SWEEPS.keys()
    assert text.startswith(f"above\n{BEGIN}\n") and text.endswith(f"{END}\nbelow\n") and "\nold\n" not in text
    assert "Taken on 2026-01-02 on A, 2 cores" in text and "matrix products: onednn." in text
    for file, axis in CHARTS.values():
        svg = (tmp_path / file).read_text(encoding="utf-8")
        assert f"]({file})" in text and axis in svg and growth_page.PRODUCTS in svg
        assert (growth_page.PEAK in svg) == (peak_mb is not None)
