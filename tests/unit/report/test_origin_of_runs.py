"""Where the compared runs come from: versions, machine, source and time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from helpers.fake_runs import change, write_run

from dropexp.analysis.comparison import compare
from dropexp.report.origin_of_runs import compared_runs, origin_table, seed_range, summary


def write_run_of(runs_dir: Path, seed: int, **provenance: Any) -> None:
    run = write_run(runs_dir, "nn", seed)
    day = f"2026-11-0{seed + 1}"
    times = {"began": f"{day}T00:00:00+00:00", "ended": f"{day}T00:01:00+00:00"}
    change(run, provenance={**provenance, **times})


def test_runs_that_share_their_origin_share_a_column(tmp_path: Path) -> None:
    for seed in range(4):
        write_run_of(tmp_path, seed, commit="c0ffee", dirty=seed == 3, threads=1)
    comparison = compare((), tmp_path)
    runs = compared_runs(comparison)
    table = origin_table(runs)
    assert table is not None
    cells = {row[0]: list(row[1:]) for row in table.rows}
    assert cells["runs"] == ["nn: seed 0..2", "nn: seed 3"]
    assert cells["commit"] == ["c0ffee", "c0ffee, with uncommitted changes"]
    assert cells["trained"][0] == "2026-11-01 00:00:00 UTC to 2026-11-03 00:01:00 UTC"
    assert cells["threads"] == ["1", "1"]
    assert cells["torch"] == ["unknown", "unknown"]
    assert summary(comparison, runs) == "1 arm, 4 runs, trained 2026-11-01 to 2026-11-04."


def test_runs_without_provenance_are_of_unknown_origin(tmp_path: Path) -> None:
    write_run(tmp_path)
    comparison = compare((), tmp_path)
    runs = compared_runs(comparison)
    table = origin_table(runs)
    assert table is not None
    assert {cell for row in table.rows[1:] for cell in row[1:]} == {"unknown"}
    assert summary(comparison, runs) == "1 arm, 1 run."


def test_without_compared_runs_there_is_no_origin_table(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 0, [0.1], status="diverged", why="the loss is not finite in epoch 1")
    assert origin_table(compared_runs(compare((), tmp_path))) is None


def test_seeds_are_a_range_where_none_is_missing() -> None:
    assert [seed_range(seeds) for seeds in ([2, 0, 1, 1], [3], [0, 2])] == ["0..2", [3], [0, 2]]
