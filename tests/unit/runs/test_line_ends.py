"""Text files whose line ends git or an editor changed: the runs are the same."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from helpers.in_process import InProcess

from dropexp.runs.folder import TEXTS, RunFolder
from dropexp.runs.record import read_runs
from dropexp.runs.repair import repair
from dropexp.runs.state_names import Status
from dropexp.runs.transitions import status_of

SUFFIXES = (".json", ".csv", ".yaml")
LINES = """\
task: linear-regression
variant: nn
epochs: 3
matrix: {seed: 0..1}
published: {loss: [1, 1, 1]}
"""
ENDS = [(b"\r\n", b""), (b"\r\n", codecs.BOM_UTF8), (b"\r", b""), (b"\n", codecs.BOM_UTF8)]


def change_line_ends(root: Path, ends: bytes = b"\r\n", mark: bytes = b"") -> dict[Path, bytes]:
    """Change the line ends of all texts below `root`, as git with core.autocrlf does; return the texts."""
    paths = [path for path in root.rglob("*") if path.suffix in SUFFIXES]
    for path in paths:
        path.write_bytes(mark + path.read_bytes().replace(b"\n", ends))
    return {path: path.read_bytes() for path in paths}


@pytest.mark.parametrize(("ends", "mark"), ENDS)
def test_a_finished_run_stays_finished_and_needs_no_repair(done: RunFolder, ends: bytes, mark: bytes) -> None:
    texts = change_line_ends(done.path, ends, mark)
    assert {path.name for path in texts} == set(TEXTS)
    assert status_of(done) == Status.DONE
    assert repair(done, done.read_info()) == []


def test_finished_runs_of_schema_1_stay_finished(old: Path) -> None:
    before = [(run.status, run.columns()) for run in read_runs((), old.parent)]
    change_line_ends(old)
    assert [(run.status, run.columns()) for run in read_runs((), old.parent)] == before


def test_a_study_is_not_trained_again_and_its_comparison_is_unchanged(cli: InProcess) -> None:
    train = ("train", "-c", cli.write("lines.yaml", LINES), "--jobs", "1")
    cli(*train)
    compared = cli("compare", "lines").stdout
    texts = change_line_ends(cli.folder / "runs")
    assert any(path.name == "study.json" for path in texts)
    again = cli(*train).stderr
    assert "2 runs: 0 trained now, 2 before" in again and "note" not in again
    assert cli("compare", "lines").stdout == compared
    assert {path: path.read_bytes() for path in texts if path.name != "study.json"} == {
        path: text for path, text in texts.items() if path.name != "study.json"
    }


def test_an_interrupted_run_resumes_to_the_same_table(cli: InProcess) -> None:
    config = cli.write("lines.yaml", LINES)
    cli("train", "-c", config, "--jobs", "1", "--set", "epochs=3")
    whole = cli.tables()
    (path, *_) = sorted((cli.folder / "runs" / "lines").glob("*/"))
    run = RunFolder(path)
    run.write_info(run.read_info().model_copy(update={"status": Status.INTERRUPTED, "table": None}))
    change_line_ends(cli.folder / "runs")
    assert "note" not in cli("train", "-c", config, "--jobs", "1").stderr
    change_line_ends(cli.folder / "runs", b"\n")
    assert cli.tables() == whole
