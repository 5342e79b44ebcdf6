"""torch.compile of the whole step: forward, backward and update; a graph for full batches and one for the last."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from peers.data import BATCH, EVAL_ROWS, LR, fashion_mnist
from peers.torch_net import mlp
from peers.turns import turns


def main() -> None:
    X_train, y_train, X_test, y_test = map(torch.from_numpy, fashion_mnist())
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=LR)

    @torch.compile(dynamic=False)
    def step(X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        y_hat = net(X)
        loss = F.cross_entropy(y_hat, y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach() * len(X), (y_hat.argmax(dim=1) == y).sum()

    @torch.compile(dynamic=False)
    def logits(X: Tensor) -> Tensor:
        y_hat: Tensor = net(X)
        return y_hat

    for turn in turns():
        net.train()
        total, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for rows in torch.randperm(len(X_train)).split(BATCH):
            loss, right = step(X_train.index_select(0, rows), y_train.index_select(0, rows))
            total += loss
            correct += right
        turn.trained(total.item() / len(X_train), correct.item() / len(X_train))

        net.eval()
        with torch.no_grad():
            y_hat = torch.cat([logits(X) for X in X_test.split(EVAL_ROWS)])
            loss, accuracy = F.cross_entropy(y_hat, y_test), (y_hat.argmax(dim=1) == y_test).float().mean()
        turn.evaluated(loss.item(), accuracy.item())


if __name__ == "__main__":
    main()
