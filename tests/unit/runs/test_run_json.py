"""run.json: what is written is read back, and what no training writes is corrupted."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_runs import write_raw, write_run

from dropexp.errors import CorruptedFile, NewerRun
from dropexp.files import encode_json
from dropexp.runs.folder import RunFolder
from dropexp.runs.run_json import RunInfo


def write(run: RunFolder, content: bytes) -> None:
    (run.path / "run.json").write_bytes(content)


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_a_run_json_is_read_back(status: str, tmp_path: Path) -> None:
    info = write_run(tmp_path, status=status, why="ü", arm="plain").read_info()
    assert (info.status, info.why, info.arm, info.epoch) == (status, "ü", "plain", 2)
    assert info.last["test_acc"] == 0.8 and info.table is None
    assert RunInfo.from_bytes(tmp_path, info.to_bytes()) == info


def test_a_finished_run_has_its_table_with_figures_that_are_not_finite(tmp_path: Path) -> None:
    run = write_run(tmp_path, status="diverged", test_acc=[0.5, math.nan])
    info = run.read_info()
    assert info.table is not None
    assert info.table["test_acc"] == pytest.approx([0.5, math.nan], nan_ok=True)
    text = (run.path / "run.json").read_text()
    json.loads(text, parse_constant=pytest.fail)  # strict JSON has no NaN
    assert '"test_acc": [0.5, "nan"]' in text


def test_a_figure_of_any_size_is_read_back_exactly(tmp_path: Path) -> None:
    figures = [0.1 + 0.2, 1e-5, 5e-324, 1e22, 1.7976931348623157e308, -0.0, math.inf, -math.inf, 2.0]
    info = write_run(tmp_path).read_info().model_copy(update={"epoch": 9, "table": {"x": figures}})
    back = RunInfo.from_bytes(tmp_path, info.to_bytes())
    assert back.table is not None and list(map(repr, back.table["x"])) == list(map(repr, figures))


def test_text_that_is_half_a_surrogate_pair_is_written_as_a_question_mark(tmp_path: Path) -> None:
    info = write_run(tmp_path, status="failed").read_info().model_copy(update={"why": "a\udcffb"})
    assert RunInfo.from_bytes(tmp_path, info.to_bytes()).why == "a?b"


@pytest.mark.parametrize(
    "changed",
    [
        {"schema": 0},
        {"schema": "2"},
        {"status": "paused"},
        {"status": "new"},
        {"status": "interrupted"},  # with a table
        {"table": None},
        {"table": {}},
        {"table": {"test_acc": [0.1]}},
        {"table": {"test_acc": [0.1, 0.2], "lr": [0.1]}},
        {"table": {"test_acc": [0.1, "x"]}},
        {"epoch": 3},
        {"epoch": -1},
        {"epoch": "two"},
        {"name": ".."},
        {"name": "a\0b"},
        {"arm": 5},
        {"hash": "' OR ''='"},
        {"hash": "0123abcd\n"},
        {"why": 5},
        {"config": []},
        {"config": {}},
        {"config": {"variant": 5, "seed": 0}},
        {"config": {"variant": "nn", "seed": 2**63}},
        {"config": {"variant": "nn", "seed": True}},
        {"config": {"variant": "nn", "seed": 0, "task": 5}},
        {"config": {"variant": "nn", "seed": 0, "validation_size": "x"}},
        {"config": {"variant": "nn", "seed": 0, "lr": 10**400}},
        {"settings": None},
        {"last": {"test_acc": [0.8]}},
        {"provenance": {"began": 5}},
        {"provenance": [1]},
    ],
    ids=lambda changed: str(changed)[:40],
)
def test_a_run_json_with_a_field_that_no_training_writes_is_corrupted(changed: dict[str, Any], tmp_path: Path) -> None:
    run = write_run(tmp_path)
    write_raw(run, **changed)
    with pytest.raises(CorruptedFile, match=r"run\.json is corrupted \("):
        run.read_info()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"schema": 2, "status": "done"}'])
def test_bytes_that_are_not_a_run_json_are_corrupted(content: bytes, tmp_path: Path) -> None:
    run = write_run(tmp_path)
    write(run, content)
    with pytest.raises(CorruptedFile):
        run.read_info()


def test_a_run_json_without_its_checksum_is_corrupted(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    content = json.loads((run.path / "run.json").read_bytes())
    for text in (json.dumps(content), json.dumps({key: content[key] for key in content if key != "sha256"})):
        write(run, text.encode())
        with pytest.raises(CorruptedFile, match="no checksum"):
            run.read_info()


@pytest.mark.parametrize("info", [{"schema": 3, "status": "done"}, {"schema": 3, "status": "paused"}, {"schema": 10}])
def test_a_run_of_a_later_version_is_not_corrupted(info: dict[str, Any], tmp_path: Path) -> None:
    run = write_run(tmp_path)
    for content in (encode_json(info), json.dumps(info).encode()):
        write(run, content)
        with pytest.raises(NewerRun, match=r"run\.json was written by a later version of dropexp"):
            run.read_info()


def test_a_figure_that_was_not_measured_is_null(tmp_path: Path) -> None:
    run = write_run(tmp_path, test_acc=[0.5, 0.6, 0.7, 0.8], eval_every=3)
    assert '"test_acc": [null, null, 0.7, 0.8]' in (run.path / "run.json").read_text()
    info = run.read_info()
    assert info.table is not None
    assert info.table["test_acc"] == [None, None, 0.7, 0.8] and None not in info.table["train_acc"]


def test_keys_that_a_later_version_may_add_are_ignored(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    write_raw(run, mood="good")
    assert run.read_info().status == "done"
