from __future__ import annotations

from pathlib import Path

import pytest
from helpers.fake_runs import write_arm
from helpers.in_process import InProcess


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> InProcess:
    """The command in a folder with a study of eight seeds: none, and nn with three drop probabilities. Only read it."""
    folder = tmp_path_factory.mktemp("study")
    write_study(folder / "runs")
    return InProcess(folder, environment.copy())


@pytest.fixture
def own_study(cli: InProcess) -> InProcess:
    """The same command and study as `study`, in a folder that the test may change."""
    write_study(cli.folder / "runs")
    return cli


def write_study(runs_dir: Path) -> None:
    for p in (0.2, 0.5, 0.8):
        write_arm(runs_dir, "nn", [0.80 - p / 10 + i / 100 for i in range(8)], drop_probs=[p, p])
    write_arm(runs_dir, "none", [0.85 + i / 100 for i in range(8)])
