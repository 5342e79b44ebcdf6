"""The notebook in docs/ runs from its first cell to its last, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "study.ipynb"

# The kernel and its client warn of their own deprecations and of sockets that they close late.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def test_the_notebook_trains_compares_and_charts(
    tmp_path: Path, real_root: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DROPEXP_DATA", str(real_root.resolve()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared_cache))
    monkeypatch.delenv("DROPEXP_RUNS", raising=False)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    charts = [output for output in shown if "image/svg+xml" in output.get("data", {})]
    printed = "".join(output.get("text", "") for output in shown)
    assert len(charts) == 2
    assert printed.count("test accuracy 0.") == 24
    assert "INCONCLUSIVE" in printed or "EQUIVALENT" in printed or "BETTER" in printed or "WORSE" in printed
    assert not any(output.output_type == "error" for output in shown)


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
