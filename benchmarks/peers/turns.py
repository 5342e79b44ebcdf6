"""A contender's side: its epochs, one at a time, each timed and proved by what was learned in it.

    for turn in turns():
        ...
        turn.trained(loss, accuracy)
        ...
        turn.evaluated(loss, accuracy)

Started by the driver, a turn begins when the driver asks for it, and the process idles until then. Started with
`--epochs 5`, five turns follow each other, as in anybody's script.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

ANSWER = "epoch "  # opens a line that is meant for the driver; libraries print too


class Turn:
    """One epoch. Figures are given as numbers, so that whatever computes them has ended by then."""

    def __init__(self) -> None:
        self.figures: dict[str, float | None] = {}
        self._began = time.perf_counter()

    def trained(self, loss: float, acc: float | None) -> None:
        """The training part is over: mean loss and accuracy while it ran, None where a library takes none."""
        self._took("train", loss, acc)

    def evaluated(self, loss: float, acc: float) -> None:
        """The evaluation of the test images is over."""
        self._took("test", loss, acc)

    def took(self, train_seconds: float, test_seconds: float) -> None:
        """Instead of both, for a part of the work that learns nothing."""
        self.figures = {"train_seconds": train_seconds, "test_seconds": test_seconds}

    def _took(self, part: str, loss: float, acc: float | None) -> None:
        now = time.perf_counter()
        self.figures |= {f"{part}_seconds": now - self._began, f"{part}_loss": loss, f"{part}_acc": acc}
        self._began = now


def turns() -> Iterator[Turn]:
    """Turns until the driver asks for no more, or as many as `--epochs` says."""
    asked: Iterator[Any] = iter(range(int(sys.argv[2]))) if sys.argv[1:2] == ["--epochs"] else iter(sys.stdin)
    for _ in asked:
        turn = Turn()
        yield turn
        print(ANSWER + json.dumps(turn.figures), flush=True)
