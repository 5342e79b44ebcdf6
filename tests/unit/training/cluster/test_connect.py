"""Connecting to a Ray cluster, with a module in place of Ray."""

from __future__ import annotations

import signal
import sys
import threading
from types import SimpleNamespace

import pytest

from dropexp.errors import ClusterError
from dropexp.training.cluster.connect import connected


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(*arguments: object, **options: object) -> None:
        raise ConnectionError("nothing is there")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))


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
