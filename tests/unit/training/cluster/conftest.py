"""Ray nodes on this machine, and a command that finds them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from helpers.cluster import LOOPBACK, Nodes
from helpers.command import Command


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Two nodes of this package that train, and a head that does not."""
    started = Nodes(tmp_path_factory.mktemp("nodes"))
    try:
        started.start(cpus=0)
        started.start()
        started.start()
        yield started
    finally:
        started.end()


@pytest.fixture
def remote(command: Command, nodes: Nodes) -> Command:
    """The command, on a machine where it finds the cluster."""
    command.environment |= LOOPBACK
    return command
