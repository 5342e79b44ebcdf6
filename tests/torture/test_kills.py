"""Processes killed at random moments; each time the same command resumes."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from helpers.command import Command

from torture.counts import COUNTS
from torture.study import CONFIG, TEXT, Study, collect_messages, start, wait_until_gone, workers

Moment = tuple[str, str, bool]

STUDIES, KILLS = 9, 10  # kills per study; a tenth study is killed while it caches the data

# What a process is about to do when it dies: an event, a part of the file's name, whether a torn write precedes it.
# After a rename the temporary file is removed, if it still exists.
WRITING = [("open", False), ("fsync", True), ("os.rename", False), ("os.remove", False)]
UNSYNCED = [("open", False), ("os.rename", True), ("os.rename", False), ("os.remove", False)]
STUDY_MOMENTS: list[Moment] = [(event, "study.json", torn) for event, torn in WRITING]
MOMENTS: list[Moment] = [
    ("open", ".lock", False),
    ("open", "epochs.csv", False),
    ("open", "epochs.csv", True),  # the previous row is torn
    *((event, file, torn) for file in ("checkpoint.pt", "run.json") for event, torn in WRITING),
    *((event, file, torn) for file in ("config.yaml", "predictions.npz") for event, torn in UNSYNCED),
    *STUDY_MOMENTS,
]
DATA_MOMENTS: list[Moment] = [
    ("open", "decoded-", False),
    ("os.rename", "decoded-", True),
    ("os.rename", "decoded-", False),
    ("os.remove", "decoded-", False),
]


@dataclass
class Kill:
    """One kill: which process, and when: before the n-th occurrence of a moment, or after some seconds."""

    who: str  # "self": the worker in which it occurs; "parent": the command; "group": all of its processes
    jobs: int
    at: Moment | float
    nth: int = 1
    tear: float = 0.0

    def happens(self, command: Command) -> bool:
        """Start the command and kill it; return whether the kill came before its end."""
        mark = command.folder / "killed"
        mark.unlink(missing_ok=True)
        process = start(command, "train", "-c", CONFIG, "--jobs", str(self.jobs), **self._faults(mark))
        if isinstance(self.at, float):
            time.sleep(self.at)
            with suppress(ProcessLookupError):  # it ended just now
                self._sigkill(process.pid, workers(process), mark)
        wait_until_gone(process)
        messages = collect_messages(command)
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0, messages
            if self.who != "self" or not mark.exists():
                return False
            if not isinstance(self.at, float):  # then the worker was not idle
                assert "its worker process ended (SIGKILL); it resumes after the others" in messages
        COUNTS.kills += 1
        return True

    def _faults(self, mark: Path) -> dict[str, Any]:
        if isinstance(self.at, float):
            return {}
        event, file, torn = self.at
        die = {"event": event, "file": file, "nth": self.nth, "tear": self.tear if torn else None, "who": self.who}
        return {"die": die | {"mark": str(mark)}}

    def _sigkill(self, pid: int, its_workers: list[int], mark: Path) -> None:
        if self.who == "self" and its_workers:
            os.kill(its_workers[0], signal.SIGKILL)
            mark.touch()  # a kill of the command itself shows in its exit code
        elif self.who == "group":
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("study", range(STUDIES))
def test_a_study_that_is_killed_repeatedly_ends_like_an_undisturbed_one(
    study: int, command: Command, undisturbed: Study, draw: Random, quick: bool
) -> None:
    command.write(CONFIG, TEXT)
    first = study * KILLS // 2
    in_turn = [MOMENTS[i % len(MOMENTS)] for i in range(first, first + KILLS // 2)]
    moments: list[Moment | float] = [*(draw.sample(MOMENTS, KILLS // 2) if quick else in_turn)]
    times: list[Moment | float] = [draw.uniform(0, undisturbed.seconds) for _ in moments]
    for at in draw.sample(moments + times, KILLS // 2 if quick else KILLS):
        _kill_once(_drawn(draw, at), command, undisturbed)
    _train_to_the_end(command, undisturbed)


def test_a_study_that_is_killed_while_it_caches_its_data_ends_like_an_undisturbed_one(
    command: Command, undisturbed: Study, draw: Random, quick: bool
) -> None:
    command.write(CONFIG, TEXT)
    cache = command.folder / "cache"
    command.environment["XDG_CACHE_HOME"] = str(cache)
    for moment in draw.sample(DATA_MOMENTS, 3) if quick else DATA_MOMENTS * 2:
        _kill_once(_drawn(draw, moment), command, undisturbed)
    _train_to_the_end(command, undisturbed)
    left = {path.name.partition("-")[0] for path in (cache / "dropexp").iterdir()} - {".lock"}
    shutil.rmtree(cache)
    assert left == {"decoded"}


def _drawn(draw: Random, at: Moment | float) -> Kill:
    often = not isinstance(at, float) and at[1] in ("epochs.csv", "checkpoint.pt", "predictions.npz", "run.json")
    return Kill(
        who=draw.choice(["self", "parent", "group"]),
        jobs=draw.choice([1, 2]),
        at=at,
        nth=draw.randint(1, 8) if often else 1,
        tear=draw.random(),
    )


def _kill_once(kill: Kill, command: Command, undisturbed: Study) -> None:
    """Kill the study once; if it ends before the kill, check it and start it again."""
    runs = command.folder / "runs"
    for _ in range(5):
        if kill.at in DATA_MOMENTS:  # they occur only if nothing is cached
            for cached in command.folder.glob("cache/dropexp/decoded-*"):
                cached.unlink()
        if kill.at in STUDY_MOMENTS:
            (runs / "torture" / "study.json").unlink(missing_ok=True)
        if kill.happens(command):
            return
        undisturbed.check(runs)
        shutil.rmtree(runs)
        kill.nth = 1  # every study has a first occurrence
        if isinstance(kill.at, float):
            kill.at /= 2
    pytest.fail(f"{kill} never occurred")


def _train_to_the_end(command: Command, undisturbed: Study) -> None:
    command("train", "-c", CONFIG, "--jobs", "1")
    undisturbed.check(command.folder / "runs")
    assert "6 runs: 0 trained now, 6 before" in command("train", "-c", CONFIG, "--jobs", "1").stderr
