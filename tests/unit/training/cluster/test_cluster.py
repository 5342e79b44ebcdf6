"""Training on a real Ray cluster of nodes on this machine: equal tables, even if nodes or the command die."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from helpers.cluster import LOOPBACK, ROOT, Nodes
from helpers.command import TIMEOUT, Command, Folder
from helpers.in_process import InProcess
from helpers.weights import same, saved_below

from dropexp.runs.folder import FILES, RunFolder
from dropexp.runs.transitions import status_of

EXAMPLE = ROOT / "examples" / "uniform_noise.py"

SMALL = "train_size: 500\nhidden: [32, 32]\nepochs: 3\nmatrix: {variant: [none, nn, scratch, uniform], seed: [0, 1]}\n"
MANY = "task: linear-regression\nlr: 0.003\nbatch_size: 5\nepochs: 1\nmatrix: {variant: [scratch, nn], seed: 0..11}\n"
EPOCHS = 40  # of two steps of 30 ms on a node: a run takes 2.5 seconds, and its table is updated before it ends
LONG = f"train_size: 500\nhidden: [8]\ndrop_probs: [0.5]\nvariant: slow\nepochs: {EPOCHS}\nmatrix: {{seed: 0..3}}\n"
SLOW = """
import os, time
from dropexp import register

class Slow:
    at_eval = 1.0

    def __init__(self, p):
        self.p = p

    def draw(self, like, generator):
        time.sleep(float(os.environ.get("SECONDS_PER_DRAW", 0)))  # which only nodes have
        return like.new_empty(like.shape).bernoulli_(1 - self.p, generator=generator)

register("slow", Slow)
"""
DEADLY = """
import os, signal, sys
from dropexp import register

class Deadly:
    at_eval = 1.0

    def __init__(self, p):
        self.p = p

    def draw(self, like, generator):
        if "default_worker" in sys.argv[0]:  # a process of Ray's, not the command
            os.kill(os.getpid(), signal.SIGKILL)
        return like.new_ones(like.shape)

register("deadly", Deadly)
"""
FEW_FILES = """
import resource, sys
from dropexp.training.cluster import driver
from dropexp.cli.main import main

resource.getrlimit = lambda which: (16, 16)  # Ray itself needs more
send, locked = driver._Driver._send_chunks, [0]

def counted(self):
    yield from send(self)
    locked.append(len(self.locks))

