"""The study that faults are injected into, and the checks of its final state."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from helpers.command import DROPEXP, TIMEOUT, Command

from torture.counts import COUNTS

HOOKS = Path(__file__).parent / "hooks"
CONFIG = "torture.yaml"
TEXT = """\
name: torture
hidden: [32, 32]
init: torch
train_size: 500
epochs: 4
published: {test_acc: [0.5, 0.6, 0.7, 0.8]}
arms:
  plain: {}
  careful: {validation_size: 200, early_stopping: 3, momentum: 0.9, probes: [weight_norms]}
matrix:
  variant: [none, nn, scratch]
  seed: 0..0
"""
FILES = {".lock", "checkpoint.pt", "config.yaml", "epochs.csv", "predictions.npz", "run.json"}


@dataclass(frozen=True)
class Figures:
    """The figures that `runs` prints about each run, and `compare` about each arm, which is one run here.

    Left out are paths, times, labels (whose length depends on the other arms) and empty columns (which exist only if
    another run has figures in them).
    """

    by_run: dict[str, dict[str, Any]]
    by_arm: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, command: Command) -> Self:
        listed = json.loads(run_command(command, "runs", "--format", "json").stdout or "[]")
        compared = json.loads(run_command(command, "compare", "--format", "json").stdout or '{"arms": []}')
        by_run = {
            Path(run["path"]).name: {
                key: value
                for key, value in run.items()
                if key not in ("path", "label", "seconds", "began", "ended") and value is not None
            }
            for run in listed
        }
        by_arm = {
            arm["arm"]: {
                key: value
                for key, value in arm.items()
                if "seconds" not in key and key not in ("arm", "series") and value is not None
            }
            for arm in compared["arms"]
            if arm["n"]
        }
        return cls(by_run, by_arm)


@dataclass(frozen=True)
class Study:
    """The result of an undisturbed training, and its duration in seconds."""

    command: Command
    seconds: float

    @classmethod
    def trained(cls, command: Command) -> Self:
        command("train", "-c", command.write(CONFIG, TEXT), "--jobs", "2")  # this decodes the data
        began = time.monotonic()
        command("train", "-c", CONFIG, "--jobs", "2", "--runs-dir", "again")
        study = cls(command, time.monotonic() - began)
        study.check(command.folder / "again")
        return study

    @property
    def runs(self) -> Path:
        return self.command.folder / "runs"

    @cached_property
    def epochs(self) -> int:
        """Count the epochs of all runs; a table has a header and ends with a line end."""
        return sum(len(table) - 2 for table in tables(self.runs).values())

    @cached_property
    def figures(self) -> Figures:
        return Figures.of(self.command)

    def check(self, runs: Path, *, corrupted: bool = False) -> None:
        """Check that every run exists once and is done, and that all files are those of the undisturbed study.

        If files were `corrupted`, renamed ones may exist, and the checkpoint of a finished run may be missing.
        """
        expected, found = tables(self.runs), tables(runs)
        changed = [run for run in expected.keys() | found.keys() if expected.get(run) != found.get(run)]
        COUNTS.checked += len(expected)
        COUNTS.lost += len(changed)
        assert not changed, f"not as undisturbed: {sorted(changed)}"
        for folder in sorted(runs.glob("torture/*/")):
            names = {path.name for path in folder.iterdir()} | {".lock"}  # missing without flock
            if corrupted:
                names = {name for name in names if ".corrupted-" not in name} | {"checkpoint.pt"}
            assert names == FILES, f"{folder} has {sorted(names)}"
            assert json.loads((folder / "run.json").read_text())["status"] == "done"
        beside = {path.name for path in (runs / "torture").iterdir() if not path.is_dir()}
        assert not [name for name in beside if name.endswith(".tmp")]
        derived = [f"{run}/{name}" for run in expected for name in ("config.yaml", "predictions.npz")]
        for file in derived:
            whole = (self.runs / "torture" / file).read_bytes()
            assert (runs / "torture" / file).read_bytes() == whole, f"{file} is not as undisturbed"
        assert declared(runs) == declared(self.runs), "study.json is not as undisturbed"


def declared(runs: Path) -> list[dict[str, Any]]:
    """Return what study.json declares, with only the name of the config's file: its path depends on the folder."""
    content = json.loads((runs / "torture" / "study.json").read_text())
    return [one | {"file": Path(one["file"]).name} for one in content["configs"]]


def tables(runs: Path) -> dict[str, list[list[bytes]]]:
    """Return the cells of every epochs.csv except the column `seconds`, by the run's folder name."""
    return {path.parent.name: table(path) for path in sorted(runs.glob("torture/*/epochs.csv"))}


def table(path: Path) -> list[list[bytes]]:
    """Return the cells of each line except `seconds`; the text after the last line end is a line too."""
    lines = [line.split(b",") for line in path.read_bytes().split(b"\n")]
    if b"seconds" in lines[0]:
        column = lines[0].index(b"seconds")
        for line in lines:
            del line[column : column + 1]
    return lines


def run_command(command: Command, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command; its exit code must be a documented one."""
    done = command.run(*arguments)
    assert done.returncode in (0, 1, 2, 3, 5), f"{done.returncode}: {done.stderr}"
    return done


def start(command: Command, *arguments: str, prefix: Sequence[str] = (), **torture: Any) -> subprocess.Popen[str]:
    """Start the command in its own process group, with the faults to inject; `collect_messages` returns its stderr."""
    with (command.folder / "messages.txt").open("a") as file:
        environment = command.environment | {"TORTURE": json.dumps(torture)}
        return command.launch(*prefix, DROPEXP, *arguments, env=environment, stdout=subprocess.DEVNULL, stderr=file)


def collect_messages(command: Command) -> str:
    """Return the stderr of the started commands since the last call; it must not contain a traceback."""
    file = command.folder / "messages.txt"
    messages = file.read_text()
    file.unlink()
    assert "Traceback" not in messages, messages
    return messages


def count_epochs(messages: str) -> int:
    """Return the number of epochs that the messages report as trained."""
    return messages.count("  epoch ")


def running_runs(command: Command) -> list[Path]:
    """Return the runs whose status is running."""
    infos = command.folder.glob("runs/*/*/run.json")
    return [path.parent for path in infos if json.loads(path.read_bytes())["status"] == "running"]


def wait_until_gone(process: subprocess.Popen[str]) -> None:
    """Wait for the command and every process that it has started."""
    process.wait(TIMEOUT)
    deadline = time.monotonic() + 60
    while left := group_processes(process.pid):
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.02)


def group_processes(group: int) -> list[int]:
    """Return the living processes of a group."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                stat = (Path(entry.path) / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            state, _, its_group = stat.rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                found.append(int(entry.name))
    return found


def workers(process: subprocess.Popen[str]) -> list[int]:
    """Return the worker processes of the command."""
    found = []
    for pid in group_processes(process.pid):
        try:
            if b"spawn_main" in (Path("/proc") / str(pid) / "cmdline").read_bytes():
                found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
