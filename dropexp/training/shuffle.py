"""The row orders of several runs, drawn ahead of time. `train_epoch` in trainees.py draws that of a single run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

THREADS = 8  # more were slower on 16 cores


class ShuffleAhead:
    """Draws the batch orders of R runs an epoch ahead, on threads, while a GPU trains.

    They are drawn from copies: the generators `orders` advance only when an epoch's order is taken, so that a
    checkpoint between two epochs has the state before the next one.
    """

    def __init__(self, orders: Sequence[torch.Generator], num_rows: int, *, pin_memory: bool) -> None:
        self.orders = orders
        self.copies = [torch.Generator().set_state(order.get_state()) for order in orders]
        # two buffers: the GPU may still copy from one while the next order is drawn into the other
        self.buffers = [torch.empty(len(orders), num_rows, dtype=torch.int64, pin_memory=pin_memory) for _ in range(2)]
        self.threads = ThreadPoolExecutor(min(len(orders), THREADS))
        self.states = self._draw()

    def next(self, *, last: bool) -> Tensor:
        """Return the row order of each run's next epoch, (R, num_rows), valid until the next call.

        Unless the epoch is the last, start to draw the order after it.
        """
        for order, state in zip(self.orders, self.states, strict=True):
            order.set_state(state)
        drawn = self.buffers[0]
        self.buffers.reverse()
        if not last:
            self.states = self._draw()
        return drawn

    def close(self) -> None:
        """End the threads."""
        self.threads.shutdown()

    def _draw(self) -> Iterator[Tensor]:
        """Start to draw an order of each run into the first buffer; return an iterator over the generators' states."""
        buffer = self.buffers[0]

        def draw(r: int) -> Tensor:
            torch.randperm(buffer.shape[1], generator=self.copies[r], out=buffer[r])
            return self.copies[r].get_state()

        return self.threads.map(draw, range(len(self.orders)))
