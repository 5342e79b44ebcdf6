from __future__ import annotations

from pathlib import Path

import pytest
from helpers.fake_runs import write_arm, write_run
from helpers.studies import write_sweeps, write_two_arms

from dropexp.analysis.comparison import Comparison, compare


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Runs of none, nn and scratch over three seeds, one more of nn that diverged, one more of scratch unfinished."""
    write_arm(tmp_path, "none", [0.80, 0.82, 0.84])
    write_arm(tmp_path, "nn", [0.81, 0.84, 0.87])
    write_arm(tmp_path, "scratch", [0.79, 0.80, 0.81])
    write_run(tmp_path, "nn", 3, status="diverged", why="the loss is nan in epoch 2")
    write_run(tmp_path, "scratch", 3, status="interrupted")
    return tmp_path


@pytest.fixture(scope="package")
def two_arms(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """The comparison of `write_two_arms`."""
    runs_dir = tmp_path_factory.mktemp("two-arms")
    write_two_arms(runs_dir)
    return compare((), runs_dir)


@pytest.fixture(scope="package")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of `write_sweeps`."""
    runs_dir = tmp_path_factory.mktemp("sweeps")
    write_sweeps(runs_dir)
    return runs_dir
