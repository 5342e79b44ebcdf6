"""Keras 3 on the backend that $KERAS_BACKEND names: `fit` and `evaluate` on arrays in memory, silent."""

from __future__ import annotations

import keras
from keras import layers

from peers.data import BATCH, DROP_PROBS, EVAL_ROWS, INIT_STD, LR, SIZES, fashion_mnist
from peers.turns import turns


def main() -> None:
    X_train, y_train, X_test, y_test = fashion_mnist()
    normal = keras.initializers.RandomNormal(stddev=INIT_STD)
    model = keras.Sequential([keras.Input((SIZES[0],))])
    for width, p in zip(SIZES[1:-1], DROP_PROBS, strict=True):
        model.add(layers.Dense(width, activation="relu", kernel_initializer=normal.clone()))
        model.add(layers.Dropout(p))
    model.add(layers.Dense(SIZES[-1], kernel_initializer=normal.clone()))
    model.compile(
        optimizer=keras.optimizers.SGD(LR),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

    for turn in turns():
        history = model.fit(X_train, y_train, batch_size=BATCH, shuffle=True, verbose=0).history
        turn.trained(history["loss"][0], history["accuracy"][0])
        turn.evaluated(*model.evaluate(X_test, y_test, batch_size=EVAL_ROWS, verbose=0))


if __name__ == "__main__":
    main()
