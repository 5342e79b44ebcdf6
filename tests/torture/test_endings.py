"""Signals, closed terminals and pipes, memory that runs out, and a second command on the same runs."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import pytest
from command import DROPEXP, TIMEOUT, Command

from torture.counts import COUNTS
from torture.study import CONFIG, TEXT, Study, members, start, talk, wait_until_gone

BALLAST, ENOUGH_FOR_ONE = 1200, 2000  # megabytes that a worker takes, and that all may have; two take 2400


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_at_any_time_ends_all_processes_and_says_how_to_go_on(
    sent: signal.Signals, command: Command, undisturbed: Study, draw: Random, quick: bool
) -> None:
    command.write(CONFIG, TEXT)
    for _ in range(1 if quick else 4):
        jobs = str(draw.choice([1, 2]))
        process = start(command, "train", "-c", CONFIG, "--jobs", jobs)
        time.sleep(draw.uniform(0.2, 0.8) * undisturbed.seconds)
        if process.poll() is None:
            os.killpg(process.pid, sent) if draw.random() < 0.5 else process.send_signal(sent)
            COUNTS.faults += 1
        wait_until_gone(process)
        said = talk(command)
        assert process.returncode in (0, 130, -sent), said  # by the signal itself: before it could hear of it
        if process.returncode == 130:
            assert f"to go on: dropexp train -c {CONFIG} --jobs {jobs}\n" in said
        assert '"running"' not in "".join(path.read_text() for path in command.folder.glob("runs/*/*/run.json"))
    command("train", "-c", CONFIG, "--jobs", "1")
    undisturbed.check(command.folder / "runs")


def test_a_terminal_that_is_closed_ends_all_processes_and_the_same_command_goes_on(
    command: Command, undisturbed: Study
) -> None:
    command.write(CONFIG, TEXT)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", DROPEXP, "train", "-c", CONFIG, "--jobs", "2"],  # with this terminal as its own
        cwd=command.folder,
        env=command.environment | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        text=True,
    )
    os.close(theirs)
    deadline = time.monotonic() + TIMEOUT
    while not list(command.folder.glob("runs/*/*/epochs.csv")):
        assert time.monotonic() < deadline and process.poll() is None
        with suppress(OSError):
            os.read(ours, 1 << 16)
    os.close(ours)
    COUNTS.faults += 1
    wait_until_gone(process)
    assert process.returncode == 130
    assert '"running"' not in "".join(path.read_text() for path in command.folder.glob("runs/*/*/run.json"))
    command("train", "-c", CONFIG, "--jobs", "1")
    undisturbed.check(command.folder / "runs")


@pytest.mark.parametrize(
    "line",
    [
        "dropexp compare | head -n 1",
        "dropexp compare --format json | head -c 1",
        "dropexp runs | true",
        "dropexp runs --format json | true",
        "dropexp train -c torture.yaml --force 2>&1 | head -n 1",
    ],
)
def test_a_reader_that_has_seen_enough_leaves_no_traceback(line: str, command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    command.environment["DROPEXP_RUNS"] = str(command.folder / "runs" if "train" in line else undisturbed.runs)
    command.environment["PATH"] = os.pathsep.join([str(DROPEXP.parent), command.environment["PATH"]])
    shell = subprocess.Popen(
        ["bash", "-c", f"{line}; echo ${{PIPESTATUS[0]}}"],
        cwd=command.folder,
        env=command.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    out, error = shell.communicate(timeout=TIMEOUT)
    COUNTS.faults += 1
    assert error == ""
    assert out.splitlines()[-1] in ("0", "1")  # 0: it had said everything before
    assert not members(shell.pid)


def test_two_commands_on_the_same_runs_share_the_work_and_do_nothing_twice(
    command: Command, undisturbed: Study, quick: bool
) -> None:
    command.write(CONFIG, TEXT)
    for part in range(1 if quick else 3):
        folder = f"runs-{part}"
        both = [start(command, "train", "-c", CONFIG, "--jobs", "2", "--runs-dir", folder) for _ in range(2)]
        COUNTS.faults += 1
        for process in both:
            wait_until_gone(process)
        assert all(process.returncode in (0, 1) for process in both)  # 1: what the other had was not waited for
        talk(command)
        undisturbed.check(command.folder / folder)


def test_a_worker_for_which_memory_runs_out_goes_on_when_there_are_fewer(command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    with _memory(ENOUGH_FOR_ONE) as prefix:
        COUNTS.faults += 1
        if prefix is None:  # then the system is not asked to kill, and one worker does it by itself
            told = str(command.folder / "struck")
            die = {"event": "open", "file": "epochs.csv", "nth": 2, "tear": None, "who": "self", "told": told}
            process = start(command, "train", "-c", CONFIG, "--jobs", "2", die=die)
        else:
            process = start(command, "train", "-c", CONFIG, "--jobs", "2", prefix=prefix, ballast=BALLAST)
        wait_until_gone(process)
    said = talk(command)
    killed = said.count(": its worker process ended (SIGKILL); it goes on after the others")
    COUNTS.kills += killed
    assert killed, said
    assert process.returncode == 0, said
    undisturbed.check(command.folder / "runs")


def test_a_worker_that_dies_each_time_fails_its_run_and_no_other(command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    die = {"event": "os.rename", "file": "epochs.csv", "nth": 1, "tear": None, "who": "self", "told": None}
    command("train", "-c", CONFIG, "--jobs", "2")
    runs = sorted(command.folder.glob("runs/torture/*/"))
    for run in runs[:2]:  # their tables have to be cut to their checkpoints, and that is where they will die
        (run / "run.json").unlink()
    process = start(command, "train", "-c", CONFIG, "--jobs", "2", die=die)
    wait_until_gone(process)
    said = talk(command)
    COUNTS.kills += said.count("its worker process ended (SIGKILL)")
    assert process.returncode == 1
    for run in runs[:2]:
        assert f"{run.name}: its worker process ended (SIGKILL); it goes on after the others" in said
        cell = run.name.rpartition("-")[0]
        assert f"{cell}  failed: its worker process ended (SIGKILL); the same command trains it again" in said
    assert "6 runs: 0 trained now, 4 before" in said
    command("train", "-c", CONFIG, "--jobs", "1")
    undisturbed.check(command.folder / "runs")


@contextmanager
def _memory(megabytes: int) -> Iterator[list[str] | None]:
    """What to put before a command so that it may take no more memory; None where no group of processes can be made."""
    group = _memory_group()
    if group is None:
        yield None
        return
    limit = next(path for name in ("memory.limit_in_bytes", "memory.max") if (path := group / name).exists())
    limit.write_text(str(megabytes << 20))
    try:
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
    finally:
        group.rmdir()


def _memory_group() -> Path | None:
    """A new control group below this process's own, of version 1 or 2; None where that is not allowed."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        if controllers in ("", "memory"):
            group = Path("/sys/fs/cgroup", controllers, own.lstrip("/"), f"torture-{os.getpid()}")
            with suppress(OSError):
                group.mkdir()
                if (group / "memory.max").exists() or (group / "memory.limit_in_bytes").exists():
                    return group
                group.rmdir()
    return None
