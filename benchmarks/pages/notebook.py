"""Run docs/study.ipynb and keep its outputs: PYTHONPATH=benchmarks .venv/bin/python -m pages.notebook (a minute)."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "study.ipynb"


def run(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run all cells in `folder`, and put their outputs into the notebook. Raises CellExecutionError."""
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()


def digest(notebook: nbformat.NotebookNode) -> str:
    """Return a digest of the code cells; the notebook stores that of the code which its outputs belong to."""
    code = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256(code.encode()).hexdigest()


def main() -> None:
    """Write the notebook with its outputs."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        run(notebook, Path(folder))
    for cell in notebook.cells:
        cell.metadata.clear()  # the times of execution
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata["outputs_of"] = digest(notebook)
    nbformat.write(notebook, NOTEBOOK)
    print(f"written: {NOTEBOOK}", file=sys.stderr)


if __name__ == "__main__":
    main()
