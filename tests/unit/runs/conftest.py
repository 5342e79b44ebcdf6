from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers.states import COLUMNS, PREDICTED, SCHEMA_1, info_of

from dropexp.runs import transitions
from dropexp.runs.epochs_table import rows_of
from dropexp.runs.folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "study" / "cell-0123abcd")
    run.path.mkdir(parents=True)
    return run


@pytest.fixture
def done(folder: RunFolder) -> RunFolder:
    """A run that was trained for two epochs."""
    transitions.start(folder, info_of("running", {}), {})
    for row in rows_of(COLUMNS):
        folder.append_row(row)
    transitions.save(folder, b"checkpoint", info_of("running", COLUMNS))
    transitions.finish(folder, info_of("done", COLUMNS), PREDICTED)
    return folder


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SCHEMA_1 / "runs" / "schema-1", tmp_path / "schema-1"))
