"""Processes killed at random moments; the same command resumes each time."""

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
from torture.study import CONFIG, TEXT, Study, messages_of, start, wait_until_gone, workers

Moment = tuple[str, str, bool]

STUDIES, STRIKES = 9, 10  # and ten more while the data is cached

# What a process is about to do when it dies: an event, a part of the file's name, whether a torn write comes before.
# A rename is followed by the attempt to remove what it has renamed.
WRITING = [("open", False), ("fsync", True), ("os.rename", False), ("os.remove", False)]
UNSYNCED = [("open", False), ("os.rename", True), ("os.rename", False), ("os.remove", False)]
STUDY_MOMENTS: list[Moment] = [(event, "study.json", torn) for event, torn in WRITING]
MOMENTS: list[Moment] = [
    ("open", ".lock", False),
    ("open", "epochs.csv", False),
    ("open", "epochs.csv", True),  # the row before is torn
    *((event, file, torn) for file in ("checkpoint.pt", "run.json") for event, torn in WRITING),
    *((event, "config.yaml", torn) for event, torn in UNSYNCED),
    *STUDY_MOMENTS,
]
DATA_MOMENTS: list[Moment] = [
    ("open", "decoded-", False),
    ("os.rename", "decoded-", True),
    ("os.rename", "decoded-", False),
    ("os.remove", "decoded-", False),
]


@dataclass
class Strike:
    """One kill: of whom, and when: before a moment comes the n-th time, or after so many seconds."""

    who: str  # "self": the worker that it happens to; "parent": the command; "group": all of its processes
    jobs: int
    at: Moment | float
    nth: int = 1
    tear: float = 0.0

    def hits(self, command: Command) -> bool:
        """Start the command and strike; whether it was struck before it ended."""
        struck = command.folder / "struck"
        struck.unlink(missing_ok=True)
        process = start(command, "train", "-c", CONFIG, "--jobs", str(self.jobs), **self._torture(struck))
        if isinstance(self.at, float):
            time.sleep(self.at)
            with suppress(ProcessLookupError):  # it ended just now
                self._kill(process.pid, workers(process), struck)
        wait_until_gone(process)
        stderr = messages_of(command)
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0, stderr
            if self.who != "self" or not struck.exists():
                return False
            if not isinstance(self.at, float):  # then the worker was not an idle one
                assert "its worker process ended (SIGKILL); it resumes after the others" in stderr
        COUNTS.kills += 1
        return True

    def _torture(self, struck: Path) -> dict[str, Any]:
        if isinstance(self.at, float):
            return {}
        event, file, torn = self.at
        die = {"event": event, "file": file, "nth": self.nth, "tear": self.tear if torn else None, "who": self.who}
        return {"die": die | {"marker": str(struck)}}

    def _kill(self, pid: int, its_workers: list[int], struck: Path) -> None:
        if self.who == "self" and its_workers:
            os.kill(its_workers[0], signal.SIGKILL)
            struck.touch()  # the command itself has an exit code
        elif self.who == "group":
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("study", range(STUDIES))
def test_a_study_that_is_killed_again_and_again_ends_as_if_nothing_had_been(
    study: int, command: Command, undisturbed: Study, draw: Random, quick: bool
) -> None:
    command.write(CONFIG, TEXT)
    first = study * STRIKES // 2
    in_turn = [MOMENTS[i % len(MOMENTS)] for i in range(first, first + STRIKES // 2)]
    moments: list[Moment | float] = [*(draw.sample(MOMENTS, STRIKES // 2) if quick else in_turn)]
    times: list[Moment | float] = [draw.uniform(0, undisturbed.seconds) for _ in moments]
    for at in draw.sample(moments + times, STRIKES):
        _strike(_drawn(draw, at), command, undisturbed)
    _finishes_like_the_undisturbed(command, undisturbed)


def test_a_study_that_is_killed_while_it_caches_its_data_ends_as_if_nothing_had_been(
    command: Command, undisturbed: Study, draw: Random, quick: bool
) -> None:
    command.write(CONFIG, TEXT)
    cache = command.folder / "cache"
    command.environment["XDG_CACHE_HOME"] = str(cache)
    for moment in draw.sample(DATA_MOMENTS, 3) if quick else DATA_MOMENTS * 2:
        _strike(_drawn(draw, moment), command, undisturbed)
    _finishes_like_the_undisturbed(command, undisturbed)
    left = {path.name.partition("-")[0] for path in (cache / "dropexp").iterdir()} - {".lock"}
    shutil.rmtree(cache)
    assert left == {"decoded"}


def _drawn(draw: Random, at: Moment | float) -> Strike:
    often = not isinstance(at, float) and at[1] in ("epochs.csv", "checkpoint.pt", "run.json")
    return Strike(
        who=draw.choice(["self", "parent", "group"]),
        jobs=draw.choice([1, 2]),
        at=at,
        nth=draw.randint(1, 8) if often else 1,
        tear=draw.random(),
    )


def _strike(strike: Strike, command: Command, undisturbed: Study) -> None:
    """Strike a study; one that finishes before the strike is checked and restarted."""
    runs = command.folder / "runs"
    for _ in range(5):
        if strike.at in DATA_MOMENTS:  # which come where nothing is cached
            for cached in command.folder.glob("cache/dropexp/decoded-*"):
                cached.unlink()
        if strike.at in STUDY_MOMENTS:
            (runs / "torture" / "study.json").unlink(missing_ok=True)
        if strike.hits(command):
            return
        undisturbed.check(runs)
        shutil.rmtree(runs)
        strike.nth = 1  # of which every study has one
        if isinstance(strike.at, float):
            strike.at /= 2
    pytest.fail(f"{strike} never came")


def _finishes_like_the_undisturbed(command: Command, undisturbed: Study) -> None:
    command("train", "-c", CONFIG, "--jobs", "1")
    undisturbed.check(command.folder / "runs")
    assert "6 runs: 0 trained now, 6 before" in command("train", "-c", CONFIG, "--jobs", "1").stderr
