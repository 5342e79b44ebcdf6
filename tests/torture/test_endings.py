"""Signals, closed terminals and pipes, memory limits, and a second command on the same runs."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import pytest
from helpers.command import DROPEXP, TIMEOUT, Command

from torture.counts import COUNTS
from torture.study import (
    CONFIG,
    TEXT,
    Study,
    collect_messages,
    count_epochs,
    running_runs,
    start,
    wait_until_gone,
)

# Megabytes: what each worker allocates, and the limit of the command with its workers, which two workers exceed.
PER_WORKER, LIMIT = 1200, 2000


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_at_any_time_ends_all_processes_and_prints_how_to_resume(
    sent: signal.Signals, command: Command, undisturbed: Study, draw: Random, quick: bool
) -> None:
    command.write(CONFIG, TEXT)
    for part in range(1 if quick else 4):
        jobs = str(draw.choice([1, 2]))
        process = start(command, "train", "-c", CONFIG, "--jobs", jobs)
        if part:
            time.sleep(draw.uniform(0, undisturbed.seconds))
        else:  # certainly while it trains
            command.wait_for_rows(draw.randrange(1, undisturbed.epochs // 2), process)
        if process.poll() is None:
            os.killpg(process.pid, sent) if draw.random() < 0.5 else process.send_signal(sent)
            COUNTS.faults += 1
        wait_until_gone(process)
        messages = collect_messages(command)
        if process.returncode == 130:
            assert f"to resume: dropexp train -c {CONFIG} --jobs {jobs}\n" in messages
        elif messages:  # it finished before the signal came
            assert part and "next: dropexp compare torture" in messages and process.returncode in (0, -sent), messages
        else:  # it came before Python had started the command
            assert part and process.returncode == -sent
        assert not running_runs(command)
    command("train", "-c", CONFIG, "--jobs", "1")
    undisturbed.check(command.folder / "runs")


def test_a_closed_terminal_ends_all_processes_and_the_same_command_resumes(
    command: Command, undisturbed: Study
) -> None:
    command.write(CONFIG, TEXT)
    ours, theirs = pty.openpty()
    process = command.launch(
        *("setsid", "--ctty", DROPEXP, "train", "-c", CONFIG, "--jobs", "2"),  # in this terminal
        env=command.environment | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        process_group=None,  # setsid creates one
    )
    os.close(theirs)
    deadline = time.monotonic() + TIMEOUT
    while not list(command.folder.glob("runs/*/*/epochs.csv")):
        assert time.monotonic() < deadline and process.poll() is None
        if select.select([ours], [], [], 1)[0]:
            os.read(ours, 1 << 16)
    os.close(ours)
    COUNTS.faults += 1
    wait_until_gone(process)
    assert process.returncode == 130
    assert not running_runs(command)
    command("train", "-c", CONFIG, "--jobs", "1")
    undisturbed.check(command.folder / "runs")


@pytest.mark.parametrize(
    "line",
    [
        "dropexp compare | head -n 1",
        "dropexp compare --format json | head -c 1",
        "dropexp runs | true",
        "dropexp runs --format json | true",
    ],
)
def test_a_reader_that_exits_early_causes_no_traceback(line: str, command: Command, undisturbed: Study) -> None:
    command.environment["DROPEXP_RUNS"] = str(undisturbed.runs)
    assert _cut_off(command, line) in (0, 1)  # 0: it had printed everything before


def test_a_training_whose_reader_exits_early_trains_to_its_end(command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    assert _cut_off(command, f"dropexp train -c {CONFIG} --force 2>&1 | head -n 1") == 0
    undisturbed.check(command.folder / "runs")


def _cut_off(command: Command, line: str) -> int:
    """Run a pipeline until all its processes are gone; return the exit code of the first command."""
    path = os.pathsep.join([str(DROPEXP.parent), command.environment["PATH"]])
    shell = command.launch(
        *("bash", "-c", f"{line}; code=${{PIPESTATUS[0]}}; echo; echo $code"),
        env=command.environment | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, error = shell.communicate(timeout=TIMEOUT)
    COUNTS.faults += 1
    assert error == ""
    wait_until_gone(shell)
    return int(out.splitlines()[-1])


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
        messages = collect_messages(command)
        # 1: a command does not wait for the runs that the other trains
        assert all(process.returncode in (0, 1) for process in both), messages
        assert count_epochs(messages) == undisturbed.epochs
        undisturbed.check(command.folder / folder)


def test_a_run_whose_worker_runs_out_of_memory_resumes_with_fewer_workers(command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    with _memory(LIMIT) as prefix:
        COUNTS.faults += 1
        process = start(command, "train", "-c", CONFIG, "--jobs", "2", prefix=prefix, allocate=PER_WORKER)
        wait_until_gone(process)
    messages = collect_messages(command)
    killed = messages.count(": its worker process ended (SIGKILL); it resumes after the others")
    COUNTS.kills += killed
    assert killed, messages
    assert process.returncode == 0, messages
    undisturbed.check(command.folder / "runs")


def test_a_run_whose_worker_dies_under_force_resumes_and_does_not_restart(command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    command("train", "-c", CONFIG, "--jobs", "2")
    mark = str(command.folder / "killed")
    die = {"event": "open", "file": "epochs.csv", "nth": 4, "tear": None, "who": "self", "mark": mark}
    process = start(command, "train", "-c", CONFIG, "--jobs", "2", "--force", die=die)
    wait_until_gone(process)
    messages = collect_messages(command)
    COUNTS.kills += messages.count("its worker process ended (SIGKILL)")
    assert process.returncode == 0 and "it resumes after the others" in messages, messages
    assert messages.count("  epoch 1/") == 6  # none of the six again
    undisturbed.check(command.folder / "runs")


def test_a_run_whose_workers_always_die_fails_and_the_others_do_not(command: Command, undisturbed: Study) -> None:
    command.write(CONFIG, TEXT)
    die = {"event": "os.rename", "file": "config.yaml", "nth": 1, "tear": None, "who": "self", "mark": None}
    command("train", "-c", CONFIG, "--jobs", "2")
    runs = sorted(command.folder.glob("runs/torture/*/"))
    for run in runs[:2]:  # they restart, and write their config
        (run / "run.json").unlink()
    process = start(command, "train", "-c", CONFIG, "--jobs", "2", die=die)
    wait_until_gone(process)
    messages = collect_messages(command)
    COUNTS.kills += messages.count("its worker process ended (SIGKILL)")
    assert process.returncode == 1
    for run in runs[:2]:
        assert f"{run.name}: its worker process ended (SIGKILL); it resumes after the others" in messages
        cell = run.name.rpartition("-")[0]
        assert f"{cell}  failed: its worker process ended (SIGKILL); the same command trains it again" in messages
    assert "6 runs: 0 trained now, 4 before" in messages
    command("train", "-c", CONFIG, "--jobs", "1")
    undisturbed.check(command.folder / "runs")


@contextmanager
def _memory(megabytes: int) -> Iterator[list[str]]:
    """Yield a command prefix that limits the memory of the command and its workers."""
    group = _memory_group()
    try:
        limit = next(path for name in ("memory.limit_in_bytes", "memory.max") if (path := group / name).exists())
        limit.write_text(str(megabytes << 20))
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
    finally:
        group.rmdir()


def _memory_group() -> Path:
    """Create a control group of version 1 or 2 below this process's own."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        if controllers in ("", "memory"):
            group = Path("/sys/fs/cgroup", controllers, own.lstrip("/"), f"torture-{os.getpid()}")
            with suppress(OSError):  # mounted elsewhere, or read-only
                group.mkdir()
                if (group / "memory.max").exists() or (group / "memory.limit_in_bytes").exists():
                    return group
                group.rmdir()
    if os.geteuid() != 0:
        pytest.skip("only root can limit the memory of a group of processes")
    pytest.fail("memory cannot be limited here: no memory controller lets this process create a group", pytrace=False)
