"""Look up rows and sentences of comparisons, and write runs to compare."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from helpers.fake_runs import write_regression


def row_of(frame: pd.DataFrame, label: str) -> dict[str, Any]:
    """Return the only row of the arm with this label."""
    (row,) = frame[frame["arm"] == label].to_dict("records")
    return {str(name): value for name, value in row.items()}


def mentions(sentences: Iterable[str], *parts: str) -> bool:
    """Return whether one of the sentences has all parts."""
    return any(all(part in sentence for part in parts) for sentence in sentences)


def write_decays(runs_dir: Path, *decays: float, variant: str = "scratch", **more: Any) -> None:
    """Write an arm of linear regression per weight decay, with a test loss of about 1 / (1 + decay)."""
    for decay in decays:
        for seed in range(7):
            loss = (1 + seed / 100) / (1 + decay)
            write_regression(runs_dir, variant, seed, loss, weight_decay=decay, **more)
