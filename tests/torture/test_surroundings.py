"""Full disks, folders that cannot be written, locks that do not work, a clock that runs backwards."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from helpers.command import Command

from dropexp.runs.folder import RunFolder
from dropexp.training import checkpoint
from torture.counts import COUNTS
from torture.study import CONFIG, TEXT, Study, ask, epochs_reported, messages_of, start, table, wait_until_gone

PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes; a disk in memory has whole ones
ROOT = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
DIE = {"event": "os.rename", "file": "checkpoint.pt", "nth": 9, "tear": None, "who": "self", "marker": None}
# Root is bound by no permission, unless its capabilities are gone.
BOUND = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []


@contextmanager
def _disk(place: Path, size: str) -> Iterator[Path]:
    """A real file system of this size."""
    place.mkdir()
    mounted = _mount("-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", str(place))
    if mounted.returncode != 0:
        pytest.fail(f"a disk cannot be made here, it takes root: {mounted.stderr}", pytrace=False)
    try:
        yield place
    finally:
        subprocess.run([*ROOT, "umount", "--lazy", str(place)], check=True)


def _mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ROOT, "mount", *arguments], capture_output=True, text=True, check=False)


def _remount(disk: Path, option: str) -> None:
    done = _mount("-o", f"remount,{option}", str(disk))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("part", range(4))
def test_a_full_disk_is_named_and_the_same_command_resumes_with_more_room(
    part: int, command: Command, undisturbed: Study, draw: Random
) -> None:
    command.write(CONFIG, TEXT)
    sizes = [path.stat().st_size for path in undisturbed.runs.rglob("*") if path.is_file()]
    pages = sum(-(-size // PAGE) for size in sizes)  # that the study takes
    room = draw.randrange(1 + pages * part // 4, pages * (part + 1) // 4) * PAGE
    with _disk(command.folder / "disk", str(room)) as disk:
        COUNTS.faults += 1
        done = ask(command, "train", "-c", CONFIG, "--jobs", "1", "--runs-dir", "disk/runs")
        assert done.returncode == 1 and "No space left on device" in done.stderr
        for path in disk.glob("runs/torture/*/epochs.csv"):  # what is there is right, but for a line that is torn
            whole = table(undisturbed.runs / "torture" / path.parent.name / "epochs.csv")
            rows = table(path)[:-1]
            assert rows == whole[: len(rows)]
        ask(command, "compare", "--runs-dir", "disk/runs")
        _remount(disk, "size=8m")
        command("train", "-c", CONFIG, "--jobs", "1", "--runs-dir", "disk/runs")
        undisturbed.check(disk / "runs")


def test_a_cache_on_a_full_disk_is_not_needed(command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    with _disk(command.folder / "cache", "40m") as cache:  # the decoded data takes 220 MB
        COUNTS.faults += 1
        command.environment["XDG_CACHE_HOME"] = str(cache)
        command("train", "-c", CONFIG, "--jobs", "2")
        undisturbed.check(command.folder / "runs")
        assert {path.name for path in (cache / "dropexp").iterdir()} <= {".lock"}


def test_runs_on_a_disk_that_is_read_only_are_read_and_not_trained(command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    with _disk(command.folder / "disk", "8m") as disk:
        _remount(disk, "ro")
        COUNTS.faults += 1
        stderr = command("train", "-c", CONFIG, "--jobs", "1", "--runs-dir", "disk/runs", code=1).stderr
        assert "Read-only file system" in stderr and "disk/runs" in stderr
        _remount(disk, "rw")
        shutil.copytree(undisturbed.runs, disk / "runs")
        unfinished = next(disk.glob("runs/torture/*variant=nn*"))
        (unfinished / "run.json").unlink()
        _remount(disk, "ro")
        COUNTS.faults += 1
        stderr = command("train", "-c", CONFIG, "--jobs", "1", "--runs-dir", "disk/runs", code=1).stderr
        assert "Read-only file system" in stderr and unfinished.name.rpartition("-")[0] in stderr
        assert "scratch" in command("compare", "--runs-dir", "disk/runs").stdout
        command("runs", "--runs-dir", "disk/runs")
        _remount(disk, "rw")
        command("train", "-c", CONFIG, "--jobs", "1", "--runs-dir", "disk/runs")
        undisturbed.check(disk / "runs")


def test_a_folder_that_one_may_not_write_or_not_even_read_is_named(command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    shutil.copytree(undisturbed.runs, command.folder / "runs")
    one = next(command.folder.glob("runs/torture/*variant=nn*"))
    info = RunFolder(one).read_info()
    (one / "run.json").unlink()
    cell, there = one.name.rpartition("-")[0], {path.name: path.read_bytes() for path in one.iterdir()}
    for mode in (0o555, 0o000):
        one.chmod(mode)
        COUNTS.faults += 1
        code, stderr = _bound(command, "train", "-c", CONFIG, "--jobs", "1")
        assert code == 1 and "Permission denied" in stderr and cell in stderr
        assert "5 before" in stderr  # the others are what they were
        assert _bound(command, "compare")[0] == 0
        assert _bound(command, "runs", "--prune", "--yes")[0] == 0
        one.chmod(0o755)
        assert {path.name: path.read_bytes() for path in one.iterdir()} == there
    RunFolder(one).write_info(info.model_copy(update={"status": "failed", "table": None}))  # so that it may go
    one.chmod(0o555)
    COUNTS.faults += 1
    code, stderr = _bound(command, "runs", "--prune", "--yes")
    assert code == 1 and str(one.relative_to(command.folder)) in stderr and "Permission denied" in stderr
    one.chmod(0o755)
    (command.folder / "runs").chmod(0o000)
    COUNTS.faults += 1
    for asked, answer in ((["train", "-c", CONFIG], 1), (["compare"], 5)):
        code, stderr = _bound(command, *asked)
        assert code == answer and "Permission denied" in stderr
    assert _bound(command, "runs")[0] == 0  # it lists the folder as broken
    (command.folder / "runs").chmod(0o755)
    command("train", "-c", CONFIG, "--jobs", "1")
    undisturbed.check(command.folder / "runs")


def _bound(command: Command, *arguments: str) -> tuple[int, str]:
    """Run the command as a user without root's capabilities; return its exit code and stderr."""
    done = command.run(*arguments, prefix=BOUND)
    assert "internal error" not in done.stderr, done.stderr
    return done.returncode, done.stderr


