"""What is read from run folders, including edited and corrupted ones."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.comparisons import mentions
from helpers.fake_runs import change, info_of, write_arm, write_run

from dropexp.analysis.comparison import compare
from dropexp.analysis.listing import load_runs
from dropexp.cli.app import app
from dropexp.config.planned_run import PlannedRun
from dropexp.config.schema import Config
from dropexp.runs.folder import RUN, RunFolder
from dropexp.runs.prune import without_result
from dropexp.runs.record import Run
from dropexp.runs.run_json import RunInfo
from dropexp.runs.state_names import Status


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """none and nn over two seeds."""
    write_arm(tmp_path, "none", [0.80, 0.82])
    write_arm(tmp_path, "nn", [0.81, 0.84])
    return tmp_path


@pytest.mark.parametrize("content", [b"[" * 100_000, b"{}", b'{"schema": 9}'])
def test_a_folder_that_cannot_be_read_is_named_and_left_out(content: bytes, study: Path) -> None:
    run = write_run(study, "nn", 9)
    (run.path / RUN).write_bytes(content)
    assert mentions(compare(runs_dir=study).notes, "left out", str(run.path / RUN))
    (listed,) = load_runs(runs_dir=study).query("status in ['corrupted', 'unreadable']").to_dict("records")
    assert listed["status"] == ("unreadable" if b"9" in content else "corrupted")
    assert listed["path"] == str(run.path) and str(run.path / RUN) in listed["why"]


@pytest.mark.parametrize("figure", [1e300, -1e39])
def test_a_figure_beyond_what_training_can_measure_is_unknown(tmp_path: Path, figure: float) -> None:
    write_run(tmp_path, "nn", 0, 0.75)
    write_run(tmp_path, "nn", 1, [0.7, figure])
    comparison = compare(runs_dir=tmp_path)
    assert comparison.arms.iloc[0]["mean"] == 0.75
    assert mentions(comparison.notes, "no test accuracy for seed 1")


@pytest.mark.parametrize("column", ["arm", "mean", "curve", "", "a b", "\x1b[2J"])
def test_a_column_with_the_name_of_another_is_not_a_metric(tmp_path: Path, column: str) -> None:
    run = write_run(tmp_path, "nn", 0, 0.75)
    table = run.read_table(run.read_info())
    change(run, table={column if name == "train_loss" else name: figures for name, figures in table.items()})
    comparison = compare(runs_dir=tmp_path)
    assert list(comparison.arms["arm"]) == ["nn"] and column not in comparison.metrics


def test_a_config_key_does_not_replace_a_column_of_the_list_of_runs(tmp_path: Path) -> None:
    run = write_run(tmp_path, "nn", 0, status="failed")
    change(run, config=run.read_info().config | {"status": "done", "path": "elsewhere"})
    assert list(load_runs(runs_dir=tmp_path)[["status", "path"]].iloc[0]) == ["failed", str(run.path)]


def test_runs_with_the_same_hash_and_different_settings_are_two_runs(tmp_path: Path) -> None:
    one, other = write_arm(tmp_path, "nn", [0.80, 0.82])
    change(other, hash=one.read_info().hash)
    assert list(load_runs(runs_dir=tmp_path)["status"]) == ["done", "done"]
    assert list(compare(runs_dir=tmp_path).arms["n"]) == [2]
    assert without_result((), tmp_path).removals == []


@pytest.mark.parametrize("task", ["fashion-mnist", "linear-regression"])
def test_unset_settings_are_words_and_unused_ones_are_none(task: str) -> None:
    config = Config.model_validate({"variant": "scratch", "task": task})
    settings = config.settings("cpu")
    info = RunInfo(
        status=Status.RUNNING,
        name="study",
        arm="mine",
        cell="cell",
        hash="0123abcd",
        config=config.model_dump(),
        settings=settings,
    )
    run = Run(RunFolder(Path("study/cell")), "study", Status.RUNNING, None, info)
    assert run.setting("arm") == "mine" and run.setting("task") == task and run.setting("seed") == 0
    assert run.setting("train_size") == ("all" if task == "fashion-mnist" else "none")
    assert run.setting("max_norm") == ("none" if task == "fashion-mnist" else None) and run.setting("device") == "cpu"
    assert run.setting("drop_epochs") is None and run.setting("no such key") is None
    if task == "linear-regression":
        return
    change = {"config": info.config | {"drop_schedule": "early"}}
    scheduled = replace(run, info=info.model_copy(update=change))
    assert scheduled.setting("drop_epochs") == "half"
    plain = replace(run, info=info.model_copy(update={"config": info.config | {"variant": "none"}}))
    assert plain.setting("drop_probs") is None
    plugin = replace(run, info=info.model_copy(update={"config": info.config | {"variant": "of a plugin"}}))
    assert plugin.setting("drop_probs") == [0.2, 0.5]


@pytest.mark.parametrize(
    "keys",
    [
        {"variant": "none"},
        {"variant": "none", "input_noise_std": 0.5, "noise_at_eval": True},
        {"variant": "nn", "init": "torch"},
        {"variant": "dropconnect", "drop_schedule": "late"},
        {"variant": "scratch", "task": "linear-regression"},
    ],
)
def test_a_run_has_the_settings_that_its_hash_may_cover(keys: dict[str, Any]) -> None:
    planned = PlannedRun("study", None, "cell", Config.model_validate(keys))
    run = Run(RunFolder(Path("study/cell")), "study", Status.RUNNING, None, info_of(planned, "running", {}))
    assert [key for key in Config.model_fields if run.setting(key) is not None] == planned.config.used()


HOSTILE = "\x1b]0;owned\x07-0123abcd"  # would set the title of a terminal


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets no folder have such a name")
@pytest.mark.parametrize("renamed", ["run", "study"])
@pytest.mark.parametrize("output", ["table", "md", "csv", "json"])
def test_no_control_character_of_a_folder_or_a_run_json_reaches_a_terminal(
    output: str, renamed: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(study, "nn", 9, name="other", status="failed", why="\x1b[2J", arm="\x9b31m")
    corrupted = write_run(study, "nn", 8, name="other")
    (corrupted.path / RUN).write_text("{")
    (run.path / "\x1b[2J").write_text("")
    path = run.path if renamed == "run" else run.path.parent
    path.rename(path.with_name(HOSTILE))
    for words in (["runs"], ["compare"], ["runs", "--prune"]):
        with pytest.raises(SystemExit):
            app([*words, "--format", output, "--runs-dir", str(study)])
        shown = capsys.readouterr()
        for text in (shown.out, shown.err):
            assert all(character.isprintable() or character in "\n\t" for character in text)
        assert "owned" in shown.out + shown.err or words == ["compare"]
