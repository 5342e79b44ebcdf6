"""The study that is tortured, and what must be true of it in the end."""

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
hidden: [32, 16]
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
FILES = {".lock", "checkpoint.pt", "config.yaml", "epochs.csv", "run.json"}


@dataclass(frozen=True)
class Figures:
    """What `runs` says of each run, and `compare` of each arm, which is one run here.

    Time and place apart, labels, which are as long as the other arms make them, and columns that are empty here, which
    there are only where another run has figures in them.
    """

    by_run: dict[str, dict[str, Any]]
    by_arm: dict[str, dict[str, Any]]

    @classmethod
    def asked_for(cls, command: Command) -> Self:
        listed = json.loads(ask(command, "runs", "--format", "json").stdout or "[]")
        compared = json.loads(ask(command, "compare", "--format", "json").stdout or '{"arms": []}')
        by_run = {
            Path(run["path"]).name: {
                key: value
                for key, value in run.items()
                if key not in ("path", "label", "seconds") and value is not None
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
    """What an undisturbed training gives, and the seconds that it takes here."""

    command: Command
    seconds: float

    @classmethod
    def trained(cls, command: Command) -> Self:
        command("train", "-c", command.write(CONFIG, TEXT), "--jobs", "2")  # which decodes the data
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
        """Those of all runs; a table has a header and ends with a line end."""
        return sum(len(table) - 2 for table in tables(self.runs).values())

    @cached_property
    def figures(self) -> Figures:
        return Figures.asked_for(self.command)

    def check(self, runs: Path, *, damaged: bool = False) -> None:
        """Every run is there once, done, with the table and the config of an undisturbed one, beside it study.json.

        Where files were `damaged`, they may be there under new names, and a finished run's checkpoint may be gone.
        """
        expected, found = tables(self.runs), tables(runs)
        changed = [run for run in expected.keys() | found.keys() if expected.get(run) != found.get(run)]
        COUNTS.checked += len(expected)
        COUNTS.lost += len(changed)
        assert not changed, f"not as undisturbed: {sorted(changed)}"
        for folder in sorted(runs.glob("torture/*/")):
            names = {path.name for path in folder.iterdir()} | {".lock"}  # which there is not where flock is not
            if damaged:
                names = {name for name in names if ".corrupted-" not in name} | {"checkpoint.pt"}
            assert names == FILES, f"{folder} holds {sorted(names)}"
            assert json.loads((folder / "run.json").read_text())["status"] == "done"
        beside = {path.name for path in (runs / "torture").iterdir() if not path.is_dir()}
        assert not [name for name in beside if name.endswith(".tmp")]
        for file in ("study.json", *(f"{run}/config.yaml" for run in expected)):
            whole = (self.runs / "torture" / file).read_bytes()
            assert (runs / "torture" / file).read_bytes() == whole, f"{file} is not as undisturbed"


def tables(runs: Path) -> dict[str, list[list[bytes]]]:
    """The cells of every epochs.csv but those of `seconds`, by the run's folder name."""
    return {path.parent.name: table(path) for path in sorted(runs.glob("torture/*/epochs.csv"))}


def table(path: Path) -> list[list[bytes]]:
    """The cells between line ends; the text after the last one counts too and is empty in a complete file."""
    lines = [line.split(b",") for line in path.read_bytes().split(b"\n")]
    if b"seconds" in lines[0]:
        column = lines[0].index(b"seconds")
        for line in lines:
            del line[column : column + 1]
    return lines


def ask(command: Command, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command's answer, whichever of the documented exit codes it has."""
    done = command.run(*arguments)
    assert done.returncode in (0, 1, 2, 3, 5), f"{done.returncode}: {done.stderr}"
    return done


def start(command: Command, *arguments: str, prefix: Sequence[str] = (), **torture: Any) -> subprocess.Popen[str]:
    """Start the command in its own process group with these faults; `messages_of` returns its stderr."""
    with (command.folder / "stderr.txt").open("a") as file:
        environment = command.environment | {"TORTURE": json.dumps(torture)}
        return command.launch(*prefix, DROPEXP, *arguments, env=environment, stdout=subprocess.DEVNULL, stderr=file)


def messages_of(command: Command) -> str:
    """Return and clear the stderr of the commands started so far; fail on a traceback."""
    file = command.folder / "stderr.txt"
    stderr = file.read_text()
    file.unlink()
    assert "Traceback" not in stderr, stderr
    return stderr


def epochs_reported(stderr: str) -> int:
    """Return the number of epochs that the messages report."""
    return stderr.count("  epoch ")


def are_running(command: Command) -> list[Path]:
    """The runs whose run.json says so."""
    infos = command.folder.glob("runs/*/*/run.json")
    return [path.parent for path in infos if json.loads(path.read_bytes())["status"] == "running"]


def wait_until_gone(process: subprocess.Popen[str]) -> None:
    """Wait for the command and every process that it has started."""
    process.wait(TIMEOUT)
    deadline = time.monotonic() + 60
    while left := members(process.pid):
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.02)


def members(group: int) -> list[int]:
    """The living processes of a group."""
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
    """The command's worker processes."""
    found = []
    for pid in members(process.pid):
        try:
            if b"spawn_main" in (Path("/proc") / str(pid) / "cmdline").read_bytes():
                found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
