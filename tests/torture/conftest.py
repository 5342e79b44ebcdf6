from __future__ import annotations

import os
import random
import signal

import pytest
from helpers.command import Command

from torture.counts import COUNTS
from torture.study import HOOKS, Study

SEED = pytest.StashKey[int]()

# Under nohup, pytest and every command that it starts ignore SIGHUP; commands do not inherit a handler.
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="run each test once, with one of its parameters and few faults"
    )
    parser.addoption("--seed", type=int, help="repeat the random moments and faults of an earlier run")


def pytest_configure(config: pytest.Config) -> None:
    seed: int | None = config.getoption("--seed")
    config.stash[SEED] = random.randrange(1_000_000) if seed is None else seed


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--quick"):
        return
    by_test: dict[str, list[pytest.Item]] = {}
    for item in items:
        by_test.setdefault(item.nodeid.partition("[")[0], []).append(item)
    draw = random.Random(config.stash[SEED])
    kept = [draw.choice(group) for group in by_test.values()]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line(f"{COUNTS} (--seed {config.stash[SEED]})")


@pytest.fixture(scope="session")
def quick(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--quick"))


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> random.Random:
    """Return the random generator of a test: different for each test, the same for the same --seed."""
    return random.Random(f"{request.config.stash[SEED]}/{request.node.name}")


@pytest.fixture
def command(command: Command) -> Command:
    """Return the installed command, with the hooks that inject faults."""
    command.environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(HOOKS), command.environment.get("PYTHONPATH")])
    )
    return command


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Study:
    """Return the study, trained without faults."""
    return Study.trained(Command(tmp_path_factory.mktemp("undisturbed"), environment))
