"""One process at a time writes to a folder, until it exits."""

from __future__ import annotations

import errno
import os
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from helpers.processes import another_process, kill

from dropexp.lock import Busy, is_locked, locked

LOCKS = """
import sys, time
from pathlib import Path
from dropexp.lock import locked
with locked(Path(sys.argv[1]), "run.json"):
    print("ready", flush=True)
    time.sleep(600)
"""
HANGS_AS_IT_WRITES = """
import os, sys, time
from pathlib import Path
from dropexp.files import write_whole
from dropexp.lock import locked
def replace(*paths):
    print("ready", flush=True)
    time.sleep(600)
os.replace = replace
with locked(Path(sys.argv[1]), "run.json"):
    write_whole(Path(sys.argv[1]) / "run.json", b"new")
"""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder_is_locked_by_one_process_until_that_exits(tmp_path: Path) -> None:
    with another_process(LOCKS, str(tmp_path)) as other:
        assert is_locked(tmp_path)
        with pytest.raises(Busy), locked(tmp_path):
            pytest.fail("two processes have locked the folder")
        kill(other)
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        assert is_locked(tmp_path)


def test_a_folder_that_was_never_locked_is_not_locked_and_the_check_writes_nothing(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    assert names(tmp_path) == set()
    assert not is_locked(tmp_path / "absent")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks for readers")
def test_the_lock_of_another_user_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(tmp_path):
        monkeypatch.setattr("dropexp.lock.FileLock", not_permitted)
        assert is_locked(tmp_path) is True
    assert is_locked(tmp_path) is False


def test_a_lock_that_cannot_be_read_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(tmp_path):
        monkeypatch.setattr("dropexp.lock.FileLock", not_permitted)
        monkeypatch.setattr("builtins.open", not_permitted)
        assert is_locked(tmp_path) is None


def not_permitted(*args: object, **options: object) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_an_error_unlocks(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        _ = 1 / 0
    assert not is_locked(tmp_path)


def test_locking_creates_the_folder(tmp_path: Path) -> None:
    with locked(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()


def test_locking_removes_what_a_killed_writer_left_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("old")
    with another_process(HANGS_AS_IT_WRITES, str(tmp_path)) as writer:
        kill(writer)
    (leftover,) = names(tmp_path) - {".lock", "run.json"}
    assert leftover.startswith(".run.json.")
    with locked(tmp_path, "run.json"):
        assert names(tmp_path) == {".lock", "run.json"}
    assert (tmp_path / "run.json").read_text() == "old"


def test_only_half_written_files_of_these_names_are_removed(tmp_path: Path) -> None:
    others = {".notes.1.tmp", ".run.json.tmp", ".run.json.x.tmp", "notes.tmp", ".notes"}
    for name in {".run.json.1.tmp", ".checkpoint.pt.22.tmp", *others}:
        (tmp_path / name).write_text("")
    with locked(tmp_path, "run.json", "checkpoint.pt"):
        assert names(tmp_path) == {".lock", *others}


def test_a_process_that_does_not_get_the_lock_removes_nothing(tmp_path: Path) -> None:
    with another_process(HANGS_AS_IT_WRITES, str(tmp_path)):
        (half_written,) = tmp_path.glob(".*.tmp")
        with pytest.raises(Busy), locked(tmp_path, "run.json"):
            pytest.fail("two processes have locked the folder")
        assert half_written.exists()


def test_a_folder_that_is_removed_while_its_lock_is_waited_for_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = tmp_path / "run", ExitStack()
    other.enter_context(locked(folder))

    def prune(seconds: float) -> None:
        if folder.exists():
            (folder / ".lock").unlink()
            other.close()
            folder.rmdir()

    monkeypatch.setattr(time, "sleep", prune)  # a waiting process calls it between two tries
    with locked(folder):
        assert folder.is_dir()
