"""An epoch's arithmetic at the rate of one large matrix product: the limit of the machine's multiply-add units.

The rate is that of a 2048³ float32 matrix product with oneDNN, the fastest of eight in each turn.
"""

from __future__ import annotations

import time
from itertools import pairwise

import torch

from dropexp.nets import matmul
from peers.data import SIZES
from peers.turns import turns

SIDE, TRIES = 2048, 8
FORWARD = 2 * sum(m * n for m, n in pairwise(SIZES))  # operations per row
BACKWARD = FORWARD + 2 * sum(m * n for m, n in pairwise(SIZES[1:]))  # by weights, and by inputs but the first layer's
TRAIN, EVALUATION = 60_000 * (FORWARD + BACKWARD), 10_000 * FORWARD


def main() -> None:
    left, right, out = (torch.rand(SIDE, SIDE) for _ in range(3))
    backend = matmul.best_backend()

    def seconds() -> float:
        start = time.perf_counter()
        torch.mm(left, right, out=out)
        return time.perf_counter() - start

    for turn in turns():
        with matmul.using(backend):
            rate = 2 * SIDE**3 / min(seconds() for _ in range(TRIES))
        turn.took(TRAIN / rate, EVALUATION / rate)


if __name__ == "__main__":
    main()
