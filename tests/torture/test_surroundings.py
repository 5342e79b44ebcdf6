"""Full disks, folders without write permission, locks that fail, a clock that runs backwards."""

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
from dropexp.runs.state_names import Status
from dropexp.training import checkpoint
from torture.counts import COUNTS
from torture.study import (
    CONFIG,
    TEXT,
    Study,
    collect_messages,
    count_epochs,
    run_command,
    start,
    table,
    wait_until_gone,
)

PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes; the size of a tmpfs is a multiple of it
ROOT = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
DIE = {"event": "os.rename", "file": "checkpoint.pt", "nth": 9, "tear": None, "who": "self", "mark": None}
# Permissions do not restrict root, unless its capabilities are dropped.
UNPRIVILEGED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []


@contextmanager
def _disk(path: Path, size: str) -> Iterator[Path]:
    """Mount a file system of this size."""
    path.mkdir()
    mounted = _mount("-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", str(path))
    if mounted.returncode != 0:
        pytest.fail(f"mounting a disk needs root: {mounted.stderr}", pytrace=False)
    try:
        yield path
    finally:
        subprocess.run([*ROOT, "umount", "--lazy", str(path)], check=True)


def _mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ROOT, "mount", *arguments], capture_output=True, text=True, check=False)


def _remount(disk: Path, option: str) -> None:
    done = _mount("-o", f"remount,{option}", str(disk))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("part", range(4))
