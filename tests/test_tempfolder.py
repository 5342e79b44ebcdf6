"""Scratch folders: gone when their work is, and when their process was killed."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dropexp.tempfolder import remove_left_behind, scratch_dir

HERE = f"tmp-dropexp-{platform.node()}"
YESTERDAY = time.time() - 25 * 3600


def test_a_scratch_folder_is_gone_after_its_work_with_all_that_is_in_it(tmp_path: Path) -> None:
    with scratch_dir(tmp_path) as scratch:
        (Path(scratch) / "raw").mkdir()
        (Path(scratch) / "raw" / "half").write_bytes(bytes(10))
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_without_a_lock_is_removed_after_a_day(tmp_path: Path) -> None:
    left, at_work = tmp_path / f"{HERE}-left", tmp_path / f"{HERE}-at_work"
    for folder in (left, at_work):
        folder.mkdir()
        (folder / "half").write_bytes(bytes(10))
    os.utime(left, (YESTERDAY, YESTERDAY))
    with scratch_dir(tmp_path) as scratch:
        assert Path(scratch).parent == tmp_path
    assert not left.exists() and at_work.exists() and not Path(scratch).exists()


def test_what_a_killed_process_left_is_removed_at_once_where_its_lock_tells(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from dropexp.tempfolder import scratch_dir\n"
        "with scratch_dir(Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    with scratch_dir(tmp_path) as scratch:
        remove_left_behind(tmp_path)
        assert not left.exists() and Path(scratch).exists()


def test_an_empty_folder_of_a_process_killed_before_it_had_its_lock_is_removed_at_once(tmp_path: Path) -> None:
    (tmp_path / f"{HERE}-empty").mkdir()
    remove_left_behind(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("removed", range(9))
def test_a_removal_that_was_cut_short_is_gone_on_with_at_once(
    removed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any number of the files, eight and the lock."""
    unlink, left = os.unlink, removed

    def cut_short(path: str | Path, **options: int) -> None:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt  # which no clean-up takes for an error that it may ignore
        left -= 1
        unlink(path, **options)

    with pytest.raises(KeyboardInterrupt), scratch_dir(tmp_path) as scratch:
        for number in range(8):
            (Path(scratch) / str(number)).write_bytes(bytes(10))
        monkeypatch.setattr(os, "unlink", cut_short)
    monkeypatch.undo()
    remove_left_behind(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_another_machine_is_at_work_with_is_left_alone_since_its_lock_may_not_be_seen_here(tmp_path: Path) -> None:
    theirs = tmp_path / "tmp-dropexp-elsewhere-at_work"
    theirs.mkdir()
    (theirs / ".lock").touch()
    remove_left_behind(tmp_path)
    assert theirs.exists()
    os.utime(theirs, (YESTERDAY, YESTERDAY))
    remove_left_behind(tmp_path)
    assert not theirs.exists()


def test_a_link_that_is_named_as_one_is_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("of somebody's")
    os.utime(kept, (YESTERDAY, YESTERDAY))
    (tmp_path / f"{HERE}-link").symlink_to(kept, target_is_directory=True)
    remove_left_behind(tmp_path)
    assert (kept / "file").exists()
