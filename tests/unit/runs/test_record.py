"""What run folders say, also those that somebody else made, or that a disk has damaged."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_runs import write_arm, write_run

from dropexp.analysis.arms import load_runs
from dropexp.analysis.comparison import compare
from dropexp.errors import NoRuns
from dropexp.runs.find import by_hash
from dropexp.runs.folder import EPOCHS, RUN
from dropexp.runs.prune import needless


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """none and nn over two seeds."""
    write_arm(tmp_path, "none", [0.80, 0.82])
    write_arm(tmp_path, "nn", [0.81, 0.84])
    return tmp_path


def said(notes: list[str], *parts: str) -> bool:
    """Whether one note says all of this."""
    return any(all(part in note for part in parts) for note in notes)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": ".."},
        {"name": "a\0b"},
        {"arm": "\x1b[2J"},
        {"arm": 5},
        {"hash": "' OR ''='"},
        {"why": 5},
        {"config": {"variant": "nn", "seed": 2**63}},
        {"config": {"variant": "nn", "seed": 0, "validation_size": "x"}},
        {"config": {"variant": "nn", "seed": 0, "lr": 10**400}},
        {"config": {"variant": "nn", "seed": 0, "mask": "\x1b[2J"}},
        {"settings": {"variant": "\ud800"}},
        {"last": {"epoch": "two"}},
        {"last": {"epoch": 2, "test_acc": [0.8]}},
        {"provenance": {"began": 5}},
        {"provenance": [1]},
    ],
    ids=lambda changed: str(changed)[:40],
)
def test_a_run_json_that_no_training_writes_is_named_and_skipped(study: Path, changed: dict[str, Any]) -> None:
    run = write_run(study, "nn", 9)
    (run.path / RUN).write_text(json.dumps(run.read_info() | changed))
    assert said(compare(runs_dir=study).notes, "left out", str(run.path / RUN), "is damaged")


def test_a_deeply_nested_run_json_is_named_and_skipped(study: Path) -> None:
    run = write_run(study, "nn", 9)
    (run.path / RUN).write_text("[" * 100_000)
    assert said(compare(runs_dir=study).notes, "left out", str(run.path / RUN), "is damaged")


def test_a_table_that_claims_very_many_epochs_is_damaged(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 0)
    run = write_run(tmp_path, "nn", 1)
    info = run.read_info()
    run.write_info(info | {"last": info["last"] | {"epoch": 10**15}})
    assert said(compare(runs_dir=tmp_path).notes, "does not have the epochs 1 to 1000000000000000")


@pytest.mark.parametrize("cell", ["9" * 400, "1e300", "-1e39"])
def test_a_figure_beyond_what_a_training_can_measure_is_none(tmp_path: Path, cell: str) -> None:
    for seed in (0, 1):
        run = write_run(tmp_path, "nn", seed, 0.75)
        table = run.path / EPOCHS
        table.write_text(table.read_text().replace("0.75", cell if seed else "0.75"))
    comparison = compare(runs_dir=tmp_path)
    assert comparison.arms.iloc[0]["mean"] == 0.75
    assert said(comparison.notes, "no test accuracy for seed 1")


@pytest.mark.parametrize("column", ["arm", "mean", "curve", "", "a b", "\x1b[2J"])
def test_a_column_that_would_take_another_s_place_is_no_figure(tmp_path: Path, column: str) -> None:
    run = write_run(tmp_path, "nn", 0, 0.75)
    table = run.path / EPOCHS
    table.write_text(table.read_text().replace("train_loss", column, 1))
    comparison = compare(runs_dir=tmp_path)
    assert list(comparison.arms["arm"]) == ["nn"] and column not in comparison.metrics


def test_a_config_key_takes_no_column_s_place_in_the_list_of_runs(tmp_path: Path) -> None:
    run = write_run(tmp_path, "nn", 0, status="failed")
    info = run.read_info()
    run.write_info(info | {"config": info["config"] | {"status": "done", "path": "elsewhere"}})
    assert list(load_runs(runs_dir=tmp_path)[["status", "path"]].iloc[0]) == ["failed", str(run.path)]


def test_two_runs_of_one_hash_are_two_runs(tmp_path: Path) -> None:
    one, other = write_arm(tmp_path, "nn", [0.80, 0.82])
    other.write_info(other.read_info() | {"hash": one.read_info()["hash"]})
    assert list(load_runs(runs_dir=tmp_path)["status"]) == ["done", "done"]
    assert list(compare(runs_dir=tmp_path).arms["n"]) == [2]
    assert needless((), tmp_path) == []


OBEYED = "\x1b]0;owned\x07-0123abcd"  # sets the title of a terminal


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets no folder have such a name")
@pytest.mark.parametrize("renamed", ["run", "study"])
def test_a_folder_whose_name_a_terminal_would_obey_is_left_out_and_said_as_text(study: Path, renamed: str) -> None:
    run = write_run(study, "nn", 9, name="other")
    path = run.path if renamed == "run" else run.path.parent
    path.rename(path.with_name(OBEYED))
    listed = load_runs(runs_dir=study)
    (left_out,) = listed[listed["status"] == "broken"].to_dict("records")
    assert repr(OBEYED) in left_out["path"]
    assert "has a name that cannot be shown" in left_out["why"] and "rename the folder" in left_out["why"]
    assert said(compare(runs_dir=study).notes, "left out", repr(OBEYED))
    with pytest.raises(NoRuns) as error:
        load_runs(OBEYED, study)
    for text in (*listed["path"], *listed["name"], left_out["why"], *compare(runs_dir=study).notes, str(error.value)):
        assert text.isprintable()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets no folder have such a name")
def test_no_name_of_a_file_reaches_a_terminal_from_what_may_be_removed(study: Path) -> None:
    run = write_run(study, "nn", 9, status="failed")
    (run.path / "\x1b[2J").write_text("")
    for place in (study / "dropout" / OBEYED, study / OBEYED / "seed=0-0123abcd"):
        place.mkdir(parents=True)
        (place / ".lock").touch()
    (study / OBEYED / "study.json.damaged-1").write_text("{")
    (removal,) = needless((), study)
    assert removal.why.endswith(r"it keeps '\x1b[2J'")


def test_a_run_whose_folder_cannot_be_shown_is_not_gone_on_with(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 0).path.rename(tmp_path / "dropout" / OBEYED)
    assert by_hash(tmp_path / "dropout") == {}
