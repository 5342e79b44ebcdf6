"""The training step of `scratch.py`, tuned for one CPU: the same numbers up to rounding, several times faster.

What makes it fast: every result has its buffer, weights lie as oneDNN likes them and outputs as softmax does, the noise
is decided by random bits instead of random floats, and loss and accuracy are left to the caller, who takes them once
per epoch from the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dropexp import scratch
from dropexp.noise import Inverted, Noise
from dropexp.products import ROWS

# grad_input = grad · (A > threshold): what autograd calls for a ReLU
threshold_backward = torch.ops.aten.threshold_backward.grad_input


class BitMask:
    """Inverted dropout decided by random bits, eight to a decision where p·256 is whole, else sixteen.

    One 64-bit draw thus decides for eight or four units. p is met to within 1/131072: 0.2 becomes
    13107/65536 = 0.199997, 0.5 is exact, and ξ is 0 or 1/(1 − p) with the p that was asked for. ξ itself is never
    written: a unit that was active and kept is one whose H > 0, which is all that the way back has to know.
    """

    def __init__(self, p: float, like: Tensor) -> None:
        lane, levels = (torch.int8, 2**8) if (p * 2**8).is_integer() else (torch.int16, 2**16)
        self.scale = 1 / (1 - p) if p < 1 else 0.0
        self.lowest_kept = float(round(p * levels) - levels // 2)  # lanes are signed, from −levels/2 to levels/2 − 1
        self.bits = like.new_empty(-(-like.numel() * lane.itemsize // 8), dtype=torch.int64)
        self.lanes = self.bits.view(lane)[: like.numel()].view(like.shape)
        self.decisions = torch.empty_like(like)

    def drop(self, A: Tensor, H: Tensor, generator: torch.Generator) -> None:
        """H = ξ ⊙ A."""
        self.bits.random_(-(2**63), None, generator=generator)  # plain random_() leaves the highest bit 0
        threshold_backward(A, self.decisions.copy_(self.lanes), self.lowest_kept - 0.5, grad_input=H).mul_(self.scale)

    def backward(self, D: Tensor, A: Tensor, H: Tensor) -> None:
        """D, the gradient by H, becomes the gradient by what A is the ReLU of."""
        threshold_backward(D, H, 0, grad_input=D).mul_(self.scale)


class Drawn:
    """Any other noise, drawn as the page draws it; its methods are those of `BitMask`."""

    def __init__(self, noise: Noise, like: Tensor) -> None:
        self.noise = noise
        self.xi = torch.empty_like(like)

    def drop(self, A: Tensor, H: Tensor, generator: torch.Generator) -> None:
        torch.mul(self.xi.copy_(self.noise.draw(A, generator)), A, out=H)

    def backward(self, D: Tensor, A: Tensor, H: Tensor) -> None:
        threshold_backward(D.mul_(self.xi), A, 0, grad_input=D)


class Buffers:
    """What a step on n rows writes into: the page's A, H, O; Y = onehot(y); D[i], the gradient by i's outputs."""

    def __init__(self, n: int, sizes: Sequence[int], noises: Sequence[Noise], like: Tensor) -> None:
        hidden = sizes[1:-1]
        self.A, self.H = ([like.new_empty(n, m) for m in hidden] for _ in range(2))
        self.O, D = (like.new_empty(sizes[-1], n).T for _ in range(2))  # by columns: along rows of ten a sum is slow
        self.D = [*(like.new_empty(n, m) for m in hidden), D]
        self.Y, self.row = like.new_empty(n, sizes[-1]), like.new_empty(n, 1)
        self.masks = [
            BitMask(noise.p, A) if isinstance(noise, Inverted) else Drawn(noise, A)
            for noise, A in zip(noises, self.A, strict=False)
        ]


class MLP(scratch.MLP):
    """The page's network with a tuned `step` and `logits`; its state and options are the page's.

    It keeps parameters of its own: `layers` are copied. `mm` multiplies matrices, as `products.bf16_mm` does or torch.
    """

    def __init__(
        self,
        layers: Sequence[scratch.Layer],
        noises: Sequence[Noise],
        generator: torch.Generator,
        sgd: scratch.SGD,
        *,
        output_relu: bool = False,
        noise_at_eval: bool = False,
        mm: Callable[..., Tensor] = torch.mm,
    ) -> None:
        by_columns = [
            (W.T.clone(memory_format=torch.contiguous_format).T, b.clone()) for W, b in layers
        ]  # as nn.Linear has it: an epoch takes 4 % less
        super().__init__(by_columns, noises, generator, sgd, output_relu=output_relu, noise_at_eval=noise_at_eval)
        self.mm = mm
        self.sizes = [len(self.layers[0][0]), *(len(b) for _, b in self.layers)]
        self.grads = [(torch.empty_like(W), torch.empty_like(b)) for W, b in self.layers]
        self.onehot = torch.eye(self.sizes[-1], device=self.layers[0][0].device)
        self.buffers: dict[int, Buffers] = {}  # by the number of rows: a training has two, whole batches and the last

    def step(self, X: Tensor, y: Tensor, lr: float) -> Tensor:
        """As the page's. The outputs stay in a buffer of this network until its next step."""
        n = len(X)
        if n not in self.buffers:
            self.buffers[n] = Buffers(n, self.sizes, self.noises, self.layers[0][0])
        buffer = self.buffers[n]
        A, O, masks = buffer.A, buffer.O, buffer.masks
        inputs = [X, *(buffer.H if self.noises else A)]

        for i, (W, b) in enumerate(self.layers[:-1]):
            self.mm(inputs[i], W, out=A[i]).add_(b).relu_()
            if self.noises:
                masks[i].drop(A[i], inputs[i + 1], self.generator)
        W, b = self.layers[-1]
        self.mm(inputs[-1], W, out=O).add_(b)
        if self.output_relu:
            O.relu_()

        D = buffer.D[-1]
        torch.amax(O, dim=1, keepdim=True, out=buffer.row)
        torch.sub(O, buffer.row, out=D).exp_()  # torch.softmax rounds by the number of threads
        D.div_(torch.sum(D, dim=1, keepdim=True, out=buffer.row))
        D.sub_(torch.index_select(self.onehot, 0, y, out=buffer.Y)).div_(n)
        if self.output_relu:
            threshold_backward(D, O, 0, grad_input=D)
        for i in reversed(range(len(self.layers))):
            W, b = self.layers[i]
            dW, db = self.grads[i]
            self._sum_over_rows(D, inputs[i], out=dW.T)  # ∂l/∂W = Hᵀ·D, transposed like W's memory
            torch.sum(D, dim=0, out=db)
            if i > 0:
                D = self.mm(D, W.T, out=buffer.D[i - 1])
                if self.noises:
                    masks[i - 1].backward(D, A[i - 1], inputs[i])
                else:
                    threshold_backward(D, A[i - 1], 0, grad_input=D)
            self._update(i, dW, db, lr)
        return O

    def _sum_over_rows(self, D: Tensor, H: Tensor, out: Tensor) -> None:
        """out = Dᵀ·H, of at most ROWS rows at once: oneDNN parts longer sums by the number of threads."""
        if len(D) <= ROWS:
            self.mm(D.T, H, out=out)
            return
        self.mm(D[:ROWS].T, H[:ROWS], out=out)
        for start in range(ROWS, len(D), ROWS):
            out.add_(self.mm(D[start : start + ROWS].T, H[start : start + ROWS]))

    def _update(self, i: int, dW: Tensor, db: Tensor, lr: float) -> None:
        """The page's update of one layer; dW and db are overwritten."""
        W, b = self.layers[i]
        if self.sgd.weight_decay:
            dW.add_(W, alpha=self.sgd.weight_decay)
        if self.sgd.momentum:
            vW, vb = self.velocities[i]
            dW, db = vW.mul_(self.sgd.momentum).add_(dW), vb.mul_(self.sgd.momentum).add_(db)
        W.add_(dW, alpha=-lr / self.sgd.divisor)
        b.add_(db, alpha=-lr / self.sgd.divisor)

    def logits(self, X: Tensor) -> Tensor:
        """As the page's."""
        H = X
        for i, (W, b) in enumerate(self.layers[:-1]):
            H = self.mm(H, W).add_(b).relu_()
            if self.noises and self.noise_at_eval:
                H.mul_(self.noises[i].draw(H, self.generator))
        W, b = self.layers[-1]
        O = self.mm(H, W).add_(b)
        return O.relu_() if self.output_relu else O
