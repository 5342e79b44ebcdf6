"""Temporary folders: gone when their work is, and when their process was killed."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import BaseFileLock

from dropexp.tempfolder import remove_left_behind, temp_folder

HERE = f"tmp-dropexp-{platform.node()}"
YESTERDAY = time.time() - 25 * 3600


def test_a_folder_is_gone_after_its_work_with_all_that_is_in_it(tmp_path: Path) -> None:
    with temp_folder(tmp_path / "new") as folder:
        (folder / "raw").mkdir()
        (folder / "raw" / "half").write_bytes(bytes(10))
        assert folder.parent == tmp_path / "new"
        assert os.name == "nt" or folder.stat().st_mode & 0o777 == 0o700
    assert list((tmp_path / "new").iterdir()) == []


def test_where_nothing_can_be_written_the_systems_folder_serves_and_is_cleaned_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"{HERE}-left").mkdir()
    (tmp_path / "file").touch()
    with temp_folder(tmp_path / "file" / "cache") as folder:
        assert folder.parent == tmp_path
        assert not (tmp_path / f"{HERE}-left").exists()


def test_what_a_killed_process_left_is_removed_at_once(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from dropexp.tempfolder import temp_folder\n"
        "with temp_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').touch()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode == -signal.SIGKILL
    left, its_lock = sorted(tmp_path.iterdir())
    assert list(left.iterdir()) and its_lock.is_file()
    with temp_folder(tmp_path) as folder:
        remove_left_behind(tmp_path)
        assert not left.exists() and not its_lock.exists() and folder.exists()


def test_a_lock_of_a_process_that_was_killed_before_it_made_its_folder_is_removed_at_once(tmp_path: Path) -> None:
    (tmp_path / f"{HERE}-left.lock").touch()
    remove_left_behind(tmp_path)
    assert list(tmp_path.iterdir()) == []


class Cut(BaseException):
    """What no clean-up takes for an error that it may ignore."""


@pytest.mark.parametrize("steps", range(4))
def test_a_removal_that_was_cut_short_is_gone_on_with_at_once(
    steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any of two files, its folder or its lock is removed."""

    left = steps

    def cutting_short(remove: Callable[..., Any]) -> Callable[..., Any]:
        def removed(*where: Any, **options: Any) -> None:
            nonlocal left
            if left == 0:
                raise Cut
            left -= 1
            remove(*where, **options)

        return removed

    with pytest.raises(Cut) as caught, temp_folder(tmp_path) as folder:
        for number in range(2):
            (folder / str(number)).touch()
        for name in ("unlink", "rmdir"):
            monkeypatch.setattr(os, name, cutting_short(getattr(os, name)))
    monkeypatch.undo()
    assert list(tmp_path.iterdir())
    remove_left_behind(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert caught  # which holds on to the lock, as a notebook does to what an interrupt broke off


def test_a_day_does_not_matter_where_a_lock_tells_that_a_process_is_at_work(tmp_path: Path) -> None:
    with temp_folder(tmp_path) as folder:
        for path in tmp_path.iterdir():
            os.utime(path, (YESTERDAY, YESTERDAY))
        remove_left_behind(tmp_path)
        assert folder.exists() and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("moment", ["before it is locked", "before there is a folder"])
def test_a_process_that_looks_while_another_begins_takes_nothing_from_it(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire, mkdir = BaseFileLock.acquire, Path.mkdir

    def looked_at_first(self: BaseFileLock, *arguments: Any, **options: Any) -> Any:
        monkeypatch.undo()
        Path(self.lock_file).touch()  # it is made before it is locked
        remove_left_behind(tmp_path)
        return acquire(self, *arguments, **options)

    def looked_at_before(self: Path, *arguments: Any, **options: Any) -> None:
        if self != tmp_path:
            monkeypatch.undo()
            remove_left_behind(tmp_path)
        mkdir(self, *arguments, **options)

    if moment == "before it is locked":
        monkeypatch.setattr(BaseFileLock, "acquire", looked_at_first)
    else:
        monkeypatch.setattr(Path, "mkdir", looked_at_before)
    with temp_folder(tmp_path) as folder:
        monkeypatch.undo()
        remove_left_behind(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name, f"{folder.name}.lock"]


def test_where_locks_do_not_work_a_day_tells_what_was_left(tmp_path: Path, no_locks: None) -> None:
    left, at_work = tmp_path / f"{HERE}-left", tmp_path / f"{HERE}-at_work"
    for folder in (left, at_work):
        folder.mkdir()
        (lock := tmp_path / f"{folder.name}.lock").touch()
        os.utime(lock, (YESTERDAY, YESTERDAY))
    os.utime(left, (YESTERDAY, YESTERDAY))
    with temp_folder(tmp_path) as folder:
        assert folder.parent == tmp_path
    assert {path.name for path in tmp_path.iterdir()} == {at_work.name, f"{at_work.name}.lock"}


@pytest.mark.parametrize("machine", ["elsewhere", f"{platform.node()}-2"])
def test_what_another_machine_is_at_work_with_is_left_alone_since_its_lock_may_not_be_seen_here(
    machine: str, tmp_path: Path
) -> None:
    theirs, lock = tmp_path / f"tmp-dropexp-{machine}-at_work", tmp_path / f"tmp-dropexp-{machine}-at_work.lock"
    theirs.mkdir()
    lock.touch()
    os.utime(lock, (YESTERDAY, YESTERDAY))
    remove_left_behind(tmp_path)
    assert theirs.exists() and lock.exists()
    os.utime(theirs, (YESTERDAY, YESTERDAY))
    remove_left_behind(tmp_path)
    assert not theirs.exists() and not lock.exists()


def test_a_link_that_is_named_as_one_is_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("of somebody's")
    os.utime(kept, (YESTERDAY, YESTERDAY))
    (tmp_path / f"{HERE}-link").symlink_to(kept, target_is_directory=True)
    (tmp_path / f"{HERE}-other.lock").symlink_to(kept / "file")
    remove_left_behind(tmp_path)
    assert (kept / "file").read_text() == "of somebody's"
