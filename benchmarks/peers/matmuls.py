"""An epoch's matrix products alone, as `dropexp bench` times them: a lower bound for steps that multiply like this."""

from __future__ import annotations

import time
from dataclasses import replace

from dropexp.data.fashion_mnist import load
from dropexp.nets import matmul
from dropexp.training.benchmark import matmuls
from peers.data import root
from peers.turns import turns


def main() -> None:
    data, backend = load(root()), matmul.best_backend()
    epoch = matmuls(data, backend)
    evaluation = matmuls(replace(data, X_train=data.X_train[:0]), backend)

    for turn in turns():
        start = time.perf_counter()
        epoch()
        whole = time.perf_counter() - start
        start = time.perf_counter()
        evaluation()
        seconds = time.perf_counter() - start
        turn.took(whole - seconds, seconds)


if __name__ == "__main__":
    main()
