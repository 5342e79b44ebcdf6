"""Connecting to a Ray cluster, with a module instead of Ray."""

from __future__ import annotations

import shutil
import signal
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.in_process import InProcess

from dropexp.data import dataset_files
from dropexp.errors import ClusterError
from dropexp.training.cluster.connect import connected


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(*arguments: object, **options: object) -> None:
        raise ConnectionError("nothing is there")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster of one node, to which nothing can be sent."""
    node = {"Alive": True, "NodeID": "0", "Resources": {"CPU": 1.0}}
    ray = SimpleNamespace(init=lambda *_, **__: None, nodes=lambda: [node], shutdown=lambda: None, put=None)
    monkeypatch.setitem(sys.modules, "ray", ray)


def connect() -> None:
    with pytest.raises(ClusterError, match="no Ray cluster at auto to connect to: nothing is there"), connected("auto"):
        pass


def test_a_handler_that_was_not_installed_from_python_stays(no_cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    connect()


def test_a_thread_can_connect(no_cluster: None) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            connect()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert errors == []


DRAWN = "task: linear-regression\nepochs: 1\nmatrix: {variant: [scratch, nn]}\n"


def test_without_ray_the_command_prints_how_to_install_it(cli: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # cannot be imported
    done = cli("train", "-c", cli.write("drawn.yaml", DRAWN), "--ray", "auto", code=2)
    assert "pip install 'dropexp[ray]'" in done.stderr


@pytest.mark.parametrize(
    ("address", "why"), [("127.0.0.1:{port}", "no Ray cluster at"), ("ray://127.0.0.1:10001", "is not an address")]
)
def test_an_address_without_a_cluster_is_an_error(address: str, why: str, cli: InProcess, no_cluster: None) -> None:
    with socket.socket() as taken:  # a port without a listener
        taken.bind(("127.0.0.1", 0))
        address = address.format(port=taken.getsockname()[1])
        done = cli("train", "-c", cli.write("drawn.yaml", DRAWN), "--ray", address, code=2)
    assert why in done.stderr and "nothing is there" not in done.stderr  # Ray, which would try longer, is not called
    assert not list(cli.folder.glob("runs/*"))


def test_corrupted_data_on_this_machine_is_not_reported_as_a_problem_of_a_node(
    cli: InProcess, idle: None, real_root: Path
) -> None:
    shutil.copytree(dataset_files.raw_dir(real_root), cli.folder / "data")
    next((cli.folder / "data").glob("t10k-labels*")).write_bytes(b"corrupted")
    cli.environment["DROPEXP_DATA"] = str(cli.folder / "data")
    config = cli.write("small.yaml", "train_size: 500\nmatrix: {variant: [none, nn]}\n")
    stderr = cli("train", "-c", config, "--ray", "auto", code=3).stderr
    assert "These files are not those of Fashion-MNIST" in stderr and "t10k-labels" in stderr
    assert "node" not in stderr


def test_finished_runs_are_not_sent_to_the_cluster(cli: InProcess, idle: None) -> None:
    words = ("train", "-c", cli.write("drawn.yaml", DRAWN))
    cli(*words, "--jobs", "1", "-q")
    assert "2 runs: 0 trained now, 2 before" in cli(*words, "--ray", "auto").stderr
