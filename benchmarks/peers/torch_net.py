"""The network of the book in torch.nn, for every peer that is built on torch."""

from __future__ import annotations

from torch import nn

from peers.data import DROP_PROBS, INIT_STD, SIZES


def mlp() -> nn.Sequential:
    net = nn.Sequential(
        nn.Linear(SIZES[0], SIZES[1]),
        nn.ReLU(),
        nn.Dropout(DROP_PROBS[0]),
        nn.Linear(SIZES[1], SIZES[2]),
        nn.ReLU(),
        nn.Dropout(DROP_PROBS[1]),
        nn.Linear(SIZES[2], SIZES[3]),
    )
    for module in net:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=INIT_STD)
            nn.init.zeros_(module.bias)
    return net
