"""study.json: what a config declares for its study, beside the runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from dropexp.errors import CorruptedFile, NewerRun
from dropexp.files import encode_json
from dropexp.lock import locked
from dropexp.runs import study_file
from dropexp.runs.folder import RunFolder
from dropexp.runs.study_file import read_study, write_study

SCHEMA_1 = Path(__file__).parents[2] / "schema-1" / "runs"
ONE: dict[str, Any] = {"published": {"source": "a book", "loss": [0.5, 0.25, 0.125]}}
OTHER: dict[str, Any] = {"published": {"loss": [2.0]}}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "one" / "a-00000000")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "one" / "study.json"


def test_declared_figures_are_read_for_each_run_of_the_study(run: RunFolder, tmp_path: Path) -> None:
    assert write_study(tmp_path, "one", ONE) is None
    assert read_study(run) == ONE


def test_a_study_without_declared_figures_has_no_file(run: RunFolder, tmp_path: Path) -> None:
    write_study(tmp_path, "one", {})
    assert not (tmp_path / "one").exists()
    assert read_study(run) == {}


def test_declared_figures_stay_until_a_config_declares_others(run: RunFolder, tmp_path: Path) -> None:
    write_study(tmp_path, "one", ONE)
    assert write_study(tmp_path, "one", {}) is None
    assert read_study(run) == ONE
    write_study(tmp_path, "one", OTHER)
    assert read_study(run) == OTHER


@pytest.mark.parametrize(
    "corrupt", [lambda _: b"", lambda _: b"[]", lambda _: b"\xff", lambda c: c[:-20], lambda c: c.replace(b"25", b"26")]
)
def test_a_corrupted_file_is_renamed_and_rewritten(
    corrupt: Callable[[bytes], bytes], run: RunFolder, path: Path, tmp_path: Path
) -> None:
    write_study(tmp_path, "one", ONE)
    whole = path.read_bytes()
    path.write_bytes(corrupt(whole))
    with pytest.raises(CorruptedFile, match=r"study\.json is corrupted"):
        read_study(run)
    note = write_study(tmp_path, "one", {})
    assert note is not None and "a config with a section `published` rewrites it" in note
    assert path.read_bytes() == corrupt(whole)
    assert "is renamed to study.json.corrupted-1" in str(write_study(tmp_path, "one", ONE))
    assert path.read_bytes() == whole
    assert path.with_name("study.json.corrupted-1").read_bytes() == corrupt(whole)


def test_a_study_of_schema_1_is_read_and_replaced_only_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "schema-1" / "study.json"
    path.parent.mkdir()
    shutil.copy(SCHEMA_1 / "schema-1" / "study.json", path)
    before = path.read_bytes()
    declared = read_study(RunFolder(path.parent / "a-00000000"))
    assert declared == {"published": {"arm": "images", "test_acc": [0.1, 0.1, 0.1]}}
    assert write_study(tmp_path, "schema-1", declared) is None
    assert path.read_bytes() == before
    write_study(tmp_path, "schema-1", OTHER)
    assert json.loads(path.read_bytes())["schema"] == 2


@pytest.mark.parametrize("content", [encode_json({"schema": 9, "mood": {}}), b'{"schema": 9, "mood": {}}'])
def test_a_study_of_a_later_version_is_left_unchanged(
    content: bytes, run: RunFolder, path: Path, tmp_path: Path
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(NewerRun):
        read_study(run)
    for declared in (ONE, {}):
        assert "was written by a later version of dropexp" in str(write_study(tmp_path, "one", declared))
    assert path.read_bytes() == content


def test_a_study_that_another_process_has_locked_is_not_written_and_a_message_is_returned(tmp_path: Path) -> None:
    with locked(tmp_path / "one"):
        note = write_study(tmp_path, "one", ONE)
        assert note is not None and "is not written: another process has locked its folder" in note
    assert write_study(tmp_path, "one", ONE) is None
    with locked(tmp_path / "one"):
        assert write_study(tmp_path, "one", ONE) is None  # the file has these figures already


def test_figures_that_another_process_wrote_meanwhile_are_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study(tmp_path / "other", "one", ONE)
    acquire = FileLock.acquire

    def late(self: FileLock, *arguments: Any, **options: Any) -> Any:
        shutil.copy(tmp_path / "other" / "one" / "study.json", tmp_path / "one" / "study.json")
        return acquire(self, *arguments, **options)

    monkeypatch.setattr(FileLock, "acquire", late)
    monkeypatch.setattr(study_file, "write_whole", lambda *_: pytest.fail("it was written again"))
    assert write_study(tmp_path, "one", ONE) is None


def test_on_a_disk_without_locks_the_file_is_not_written_and_a_message_is_returned(
    tmp_path: Path, no_locks: None
) -> None:
    note = write_study(tmp_path, "study", ONE)
    assert note is not None and "is not written" in note and "where locks do not work" in note


def test_a_linked_study_is_written_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "study").symlink_to(tmp_path / "large disk", target_is_directory=True)
    write_study(tmp_path / "runs", "study", ONE)
    with RunFolder(tmp_path / "runs" / "study" / "cell-0123abcd").lock():
        assert (tmp_path / "large disk" / "cell-0123abcd").is_dir()
    assert (tmp_path / "large disk" / "study.json").exists()
