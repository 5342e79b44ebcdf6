from __future__ import annotations

import atexit
import errno
import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from helpers.command import DROPEXP, Command
from helpers.synthetic import real_data, write_synthetic

from dropexp.config import plugins
from dropexp.config.variant_table import VARIANTS

if TYPE_CHECKING:  # the process that distributes the tests runs none, and imports no torch
    from helpers.in_process import InProcess

    from dropexp.data.fashion_mnist import Data

# A background job of a script ignores Ctrl-C, and so would every command that pytest starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

gc.set_threshold(50_000, 20, 100)  # as in the command: modules and collected tests are never garbage
IN_PARALLEL = "PYTEST_XDIST_WORKER" in os.environ  # this is one of several test processes, which share the cores


def _exit(process: int) -> None:
    """End this test process without freeing its modules and objects, which would take seconds."""
    if os.getpid() == process:  # not a fork of it
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


if IN_PARALLEL:
    atexit.register(_exit, os.getpid())  # it runs after the handlers that are registered later


def pytest_collection_finish() -> None:
    gc.freeze()  # what exists now is not examined by the garbage collections of the tests
    atexit.register(gc.unfreeze)  # Triton reports what is never collected
    if IN_PARALLEL:
        import torch

        torch.set_num_threads(1)  # of this process alone: the commands that it starts have all threads


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest files first, so that all processes of the suite end at about the same time."""
    words = ["cluster", "train_processes", "train", "workers", "notebook"]
    words += ["exit", "recovery", "charts", "torch_settings", "export"]
    slow = [f"test_{word}.py" for word in words]
    items.sort(key=lambda item: slow.index(item.path.name) if item.path.name in slow else len(slow))


@pytest.fixture(scope="session")
def real_root() -> Path:
    """The real Fashion-MNIST."""
    return real_data()


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all commands of the suite, so that the real data is decoded once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if IN_PARALLEL else base) / "cache"  # of all processes of the suite
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def environment(real_root: Path, shared_cache: Path) -> dict[str, str]:
    """The environment of commands: the real data and the shared cache, without this machine's settings of dropexp."""
    others = ("DROPEXP_", "XDG_", "CI", "GITHUB_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(others)}
    kept["PATH"] = os.pathsep.join([str(DROPEXP.parent), kept.get("PATH", os.defpath)])  # as in an activated venv
    return kept | {"DROPEXP_DATA": str(real_root.resolve()), "XDG_CACHE_HOME": str(shared_cache)}


@pytest.fixture
def command(tmp_path: Path, environment: dict[str, str]) -> Iterator[Command]:
    """The installed command, in an empty folder."""
    command = Command(tmp_path, environment.copy())
    yield command
    command.end()


@pytest.fixture
def cli(tmp_path: Path, environment: dict[str, str]) -> InProcess:
    """The command in this process, in an empty folder."""
    from helpers.in_process import InProcess

    return InProcess(tmp_path, environment.copy())


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """A small data set that can be learned, in memory."""
    from dropexp.data.fashion_mnist import load

    root = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        return load(root, checksums=write_synthetic(root))


@pytest.fixture
def no_plugins() -> Iterator[None]:
    """Forget the plugins of a test at its end, as a process of its own would."""
    tables: list[dict[Any, Any]] = [VARIANTS, plugins._loaded]
    before = [dict(table) for table in tables]
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Use one thread: small matrix products are slower with two."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every lock fail, as on a disk without locks."""
    pytest.importorskip("fcntl", reason="Windows has no flock, which is replaced here")

    def refused(*args: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refused)
