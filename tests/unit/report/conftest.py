from __future__ import annotations

from pathlib import Path

import pytest
from helpers.fake_runs import write_arm, write_run


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Runs of none, nn and scratch over three seeds; besides, one of nn that diverged and one of scratch unfinished."""
    write_arm(tmp_path, "none", [0.80, 0.82, 0.84])
    write_arm(tmp_path, "nn", [0.81, 0.84, 0.87])
    write_arm(tmp_path, "scratch", [0.79, 0.80, 0.81])
    write_run(tmp_path, "nn", 3, status="diverged", why="the loss is nan in epoch 2")
    write_run(tmp_path, "scratch", 3, status="interrupted")
    return tmp_path
