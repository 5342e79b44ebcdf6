"""scikit-learn's MLPClassifier, an epoch per `partial_fit`. It has no dropout, and samples its own initial weights.

With these it diverged at the learning rate of the others, so it has a smaller one, which takes the same time.
"""

from __future__ import annotations

import numpy as np
from sklearn.neural_network import MLPClassifier

from peers.data import BATCH, SIZES, fashion_mnist
from peers.turns import turns


def main() -> None:
    X_train, y_train, X_test, y_test = fashion_mnist()
    net = MLPClassifier(
        hidden_layer_sizes=SIZES[1:-1],
        solver="sgd",
        learning_rate_init=0.1,
        random_state=0,
        momentum=0,
        nesterovs_momentum=False,
        alpha=0,
        batch_size=BATCH,
        shuffle=True,
    )

    for turn in turns():
        net.partial_fit(X_train, y_train, classes=range(SIZES[-1]))
        turn.trained(net.loss_, None)
        probabilities = net.predict_proba(X_test)
        loss = -np.log(np.maximum(probabilities[np.arange(len(y_test)), y_test], 1e-30)).mean()
        turn.evaluated(float(loss), float((probabilities.argmax(axis=1) == y_test).mean()))


if __name__ == "__main__":
    main()