def test_a_full_disk_is_reported_and_with_more_space_the_same_command_resumes(
    part: int, command: Command, undisturbed: Study, draw: Random
) -> None:
    command.write(CONFIG, TEXT)
    sizes = [path.stat().st_size for path in undisturbed.runs.rglob("*") if path.is_file()]
    pages = sum(-(-size // PAGE) for size in sizes)  # of the whole study
    size = draw.randrange(1 + pages * part // 4, pages * (part + 1) // 4) * PAGE
    with _disk(command.folder / "disk", str(size)) as disk:
        COUNTS.faults += 1
        done = run_command(command, "train", "-c", CONFIG, "--jobs", "1", "--runs-dir", "disk/runs")
        assert done.returncode == 1 and "No space left on device" in done.stderr
        for path in disk.glob("runs/torture/*/epochs.csv"):  # complete lines are right; the last may be torn
            whole = table(undisturbed.runs / "torture" / path.parent.name / "epochs.csv")
            rows = table(path)[:-1]
            assert rows == whole[: len(rows)]
        run_command(command, "compare", "--runs-dir", "disk/runs")
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


def test_runs_on_a_read_only_disk_are_read_and_not_trained(command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    with _disk(command.folder / "disk", "8m") as disk:
        _remount(disk, "ro")
        COUNTS.faults += 1
        messages = command("train", "-c", CONFIG, "--jobs", "1", "--runs-dir", "disk/runs", code=1).stderr
        assert "Read-only file system" in messages and "disk/runs" in messages
        _remount(disk, "rw")
        shutil.copytree(undisturbed.runs, disk / "runs")
        unfinished = next(disk.glob("runs/torture/*variant=nn*"))
        (unfinished / "run.json").unlink()
        _remount(disk, "ro")
        COUNTS.faults += 1
        messages = command("train", "-c", CONFIG, "--jobs", "1", "--runs-dir", "disk/runs", code=1).stderr
        assert "disk/runs cannot be written to: Read-only file system" in messages
        assert "scratch" in command("compare", "--runs-dir", "disk/runs").stdout
        command("runs", "--runs-dir", "disk/runs")
        _remount(disk, "rw")
        command("train", "-c", CONFIG, "--jobs", "1", "--runs-dir", "disk/runs")
        undisturbed.check(disk / "runs")


def test_a_folder_without_permission_to_write_or_read_is_reported(command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    shutil.copytree(undisturbed.runs, command.folder / "runs")
    one = next(command.folder.glob("runs/torture/*variant=nn*"))
    info = RunFolder(one).read_info()
    (one / "run.json").unlink()
    cell, files = one.name.rpartition("-")[0], {path.name: path.read_bytes() for path in one.iterdir()}
    for mode in (0o555, 0o000):
        one.chmod(mode)
        COUNTS.faults += 1
        code, messages = _run_unprivileged(command, "train", "-c", CONFIG, "--jobs", "1")
        assert code == 1 and "Permission denied" in messages and cell in messages
        assert "5 before" in messages  # the other runs
        assert _run_unprivileged(command, "compare")[0] == 0
        assert _run_unprivileged(command, "runs", "--prune", "--yes")[0] == 0
        one.chmod(0o755)
        assert {path.name: path.read_bytes() for path in one.iterdir()} == files
    failed = info.model_copy(update={"status": Status.FAILED, "table": None})  # so that it can be removed
    RunFolder(one).write_info(failed)
    one.chmod(0o555)
    COUNTS.faults += 1
    code, messages = _run_unprivileged(command, "runs", "--prune", "--yes")
    assert code == 1 and str(one.relative_to(command.folder)) in messages and "Permission denied" in messages
    one.chmod(0o755)
    (command.folder / "runs").chmod(0o000)
    COUNTS.faults += 1
    for words, expected in ((["train", "-c", CONFIG], 1), (["compare"], 5)):
        code, messages = _run_unprivileged(command, *words)
        assert code == expected and "Permission denied" in messages
    assert _run_unprivileged(command, "runs")[0] == 0  # it lists the folder as unreadable
    (command.folder / "runs").chmod(0o755)
    command("train", "-c", CONFIG, "--jobs", "1")
    undisturbed.check(command.folder / "runs")


def _run_unprivileged(command: Command, *arguments: str) -> tuple[int, str]:
    """Run the command without root's capabilities; return its exit code and stderr."""
    done = command.run(*arguments, prefix=UNPRIVILEGED)
    assert "internal error" not in done.stderr, done.stderr
    return done.returncode, done.stderr


def test_if_locks_fail_nothing_is_trained_and_the_reason_is_reported(command: Command) -> None:
    command.write(CONFIG, TEXT)
    process = start(command, "train", "-c", CONFIG, "--jobs", "2", flock=errno.ENOLCK)
    COUNTS.faults += 1
    wait_until_gone(process)
    messages = collect_messages(command)
    assert process.returncode == 1 and "No locks available" in messages and "internal error" not in messages
    assert not list(command.folder.glob("runs/*/*/epochs.csv"))


def test_without_any_locks_no_run_has_two_processes(command: Command, undisturbed: Study) -> None:
    """Without flock an existing file is the lock, unless a killed process left it."""
    command.write(CONFIG, TEXT)
    process = start(command, "train", "-c", CONFIG, "--jobs", "1", flock=errno.ENOSYS, die=DIE)
    wait_until_gone(process)
    messages = collect_messages(command)
    assert process.returncode == -signal.SIGKILL, messages
    COUNTS.kills += 1
    COUNTS.faults += 1
    saved = [checkpoint.read(RunFolder(folder)) for folder in command.folder.glob("runs/torture/*/")]
    kept = sum(one.epoch for one in saved if one)
    both = [start(command, "train", "-c", CONFIG, "--jobs", "2", flock=errno.ENOSYS) for _ in range(2)]
    for process in both:
        wait_until_gone(process)
    messages = collect_messages(command)
    # 1: a command does not wait for the runs that the other trains
    assert all(process.returncode in (0, 1) for process in both), messages
    assert count_epochs(messages) == undisturbed.epochs - kept
    undisturbed.check(command.folder / "runs")


def test_a_clock_that_runs_backwards_changes_nothing(command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    process = start(command, "train", "-c", CONFIG, "--jobs", "1", clock=3600.0, die=DIE)
    wait_until_gone(process)
    assert process.returncode == -signal.SIGKILL, collect_messages(command)
    COUNTS.kills += 1
    COUNTS.faults += 1
    for path in command.folder.glob("runs/**/*"):  # as if they were written next week
        os.utime(path, times=(time.time() + 604_800,) * 2)
    process = start(command, "train", "-c", CONFIG, "--jobs", "2", clock=3600.0)
    wait_until_gone(process)
    assert process.returncode == 0, collect_messages(command)
    for path in command.folder.glob("runs/*/*/run.json"):
        known = json.loads(path.read_bytes())["provenance"]
        assert known["ended"] < known["began"]
    undisturbed.check(command.folder / "runs")
