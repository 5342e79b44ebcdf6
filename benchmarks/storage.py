"""Where benchmarks read the data set and where they write their results."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from dropexp.data.dataset_files import fetch, find
from dropexp.errors import DataError

ROOT = Path(__file__).parent.parent
OUT = ROOT / "benchmarks" / "out"  # what was measured on this machine; ignored by git
RESULTS = ROOT / "benchmarks" / "results"  # what the pages in docs/ show
DOCS = ROOT / "docs"


def data_root() -> Path:
    """Return the folder of Fashion-MNIST, downloading it if needed. Exit with a message if that fails."""
    try:
        return find() or fetch()
    except DataError as error:
        sys.exit(str(error))


def save_results(name: str, results: dict[str, Any], folder: Path = OUT) -> None:
    """Write `name`.json. Publishing it is a second command: benchmarks/publish.py."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1, ensure_ascii=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def load_results(name: str, folder: Path) -> dict[str, Any]:
    """Return the contents of `name`.json, or {} if it does not exist."""
    path = folder / f"{name}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
