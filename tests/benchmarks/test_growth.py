"""The growth benchmark without its timings: FLOPs, memory, and tables and charts from generated figures."""

from __future__ import annotations

import multiprocessing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import growth
import pytest
from growth import SWEEPS, Shape
from pages import growth as page
from torch.utils.flop_counter import FlopCounterMode

from dropexp.nets import matmul


def point(shape: Shape, peak_mb: float | None = 300.0) -> dict[str, Any]:
    """Return figures for a peak of 100 GFLOP/s: matmuls take 1.25 times the least time, steps 1.8 to 2.2 times."""
    limit = shape.flops(shape.train_size) / 1e11
    seconds = {"step": [1.8 * limit, 2.2 * limit, 2 * limit], "matmul": [1.25 * limit] * 3, "rate": [1e11] * 3}
    rows, times = shape.sample()
    return {**shape.facts(rows), "rows": rows, "times": times, **seconds, "peak_mb": peak_mb}


def results(peak_mb: float | None = 300.0) -> dict[str, Any]:
    shapes = dict.fromkeys(Shape(**{key: value}) for key, values in SWEEPS.items() for value in values)
    about = {"date": "2026-01-02", "cpu": "A, 2 cores", "load": 0.1, "system": "Linux", "versions": {"torch": "2.15.0"}}
    points = [point(shape, peak_mb) for shape in shapes]
    known = {"about": about, "threads": 2, "backend": "onednn", "side": 2048, "book": asdict(Shape())}
    return {**known, "visits": 3, "rounds": 1, "points": points}


def test_flops_equal_a_count_by_hand() -> None:
    forward = 784 * 256 + 256 * 256 + 256 * 10
    assert Shape().flops(1) == 2 * (forward + forward + (256 * 256 + 256 * 10))
    assert round(Shape().flops(60_000) / 1e9, 1) == 72.7
    assert Shape(width=3, depth=1).flops(7) == 7 * 2 * (2 * 784 * 3 + 3 * 3 * 10)


@pytest.mark.parametrize("batch_size", [256, 3000])  # 3000: more rows than oneDNN sums in one block
def test_a_point_times_steps_and_their_matrix_products(
    batch_size: int, real_root: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared_cache))
    monkeypatch.setattr(growth, "SIDE", 64)
    receiver, sender = multiprocessing.Pipe()
    shape = Shape(batch_size=batch_size, train_size=3000)
    matmul.best_backend()  # its first call runs matrix products too
    with FlopCounterMode(display=False) as counted:
        growth.measure(real_root, shape, 2, 1e6, sender)
    figures = receiver.recv()
    assert [len(figures[name]) for name in ("step", "matmul", "rate")] == [2, 2, 2]
    epochs = 1 + 3 * figures["times"] * 2  # a warm-up; each round measures steps and matrix products
    large = 3 * growth.TRIES * 2 * growth.SIDE**3
    assert counted.get_total_flops() == epochs * shape.flops(figures["rows"]) + large


def test_all_shapes_are_measured_for_about_as_long() -> None:
    assert Shape().sample() == (60_000, 1)
    assert Shape(train_size=1000).sample() == (1000, 58)
    for shape in (Shape(width=8192), Shape(depth=32)):
        rows, times = shape.sample()
        assert rows % shape.batch_size == 0 and rows >= growth.MIN_STEPS * shape.batch_size and times == 1


def test_rounds_of_all_visits_and_the_highest_peak_count() -> None:
    first = point(Shape())
    again = {**first, "step": [0.1], "matmul": [0.2], "rate": [3e11], "peak_mb": 350.0}
    both = growth.merged(growth.merged(None, first), again)
    assert (both["step"], both["rate"], both["peak_mb"]) == ([*first["step"], 0.1], [1e11] * 3 + [3e11], 350.0)
    assert page.best_ratio(both, "matmul") == pytest.approx(0.2 / (first["flops"] / 3e11))
    assert growth.merged(both, {**again, "peak_mb": None})["peak_mb"] == 350.0


def test_memory_equals_a_count_by_hand() -> None:
    memory = Shape(train_size=1000).memory(1000)
    assert memory["parameters, gradients"] == pytest.approx(2 * 4 * (784 * 256 + 256 * 256 + 2560 + 522) / 1e6)
    assert memory["data"] == pytest.approx((71_000 * 3144 + 1000 * 56) / 1e6)
    rows = 256 + 232  # of a full batch, and of the last one
    assert memory["buffers"] == pytest.approx((4 * rows * (4 * 512 + 30) + 256 * (3144 + 512)) / 1e6)


def test_table_shows_the_fastest_round_and_marks_scaled_epochs() -> None:
    lines = page.table(results(), "width").splitlines()
    assert len(lines) == 2 + len(SWEEPS["width"])
    book, widest = ([cell.strip() for cell in lines[at].strip("|").split("|")] for at in (2, -1))
    assert book[:5] == ["256", "1.31", "0.909", "0.727", "18.00"]
    assert book[5:9] == ["**1.80**", "1.80–2.20", "1.25", "300"]
    assert widest[0] == "8192" and widest[1].endswith("\\*")
    assert [row["batch_size"] for row in page.swept(results(), "batch_size")] == SWEEPS["batch_size"]


@pytest.mark.parametrize("peak_mb", [300.0, None])
def test_section_and_charts_are_drawn(peak_mb: float | None, tmp_path: Path) -> None:
    section = page.sections(results(peak_mb))["growth"]
    page.draw(results(peak_mb), tmp_path)
    assert page.CHARTS.keys() == SWEEPS.keys()
    assert "Measured on 2026-01-02 on A, 2 cores" in section and "matmul backend onednn." in section
    for file, axis in page.CHARTS.values():
        svg = (tmp_path / file).read_text(encoding="utf-8")
        assert f"]({file})" in section and axis in svg and page.MATMUL in svg
        assert (page.PEAK in svg) == (peak_mb is not None)
