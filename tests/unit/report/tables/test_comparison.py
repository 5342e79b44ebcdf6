"""The tables of a comparison: which there are, their columns and their cells."""

from __future__ import annotations

from pathlib import Path

from helpers.fake_runs import publish, write_arm, write_regression, write_run
from helpers.tuned import write_tuned

from dropexp.analysis.comparison import compare
from dropexp.report.tables import comparison as tables
from dropexp.report.tables.cells import CURVE_WIDTH


def test_a_comparison_has_only_the_tables_that_it_has_data_for(study: Path, tmp_path: Path) -> None:
    titles = [table.title for table in tables.comparison_tables(compare(runs_dir=study))]
    assert titles == ["Arms: test accuracy after 2 epochs", "Differences: test accuracy after 2 epochs"]
    one_arm = compare(runs_dir=study, filter={"variant": "nn"})
    assert [table.title for table in tables.comparison_tables(one_arm)] == ["Arms: test accuracy after 2 epochs"]


def test_arms_show_diverged_runs_and_no_sd_of_a_single_run(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.81])
    write_run(tmp_path, "none", 2, status="diverged", why="the loss is nan in epoch 2")
    write_run(tmp_path, "nn", 0, 0.9)
    none, nn = tables.arms_table(compare(runs_dir=tmp_path)).rows
    assert list(none[:3]) == ["none", "2, 1 diverged", "80.50 ± 0.71"]
    assert list(nn[:3]) == ["nn", "1", "90.00"]


def test_arms_without_test_figures_have_no_columns_for_them(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.81], eval_test=False)
    arms = tables.arms_table(compare(runs_dir=tmp_path))
    assert list(arms.headers) == ["arm", "n", "validation\naccuracy, %", "train\naccuracy, %", "s/epoch", "by epoch"]
    assert "gap" not in arms.legend and "test loss" not in arms.legend


def test_curves_of_all_arms_share_a_scale(tmp_path: Path) -> None:
    write_run(tmp_path, "none", test_acc=[0.2, 0.4, 0.9])
    write_run(tmp_path, "nn", test_acc=[0.4, 0.5, 0.58])
    arms = tables.arms_table(compare(runs_dir=tmp_path))
    assert [row[-1] for row in arms.rows] == ["▁▃█", "▃▄▅"]
    assert "by epoch: test accuracy, mean over the runs, from 20.00 (▁) to 90.00 (█)" in arms.legend


def test_a_long_curve_is_thinned_to_evenly_spaced_epochs_with_the_first_and_the_last(tmp_path: Path) -> None:
    write_run(tmp_path, test_acc=[i / 100 for i in range(100)])
    (row,) = tables.arms_table(compare(runs_dir=tmp_path)).rows
    bars = row[-1]
    assert len(bars) == CURVE_WIDTH
    assert (bars[0], bars[-1]) == ("▁", "█")
    assert list(bars) == sorted(bars)


def test_a_curve_has_a_bar_per_epoch_with_an_evaluation(tmp_path: Path) -> None:
    write_run(tmp_path, test_acc=[i / 100 for i in range(100)], eval_every=20)
    (row,) = tables.arms_table(compare(runs_dir=tmp_path)).rows
    assert row[-1] == "▁▃▄▆█"


def test_probed_figures_have_a_table_of_their_own(tmp_path: Path) -> None:
    for variant, zeros in (("none", 0.4), ("nn", 0.5)):
        for seed in range(7):
            figures = {"h1_zero": zeros + seed / 1000, "mc_acc": 0.8 + zeros / 10, "ece": zeros / 10, "odd": 1.0}
            write_run(tmp_path, variant, seed, probed=figures)
    probes = tables.probes_table(compare(runs_dir=tmp_path))
    assert probes is not None
    assert list(probes.headers) == ["arm", "h1_zero", "mc_acc, %", "ece, %", "odd"]
    assert list(probes.rows[1]) == ["nn", "0.503", "85.00", "5.00", "1"]
    assert "h1_zero: share of zeros in h1" in probes.legend


def test_differing_settings_are_shown_unless_the_labels_show_them(study: Path, tmp_path: Path) -> None:
    assert tables.settings_table(compare(runs_dir=study)) is None
    write_arm(tmp_path, "nn", [0.8], lr=0.1)
    settings = tables.settings_table(compare(runs_dir=tmp_path))
    assert settings is not None
    assert list(settings.headers) == ["arm", "lr", "variant"]


def test_a_regression_has_the_columns_that_its_runs_have(tmp_path: Path) -> None:
    def write_decay(decay: float, validation: bool = False) -> None:
        for seed in range(7):
            loss = (1 + seed / 100) / (1 + decay)
            write_regression(tmp_path, "scratch", seed, loss, weight_decay=decay, validation=validation)

    write_decay(0.0)
    write_decay(4.0)
    arms = tables.arms_table(compare(runs_dir=tmp_path))
    assert list(arms.headers) == ["arm", "n", "test\nloss", "train\nloss", "‖w‖", "s/epoch", "by epoch"]
    assert list(arms.rows[0][2:5]) == ["1.03 ± 0.0216", "0.515", "10.15"]
    write_decay(1.0, validation=True)
    arms = tables.arms_table(compare(runs_dir=tmp_path, metric="w_norm"))
    assert list(arms.headers)[2:6] == ["norm of\nw", "test\nloss", "validation\nloss", "train\nloss"]


def test_published_figures_are_shown_with_their_rounding_and_whether_ours_cover_them(study: Path) -> None:
    publish(study, arm="nn", source="a book", test_acc=[0.74, 0.5])
    (table,) = tables.published_tables(compare(runs_dir=study))
    assert table.title == "nn, n = 3: published figures (a book) and ours"
    assert [row[2] for row in table.rows] == ["74.00 ± 0.50", "50.00 ± 0.50"]
    assert [row[-1] for row in table.rows] == ["yes", "no"]


def test_figures_of_a_single_epoch_have_no_curve_and_no_best_epoch(tmp_path: Path) -> None:
    for variant in ("none", "nn"):
        for seed in range(2):
            write_run(tmp_path, variant, seed, [0.7, 0.8], eval_every=2, probed={"val_acc": 0.8})
    once = compare(runs_dir=tmp_path, metric="val_acc")
    shown = tables.comparison_tables(once)
    assert "by epoch" not in shown[0].headers and "by epoch" not in shown[0].legend
    assert not any("best validation" in table.title for table in shown)


def test_the_runs_of_a_search_are_counted_by_repeat(tmp_path: Path) -> None:
    write_tuned(tmp_path)
    arms, differences = tables.comparison_tables(compare("tuned", tmp_path / "runs"))[:2]
    assert "n: runs, one per repeat." in arms.legend
    assert "pairs of runs with the same repeat" in differences.legend
