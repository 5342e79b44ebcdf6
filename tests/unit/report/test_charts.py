"""What the charts hold, and that every kind of file is really written."""

from __future__ import annotations

import json
import math
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import vl_convert
from altair.typing import ChartType
from helpers.fake_runs import publish, write_arm, write_regression, write_run

from dropexp import compare
from dropexp.analysis.comparison import Comparison
from dropexp.analysis.stats import paired_difference
from dropexp.errors import ChartError
from dropexp.report import chart_parts, charts, epoch_charts
from dropexp.report.chart_parts import COLORS
from dropexp.report.charts import SUFFIXES

ODD = ["<script>alert(1)</script>", "a.b[0]['x']\"y\"", "datum.x:Q \\ ${q}", "</script><!--", "ein\u2028zwei 数"]


def curve(top: float, epochs: int = 5) -> list[float]:
    return [round(top - 0.3 / epoch**2, 4) for epoch in range(1, epochs + 1)]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Two arms and a source, over four seeds."""
    runs_dir = tmp_path_factory.mktemp("runs")
    for seed, aside in enumerate((0.0, 0.01, -0.01, 0.005)):
        write_run(runs_dir, "none", seed, curve(0.82 + aside))
        write_run(runs_dir, "nn", seed, curve(0.84 + 0.9 * aside))
    publish(runs_dir, arm="nn", source="a book", test_acc=[*curve(0.84)[:4], 0.7], train_acc=curve(0.83))
    return compare((), runs_dir)


@pytest.fixture(scope="module")
def page(study: Comparison) -> ChartType:
    return charts.overview(study)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Learning rates over a factor 500, of two variants, and drop probabilities beside an arm without."""
    runs_dir = tmp_path_factory.mktemp("sweep")
    for i, lr in enumerate((0.001, 0.01, 0.5)):
        for variant in ("nn", "scratch"):
            write_arm(runs_dir, variant, [0.7 + 0.05 * i, 0.71 + 0.05 * i], lr=lr, name="lr")
    for drop_probs in ([0.2, 0.5], [0.5, 0.5]):
        write_arm(runs_dir, "nn", [0.8, 0.81 + drop_probs[0] / 10], drop_probs=drop_probs, name="drop")
    write_arm(runs_dir, "none", [0.79, 0.8], name="drop")
    for hidden in (64, 128):
        write_arm(runs_dir, "nn", [0.8, 0.81], batch_size=hidden, name="batch")
    return runs_dir


def spec(chart: Any) -> dict[str, Any]:
    content: dict[str, Any] = chart.to_dict()
    return content


def layers(content: Any) -> Iterator[dict[str, Any]]:
    """Every single mark's part of a chart."""
    if isinstance(content, dict):
        if "mark" in content and "encoding" in content:
            yield content
        for value in content.values():
            yield from layers(value)
    elif isinstance(content, list):
        for value in content:
            yield from layers(value)


def strings_at(content: Any, keys: set[str]) -> Iterator[str]:
    """The strings under such a key, however deep."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from [value] if key in keys and isinstance(value, str) else strings_at(value, keys)
    elif isinstance(content, list):
        for value in content:
            yield from strings_at(value, keys)


def rows_of(chart: Any, mark: str) -> list[dict[str, Any]]:
    """The rows that are drawn with a mark, over all layers that use it."""
    content = spec(chart)
    found = [data for layer, data in with_data(content, "") if layer["mark"]["type"] == mark]
    return [row for name in found for row in content["datasets"][name]]


def with_data(content: Any, above: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Every mark's part and its data set's name, which Altair writes at the part or above it."""
    if isinstance(content, dict):
        above = content.get("data", {}).get("name", above)
        if "mark" in content and "encoding" in content:
            yield content, above
        content = [content[key] for key in ("layer", "concat") if key in content]
    for part in content if isinstance(content, list) else []:
        yield from with_data(part, above)


def channels(chart: Any, channel: str) -> list[dict[str, Any]]:
    return [layer["encoding"][channel] for layer in layers(spec(chart)) if channel in layer["encoding"]]


def titles(chart: Any, channel: str) -> set[str]:
    return {found["title"] for found in channels(chart, channel) if "title" in found}


