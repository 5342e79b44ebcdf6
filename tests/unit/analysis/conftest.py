from __future__ import annotations

from pathlib import Path

import pytest
from helpers.fake_runs import write_run
from helpers.studies import write_three_arms

from dropexp.analysis.comparison import Comparison, compare


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The runs of `write_three_arms`."""
    write_three_arms(tmp_path)
    return tmp_path


@pytest.fixture(scope="package")
def shared_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same runs as `study`, for tests that only read them."""
    runs_dir = tmp_path_factory.mktemp("study")
    write_three_arms(runs_dir)
    return runs_dir


@pytest.fixture(scope="package")
def compared(shared_study: Path) -> Comparison:
    """The comparison of `shared_study`."""
    return compare(runs_dir=shared_study)


@pytest.fixture
def probed(tmp_path: Path) -> Path:
    """Runs of none and nn over seven seeds, with figures of probes."""
    for variant, zeros in (("none", 0.4), ("nn", 0.5)):
        for seed in range(7):
            figures = {"h1_zero": zeros + seed / 1000, "mc_acc": 0.8 + zeros / 10, "ece": zeros / 10, "odd": 1.0}
            write_run(tmp_path, variant, seed, probed=figures)
    return tmp_path
