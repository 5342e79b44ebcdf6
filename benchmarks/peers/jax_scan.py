"""JAX: a whole epoch under one `jit`, its steps a `lax.scan`, as JAX's documentation recommends for small models."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp

from peers.data import BATCH, DROP_PROBS, INIT_STD, LR, SIZES, fashion_mnist
from peers.turns import turns

Params = list[tuple[jax.Array, jax.Array]]


def initial(key: jax.Array) -> Params:
    keys = jax.random.split(key, len(SIZES) - 1)
    return [
        (INIT_STD * jax.random.normal(key, (m, n)), jnp.zeros(n))
        for key, (m, n) in zip(keys, pairwise(SIZES), strict=True)
    ]


def forward(params: Params, X: jax.Array, key: jax.Array | None) -> jax.Array:
    """Return the outputs for X, with dropout if there is a key."""
    keys = [None] * len(DROP_PROBS) if key is None else jax.random.split(key, len(DROP_PROBS))
    for (W, b), p, key in zip(params[:-1], DROP_PROBS, keys, strict=True):
        X = jax.nn.relu(X @ W + b)
        if key is not None:
            X = jnp.where(jax.random.bernoulli(key, 1 - p, X.shape), X / (1 - p), 0)
    W, b = params[-1]
    return X @ W + b


def score(params: Params, X: jax.Array, y: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
    """Return the mean loss and the number of correct predictions."""
    logits = forward(params, X, key)
    loss = -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1))
    return loss, jnp.sum(logits.argmax(axis=1) == y)


@partial(jax.jit, donate_argnums=0)
def train_epoch(params: Params, key: jax.Array, X: jax.Array, y: jax.Array) -> tuple[Params, jax.Array, jax.Array]:
    """Train on each batch of the shuffled rows. The smaller last batch is a step after the scan."""
    order_key, noise_key = jax.random.split(key)
    order = jax.random.permutation(order_key, len(X))
    batches, rest = jnp.split(order, [len(X) // BATCH * BATCH])
    batches = batches.reshape(-1, BATCH)
    keys = jax.random.split(noise_key, len(batches) + 1)

    def step(params: Params, turn: Any) -> tuple[Params, tuple[jax.Array, jax.Array]]:
        key, rows = turn
        (loss, correct), grads = jax.value_and_grad(score, has_aux=True)(params, X[rows], y[rows], key)
        return jax.tree.map(lambda w, g: w - LR * g, params, grads), (loss * len(rows), correct)

    params, (losses, corrects) = jax.lax.scan(step, params, (keys[:-1], batches))
    params, (loss, correct) = step(params, (keys[-1], rest))
    return params, (losses.sum() + loss) / len(X), (corrects.sum() + correct) / len(X)


def main() -> None:
    X_train, y_train, X_test, y_test = map(jnp.asarray, fashion_mnist())
    evaluate = jax.jit(score)
    key, init_key = jax.random.split(jax.random.key(0))
    params = initial(init_key)

    for turn in turns():
        key, epoch_key = jax.random.split(key)
        params, loss, accuracy = train_epoch(params, epoch_key, X_train, y_train)
        turn.trained(float(loss), float(accuracy))
        loss, correct = evaluate(params, X_test, y_test)
        turn.evaluated(float(loss), int(correct) / len(X_test))


if __name__ == "__main__":
    main()
