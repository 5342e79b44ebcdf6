"""The training step of `scratch.py` for R runs of equal shape at once: every product a batched one, [R, …].

On a GPU a lone step of 256 rows is all launches. So runs train side by side, and on CUDA some steps of all of them are
captured as one graph (captured.py); their noise is drawn before, into buffers (stacknoise.py). The same code runs
uncaptured on a CPU, where it gains nothing and is tested.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dropexp import captured, scratch
from dropexp.masks import threshold_backward
from dropexp.sgd import Layer, bound
from dropexp.stacknoise import StackNoise

BLOCK = 32  # steps whose noise is drawn at once; another number would draw other noise
EVAL_NUMBERS = 2**26  # of the widest layer, all runs together: 256 MB
ALIGNED = 4  # float32 numbers, 16 bytes: where cuBLAS multiplies fastest


class Stack:
    """R pages (`scratch.MLP`) trained side by side on rows of X (n, num_inputs), y (n,), `num_rows` of them an epoch.

    Each page has its own parameters, noises and generator, drop schedule, penalties, bound and label smoothing; sizes,
    momentum, `output_relu` and what the noise is on are equal. Parameters are copied out of the pages, `write_back`
    copies them back.
    """

    def __init__(self, pages: Sequence[scratch.MLP], X: Tensor, y: Tensor, num_rows: int, batch_size: int) -> None:
        self.pages, self.X, self.y = list(pages), X, y
        first, R = pages[0], len(pages)
        self.momentum, self.nesterov = first.sgd.momentum, first.sgd.nesterov
        self.output_relu = first.output_relu
        self.sizes = [len(first.layers[0][0]), *(len(b) for _, b in first.layers)]
        self.batch_size = n = min(batch_size, num_rows)
        self.steps = min(BLOCK, -(-num_rows // n))  # in a block
        new = first.layers[0][0].new_empty

        # a row of parameters for each run: all weights, then all biases
        self.num_weights = sum(n * m for n, m in itertools.pairwise(self.sizes))
        length = self.num_weights + sum(self.sizes[1:])
        self.theta = new(R, -(-length // ALIGNED) * ALIGNED).zero_()
        self.gradient = torch.zeros_like(self.theta)
        self.velocity = torch.zeros_like(self.theta) if self.momentum else None
        self.layers, self.dlayers = self._layers(self.theta), self._layers(self.gradient)
        self._copy(to_pages=False)

        # a number of each run, (R, 1); None where no run has any use for it
        self.minus_lr = new(R, 1)
        self.weight_decay = self._column([page.sgd.weight_decay for page in self.pages], without=0.0)
        self.l1 = self._column([page.sgd.l1 for page in self.pages], without=0.0)
        self.max_norm = self._column([page.sgd.max_norm or math.inf for page in self.pages], without=math.inf)

        # what a step reads and writes; H, V, ξ, O and D are the page's, A[i] is what layer i reads before its noise
        self.noise = StackNoise(self.pages, self.steps, n)
        self.rows = torch.zeros(self.steps, R * n, dtype=torch.int64, device=X.device)
        self.targets = torch.stack([page.targets for page in self.pages])  # (R, num_outputs, num_outputs)
        self.Y = new(self.steps, R * n, self.sizes[-1])  # a row of targets for each row
        self.A = [new(R * n, m) for m in self.sizes[:-1]]
        self.H, self.V = list(self.A), [W for W, _ in self.layers]
        for i, xi in enumerate(self.noise.xi):
            if xi is not None:  # without noise H is A, and V is W
                noisy = self.V if self.noise.placement == "weights" else self.H
                noisy[i] = new(noisy[i].shape)
        self.O = new(self.steps, R * n, self.sizes[-1])
        self.D = [new(R * n, m) for m in self.sizes[1:]]
        self.eval_rows = max(1, EVAL_NUMBERS // (R * max(self.sizes)))  # of a run in a pass without training
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def _layers(self, flat: Tensor) -> list[Layer]:
        """Views of (R, length): W (R, num_inputs, num_outputs) and b (R, 1, num_outputs) of every layer."""
        shapes = list(itertools.pairwise(self.sizes))
        lengths = [n * m for n, m in shapes] + [m for _, m in shapes]
        parts = flat[:, : sum(lengths)].split(lengths, dim=1)
        weights = [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=False)]
        return list(zip(weights, (part.unsqueeze(1) for part in parts[len(shapes) :]), strict=True))

    def _column(self, numbers: list[float], without: float) -> Tensor | None:
        return None if set(numbers) == {without} else self.theta.new_tensor(numbers).unsqueeze(1)

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

    def train_epoch(self, rows: Tensor, lrs: Sequence[float], epoch: int = 1, epochs: int = 1) -> Tensor:
        """One step per batch of each run's rows of X, (R, num_rows), at its own of the R learning rates.

        Returns the outputs of the noisy passes, (R, num_rows, num_outputs). `epoch`, counted from 1, of so many
        `epochs` tells schedules of drop probabilities how far the training is.
        """
        minus_lr = [-lr / page.sgd.divisor for lr, page in zip(lrs, self.pages, strict=True)]
        self.minus_lr.copy_(torch.tensor(minus_lr, dtype=torch.float64).unsqueeze(1))
        num_rows, block = rows.shape[1], self.steps * self.batch_size
        outputs = []
        for first in range(0, num_rows, block):
            part = rows[:, first : first + block]
            starts = range(first, first + part.shape[1], self.batch_size)
            progress = [(epoch - 1 + start / num_rows) / epochs for start in starts]
            outputs.append(self.train_block(part, progress))
        return torch.cat(outputs, dim=1)

    def train_block(self, rows: Tensor, progress: Sequence[float]) -> Tensor:
        """At most `steps` steps, of which the last may have fewer rows; `progress` is that before each."""
        targets = self.targets.gather(1, self.y[rows].unsqueeze(2).expand(-1, -1, self.sizes[-1]))
        self._by_step(rows, self.rows)
        self._by_step(targets, self.Y)
        self.noise.draw(progress)
        self._run(rows.shape[1])
        (R, num_rows), n = rows.shape, self.batch_size
        whole, rest = divmod(num_rows, n)
        outputs = [O.view(R, n, -1) for O in self.O[:whole]]
        if rest:
            outputs.append(self.O[whole, : R * rest].view(R, rest, -1))
        return torch.cat(outputs, dim=1)

    def _by_step(self, values: Tensor, buffer: Tensor) -> None:
        """values (R, num_rows, …) into buffer (steps, R·n, …): for each step the rows of its batches, run by run."""
        (R, num_rows), n = values.shape[:2], self.batch_size
        whole, rest = divmod(num_rows, n)
        buffer[:whole] = values[:, : whole * n].unflatten(1, (whole, n)).transpose(0, 1).flatten(1, 2)
        if rest:
            buffer[whole, : R * rest] = values[:, whole * n :].flatten(0, 1)

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
        """Step k of the block, on the first n rows of its batches. Results lie in buffers, none is read by the host."""
        R, placement, last = len(self.pages), self.noise.placement, len(self.layers) - 1

        def first(buffer: Tensor) -> Tensor:
            return buffer[: R * n].view(R, n, -1)

        A, H, V = [first(buffer) for buffer in self.A], [first(buffer) for buffer in self.H], self.V
        O, Y = first(self.O[k]), first(self.Y[k])
        torch.index_select(self.X, 0, self.rows[k, : R * n], out=self.A[0][: R * n])
        if self.noise.epsilon is not None:
            A[0].add_(self.noise.epsilon[:, k, :n])
        xi = self.noise.of_step(k, n)
        for i, ((W, b), noise) in enumerate(zip(self.layers, xi, strict=True)):
            if noise is not None and placement == "weights":
                torch.mul(noise, W, out=V[i])
            elif noise is not None:
                torch.mul(noise, A[i], out=H[i])
                if placement == "before" and i > 0:
                    H[i].relu_()
            Z = torch.baddbmm(b, H[i], V[i], out=A[i + 1] if i < last else O)
            if (placement != "before" or xi[i + 1] is None) if i < last else self.output_relu:
                Z.relu_()

        D = torch.softmax(O, dim=2, out=first(self.D[-1])).sub_(Y).div_(n)
        if self.output_relu:
            threshold_backward(D, O, 0, grad_input=D)
        for i, (dW, db) in reversed(list(enumerate(self.dlayers))):
            noise = xi[i]
            torch.bmm(H[i].transpose(1, 2), D, out=dW)
            torch.sum(D, dim=1, keepdim=True, out=db)
            if noise is not None and placement == "weights":
                dW.mul_(noise)
            if i > 0:
                D = torch.bmm(D, V[i].transpose(1, 2), out=first(self.D[i - 1]))
                if noise is not None and placement != "weights":
                    D.mul_(noise)
                threshold_backward(D, H[i] if placement == "before" else A[i], 0, grad_input=D)
        self._update()

    def _update(self) -> None:
        """The page's update of all layers; the gradient is overwritten."""
        weights, step = self.theta[:, : self.num_weights], self.gradient
        dweights = step[:, : self.num_weights]
        if self.weight_decay is not None:
            dweights.addcmul_(weights, self.weight_decay)
        if self.l1 is not None:
            dweights.addcmul_(weights.sign(), self.l1)
        if self.velocity is not None:
            velocity = self.velocity.mul_(self.momentum).add_(step)
            step = step.add_(velocity, alpha=self.momentum) if self.nesterov else velocity
        self.theta.addcmul_(step, self.minus_lr)
        if self.max_norm is not None:
            for W, _ in self.layers[:-1]:
                bound(W, self.max_norm.unsqueeze(2))

    def logits(self, X: Tensor) -> Tensor:
        """The outputs (R, n, num_outputs) without noise, for X (n, num_inputs) of all runs or (R, n, num_inputs)."""
        H = X.expand(len(self.pages), *X.shape[-2:])
        for i, (W, b) in enumerate(self.layers):
            at_eval = self.noise.at_eval(i)
            H = torch.baddbmm(b, H if at_eval is None else H * at_eval, W)
            if i + 1 < len(self.layers) or self.output_relu:
                H.relu_()
        return H
