"""Charts of arms, differences and sweeps; all charts together, and their files."""

from __future__ import annotations

import json
import math
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import vl_convert
from altair.typing import ChartType
from helpers.chart_specs import Spec, strings_under
from helpers.fake_runs import change, publish, write_arm, write_predictions, write_regression, write_run
from helpers.printing import printed
from helpers.studies import rising
from helpers.tuned import write_tuned

from dropexp.analysis.comparison import Comparison, compare
from dropexp.config.tasks import CLASSES
from dropexp.errors import ChartError
from dropexp.report.charts import arms as arm_charts
from dropexp.report.charts.by_name import SUFFIXES, overview, save, single
from dropexp.report.charts.style import COLORS, COLUMN, LINE, Size

ODD = ["<script>alert(1)</script>", "a.b[0]['x']\"y\"", "datum.x:Q \\ ${q}", "</script><!--", "ein\u2028zwei 数"]


@pytest.fixture(scope="module")
def page(two_arms: Comparison) -> ChartType:
    return overview(two_arms)


@pytest.fixture(scope="module")
def page_spec(page: ChartType) -> Spec:
    return Spec(page)


@pytest.fixture(scope="module")
def many_arms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seventeen arms."""
    runs_dir = tmp_path_factory.mktemp("many")
    for i in range(17):
        for run in write_arm(runs_dir, "nn" if i else "none", [0.8, 0.81], arm=f"arm {i}", momentum=0.01 * i):
            write_predictions(run, 2)
    return runs_dir


def test_arms_have_a_dot_per_seed_and_the_interval_of_the_mean(two_arms: Comparison) -> None:
    spec = Spec(arm_charts.arms(two_arms))
    dots = [row for row in spec.rows("point") if "seed" in row]
    assert len(dots) == 8
    assert len({row["row"] for row in dots if row["arm"] == "nn"}) == 4  # none hides another
    means = sorted(spec.rows("tick"), key=lambda row: row["middle"])
    assert [row["arm"] for row in means] == list(two_arms.arms["arm"])
    assert all(row["low"] < row["mean"] < row["high"] for row in means)
    assert spec.titles("x") == {"test accuracy (%)"}
    assert Spec(arm_charts.arms(two_arms)).content == spec.content


def test_losses_before_a_divergence_are_drawn_with_short_labels(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path, "none", seed, [0.8])
        run = write_run(tmp_path, "nn", seed, [0.8])
        loss = [float(seed + 1) * 1e38, math.inf][seed == 2]
        change(run, table=run.read_table() | {"test_loss": [loss]})
    comparison = compare((), tmp_path, metric="test_loss")
    spec = Spec(arm_charts.arms(comparison))
    assert "nn 1.5e+38 ± 7.071e+37, n = 2" in spec.description
    assert {channel["axis"].get("format") for channel in spec.channels("x") if "axis" in channel} == {".4~g"}
    assert "difference in test loss (nats)" in vl_convert.vegalite_to_svg(overview(comparison).to_dict())
    assert "[-4.853e+38, +7.853e+38]" in printed(comparison)


def test_a_single_run_has_a_mean_without_an_interval(tmp_path: Path) -> None:
    write_run(tmp_path, "none", 0, [0.8])
    write_run(tmp_path, "nn", 0, [0.81])
    spec = Spec(arm_charts.arms(compare((), tmp_path)))
    assert {row["low"] for row in spec.rows("tick")} == {None}
    assert "n = 1" in spec.description


def test_a_chart_of_arms_grows_with_their_number(tmp_path: Path) -> None:
    for i in range(30):
        write_run(tmp_path, "nn", 0, 0.8, lr=round(0.1 + i / 100, 2))
    assert Spec(arm_charts.arms(compare((), tmp_path))).content["height"] == 30 * 2 * LINE


def test_differences_have_the_margin_and_the_verdict(two_arms: Comparison) -> None:
    spec = Spec(arm_charts.differences(two_arms))
    name, verdict = spec.rows("text")  # of the layers left and right of the intervals
    assert name == verdict
    assert spec.rows("rect") == [{"low": -0.3, "high": 0.3, "zero": 0.0}]
    assert spec.titles("x") == {"difference in test accuracy (percentage points)"}
    assert two_arms.differences["verdict"].iloc[0] in spec.description


def test_rows_are_named_by_their_arm_if_the_baseline_is_the_same(tmp_path: Path) -> None:
    for variant in ("none", "nn", "scratch"):
        write_arm(tmp_path, variant, [0.8, 0.81])
    spec = Spec(arm_charts.differences(compare((), tmp_path)))
    assert {row["label"] for row in spec.rows("text")} == {"nn", "scratch"}
    assert spec.content["title"]["subtitle"].startswith("each arm minus none, paired by seed")
    assert "nn − none: " in spec.description


def test_differences_of_searches_are_paired_by_repeat(tmp_path: Path) -> None:
    write_tuned(tmp_path)
    assert "paired by repeat" in Spec(arm_charts.differences(compare("tuned", tmp_path / "runs"))).description


def test_the_legend_of_differences_notes_that_neither_side_is_better(tmp_path: Path) -> None:
    for i, variant in enumerate(("none", "nn")):
        for seed in range(3):
            write_run(tmp_path, variant, seed, probed={"w1_norm": 12.0 + i + seed / 10})
    spec = Spec(arm_charts.differences(compare((), tmp_path, metric="w1_norm")))
    assert spec.titles("x") == {"difference in norm of W1"}
    assert spec.subtitle.endswith("grey: within ±0.003; neither side is better")


@pytest.mark.parametrize(
    ("study", "by", "title", "scale"),
    [
        ("lr", "lr", "lr, logarithmic", "log"),
        ("batch", "batch_size", "batch_size", None),
        ("drop", "drop_probs", "drop_probs, layer 1", None),
    ],
)
def test_a_sweep_has_an_axis_that_fits_its_values(
    sweeps: Path, study: str, by: str, title: str, scale: str | None
) -> None:
    spec = Spec(arm_charts.sweep(compare(study, sweeps, by=by)))
    (x,) = {json.dumps(found) for found in spec.channels("x") if "title" in found}
    assert (json.loads(x)["title"], json.loads(x)["scale"].get("type")) == (title, scale)
    assert not [row for row in spec.rows("text") if "name" in row]  # labels of values that are texts


def test_an_arm_without_the_swept_parameter_is_a_line_across(sweeps: Path) -> None:
    spec = Spec(arm_charts.sweep(compare("drop", sweeps, by="drop_probs")))
    assert {row["parameter"] for row in spec.rows("line")} == {"[0.2, 0.5]", "[0.5, 0.5]"}
    assert "none (no drop_probs)" in {row.get("label") for row in spec.rows("text")}


def test_nothing_is_drawn_without_data(sweeps: Path) -> None:
    plain = compare("batch", sweeps)
    assert arm_charts.differences(plain) is None
    assert arm_charts.sweep(plain) is None


def test_a_series_has_one_colour_shape_and_dash_in_all_charts(page_spec: Spec) -> None:
    for channel in ("color", "shape", "strokeDash"):
        scales = {json.dumps(found["scale"]) for found in page_spec.channels(channel) if found.get("field") == "series"}
        assert len(scales) == 1
        scale = json.loads(scales.pop())
        assert scale["domain"] == ["none", "nn"]
        assert scale["range"][0] != scale["range"][1]
        assert channel != "color" or scale["range"] == COLORS[:2]


def test_a_click_selects_in_every_chart_of_the_overview(page_spec: Spec) -> None:
    (selection,) = page_spec.content["params"]
    assert selection["select"] == {"type": "point", "fields": ["series"], "on": "click"}
    drawn = {layer["name"] for layer in page_spec.layers if "name" in layer}
    assert len(drawn & set(selection["views"])) == 6  # curves, arms, differences, two of losses, gap


def test_the_overview_of_a_small_study_is_small(page_spec: Spec) -> None:
    assert len(json.dumps(page_spec.content)) < 200_000


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_file_is_written(page: ChartType, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / f"chart{suffix}"
    save(page, path)
    content = path.read_bytes()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
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
            labels = ("none", "nn − none", "epoch", "test accuracy (%)")
            assert all(f">{label}</text>" in text for label in labels)
        case ".html":
            assert not re.search(rb"<script[^>]*src|<link", content)
            assert b"vegaEmbed(" in content
            assert len(content) < 1_500_000


@pytest.mark.parametrize("name", ["learning", "arms", "differences", "loss", "gap", "sweep", "classes", "reliability"])
def test_a_size_without_room_for_the_labels_of_all_arms_is_refused(name: str, many_arms: Path) -> None:
    labels, comparison = (
        16 if name == "differences" else 17,
        compare((), many_arms, by="momentum" if name == "sweep" else None),
    )
    assert single(comparison, name, Size(200, 15 * labels))
    with pytest.raises(ChartError, match=rf"200 pixels has no room for {labels} labels; allowed: {15 * labels} or"):
        single(comparison, name, Size(200, 200))
    spec = Spec(single(comparison, name))
    assert min(part["height"] for part in spec.content.get("concat", [spec.content])) >= 15 * labels


@pytest.mark.parametrize(("name", "columns"), [("confusion", 10), ("classes", 10), ("sweep", 4)])
def test_a_width_without_room_for_the_columns_is_refused(name: str, columns: int, tmp_path: Path) -> None:
    for variant in ("none", "nn", "scratch", "gaussian"):
        for run in write_arm(tmp_path, variant, [0.8, 0.81]):
            write_predictions(run, 2)
    comparison, least = compare((), tmp_path, by="variant"), COLUMN * columns
    chart = single(comparison, name, Size(least, 150))
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    labels = CLASSES if name != "sweep" else ("none", "nn", "scratch", "gaussian")
    assert all(f">{label}</text>" in svg for label in labels)
    message = f"a width of {least - 1} pixels has no room for {columns} columns; allowed: {least} or more"
    with pytest.raises(ChartError, match=message):
        single(comparison, name, Size(least - 1, 150))


def test_arms_without_a_mean_need_no_room_in_a_sweep(tmp_path: Path) -> None:
    write_arm(tmp_path, "nn", [0.8, 0.81])
    for i in range(9):
        write_run(tmp_path, "none", 0, [0.1], status="diverged", why="the loss is nan", momentum=0.1 * i)
    comparison = compare((), tmp_path, by="drop_probs")
    assert comparison.arms["mean"].isna().sum() == 9
    assert single(comparison, "sweep", Size(200, LINE))


@pytest.mark.parametrize("name", ["chart.gif", "chart", "chart.json"])
def test_a_file_of_an_unknown_kind_is_refused(page: ChartType, tmp_path: Path, name: str) -> None:
    with pytest.raises(ChartError, match=r"\.png, \.svg, \.pdf, \.html"):
        save(page, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_odd_labels_stay_text(tmp_path: Path) -> None:
    for i, label in enumerate(ODD):
        write_arm(tmp_path, "nn" if i else "none", [0.8, 0.81], arm=label, lr=0.1 + i)
    publish(tmp_path, arm=ODD[0], source=ODD[0], test_acc=[0.8, 0.9])
    chart = overview(compare((), tmp_path))
    spec = Spec(chart)
    for layer in spec.layers:
        for channel in layer["encoding"].values():
            for part in channel if isinstance(channel, list) else [channel]:
                assert re.fullmatch(r"\w+", part.get("field", "x"))
    vega = vl_convert.vegalite_to_vega(spec.content)
    expressions = "\n".join(strings_under(vega, {"signal", "expr", "update", "test"}))
    assert "alert" not in expressions and "${q}" not in expressions
    save(chart, tmp_path / "odd.svg")
    svg = (tmp_path / "odd.svg").read_text(encoding="utf-8")
    assert "<script" not in svg
    assert all(f">{shown}</text>" in svg for shown in ("&lt;script&gt;alert(1)&lt;/script&gt;", "datum.x:Q \\ ${q}"))
    save(chart, tmp_path / "odd.html")
    page = (tmp_path / "odd.html").read_text(encoding="utf-8")
    assert page.count("<script>") == page.count("</script>") == 2
    assert "alert(1)" in page


@pytest.mark.parametrize("case", ["one run each", "an arm diverged", "all diverged", "unequal lengths", "losses"])
def test_an_edge_case_is_drawn_without_nan(case: str, tmp_path: Path) -> None:
    metric = None
    match case:
        case "one run each":  # of one epoch: no band, no interval
            write_run(tmp_path, "none", 0, [0.8])
            write_run(tmp_path, "nn", 0, [0.81])
        case "an arm diverged":
            write_run(tmp_path, "none", 0, rising(0.8))
            write_run(tmp_path, "nn", 0, rising(0.8), status="diverged")
        case "all diverged":
            write_run(tmp_path, "nn", 0, rising(0.8), status="diverged")
        case "unequal lengths":
            metric = "gap"
            for seed in range(2):
                write_run(tmp_path, "nn", seed, rising(0.8, 3 + seed), epochs=3 + seed)
        case "losses":
            for seed in range(3):
                write_regression(tmp_path, seed=seed, weight_decay=4.0, test_loss=[50.0, 0.01 + seed])
    save(overview(compare((), tmp_path, metric=metric)), tmp_path / "case.svg")
    assert "NaN" not in (tmp_path / "case.svg").read_text(encoding="utf-8")


def test_charts_load_neither_torch_nor_scipy_stats() -> None:
    script = (
        "import sys, dropexp.report.charts.by_name; print({'torch', 'torchvision', 'scipy.stats'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
