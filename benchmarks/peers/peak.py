"""An epoch's arithmetic at the rate of one large product: what the machine's multiply-add units could do at best.

The rate is that of a 2048³ float32 product with oneDNN, the best of eight each turn, since the peak is asked for.
"""

from __future__ import annotations

import time
from itertools import pairwise

import torch

from dropexp.nets import matmul
from peers.data import SIZES
from peers.turns import turns

SIDE, TRIES = 2048, 8
FORWARD = 2 * sum(m * n for m, n in pairwise(SIZES))  # operations for one row
BACKWARD = FORWARD + 2 * sum(
    m * n for m, n in pairwise(SIZES[1:])
)  # by weights, and by the inputs of all but the first
TRAIN, EVALUATION = 60_000 * (FORWARD + BACKWARD), 10_000 * FORWARD


def main() -> None:
    left, right, out = (torch.rand(SIDE, SIDE) for _ in range(3))
    route = matmul.best_backend()

    def seconds() -> float:
        began = time.perf_counter()
        torch.mm(left, right, out=out)
        return time.perf_counter() - began

    for turn in turns():
        with matmul.using(route):
            rate = 2 * SIDE**3 / min(seconds() for _ in range(TRIES))
        turn.took(TRAIN / rate, EVALUATION / rate)


if __name__ == "__main__":
    main()