driver._Driver._send_chunks = counted
try: main()
finally: print(max(locked), "torch" in sys.modules)
"""

pytestmark = pytest.mark.usefixtures("no_plugins")


def train_long(folder: Folder) -> tuple[str, ...]:
    """Write LONG and its plugin into a folder; return the arguments that train it."""
    return ("train", "-c", folder.write("long.yaml", LONG), "--plugin", folder.write("slow.py", SLOW))


@pytest.fixture
def expected(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], no_plugins: None
) -> dict[str, list[list[str]]]:
    """Return the tables of LONG, trained without Ray."""
    here = InProcess(tmp_path_factory.mktemp("here"), environment)
    here(*train_long(here), "--jobs", "1", "-q")
    return here.tables()


def copy_with_a_change(folder: Path) -> Path:
    """Copy the package into the folder and append a comment to one of its modules."""
    shutil.copytree(ROOT / "dropexp", folder / "dropexp", ignore=shutil.ignore_patterns("__pycache__"))
    with open(folder / "dropexp" / "training" / "loop.py", "a", encoding="utf-8") as file:
        file.write("# changed\n")
    return folder


def test_two_nodes_give_the_tables_of_one_process(remote: Command, nodes: Nodes) -> None:
    config = remote.write("small.yaml", SMALL)
    here = InProcess(remote.folder / "here", remote.environment)
    here.folder.mkdir()
    here("train", "-c", str(remote.folder / config), "--plugin", str(EXAMPLE), "--jobs", "1", "-q")
    done = remote("train", "-c", config, "--plugin", str(EXAMPLE), "--ray", nodes.address)
    assert "8 runs: 8 trained now" in done.stderr and not done.stdout
    assert all(line.startswith(("[", "8 runs:", "next:")) for line in done.stderr.splitlines())  # Ray prints nothing
    assert len(remote.tables()) == 8 and remote.tables() == here.tables()
    assert same(saved_below(remote.folder / "runs"), saved_below(here.folder / "runs"))
    for number in nodes.training:  # each has decoded the data that it was sent
        assert len(nodes.decoded(number)) == 1
    for folder in remote.folder.glob("runs/small/variant=*"):
        assert {path.name for path in folder.iterdir()} == {*FILES, ".lock"}
        assert RunFolder(folder).read_info().provenance["threads"] == 1
    again = InProcess(remote.folder, remote.environment)("train", "-c", config, "--plugin", str(EXAMPLE))
    assert "8 runs: 0 trained now, 8 before" in again.stderr


@dataclass(frozen=True)
class Mixed:
    """Two commands of another version than the nodes: first with one node of their version, then with none."""

    command: Command
    with_one: subprocess.CompletedProcess[str]  # under a low limit of open files
    tables: dict[str, list[list[str]]]  # after it
    with_none: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def mixed(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Mixed:
    folder = tmp_path_factory.mktemp("mixed")
    command = Command(folder, environment | LOOPBACK | {"PYTHONPATH": str(copy_with_a_change(folder / "other"))})
    other = nodes.start(folder / "other")
    words = ("train", "-c", command.write("many.yaml", MANY), "--force", "--ray", nodes.address)
    try:
        with_one = subprocess.run(
            [sys.executable, command.write("run.py", FEW_FILES), *words],
            cwd=folder, env=command.environment, capture_output=True, text=True, check=True, timeout=TIMEOUT,
        )  # fmt: skip
    finally:
        nodes.kill(other)
    return Mixed(command, with_one, command.tables(), command(*words, code=2))


def test_nodes_with_another_version_are_reported_and_left_out(mixed: Mixed) -> None:
    lines = mixed.with_one.stderr.splitlines()
    notes = [line for line in lines if "this node is left out" in line]
    assert 1 <= len(notes) <= 2 and "24 runs: 24 trained now" in mixed.with_one.stderr
    assert all(line in notes or line.startswith(("[", "24 runs:", "next:")) for line in lines)
    versions = {word for word in notes[0].replace(")", " ").split() if re.fullmatch("[0-9a-f]{8}", word)}
    assert "install the same" in notes[0] and str(ROOT) in notes[0] and len(versions) == 2


def test_a_cluster_whose_nodes_all_have_another_version_is_an_error_and_clears_no_result(mixed: Mixed) -> None:
    stderr = mixed.with_none.stderr
    assert "no node of the cluster can train" in stderr and "install the same" in stderr
    assert len(mixed.tables) == 24 and mixed.command.tables() == mixed.tables  # --force clears a run when it starts


def test_the_driver_locks_few_runs_under_a_low_limit_of_open_files_and_imports_no_torch(mixed: Mixed) -> None:
    locked, torch_imported = mixed.with_one.stdout.split()
    assert 0 < int(locked) <= 8 + 2 and torch_imported == "False"


def test_nodes_that_die_lose_nothing_and_the_command_waits_for_the_next_node(
    remote: Command, nodes: Nodes, expected: dict[str, list[list[str]]]
) -> None:
    script = remote.write(
        "run.py",
        "from dropexp.cli.main import main\n"
        "from dropexp.training.cluster import driver\n"
        "driver.NO_UPDATE_SECONDS = 2\n"  # seconds, instead of 20
        "main()\n",
    )
    words = (sys.executable, script, *train_long(remote), "--ray", nodes.address)
    process = remote.launch(*words, stderr=subprocess.PIPE, pipesize=1 << 20)
    assert process.stderr is not None
    late = threading.Timer(TIMEOUT, process.kill)
    late.start()
    while sum(len(table) <= EPOCHS for table in remote.tables().values()) < 2:  # both nodes train
        assert process.poll() is None
        time.sleep(0.05)
    nodes.kill(nodes.training[0])
    seen = list(lines_until("it resumes on another", process.stderr))
    assert "its worker or node ended" in seen[-1]
    nodes.kill(nodes.training[0])
    seen += lines_until("no node of the cluster", process.stderr)
    assert seen[-1].startswith("note: ") and "start the same command later" in seen[-1]
    nodes.start()  # a second would take time, and the tests below need only one
    seen += process.communicate(timeout=TIMEOUT)[1].splitlines()
    late.cancel()
    assert process.returncode == 0 and "Traceback" not in "".join(seen), seen
    assert remote.tables() == expected
    assert sum("no node of the cluster" in line for line in seen) == 1
    epochs = [line.split("  ")[0].split("] ")[1] + line.split("  ")[1] for line in seen if "  epoch " in line]
    assert len(epochs) == len(set(epochs)) == 4 * EPOCHS  # each is reported once


def lines_until(words: str, stream: IO[str]) -> Iterator[str]:
    """Yield the lines of a stream up to the first with these words."""
    for line in stream:
        yield line
        if words in line:
            return
    raise AssertionError(f"no line has {words!r}")


def test_a_run_that_fails_on_the_nodes_or_in_its_folder_does_not_fail_other_runs(remote: Command, nodes: Nodes) -> None:
    arms = "arms: {good: {variant: none}, pipe: {variant: none, lr: 0.2}, deadly: {variant: deadly}}"
    config = remote.write("deadly.yaml", f"name: deadly\ntrain_size: 500\nepochs: 2\n{arms}\n")
    words = ("train", "-c", config, "--plugin", remote.write("deadly.py", DEADLY))
    here = InProcess(remote.folder, remote.environment)
    _, pipe, _ = (line.split()[-1] for line in here(*words, "--dry-run").stdout.splitlines()[:3])
    (remote.folder / pipe).mkdir(parents=True)
    os.mkfifo(remote.folder / pipe / "checkpoint.pt")
    remote.environment["RAY_ADDRESS"] = nodes.address  # auto tries it first
    stderr = remote(*words, "--ray", "auto", code=1).stderr
    assert f"failed: {pipe}/checkpoint.pt is not a file; remove the folder and train again" in stderr
    assert stderr.count("it resumes on another") == 2
    assert "3 times without another epoch; the same command trains it again" in stderr
    assert "3 runs: 1 trained now, 0 before" in stderr
    (good,) = remote.folder.glob("runs/deadly/*good*")
    assert status_of(RunFolder(good)) == "done"


def is_partly_trained(folder: Path) -> bool:
    table = folder / "epochs.csv"
    started = (folder / "checkpoint.pt").exists() and table.exists()
    return started and len(table.read_text().splitlines()) <= EPOCHS


def test_the_same_command_resumes_after_it_was_killed_and_interrupted(
    remote: Command, nodes: Nodes, expected: dict[str, list[list[str]]]
) -> None:
    words = (*train_long(remote), "--ray", nodes.address)
    for stop in (signal.SIGKILL, signal.SIGINT):
        process = remote.start(*words)
        remote.wait_for_rows(remote.rows_so_far() + 1, process)
        while not any(is_partly_trained(folder) for folder in remote.folder.glob("runs/long/seed=*")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(stop)
        _, stderr = process.communicate(timeout=180)
        assert process.returncode == (130 if stop == signal.SIGINT else -stop)
        states = [str(status_of(RunFolder(folder))) for folder in remote.folder.glob("runs/long/seed=*")]
        assert "interrupted" in states and set(states) <= {"interrupted", "new", "done"}
    assert "to resume: dropexp train" in stderr
    again = remote(*words)
    assert len([line for line in again.stderr.splitlines() if "  epoch " in line]) < 4 * EPOCHS
    assert remote.tables() == expected
