"""The tables of runs and of removals: their columns and their cells."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from helpers.fake_runs import change, write_regression, write_run

from dropexp.analysis.listing import load_runs
from dropexp.report.tables.listing import file_size, removals_frame, removals_table, runs_table
from dropexp.runs.folder import RUN
from dropexp.runs.prune import Removal


def test_a_listing_shows_state_and_path_of_every_run(study: Path) -> None:
    corrupted = study / "dropout" / "corrupted"
    corrupted.mkdir()
    (corrupted / RUN).write_text("{")
    rows = runs_table(load_runs(runs_dir=study)).rows
    assert [row[0] for row in rows].count("done") == 9
    assert [row[1] for row in rows if row[0] == "diverged"] == ["nn"]
    assert [row[-1] for row in rows if row[0] == "corrupted"] == [str(corrupted)]


def test_a_listing_shows_when_a_run_ended_its_hash_and_why_it_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = write_run(tmp_path, seed=1, status="failed", why="a plugin raised")
    change(failed, provenance={"began": "2026-01-01T23:00:00+00:00", "ended": "2026-01-01T23:30:00+00:00"})
    write_run(tmp_path)
    done, first = runs_table(load_runs(runs_dir=tmp_path)).rows
    moment = datetime(2026, 1, 1, 23, 30, tzinfo=UTC).astimezone()
    assert list(first[5:8]) == [f"{moment:%Y-%m-%d %H:%M}", failed.path.name[-8:], "a plugin raised"]
    assert list(done[5:8:2]) == ["-", "-"]


@pytest.mark.parametrize("status", ["interrupted", "failed"])
def test_a_run_without_an_epoch_is_listed(tmp_path: Path, status: str) -> None:
    write_run(tmp_path, test_acc=[], status=status)
    (row,) = runs_table(load_runs(runs_dir=tmp_path)).rows
    assert list(row[:5]) == [status, "nn", "0", "-", "-"]


def test_all_runs_of_several_studies_are_listed_with_their_study(tmp_path: Path) -> None:
    write_run(tmp_path, name="a")
    write_run(tmp_path, name="b", seed=1, status="interrupted")
    write_run(tmp_path, name="b", seed=2, status="failed", lr=0.1)
    names = [row[1] for row in runs_table(load_runs(runs_dir=tmp_path)).rows]
    assert names == ["a/nn", "b/nn,lr=0.5", "b/nn,lr=0.1"]
    assert [row[1] for row in runs_table(load_runs("b", tmp_path)).rows] == ["nn,lr=0.5", "nn,lr=0.1"]


def test_runs_of_two_tasks_are_listed_with_the_metric_of_each(study: Path) -> None:
    write_regression(study, test_loss=0.125)
    listing = runs_table(load_runs(runs_dir=study))
    assert list(listing.headers)[:6] == ["status", "arm", "seed", "epoch", "test\naccuracy, %", "test\nloss"]
    (regression,) = [row for row in listing.rows if "weight-decay" in row[1]]
    assert list(regression[4:6]) == ["-", "0.1250"]


def test_runs_without_test_figures_are_listed_with_those_of_their_validation_rows(study: Path) -> None:
    write_run(study, "nn", 77, 0.9, eval_test=False)
    listing = runs_table(load_runs(runs_dir=study))
    assert list(listing.headers)[4:6] == ["test\naccuracy, %", "validation\naccuracy, %"]
    (row,) = [row for row in listing.rows if row[2] == "77"]
    assert list(row[4:6]) == ["-", "90.00"]
    only = runs_table(load_runs(runs_dir=study, filter={"eval_test": False, "seed": 77}))
    assert list(only.headers)[4:] == ["validation\naccuracy, %", "ended", "hash", "path"]


def test_a_listing_of_removals_has_the_size_in_a_unit_that_fits() -> None:
    frame = removals_frame([Removal("failed", Path("runs/a"), [], "no result", 1_234_567, "")])
    assert frame.to_dict("records") == [{"state": "failed", "path": "runs/a", "why": "no result", "size": 1_234_567}]
    (row,) = removals_table(frame).rows
    assert list(row) == ["failed", "1.2 MB", "no result", "runs/a"]
    assert file_size(999) == "1.0 kB"
