"""Nodes, workers and commands of a Ray cluster die: no epoch is lost, and the tables stay equal."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers.cluster import LOOPBACK, Nodes
from helpers.command import TIMEOUT, Command

from dropexp.runs.folder import RunFolder
from dropexp.runs.state import status_of

EPOCHS = 150  # two seconds or more: a node or a command dies in the middle
LONG = (
    "train_size: 500\nhidden: [8]\ndrop_probs: [0.5]\n"
    f"epochs: {EPOCHS}\nmatrix: {{variant: [scratch, nn], seed: [0, 1]}}\n"
)
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


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> dict[str, list[list[str]]]:
    """Return the tables of LONG, trained without Ray."""
    here = Command(tmp_path_factory.mktemp("here"), environment)
    here("train", "-c", here.write("long.yaml", LONG), "--jobs", "1", "-q")
    return here.tables()


def test_a_node_that_dies_loses_nothing(remote: Command, nodes: Nodes, expected: dict[str, list[list[str]]]) -> None:
    doomed = nodes.start()
    process = remote.start("train", "-c", remote.write("long.yaml", LONG), "--ray", nodes.address)
    while not nodes.decoded(doomed):  # it decodes them for its first run
        remote.wait_for_rows(remote.rows_so_far() + 1, process)
    nodes.kill(doomed)
    _, stderr = process.communicate(timeout=180)
    assert process.returncode == 0, stderr
    assert "its worker or node ended" in stderr and "it resumes on another" in stderr and "Traceback" not in stderr
    assert remote.tables() == expected
    epochs = [
        line.split("  ")[0].split("] ")[1] + line.split("  ")[1] for line in stderr.splitlines() if "  epoch " in line
    ]
    assert len(epochs) == len(set(epochs)) == 4 * EPOCHS  # each is reported once


def test_without_nodes_the_command_reports_it_and_continues_with_the_next_node(
    command: Command, tmp_path: Path, expected: dict[str, list[list[str]]]
) -> None:
    command.environment |= LOOPBACK
    nodes = Nodes(tmp_path)
    try:
        nodes.start(cpus=0)  # the head, which does not train
        nodes.start()
        script = command.write(
            "run.py",
            "from dropexp.cli.main import main\n"
            "from dropexp.training.cluster import driver\n"
            "driver.SILENCE = 2\n"  # seconds, in place of 20
            "main()\n",
        )
        config = command.write("long.yaml", LONG)
        words = (sys.executable, script, "train", "-c", config, "--ray", nodes.address)
        process = command.launch(*words, stderr=subprocess.PIPE, pipesize=1 << 20)
        command.wait_for_rows(1, process)
        nodes.kill(1)
        assert process.stderr is not None
        late = threading.Timer(TIMEOUT, process.kill)
        late.start()
        note = next(line for line in process.stderr if "no node of the cluster" in line)
        late.cancel()
        assert note.startswith("note: ") and "the same command after Ctrl-C" in note
        nodes.start()
        _, stderr = process.communicate(timeout=180)
        assert process.returncode == 0 and "no node of the cluster" not in stderr, stderr
        assert command.tables() == expected
    finally:
        nodes.end()


def test_a_run_whose_worker_dies_three_times_fails_and_no_other_does(remote: Command, nodes: Nodes) -> None:
    config = remote.write(
        "deadly.yaml", "name: deadly\ntrain_size: 500\nepochs: 2\nmatrix: {variant: [none, deadly]}\n"
    )
    plugin = remote.write("deadly.py", DEADLY)
    stderr = remote("train", "-c", config, "--plugin", plugin, "--ray", nodes.address, code=1).stderr
    assert stderr.count("it resumes on another") == 2
    assert "3 times without another epoch; the same command trains it again" in stderr
    assert "2 runs: 1 trained now, 0 before" in stderr
    found = remote.folder.glob("runs/deadly/*")
    states = {folder.name.split(",")[0]: str(status_of(RunFolder(folder))) for folder in found}
    assert states["variant=none"] == "done" and states["variant=deadly"] != "done"


def test_the_same_command_resumes_after_it_was_killed_and_interrupted(
    remote: Command, nodes: Nodes, expected: dict[str, list[list[str]]]
) -> None:
    words = ("train", "-c", remote.write("long.yaml", LONG), "--ray", nodes.address)
    for stop in (signal.SIGKILL, signal.SIGINT):
        process = remote.start(*words)
        while not list(remote.folder.glob("runs/long/*/checkpoint.pt")):  # it comes after the first rows
            remote.wait_for_rows(remote.rows_so_far() + 1, process)
        remote.wait_for_rows(remote.rows_so_far() + 1, process)
        process.send_signal(stop)
        _, stderr = process.communicate(timeout=180)
        assert process.returncode == (130 if stop == signal.SIGINT else -stop)
        states = [str(status_of(RunFolder(folder))) for folder in remote.folder.glob("runs/long/*")]
        assert "interrupted" in states and set(states) <= {"interrupted", "new", "done"}
    assert "to resume: dropexp train" in stderr
    again = remote(*words)
    assert len([line for line in again.stderr.splitlines() if "  epoch " in line]) < 4 * EPOCHS
    assert remote.tables() == expected
