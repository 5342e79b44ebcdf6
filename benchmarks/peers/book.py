"""The book's loop (d2l-zh, 3.6.6 and 3.13.3): torchvision's data set through DataLoader, `.item()` each step.

`dropexp bench` has this loop too, but importing dropexp would change the settings of MKL and oneDNN. $BOOK_WORKERS is
the number of DataLoader workers: 0, or 4 as in the book's own helper.
"""

from __future__ import annotations

import os

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

from peers.data import BATCH, LR, root
from peers.torch_net import mlp
from peers.turns import turns


def main() -> None:
    workers = int(os.environ["BOOK_WORKERS"])
    train, test = (FashionMNIST(str(root()), train=train, transform=ToTensor()) for train in (True, False))
    train_iter = DataLoader(train, BATCH, shuffle=True, num_workers=workers)
    test_iter = DataLoader(test, BATCH, num_workers=workers)
    net = nn.Sequential(nn.Flatten(), *mlp())
    loss = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=LR)

    for turn in turns():
        net.train()
        total, correct = 0.0, 0.0
        for X, y in train_iter:
            y_hat = net(X)
            l = loss(y_hat, y)
            optimizer.zero_grad()
            l.backward()
            optimizer.step()
            total += l.item() * len(y)
            correct += (y_hat.argmax(dim=1) == y).sum().item()
        turn.trained(total / len(train), correct / len(train))

        net.eval()
        total, correct = 0.0, 0.0
        with torch.no_grad():
            for X, y in test_iter:
                y_hat = net(X)
                total += loss(y_hat, y).item() * len(y)
                correct += (y_hat.argmax(dim=1) == y).sum().item()
        turn.evaluated(total / len(test), correct / len(test))


if __name__ == "__main__":
    main()
