"""Training on a Ray cluster, for real: nodes on this machine, studies that lose nodes and drivers, and their tables."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.command import TIMEOUT, Command
from helpers.training import notes_of, rows_of, train_run
from helpers.weights import same, saved_below

from dropexp.config.schema import Config
from dropexp.config.study import PlannedRun
from dropexp.data import download
from dropexp.runs.folder import FILES, FINISHED, RunFolder
from dropexp.training.cluster import driver, worker
from dropexp.training.cluster.driver import _Driver, _write
from dropexp.training.cluster.worker import Parcel, Shared, Update
from dropexp.training.events import Ended, Event
from dropexp.training.task import Plan

ROOT = Path(__file__).parents[4]
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # or Ray takes this machine's other address
EXAMPLE = ROOT / "examples" / "uniform_noise.py"

SMALL = "train_size: 500\nhidden: [32, 32]\nepochs: 3\nmatrix: {variant: [none, nn, scratch, uniform], seed: [0, 1]}\n"
LONG = "train_size: 500\nhidden: [8]\ndrop_probs: [0.5]\nepochs: 400\nmatrix: {variant: [scratch, nn], seed: [0, 1]}\n"
DRAWN = "task: linear-regression\nlr: 0.003\nbatch_size: 5\nepochs: 20\nmatrix: {variant: [scratch, nn], seed: 0..3}\n"
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


class Nodes:
    """Nodes of a cluster on this machine, each with a cache of its own and no data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = ""
        self.count = 0
        environment = {key: value for key, value in os.environ.items() if key != "DROPEXP_DATA"}
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "tests" / "helpers" / "ray_nodes.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment | LOOPBACK | {"RAY_USAGE_STATS_ENABLED": "0"},
            cwd=folder,
        )

    def start(self, package: Path = ROOT, cpus: int = 1) -> int:
        """Start a node of so many processors that imports this package; returns its number."""
        environment = {"PYTHONPATH": str(package), "XDG_CACHE_HOME": str(self.cache(self.count))}
        self._ask({"start": environment, "cpus": cpus})
        self.count += 1
        return self.count - 1

    def kill(self, number: int) -> None:
        self._ask({"kill": number})

    def cache(self, number: int) -> Path:
        return self.folder / f"cache-{number}"

    def decoded(self, number: int) -> list[Path]:
        """The data that the node has made ready for training."""
        return list(self.cache(number).glob("dropexp/decoded-*[0-9a-f]"))

    def end(self) -> None:
        with self.process as process:
            assert process.stdin is not None
            process.stdin.close()

    def _ask(self, what: dict[str, Any]) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(what), file=self.process.stdin, flush=True)
        self.address = json.loads(self.process.stdout.readline())["address"]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Two nodes of this package."""
    started = Nodes(tmp_path_factory.mktemp("nodes"))
    try:
        started.start()
        started.start()
        yield started
    finally:
        started.end()


@pytest.fixture
def remote(command: Command, nodes: Nodes) -> Command:
    """The command, where it finds the cluster."""
    command.environment |= LOOPBACK
    return command


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> dict[str, list[list[str]]]:
    """What LONG gives without Ray."""
    here = Command(tmp_path_factory.mktemp("here"), environment)
    here("train", "-c", here.write("long.yaml", LONG), "--jobs", "2", "-q")
    return here.tables()


def events_of(updates: Iterable[Update]) -> list[Event]:
    return [event for update in updates for event in update.events]


def another_version(folder: Path) -> Path:
    """A folder with a package that differs by a comment."""
    shutil.copytree(ROOT / "dropexp", folder / "dropexp", ignore=shutil.ignore_patterns("__pycache__"))
    with open(folder / "dropexp" / "training" / "loop.py", "a", encoding="utf-8") as file:
        file.write("# changed\n")
    return folder


def test_two_nodes_write_the_tables_that_one_process_writes(remote: Command, nodes: Nodes) -> None:
    config = remote.write("small.yaml", SMALL)
    here = Command(remote.folder / "here", remote.environment)
    here.folder.mkdir()
    here("train", "-c", str(remote.folder / config), "--plugin", str(EXAMPLE), "--jobs", "1", "-q")
    done = remote("train", "-c", config, "--plugin", str(EXAMPLE), "--ray", nodes.address)
    assert "8 runs: 8 trained now" in done.stderr and not done.stdout
    assert all(line.startswith(("[", "8 runs:", "next:")) for line in done.stderr.splitlines())  # Ray says nothing
    assert len(remote.tables()) == 8 and remote.tables() == here.tables()
    assert same(saved_below(remote.folder / "runs"), saved_below(here.folder / "runs"))
    for number in (0, 1):  # each trained, with the data that it was sent
        assert len(nodes.decoded(number)) == 1
    for folder in remote.folder.glob("runs/small/*"):
        assert {path.name for path in folder.iterdir()} == {*FILES, ".lock"}
        assert RunFolder(folder).read_info()["provenance"]["threads"] == 1
    remote.environment |= {"RAY_ADDRESS": nodes.address}  # where auto looks first
    again = remote("train", "-c", config, "--plugin", str(EXAMPLE), "--ray", "auto", "--force")
    assert "8 runs: 8 trained now" in again.stderr and remote.tables() == here.tables()
    again = remote("train", "-c", config, "--plugin", str(EXAMPLE), "--ray", nodes.address)
    assert "8 runs: 0 trained now, 8 before" in again.stderr


def test_a_node_that_dies_takes_nothing_with_it(
    remote: Command, nodes: Nodes, undisturbed: dict[str, list[list[str]]]
) -> None:
    doomed = nodes.start()
    process = remote.start("train", "-c", remote.write("long.yaml", LONG), "--ray", nodes.address)
    while not nodes.decoded(doomed):  # which it does when it has been given a run
        remote.wait_for_rows(remote.rows_so_far() + 1, process)
    nodes.kill(doomed)
    _, told = process.communicate(timeout=180)
    assert process.returncode == 0, told
    assert "its worker or node ended" in told and "it resumes on another" in told and "Traceback" not in told
    assert remote.tables() == undisturbed
    epochs = [
        line.split("  ")[0].split("] ")[1] + line.split("  ")[1] for line in told.splitlines() if "  epoch " in line
    ]
    assert len(epochs) == len(set(epochs)) == 4 * 400  # each is told once


def test_a_command_that_no_node_is_left_for_says_so_and_goes_on_with_the_next(
    command: Command, tmp_path: Path, undisturbed: dict[str, list[list[str]]]
) -> None:
    command.environment |= LOOPBACK
    nodes = Nodes(tmp_path)
    try:
        nodes.start(cpus=0)  # the head, which trains nothing
        nodes.start()
        process = command.start("train", "-c", command.write("long.yaml", LONG), "--ray", nodes.address)
        command.wait_for_rows(1, process)
        nodes.kill(1)
        assert process.stderr is not None
        late = threading.Timer(TIMEOUT, process.kill)
        late.start()
        said = next(line for line in process.stderr if "no node of the cluster" in line)
        late.cancel()
        assert said.startswith("note: ") and "the same command after Ctrl-C" in said
        nodes.start()
        _, told = process.communicate(timeout=180)
        assert process.returncode == 0 and "no node of the cluster" not in told, told
        assert command.tables() == undisturbed
    finally:
        nodes.end()


def test_a_run_that_ends_its_worker_three_times_has_failed_and_no_other(remote: Command, nodes: Nodes) -> None:
    config = remote.write(
        "deadly.yaml", "name: deadly\ntrain_size: 500\nepochs: 2\nmatrix: {variant: [none, deadly]}\n"
    )
    plugin = remote.write("deadly.py", DEADLY)
    said = remote("train", "-c", config, "--plugin", plugin, "--ray", nodes.address, code=1).stderr
    assert said.count("it resumes on another") == 2
    assert "3 times without another epoch; the same command trains it again" in said
    assert "2 runs: 1 trained now, 0 before" in said
    states = {folder.name.split(",")[0]: RunFolder(folder).status() for folder in remote.folder.glob("runs/deadly/*")}
    assert states["variant=none"] == "done" and states["variant=deadly"] != "done"


def test_many_runs_are_sent_several_at_once_and_fewer_towards_the_end() -> None:
    sender = object.__new__(_Driver)  # no cluster is asked for this
    sender.waiting, sender.max_locks = deque([place] for place in range(200)), 1000
    sizes = []
    while sender.waiting:
        sizes.append(len(sender._next_groups(slots=4)))
    assert sum(sizes) == 200 and sizes[0] == 8 and sizes[-1] == 1
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_the_same_command_goes_on_where_its_driver_was_stopped(
    how: str, remote: Command, nodes: Nodes, undisturbed: dict[str, list[list[str]]]
) -> None:
    words = ("train", "-c", remote.write("long.yaml", LONG), "--ray", nodes.address)
    process = remote.start(*words)
    while not list(remote.folder.glob("runs/long/*/run.json")):  # which is written last
        remote.wait_for_rows(remote.rows_so_far() + 1, process)
    process.send_signal(signal.Signals[how])
    _, told = process.communicate(timeout=180)
    assert process.returncode == (130 if how == "SIGINT" else -signal.SIGKILL)
    states = [RunFolder(folder).status() for folder in remote.folder.glob("runs/long/*")]
    assert "interrupted" in states and set(states) <= {"interrupted", "missing", "done"}
    if how == "SIGINT":
        assert "to resume: dropexp train" in told
    again = remote(*words)
    assert len([line for line in again.stderr.splitlines() if "  epoch " in line]) < 4 * 400
    assert remote.tables() == undisturbed


def test_a_node_with_another_version_is_named_and_left_out(remote: Command, nodes: Nodes, tmp_path: Path) -> None:
    other = nodes.start(another_version(tmp_path / "other"))
    try:
        done = remote("train", "-c", remote.write("drawn.yaml", DRAWN), "--ray", nodes.address)
        (told,) = [line for line in done.stderr.splitlines() if "this node is left out" in line]
        versions = {
            word for word in told.replace(")", " ").split() if len(word) == 8 and set(word) <= set("0123456789abcdef")
        }
        assert "install the same" in told and str(tmp_path / "other") in told and len(versions) == 2
        assert "8 runs: 8 trained now" in done.stderr
        remote.environment["PYTHONPATH"] = str(tmp_path / "other")  # now most of the cluster differs
        done = remote("train", "-c", "drawn.yaml", "--force", "--ray", nodes.address)
        assert done.stderr.count("this node is left out") <= 2 and "8 runs: 8 trained now" in done.stderr
    finally:
        nodes.kill(other)
    there = remote.tables()
    done = remote("train", "-c", "drawn.yaml", "--force", "--ray", nodes.address, code=2)
    assert remote.tables() == there and len(there) == 8  # a result goes when another begins, not before
    assert "no node of the cluster can train" in done.stderr and "install the same" in done.stderr


def test_a_pipe_in_place_of_a_runs_file_is_answered_and_the_others_train(remote: Command, nodes: Nodes) -> None:
    config = remote.write("drawn.yaml", DRAWN)
    first = remote("train", "-c", config, "--dry-run").stdout.splitlines()[0].split()[-1]
    (remote.folder / first).mkdir(parents=True)
    os.mkfifo(remote.folder / first / "checkpoint.pt")
    done = remote("train", "-c", config, "--ray", nodes.address, code=1)
    assert f"failed: {first}/checkpoint.pt is no file; remove the folder and train again" in done.stderr
    assert "8 runs: 7 trained now" in done.stderr


def test_data_that_are_wrong_here_are_named_as_such_and_no_node_is_blamed(
    remote: Command, nodes: Nodes, real_root: Path
) -> None:
    shutil.copytree(download.raw_dir(real_root), remote.folder / "data")
    next((remote.folder / "data").glob("t10k-labels*")).write_bytes(b"damaged")
    remote.environment["DROPEXP_DATA"] = str(remote.folder / "data")
    done = remote(
        "train", "-c", remote.write("small.yaml", SMALL.replace(", uniform", "")), "--ray", nodes.address, code=3
    )
    assert "These files are not those of Fashion-MNIST" in done.stderr and "t10k-labels" in done.stderr
    assert "node" not in done.stderr


def test_a_command_that_may_open_few_files_sends_fewer_runs_at_a_time(remote: Command, nodes: Nodes) -> None:
    config = remote.write("many.yaml", DRAWN.replace("0..3", "0..39").replace("epochs: 20", "epochs: 1"))
    script = remote.write(
        "run.py",
        "import resource\n"
        "from dropexp.training.cluster import driver\n"
        "from dropexp.cli.main import main\n"
        "resource.getrlimit = lambda which: (16, 16)\n"  # Ray itself would not do with so few
        "send, held = driver._Driver._send_chunks, [0]\n"
        "def counted(self):\n"
        "    yield from send(self)\n"
        "    held.append(len(self.locks))\n"
        "driver._Driver._send_chunks = counted\n"
        "try: main()\n"
        "finally: print(max(held))\n",
    )
    done = subprocess.run(
        [sys.executable, script, "train", "-c", config, "--ray", nodes.address, "-q"],
        cwd=remote.folder, env=remote.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(remote.tables()) == 80
    assert 0 < int(done.stdout) <= 8 + 2


def test_the_driver_imports_no_torch(remote: Command, nodes: Nodes) -> None:
    remote.write("drawn.yaml", DRAWN)
    script = remote.write(
        "run.py", "import sys\nfrom dropexp.cli.main import main\ntry: main()\nfinally: print('torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, script, "train", "-c", "drawn.yaml", "--ray", nodes.address, "-q"],
        cwd=remote.folder, env=remote.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "False" and not done.stderr
    assert len(remote.tables()) == 8


def test_without_ray_the_command_says_how_to_get_it(command: Command) -> None:
    hidden = command.folder / "hidden"
    hidden.mkdir()
    (hidden / "ray.py").write_text("raise ImportError('No module named ray')\n")
    command.environment["PYTHONPATH"] = f"{hidden}{os.pathsep}{ROOT}"
    done = command("train", "-c", command.write("drawn.yaml", DRAWN), "--ray", "auto", code=2)
    assert "pip install 'dropexp[ray]'" in done.stderr


@pytest.mark.parametrize(
    ("address", "why"), [("127.0.0.1:{port}", "no Ray cluster at"), ("ray://127.0.0.1:10001", "is no address")]
)
def test_where_no_cluster_is_the_command_says_so(address: str, why: str, command: Command) -> None:
    with socket.socket() as taken:  # a port that nobody listens at
        taken.bind(("127.0.0.1", 0))
        address = address.format(port=taken.getsockname()[1])
        done = command("train", "-c", command.write("drawn.yaml", DRAWN), "--ray", address, code=2)
    assert why in done.stderr
    assert not list(command.folder.glob("runs/*"))


def test_wherever_the_writing_is_cut_short_the_run_goes_on(tmp_path: Path, one_thread: None) -> None:
    keys = {"task": "linear-regression", "variant": "scratch", "lr": 0.003, "batch_size": 5, "epochs": 6}
    run = PlannedRun("drawn", None, "cell", Config.model_validate(keys))
    whole = RunFolder(tmp_path / "whole")
    list(train_run(run, whole, None, torch.device("cpu")))
    told = list(worker.train(Shared(Plan(None)), [[Parcel(0, run, {})]], pace=0.0))
    assert events_of(told)[-1] == Ended(0, "done")
    steps = [{name: content} for news in told for files in news.files.values() for name, content in files.items()]
    assert len(steps) > 10
    for count in range(len(steps) + 1):
        folder = RunFolder(tmp_path / str(count))
        folder.path.mkdir()
        for step in steps[:count]:
            _write(folder, step)
        assert (folder.status() in FINISHED) == (count == len(steps))
        list(train_run(run, folder, None, torch.device("cpu")))
        kept, expected = ([{**row, "seconds": 0} for row in one.read_rows()] for one in (folder, whole))
        assert kept == expected


def test_a_run_goes_on_from_what_is_sent_and_what_does_not_count_is_taken_back(
    tmp_path: Path, one_thread: None
) -> None:
    keys = {"task": "linear-regression", "variant": "scratch", "lr": 0.003, "batch_size": 5, "epochs": 6}
    run = PlannedRun("drawn", None, "cell", Config.model_validate(keys))
    half = RunFolder(tmp_path / "half")
    rows = train_run(run, half, None, torch.device("cpu"))
    next(rows), next(rows)
    rows.close()
    files = {name: (half.path / name).read_bytes() for name in FILES}
    resumed = rows_of(events_of(worker.train(Shared(Plan(None)), [[Parcel(0, run, files)]], 0.0)))
    assert resumed[0]["epoch"] > 1 and resumed[-1]["epoch"] == 6
    damaged = files | {"checkpoint.pt": b"damaged"}
    told = list(worker.train(Shared(Plan(None)), [[Parcel(0, run, damaged)]], 0.0))
    events = events_of(told)
    assert notes_of(events)[0].startswith("checkpoint.pt was damaged")
    assert [row["epoch"] for row in rows_of(events)] == [1, 2, 3, 4, 5, 6]
    for news in told:
        _write(half, news.files.get(0, {}))
    assert (half.path / "checkpoint.pt.damaged-1").read_bytes() == b"damaged"
    assert half.status() == "done"


def test_a_result_that_a_node_cannot_read_is_kept_beside_the_new_one(tmp_path: Path, one_thread: None) -> None:
    keys = {"task": "linear-regression", "variant": "scratch", "lr": 0.003, "batch_size": 5, "epochs": 2}
    run = PlannedRun("drawn", None, "cell", Config.model_validate(keys))
    held = RunFolder(tmp_path / "held")
    list(train_run(run, held, None, torch.device("cpu")))
    (held.path / "run.json").write_bytes(b"damaged")
    held.checkpoint.unlink()
    table = held.table()
    files = {path.name: path.read_bytes() for path in held.path.iterdir()}
    told = list(worker.train(Shared(Plan(None)), [[Parcel(0, run, files)]], 0.0))
    for news in told:
        _write(held, news.files.get(0, {}))
    assert any(note.startswith("epochs.csv is begun anew") for note in notes_of(events_of(told)))
    assert next(held.path.glob("epochs.csv.before-*")).read_bytes() == table
    assert held.status() == "done"


def test_what_is_gone_on_a_node_is_removed_run_json_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path)
    for name in FILES:
        (tmp_path / name).write_text(name)
    unlink, removed = Path.unlink, []

    def noted(self: Path, missing_ok: bool = False) -> None:
        removed.append(self.name)
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", noted)
    _write(folder, dict.fromkeys(FILES))
    assert [name for name in removed if name in FILES] == [*reversed(FILES)]


def test_what_arrives_from_a_node_is_written_run_json_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(driver, "write_whole", lambda path, content: written.append(path.name))
    _write(RunFolder(tmp_path), dict.fromkeys([*reversed(FILES), "epochs.csv.damaged-1"], b"there"))
    assert written == ["epochs.csv.damaged-1", *FILES]


def test_a_node_trains_where_only_its_machine_writes_not_in_a_cache_that_many_may_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # for the system's own
    keys = {"task": "linear-regression", "variant": "scratch", "lr": 0.003, "batch_size": 5, "epochs": 6}
    run = PlannedRun("drawn", None, "cell", Config.model_validate(keys))
    news = worker.train(Shared(Plan(None)), [[Parcel(0, run, {})]], pace=0.0)
    next(news)
    (folder,) = tmp_path.iterdir()
    assert (folder / "0").is_dir()
    assert list(news) and not list(tmp_path.iterdir())


def test_runs_of_one_shape_train_as_a_stack_where_they_are_sent_as_one(
    real_root: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    monkeypatch.setenv("DROPEXP_DATA", str(real_root.resolve()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared_cache))
    keys = {"variant": "scratch", "train_size": 500, "hidden": [16, 16], "epochs": 2}
    runs = [PlannedRun("s", None, f"{seed}", Config.model_validate(keys | {"seed": seed})) for seed in (0, 1)]
    here = Shared(Plan(real_root, stacks=True), packed=object())  # which nobody asks for where the data is
    told = list(worker.train(here, [[Parcel(5, runs[0], {}), Parcel(7, runs[1], {})]], pace=0.0))
    assert {event for event in events_of(told) if isinstance(event, Ended)} == {Ended(5, "done"), Ended(7, "done")}
    for place in (5, 7):
        last = [news.files[place]["run.json"] for news in told if news.files.get(place, {}).get("run.json")][-1]
        assert last is not None and json.loads(last)["provenance"]["stack"] == 2
