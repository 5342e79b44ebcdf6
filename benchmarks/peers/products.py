"""An epoch's matrix products alone, as `dropexp bench` times them: what no step that multiplies so can go below."""

from __future__ import annotations

import time
from dataclasses import replace

from dropexp.data.fashion_mnist import load
from dropexp.nets import matmul
from dropexp.training.benchmark import _products
from peers.data import root
from peers.turns import turns


def main() -> None:
    data, route = load(root()), matmul.best_backend()
    epoch = _products(data, route)
    evaluation = _products(replace(data, X_train=data.X_train[:0]), route)

    for turn in turns():
        began = time.perf_counter()
        epoch()
        whole = time.perf_counter() - began
        began = time.perf_counter()
        evaluation()
        seconds = time.perf_counter() - began
        turn.took(whole - seconds, seconds)


if __name__ == "__main__":
    main()
