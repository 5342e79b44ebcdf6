"""dropexp's epoch as `dropexp train` takes it, of the variant that $VARIANT names."""

from __future__ import annotations

import os

from dropexp import products
from dropexp.config import Config
from dropexp.data import load
from dropexp.fit import evaluate, train_epoch
from dropexp.streams import stream
from dropexp.variants import build
from peers.data import BATCH, LR, root
from peers.turns import turns


def main() -> None:
    data, route = load(root()), products.route()
    config = Config.model_validate({"variant": os.environ["VARIANT"]})
    network, order = build(config, stream(0, "init"), stream(0, "noise")), stream(0, "order")

    for turn in turns():
        with products.using(route):
            turn.trained(*train_epoch(network, data.X_train, data.y_train, LR, BATCH, order))
            turn.evaluated(*evaluate(network, data.X_test, data.y_test))


if __name__ == "__main__":
    main()