def test_curves_hold_the_mean_and_the_band_over_seeds(study: Comparison) -> None:
    chart = epoch_charts.learning_curves(study)
    rows = rows_of(chart, "line")
    assert len(rows) == 10
    last = next(row for row in rows if row["arm"] == "none" and row["epoch"] == 5)
    values = [curve(0.82 + aside)[-1] for aside in (0.0, 0.01, -0.01, 0.005)]
    mean = sum(values) / 4
    sd = math.sqrt(sum((value - mean) ** 2 for value in values) / 3)
    assert (last["n"], last["mean"]) == (4, pytest.approx(mean, abs=1e-6))
    assert (last["low"], last["high"]) == (pytest.approx(mean - sd, abs=1e-6), pytest.approx(mean + sd, abs=1e-6))
    assert titles(chart, "x") == {"epoch"}
    assert titles(chart, "y") == {"test accuracy (fraction)"}
    assert "± one standard deviation" in spec(chart)["title"]["subtitle"]
    assert f"none {mean:.4f} at epoch 5" in chart.description


def test_arms_hold_every_seed_and_the_interval_of_the_mean_in_the_order_of_the_frame(study: Comparison) -> None:
    chart = charts.arms(study)
    dots = [row for row in rows_of(chart, "point") if "seed" in row]
    assert len(dots) == 8
    nn = [row["value"] for row in dots if row["arm"] == "nn"]
    expected = paired_difference(nn, [0.0] * 4)
    mean = next(row for row in rows_of(chart, "tick") if row["arm"] == "nn")
    assert (mean["low"], mean["high"]) == (pytest.approx(expected.low, 1e-5), pytest.approx(expected.high, 1e-5))
    names = sorted(rows_of(chart, "tick"), key=lambda row: row["middle"])
    assert [row["arm"] for row in names] == list(study.arms["arm"])
    assert titles(chart, "x") == {"test accuracy (fraction)"}
    assert len({row["row"] for row in dots if row["arm"] == "nn"}) == 4  # apart, and the same on every call
    assert spec(charts.arms(study)) == spec(chart)


def test_differences_hold_the_interval_the_margin_and_the_verdict_in_points(study: Comparison) -> None:
    chart = charts.differences(study)
    assert chart is not None
    row, again = rows_of(chart, "text")
    assert row == again  # its name and its verdict
    theirs = study.differences.iloc[0]
    assert row["difference"] == pytest.approx(100 * theirs["difference"], 1e-5)
    assert row["low"] == pytest.approx(100 * theirs["low"], 1e-5)
    assert row["figures"].startswith(f"{theirs['verdict']} +")
    assert row["name"] == "nn − none"
    assert rows_of(chart, "rect") == [{"low": -0.3, "high": 0.3, "zero": 0.0}]
    assert titles(chart, "x") == {"difference in test accuracy (points)"}
    assert theirs["verdict"] in chart.description


def test_the_gap_is_in_points_and_none_where_it_was_not_taken(study: Comparison, tmp_path: Path) -> None:
    chart = epoch_charts.gap(study)
    assert titles(chart, "y") == {"train accuracy − test accuracy (points)"}
    assert all(row["mean"] == pytest.approx(3.0) for row in rows_of(chart, "line"))
    write_arm(tmp_path, "nn", [0.8, 0.81], eval_train=False)
    assert epoch_charts.gap(compare((), tmp_path)) is None


def test_published_figures_stand_beside_ours_and_those_outside_look_different(study: Comparison) -> None:
    chart = epoch_charts.published(study)
    assert chart is not None
    rows = rows_of(chart, "point")
    assert len(rows) == 10
    assert {(row["figure"], row["epoch"]) for row in rows if row["coverage"] == "outside"} >= {("test_acc", 5)}
    assert all(row["least"] < row["published"] < row["most"] for row in rows)
    assert titles(chart, "y") == {"running train accuracy (fraction)", "test accuracy (fraction)"}
    assert "a book" in chart.description
    assert "is outside" in chart.description


def test_nothing_is_drawn_of_what_there_is_not(sweep: Path) -> None:
    plain = compare("batch", sweep)
    assert charts.differences(plain) is None
    assert epoch_charts.published(plain) is None
    assert charts.sweep(plain) is None


