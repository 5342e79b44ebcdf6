"""The contender's side: one timed epoch per turn, with its loss and accuracy as evidence of the work.

    for turn in turns():
        ...
        turn.trained(loss, accuracy)
        ...
        turn.evaluated(loss, accuracy)

Without arguments, each line on stdin starts a turn, and the process waits in between. With `--epochs 5`, five turns
follow each other as in an ordinary script.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

PREFIX = "epoch "  # of a line for the driver; libraries print too


class Turn:
    """One epoch. Figures are passed as numbers, so that their computation has finished."""

    def __init__(self) -> None:
        self.figures: dict[str, float | None] = {}
        self._start = time.perf_counter()

    def trained(self, loss: float, acc: float | None) -> None:
        """Report the end of training with its running mean loss and accuracy; None if a library has no accuracy."""
        self._report("train", loss, acc)

    def evaluated(self, loss: float, acc: float) -> None:
        """Report the end of the evaluation on the test images."""
        self._report("test", loss, acc)

    def took(self, train_seconds: float, test_seconds: float) -> None:
        """Report both durations, for a contender that does a part of the work and learns nothing."""
        self.figures = {"train_seconds": train_seconds, "test_seconds": test_seconds}

    def _report(self, part: str, loss: float, acc: float | None) -> None:
        now = time.perf_counter()
        self.figures |= {f"{part}_seconds": now - self._start, f"{part}_loss": loss, f"{part}_acc": acc}
        self._start = now


def turns() -> Iterator[Turn]:
    """Yield a turn per line on stdin, or `--epochs` turns."""
    requests: Iterator[Any] = iter(range(int(sys.argv[2]))) if sys.argv[1:2] == ["--epochs"] else iter(sys.stdin)
    for _ in requests:
        turn = Turn()
        yield turn
        print(PREFIX + json.dumps(turn.figures), flush=True)
