"""The notebook in docs/ runs from its first cell to its last, in a folder of its own, and ships with its outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from pages.notebook import NOTEBOOK, digest, run

# The kernel and its client warn of their own deprecations and of sockets that they close late.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def outputs_of(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def assert_shows_tables_and_charts(notebook: nbformat.NotebookNode) -> None:
    data = [output.get("data", {}) for output in outputs_of(notebook)]
    assert not any(output.output_type == "error" for output in outputs_of(notebook))
    assert sum("image/svg+xml" in shown for shown in data) == 2
    tables = "".join(shown.get("text/html", "") for shown in data)
    assert "<table>" in tables and "95 % interval" in tables and "<progress" in tables


def test_a_short_form_of_the_notebook_trains_compares_and_charts(
    tmp_path: Path, real_root: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DROPEXP_DATA", str(real_root.resolve()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared_cache))
    monkeypatch.delenv("DROPEXP_RUNS", raising=False)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for before, short in (('"epochs": 200', '"epochs": 20'), ('"0..7"', '"0..1"')):
        assert before in notebook.cells[1].source
        notebook.cells[1].source = notebook.cells[1].source.replace(before, short)
    run(notebook, tmp_path)
    assert_shows_tables_and_charts(notebook)


def test_the_notebook_ships_with_the_outputs_of_its_code() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert notebook.metadata["outputs_of"] == digest(notebook), "run `python -m pages.notebook`, see benchmarks/README"
    assert [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"] == [1, 2, 3, 4, 5, 6]
    assert_shows_tables_and_charts(notebook)
    shown = [output.get("data", {}).get("text/html", "") for output in outputs_of(notebook)]
    assert any("95 % interval" in html and "BETTER" in html for html in shown)  # it shows an effect
