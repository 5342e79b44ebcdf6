"""The training step of `scratch.py` for R runs of equal shape at once: every product a batched one, [R, …].

On a GPU a lone step of 256 rows is all launches. So runs train side by side, and on CUDA some steps of all of them are
captured as one graph (captured.py). The noise is drawn outside it, by each run's own generator into a buffer, for a
fixed number of steps: what a run draws does not depend on the others or on their number. The same code runs
uncaptured on a CPU, where it gains nothing and is tested.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from statistics import NormalDist

import torch
from torch import Tensor

from dropexp import captured, scratch
from dropexp.fused import threshold_backward
from dropexp.noise import Inverted, Noise, Randn2019

BLOCK = 32  # steps whose noise is drawn at once; another number would draw other noise on CUDA
LEVELS = 2**16  # of the lane of random bits that decides for a unit
EVAL_NUMBERS = 2**26  # of the widest layer, all runs together: 256 MB
ALIGNED = 4  # float32 numbers, 16 bytes: where cuBLAS multiplies fastest


class Stack:
    """R pages (`scratch.MLP`) trained side by side on rows of X (n, num_inputs), y (n,), `num_rows` of them an epoch.

    Each page has its own parameters, noises, generator and learning rate; sizes, momentum, weight decay and
    `output_relu` are equal. Parameters are copied out of the pages, `write_back` copies them back. A noise is
    `Inverted` or `Randn2019`, or a page has none; others raise TypeError.
    """

    def __init__(
        self, pages: Sequence[scratch.MLP], lrs: Sequence[float], X: Tensor, y: Tensor, num_rows: int, batch_size: int
    ) -> None:
        self.pages, self.lrs, self.X, self.y = list(pages), list(lrs), X, y
        first, R = pages[0], len(pages)
        self.momentum, self.weight_decay = first.sgd.momentum, first.sgd.weight_decay
        self.output_relu = first.output_relu
        self.sizes = [len(first.layers[0][0]), *(len(b) for _, b in first.layers)]
        self.batch_size = n = min(batch_size, num_rows)
        self.steps = min(BLOCK, -(-num_rows // n))  # in a block
        new, hidden = first.layers[0][0].new_empty, self.sizes[1:-1]

        # a row of parameters for each run: all weights, then all biases
        self.num_weights = sum(n * m for n, m in itertools.pairwise(self.sizes))
        length = self.num_weights + sum(self.sizes[1:])
        self.theta = new(R, -(-length // ALIGNED) * ALIGNED).zero_()
        self.gradient = torch.zeros_like(self.theta)
        self.velocity = torch.zeros_like(self.theta) if self.momentum else None
        self.layers, self.dlayers = self._layers(self.theta), self._layers(self.gradient)
        self._copy(to_pages=False)
        self.minus_lr = new(R, 1)
        for r, page in enumerate(self.pages):
            self.minus_lr[r] = -lrs[r] / page.sgd.divisor

        # what a step reads and writes; A, H, xi, O and D are the page's
        self.rows = torch.zeros(self.steps, R * n, dtype=torch.int64, device=X.device)
        self.labels = torch.zeros_like(self.rows)
        self.X_batch = new(R * n, self.sizes[0])
        self.A, self.H = ([new(R * n, m) for m in hidden] for _ in range(2))
        self.O = new(self.steps, R * n, self.sizes[-1])
        self.D = [new(R * n, m) for m in self.sizes[1:]]
        self.minus_one = new(R, n, 1).fill_(-1)
        self.eval_rows = max(1, EVAL_NUMBERS // (R * max(self.sizes)))  # of a run in a pass without training
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}

        # the noise of a block: a lane of 16 random bits for each unit, and the ξ made of it
        self.noisy = [r for r, page in enumerate(self.pages) if page.noises]
        if self.noisy:
            units = n * sum(hidden)
            self.bits = torch.zeros(R, self.steps, -(-units // 4), dtype=torch.int64, device=X.device)
            lanes = self.bits.view(torch.int16)[..., :units].split([n * m for m in hidden], dim=2)
            self.lanes = [lane.unflatten(2, (n, m)) for lane, m in zip(lanes, hidden, strict=True)]
            self.xi = [new(R, self.steps, n, m) for m in hidden]
            self.drop_below, self.scale = ([new(R, 1, 1, 1) for _ in hidden] for _ in range(2))
            for r, page in enumerate(self.pages):
                for i in range(len(hidden)):
                    p, self.scale[i][r] = _decision(page.noises[i]) if page.noises else (0.0, 1.0)
                    self.drop_below[i][r] = round(p * LEVELS) - LEVELS // 2  # lanes are signed

    def _layers(self, flat: Tensor) -> list[scratch.Layer]:
        """Views of (R, length): W (R, num_inputs, num_outputs) and b (R, 1, num_outputs) of every layer."""
        shapes = list(itertools.pairwise(self.sizes))
        lengths = [n * m for n, m in shapes] + [m for _, m in shapes]
        parts = flat[:, : sum(lengths)].split(lengths, dim=1)
        weights = [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=False)]
        return list(zip(weights, (part.unsqueeze(1) for part in parts[len(shapes) :]), strict=True))

    def _copy(self, *, to_pages: bool) -> None:
        """Parameters and velocities, from the pages into the stack or back."""
        velocities = [] if self.velocity is None else self._layers(self.velocity)
        for r, page in enumerate(self.pages):
            ours = [(W[r], b[r, 0]) for W, b in self.layers + velocities]
            for (W, b), (page_W, page_b) in zip(ours, page.layers + page.velocities, strict=True):
                for mine, its in ((W, page_W), (b, page_b)):
                    its.copy_(mine) if to_pages else mine.copy_(its)

    def write_back(self) -> None:
        """Give every page its parameters as they are now."""
        self._copy(to_pages=True)

    def train_epoch(self, rows: Tensor) -> Tensor:
        """One step per batch of each run's rows of X, (R, num_rows); returns the outputs (R, num_rows, num_outputs)."""
        return torch.cat([self.train_block(block) for block in rows.split(self.steps * self.batch_size, dim=1)], dim=1)

    def train_block(self, rows: Tensor) -> Tensor:
        """At most `steps` steps, of which the last may have fewer rows. Shapes as in `train_epoch`."""
        (R, num_rows), n = rows.shape, self.batch_size
        whole, rest = divmod(num_rows, n)
        self.rows[:whole] = rows[:, : whole * n].view(R, whole, n).transpose(0, 1).reshape(whole, R * n)
        if rest:
            self.rows[whole, : R * rest] = rows[:, whole * n :].reshape(-1)
        torch.index_select(self.y, 0, self.rows.view(-1), out=self.labels.view(-1))
        self.draw(whole + bool(rest))
        self._run(num_rows)
        outputs = [O.view(R, -1, self.sizes[-1]) for O in self.O[:whole]]
        if rest:
            outputs.append(self.O[whole, : R * rest].view(R, rest, -1))
        return torch.cat(outputs, dim=1)

    def draw(self, steps: int) -> None:
        """ξ of the next steps: 0 for a unit whose lane falls among the p·LEVELS lowest, else the noise's scale."""
        for r in self.noisy:
            self.bits[r, :steps].random_(-(2**63), None, generator=self.pages[r].generator)
        if self.noisy:
            for xi, lanes, drop_below, scale in zip(self.xi, self.lanes, self.drop_below, self.scale, strict=True):
                torch.ge(lanes[:, :steps], drop_below, out=xi[:, :steps]).mul_(scale)

    def _run(self, num_rows: int) -> None:
        """The steps of a block of so many rows, on CUDA as one replay."""

        def steps() -> None:
            for k, start in enumerate(range(0, num_rows, self.batch_size)):
                self._step(k, min(self.batch_size, num_rows - start))

        if self.X.device.type != "cuda":
            steps()
            return
        if num_rows not in self.graphs:
            with captured.unchanged([self.theta, *([] if self.velocity is None else [self.velocity])]):
                self.graphs[num_rows], _ = captured.capture(steps, self.X.device)
        self.graphs[num_rows].replay()

    def _step(self, k: int, n: int) -> None:
        """Step k of the block, on the first n rows of its batches. Nothing is allocated, nothing read by the host."""
        R = len(self.pages)

        def first(buffer: Tensor) -> Tensor:
            return buffer[: R * n].view(R, n, -1)

        torch.index_select(self.X, 0, self.rows[k, : R * n], out=self.X_batch[: R * n])
        inputs, A = [first(self.X_batch)], [first(buffer) for buffer in self.A]
        for i, (W, b) in enumerate(self.layers[:-1]):
            torch.baddbmm(b, inputs[i], W, out=A[i]).relu_()
            inputs.append(torch.mul(self.xi[i][:, k, :n], A[i], out=first(self.H[i])) if self.noisy else A[i])
        W, b = self.layers[-1]
        O = torch.baddbmm(b, inputs[-1], W, out=first(self.O[k]))
        if self.output_relu:
            O.relu_()

        D = torch.softmax(O, dim=2, out=first(self.D[-1]))
        D.scatter_add_(2, first(self.labels[k]), self.minus_one[:, :n]).div_(n)
        if self.output_relu:
            threshold_backward(D, O, 0, grad_input=D)
        for i in reversed(range(len(self.layers))):
            dW, db = self.dlayers[i]
            torch.bmm(inputs[i].transpose(1, 2), D, out=dW)
            torch.sum(D, dim=1, keepdim=True, out=db)
            if i > 0:
                D = torch.bmm(D, self.layers[i][0].transpose(1, 2), out=first(self.D[i - 1]))
                if self.noisy:
                    D.mul_(self.xi[i - 1][:, k, :n])
                threshold_backward(D, A[i - 1], 0, grad_input=D)
        self._update()

    def _update(self) -> None:
        """The page's update of all layers; the gradient is overwritten."""
        step = self.gradient
        if self.weight_decay:
            step[:, : self.num_weights].add_(self.theta[:, : self.num_weights], alpha=self.weight_decay)
        if self.velocity is not None:
            step = self.velocity.mul_(self.momentum).add_(self.gradient)
        self.theta.addcmul_(step, self.minus_lr)

    def logits(self, X: Tensor) -> Tensor:
        """The outputs (R, n, num_outputs) without noise, for X (n, num_inputs) of all runs or (R, n, num_inputs)."""
        H = X.expand(len(self.pages), *X.shape[-2:])
        for W, b in self.layers[:-1]:
            H = torch.baddbmm(b, H, W).relu_()
        W, b = self.layers[-1]
        O = torch.baddbmm(b, H, W)
        return O.relu_() if self.output_relu else O


def _decision(noise: Noise) -> tuple[float, float]:
    """The probability that a unit is dropped, and what it is multiplied by if it is not."""
    match noise:
        case Inverted(p):
            dropped = p
        case Randn2019(p):
            dropped = 1 - NormalDist().cdf(1 - p) if p < 1 else 1.0
        case _:
            raise TypeError(f"a stack cannot draw {noise}")
    return dropped, 1 / (1 - p) if p < 1 else 0.0
