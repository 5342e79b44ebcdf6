"""torch, eager: tensors in memory, batches by `index_select`, figures summed as tensors and read once per epoch."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from peers.data import BATCH, EVAL_ROWS, LR, fashion_mnist
from peers.torch_net import mlp
from peers.turns import turns


def main() -> None:
    X_train, y_train, X_test, y_test = map(torch.from_numpy, fashion_mnist())
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=LR)

    for turn in turns():
        net.train()
        total, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for rows in torch.randperm(len(X_train)).split(BATCH):
            X, y = X_train.index_select(0, rows), y_train.index_select(0, rows)
            y_hat = net(X)
            loss = F.cross_entropy(y_hat, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(rows)
            correct += (y_hat.argmax(dim=1) == y).sum()
        turn.trained(total.item() / len(X_train), correct.item() / len(X_train))

        net.eval()
        with torch.inference_mode():
            y_hat = torch.cat([net(X) for X in X_test.split(EVAL_ROWS)])
            loss, accuracy = F.cross_entropy(y_hat, y_test), (y_hat.argmax(dim=1) == y_test).float().mean()
        turn.evaluated(loss.item(), accuracy.item())


if __name__ == "__main__":
    main()
