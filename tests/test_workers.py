"""What is said in run.json of a run whose worker process could not say it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from fake_runs import write_run

from dropexp.history import read_runs
from dropexp.runs import RUN
from dropexp.workers import mark_held


def test_a_run_that_diverged_as_its_worker_was_killed_can_still_be_read(tmp_path: Path) -> None:
    run = write_run(tmp_path, status="running")
    run.append_row({**run.read_rows()[-1], "epoch": 3, "train_loss": math.inf, "test_loss": math.nan})
    mark_held(run, "failed", "its worker process ended (SIGKILL)")
    json.loads((run.path / RUN).read_text(), parse_constant=pytest.fail)  # strict JSON knows no NaN
    (found,) = read_runs((), tmp_path)
    assert (found.status, found.why, found.epoch) == ("failed", "its worker process ended (SIGKILL)", 3)
