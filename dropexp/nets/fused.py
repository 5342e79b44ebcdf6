"""The training step of `scratch.py`, tuned for one CPU: the same numbers up to rounding, several times faster.

What makes it fast: every result has its buffer, weights lie as oneDNN likes them and outputs as softmax does, the noise
is decided by random bits instead of random floats, and loss and accuracy are left to the caller, who takes them once
per epoch from the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from dropexp.nets import scratch
from dropexp.nets.bitmask import draws, threshold_backward
from dropexp.nets.matmul import ROWS
from dropexp.nets.noise import Noise
from dropexp.nets.sgd import SGD, Layer


class Buffers:
    """What a step on n rows writes into: the page's A, H, O; D[i], the gradient by i's outputs; Y, a row of targets.

    H[i] is what layer i reads, noise included, where it has noise, and V[i] are its weights, the network's own where
    these have none. A view takes as long as a small operation, so those that every step needs are made here.
    """

    def __init__(self, net: FusedMLP, n: int) -> None:
        new, sizes, noises = net.layers[0][0].new_empty, net.sizes, net.noises
        self.n = net.layers[0][0].new_tensor(n)  # like a mask's scale: a Python number is made a tensor at each use
        self.A = [new(n, m) for m in sizes[1:-1]]
        self.O, D = (new(sizes[-1], n).T for _ in range(2))  # by columns: along rows of ten a sum is slow
        self.D = [*(new(n, m) for m in sizes[1:-1]), D]
        self.D_T = [D.T for D in self.D]
        self.Y, self.row = new(n, sizes[-1]), new(n, 1)
        on_units = net.placement != "weights"
        noisy = [noise is not None and on_units for noise in noises]
        noisy[0] = noisy[0] or net.input_noise_std > 0
        self.H = [new(n, m) if there else None for m, there in zip(sizes, noisy, strict=False)]
        self.V_T = [
            W_T if noise is None or on_units else torch.empty_like(W_T)
            for noise, W_T in zip(noises, net.W_T, strict=True)
        ]
        self.V = [V_T.T for V_T in self.V_T]
        shapes = [new(n, m) for m in sizes[:-1]] if on_units else net.W_T
        self.masks = [
            None if noise is None else draws(noise, like, changes=net.schedule is not None)
            for noise, like in zip(noises, shapes, strict=True)
        ]


class FusedMLP(scratch.MLP):
    """The page's network with a tuned `step` and `logits`; its state and options are the page's.

    It keeps parameters of its own: `layers` are copied. `mm` multiplies matrices, as `products.bf16_mm` does or torch.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        noises: Sequence[Noise | None],
        generator: torch.Generator,
        sgd: SGD,
        *,
        mm: Callable[..., Tensor] = torch.mm,
        **options: Any,
    ) -> None:
        by_columns = [
            (W.T.clone(memory_format=torch.contiguous_format).T, b.clone()) for W, b in layers
        ]  # as nn.Linear has it: an epoch takes 4 % less
        super().__init__(by_columns, noises, generator, sgd, **options)
        self.mm = mm
        self.sizes = [len(self.layers[0][0]), *(len(b) for _, b in self.layers)]
        self.W_T = [W.T for W, _ in self.layers]
        self.grads = [(torch.empty_like(W), torch.empty_like(b)) for W, b in self.layers]
        self.dW_T = [dW.T for dW, _ in self.grads]
        self.buffers: dict[int, Buffers] = {}  # by the number of rows: a training has two, whole batches and the last

    def step(self, X: Tensor, y: Tensor, lr: float, progress: float = 0.0) -> Tensor:
        """As the page's. The outputs stay in a buffer of this network until its next step."""
        n = len(X)
        if n not in self.buffers:
            self.buffers[n] = Buffers(self, n)
        buffer = self.buffers[n]
        A, O, V, V_T, masks = buffer.A, buffer.O, buffer.V, buffer.V_T, buffer.masks
        on_units, before, last = self.placement != "weights", self.placement == "before", len(self.layers) - 1
        if self.schedule:
            self.set_rates(progress)
            for mask, noise in zip(masks, self.noises, strict=True):
                if mask and noise:
                    mask.take(noise)

        H: list[Tensor] = []  # what each layer reads
        for i, (_, b) in enumerate(self.layers):
            H.append(self._read(i, X if i == 0 else A[i - 1], buffer))
            if (mask := masks[i]) and not on_units:
                mask.drop(self.W_T[i], V_T[i], self.generator)
            Z = self.mm(H[i], V[i], out=A[i] if i < last else O).add_(b)
            if i < last and not (before and masks[i + 1]):
                Z.relu_()
        if self.output_relu:
            O.relu_()

        D = buffer.D[last]
        torch.amax(O, dim=1, keepdim=True, out=buffer.row)
        torch.sub(O, buffer.row, out=D).exp_()  # torch.softmax rounds by the number of threads
        D.div_(torch.sum(D, dim=1, keepdim=True, out=buffer.row))
        D.sub_(torch.index_select(self.targets, 0, y, out=buffer.Y)).div_(buffer.n)
        if self.output_relu:
            threshold_backward(D, O, 0, grad_input=D)
        for i in range(last, -1, -1):
            mask, dW_T, (_, db) = masks[i], self.dW_T[i], self.grads[i]
            self._sum_over_rows(buffer.D_T[i], H[i], out=dW_T)  # ∂l/∂V = Hᵀ·D, transposed like W's memory
            torch.sum(D, dim=0, out=db)
            if mask and not on_units:
                mask.times(dW_T, dW_T)
            if i > 0:
                D = self.mm(D, V_T[i], out=buffer.D[i - 1])
                if mask and on_units:
                    mask.backward(D, H[i] if before else A[i - 1], H[i])
                else:
                    threshold_backward(D, A[i - 1], 0, grad_input=D)
            self.update(i, self.grads[i], lr)
        return O

    def _read(self, i: int, A: Tensor, buffer: Buffers) -> Tensor:
        """H of layer i: A, the outputs of the layer before or the images, with the noise on units."""
        H, mask = buffer.H[i], buffer.masks[i]
        if H is None:
            return A
        if i == 0 and self.input_noise_std:
            A = H.normal_(0, self.input_noise_std, generator=self.generator).add_(A)
        if mask and self.placement != "weights":
            mask.drop(A, H, self.generator)
            if self.placement == "before" and i > 0:
                H.relu_()
        return H

    def _sum_over_rows(self, D_T: Tensor, H: Tensor, out: Tensor) -> None:
        """out = Dᵀ·H, of at most ROWS rows at once: oneDNN parts longer sums by the number of threads."""
        if len(H) <= ROWS:
            self.mm(D_T, H, out=out)
            return
        self.mm(D_T[:, :ROWS], H[:ROWS], out=out)
        for start in range(ROWS, len(H), ROWS):
            out.add_(self.mm(D_T[:, start : start + ROWS], H[start : start + ROWS]))

    def linear(self, H: Tensor, W: Tensor, b: Tensor) -> Tensor:
        """As the page's, for passes with noise."""
        return self.mm(H, W).add_(b)

    def logits(self, X: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """As the page's."""
        if generator or self.noise_at_eval:
            return super().logits(X, generator)
        H = X
        for i, (W, b) in enumerate(self.layers):
            at_eval = 1.0 if (noise := self.noises[i]) is None else noise.at_eval
            if at_eval != 1:
                H = H * at_eval
            H = self.mm(H, W).add_(b)
            if i + 1 < len(self.layers) or self.output_relu:
                H.relu_()
        return H