@pytest.mark.parametrize(
    ("name", "by", "scale", "ticks"),
    [
        ("lr", "lr", "log", [0.001, 0.01, 0.5]),
        ("batch", "batch_size", None, [64, 128]),
        ("drop", "drop_probs", None, [0, 1]),
    ],
)
def test_doses_have_the_axis_that_their_values_ask_for(
    sweep: Path, name: str, by: str, scale: str | None, ticks: list[float]
) -> None:
    chart = charts.sweep(compare(name, sweep, by=by))
    (x,) = {json.dumps(found) for found in channels(chart, "x") if "title" in found}
    found = json.loads(x)
    assert (found["title"], found["scale"].get("type"), found["axis"]["values"]) == (by, scale, ticks)
    names = [row["name"] for row in rows_of(chart, "text") if "name" in row]
    assert names == (["0.2-0.5", "0.5-0.5"] if name == "drop" else [])  # of no number: in words


def test_an_arm_without_the_key_is_a_line_across_and_in_every_panel(sweep: Path) -> None:
    comparison = compare("drop", sweep, by="drop_probs")
    chart = charts.sweep(comparison)
    assert {row["parameter"] for row in rows_of(chart, "line")} == {"0.2-0.5", "0.5-0.5"}
    assert "none (no drop_probs)" in {row.get("label") for row in rows_of(chart, "text")}
    panels = spec(epoch_charts.learning_curves(comparison))["concat"]
    assert [panel["title"] for panel in panels] == ["drop_probs = 0.2-0.5", "drop_probs = 0.5-0.5"]
    labels = [row["label"] for row in rows_of(epoch_charts.learning_curves(comparison), "text")]
    assert sorted(labels) == ["nn", "nn", "none", "none"]
    domains = {tuple(found["scale"]["domain"]) for found in channels(epoch_charts.learning_curves(comparison), "y")}
    assert len(domains) == 1


def test_a_series_has_one_colour_shape_and_dash_in_all_charts(study: Comparison, page: ChartType) -> None:
    for channel in ("color", "shape", "strokeDash"):
        scales = {json.dumps(found["scale"]) for found in channels(page, channel) if found.get("field") == "series"}
        assert len(scales) == 1
        scale = json.loads(scales.pop())
        assert scale["domain"] == ["none", "nn"]
        assert scale["range"][0] != scale["range"][1]
    assert channels(charts.arms(study), "color")[0]["scale"]["range"] == COLORS[:2]