def test_where_locks_fail_nothing_is_trained_and_the_reason_is_printed(command: Command) -> None:
    command.write(CONFIG, TEXT)
    process = start(command, "train", "-c", CONFIG, "--jobs", "2", flock=errno.ENOLCK)
    COUNTS.faults += 1
    wait_until_gone(process)
    stderr = messages_of(command)
    assert process.returncode == 1 and "No locks available" in stderr and "internal error" not in stderr
    assert not list(command.folder.glob("runs/*/*/epochs.csv"))


def test_where_there_are_no_locks_at_all_no_run_has_two_processes(command: Command, undisturbed: Study) -> None:
    """Without flock a file that is there is the lock; one that a killed process left does not count."""
    command.write(CONFIG, TEXT)
    process = start(command, "train", "-c", CONFIG, "--jobs", "1", flock=errno.ENOSYS, die=DIE)
    wait_until_gone(process)
    stderr = messages_of(command)
    assert process.returncode == -signal.SIGKILL, stderr
    COUNTS.kills += 1
    COUNTS.faults += 1
    saved = [checkpoint.read(RunFolder(folder)) for folder in command.folder.glob("runs/torture/*/")]
    kept = sum(one.epoch for one in saved if one)
    both = [start(command, "train", "-c", CONFIG, "--jobs", "2", flock=errno.ENOSYS) for _ in range(2)]
    for process in both:
        wait_until_gone(process)
    stderr = messages_of(command)
    assert all(process.returncode in (0, 1) for process in both), stderr  # 1: what the other had was not waited for
    assert epochs_reported(stderr) == undisturbed.epochs - kept
    undisturbed.check(command.folder / "runs")


def test_a_clock_that_runs_backwards_changes_nothing(command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    process = start(command, "train", "-c", CONFIG, "--jobs", "1", clock=3600.0, die=DIE)
    wait_until_gone(process)
    assert process.returncode == -signal.SIGKILL, messages_of(command)
    COUNTS.kills += 1
    COUNTS.faults += 1
    for path in command.folder.glob("runs/**/*"):  # by the clock of now they were written next week
        os.utime(path, times=(time.time() + 604_800,) * 2)
    process = start(command, "train", "-c", CONFIG, "--jobs", "2", clock=3600.0)
    wait_until_gone(process)
    assert process.returncode == 0, messages_of(command)
    for path in command.folder.glob("runs/*/*/run.json"):
        known = json.loads(path.read_bytes())["provenance"]
        assert known["ended"] < known["began"]
    undisturbed.check(command.folder / "runs")
