from __future__ import annotations

from pathlib import Path

import pytest
from helpers.studies import write_sweeps, write_three_arms, write_two_arms

from dropexp.analysis.comparison import Comparison, compare


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The runs of `write_three_arms`."""
    write_three_arms(tmp_path)
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