def test_labels_of_close_lines_are_a_line_of_text_apart(tmp_path: Path) -> None:
    for i in range(12):
        write_arm(tmp_path, "nn", [0.8 + i * 1e-5], arm=f"arm {i}", lr=0.1 + i)
    chart = epoch_charts.learning_curves(compare((), tmp_path))
    labels = rows_of(chart, "text")
    domain = channels(chart, "y")[0]["scale"]["domain"]
    pixels = sorted(280 * (row["label_y"] - domain[0]) / (domain[1] - domain[0]) for row in labels)
    assert min(b - a for a, b in pairwise(pixels)) > chart_parts.LINE - 0.2
    assert all(-1 < pixel < 281 for pixel in pixels)
    order = sorted(labels, key=lambda row: row["mean"])
    assert [row["label_y"] for row in order] == sorted(row["label_y"] for row in order)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_file_is_written(page: ChartType, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"chart{suffix}"
    charts.save(page, path)
    content = path.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    match suffix:
        case ".png":
            assert content.startswith(b"\x89PNG\r\n")
            width, height = struct.unpack(">II", content[16:24])
            assert width > 1000 and height > 2000
        case ".pdf":
            assert content.startswith(b"%PDF-")
        case ".svg":
            text = content.decode()
            assert text.startswith("<svg")
            assert all(
                f">{label}</text>" in text for label in ("none", "nn − none", "epoch", "test accuracy (fraction)")
            )
        case ".html":
            assert not re.search(rb"<script[^>]*src|<link", content)
            assert b"vegaEmbed(" in content
            assert len(content) < 1_500_000


@pytest.mark.parametrize("name", ["chart.gif", "chart", "chart.json", "missing/chart.png"])
def test_a_file_that_cannot_be_is_refused_in_words(study: Comparison, tmp_path: Path, name: str) -> None:
    with pytest.raises(ChartError, match=r"folder|\.png, \.svg, \.pdf, \.html"):
        charts.save(charts.arms(study), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_odd_labels_stay_text(tmp_path: Path) -> None:
    for i, label in enumerate(ODD):
        write_arm(tmp_path, "nn" if i else "none", [0.8, 0.81], arm=label, lr=0.1 + i)
    publish(tmp_path, arm=ODD[0], source=ODD[0], test_acc=[0.8, 0.9])
    comparison = compare((), tmp_path)
    chart = charts.overview(comparison)
    for layer in layers(spec(chart)):
        for channel in layer["encoding"].values():
            for part in channel if isinstance(channel, list) else [channel]:
                assert re.fullmatch(r"\w+", part.get("field", "x"))
    expressions = "\n".join(strings_at(vl_convert.vegalite_to_vega(spec(chart)), {"signal", "expr", "update", "test"}))
    assert "alert" not in expressions and "${q}" not in expressions
    charts.save(chart, tmp_path / "odd.svg")
    svg = (tmp_path / "odd.svg").read_text(encoding="utf-8")
    assert "<script" not in svg
    assert all(f">{shown}</text>" in svg for shown in ("&lt;script&gt;alert(1)&lt;/script&gt;", "datum.x:Q \\ ${q}"))
    charts.save(chart, tmp_path / "odd.html")
    page = (tmp_path / "odd.html").read_text(encoding="utf-8")
    assert page.count("<script>") == page.count("</script>") == 2
    assert "alert(1)" in page


def test_edge_cases_draw(tmp_path: Path) -> None:
    write_run(tmp_path, "none", 0, [0.8], name="one")  # one seed, one epoch: no band, no interval
    write_run(tmp_path, "nn", 0, [0.81], name="one")
    for seed in range(2):
        write_run(tmp_path, "none", seed, curve(0.8), name="lost")  # all runs of an arm diverged
        write_run(tmp_path, "nn", seed, curve(0.8), name="lost", status="diverged")
        write_run(tmp_path, "nn", seed, curve(0.8), name="gone", status="diverged")  # and of the whole study
        write_run(tmp_path, "nn", seed, curve(0.8, 3 + seed), name="mixed", epochs=3 + seed)  # unlike long
    for case, metric in [("one", "test_acc"), ("lost", "test_acc"), ("gone", "test_acc"), ("mixed", "gap")]:
        comparison = compare(case, tmp_path, metric=metric)
        charts.save(charts.overview(comparison), tmp_path / "case.svg")
        assert "NaN" not in (tmp_path / "case.svg").read_text(encoding="utf-8")
    lost = charts.arms(compare("lost", tmp_path))
    assert "nn no figures, 2 diverged" in lost.description
    one = charts.arms(compare("one", tmp_path))
    assert {row["low"] for row in rows_of(one, "tick")} == {None}
    assert "n = 1" in one.description
    assert "no run has such figures" in epoch_charts.learning_curves(compare("gone", tmp_path)).description


def test_losses_that_lie_far_apart_stand_on_a_logarithmic_axis_that_says_so(tmp_path: Path) -> None:
    for seed in range(3):
        write_regression(tmp_path, seed=seed, weight_decay=0.0, test_loss=[50.0 * (1 + seed), 20.0])
        write_regression(tmp_path, seed=seed, weight_decay=4.0, test_loss=[2.0, 0.01 + seed])
    comparison = compare((), tmp_path)
    chart = epoch_charts.learning_curves(comparison)
    scales = {(y["title"], y["scale"].get("type")) for y in channels(chart, "y") if "title" in y}
    assert scales == {("test loss (½ · squared error), logarithmic", "log")}
    assert all(y["scale"]["domain"][0] > 0 for y in channels(chart, "y") if "scale" in y)
    assert all(row["low"] > 0 for row in rows_of(chart, "area"))
    labels = {row["arm"]: row["label_y"] for row in rows_of(chart, "text")}
    assert labels["scratch,weight_decay=0.0"] == pytest.approx(20.0)
    norms = epoch_charts.learning_curves(compare((), tmp_path, metric="w_norm"))
    assert titles(norms, "y") == {"norm of w"}  # no loss
    charts.save(charts.overview(comparison), tmp_path / "case.svg")
    assert "NaN" not in (tmp_path / "case.svg").read_text(encoding="utf-8")


def test_losses_within_a_factor_of_twenty_stand_on_a_linear_axis(tmp_path: Path) -> None:
    write_regression(tmp_path, test_loss=[19.9, 1.0])
    assert titles(epoch_charts.learning_curves(compare((), tmp_path)), "y") == {"test loss (½ · squared error)"}


def test_differences_without_a_better_side_say_so(tmp_path: Path) -> None:
    for i, variant in enumerate(("none", "nn")):
        for seed in range(3):
            write_run(tmp_path, variant, seed, probed={"w1_norm": 12.0 + i + seed / 10})
    comparison = compare((), tmp_path, metric="w1_norm")
    chart = charts.differences(comparison)
    assert titles(chart, "x") == {"difference in norm of W1"}
    assert spec(chart)["title"]["subtitle"].endswith("grey: within ±0.003; neither side is better")
    beside = epoch_charts.usual_curves(comparison)
    assert beside is not None and titles(beside, "y") == {"test accuracy (fraction)"}
    assert epoch_charts.usual_curves(compare((), tmp_path)) is None


def test_a_line_ends_where_the_first_of_its_runs_stopped(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 0, [0.5, 0.6, 0.7])
    write_run(tmp_path, "nn", 1, [0.5, 0.6, 0.7, 0.9, 0.95])
    chart = epoch_charts.learning_curves(compare((), tmp_path))
    assert [row["epoch"] for row in rows_of(chart, "line")] == [1, 2, 3]
    assert "ends with the shortest of its runs" in spec(chart)["title"]["subtitle"]


def test_a_figure_printed_once_has_its_interval_drawn(tmp_path: Path) -> None:
    for seed in range(3):
        write_regression(tmp_path, seed=seed, test_loss=1.0 + seed / 10)
    publish(tmp_path, "weight-decay", w_norm={"scratch": 20.5})
    chart = epoch_charts.published(compare((), tmp_path))
    (tick,) = rows_of(chart, "tick")
    assert tick["low"] < tick["mean"] < tick["high"] < 20.5
    assert "w_norm 20.5 at epoch 3 is outside" in spec(chart)["description"]


def test_thirty_arms_and_many_rows_draw(tmp_path: Path) -> None:
    for i in range(30):
        write_run(tmp_path, "nn", 0, curve(0.8, 200), lr=round(0.1 + i / 100, 2))
    comparison = compare((), tmp_path)
    chart = epoch_charts.learning_curves(comparison)
    assert len(rows_of(chart, "line")) == 6000
    assert "and 22 more" in chart.description
    assert spec(chart)["height"] >= 30 * chart_parts.LINE
    assert spec(charts.arms(comparison))["height"] > 30 * 3 * chart_parts.LINE


def test_the_page_of_a_small_study_is_small(page: ChartType) -> None:
    assert len(json.dumps(spec(page))) < 200_000


def test_both_themes_set_the_same_and_neither_is_in_the_chart(page: ChartType) -> None:
    light, dark = chart_parts.theme(False), chart_parts.theme(True)
    assert light.keys() == dark.keys()
    assert light["text"]["color"] != dark["text"]["color"]
    assert light["background"] == dark["background"] == "transparent"
    assert set(spec(page)["config"]) == {"view"}  # what Altair says itself


def test_a_click_is_meant_for_every_chart_of_the_page(page: ChartType) -> None:
    (picked,) = spec(page)["params"]
    assert picked["select"] == {"type": "point", "fields": ["series"], "on": "click"}
    drawn = {layer["name"] for layer in layers(spec(page)) if "name" in layer}
    assert len(drawn & set(picked["views"])) == 4  # curves, arms, differences, gap


def test_charts_need_no_torch() -> None:
    script = "import sys, dropexp.report.charts; print({'torch', 'torchvision', 'scipy.stats'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
