"""An epoch of `dropexp train` with the variant $VARIANT."""

from __future__ import annotations

import os

from dropexp.config.schema import Config
from dropexp.data.fashion_mnist import load
from dropexp.nets import matmul
from dropexp.training import build
from dropexp.training.rng import stream
from dropexp.training.trainees import evaluate, train_epoch
from peers.data import BATCH, LR, root
from peers.turns import turns


def main() -> None:
    data, backend = load(root()), matmul.best_backend()
    config = Config.model_validate({"variant": os.environ["VARIANT"]})
    network, order = build.network(config, stream(0, "init"), stream(0, "noise")), stream(0, "order")

    for turn in turns():
        with matmul.using(backend):
            turn.trained(*train_epoch(network, data.X_train, data.y_train, LR, BATCH, order))
            turn.evaluated(*evaluate(network, data.X_test, data.y_test))


if __name__ == "__main__":
    main()
