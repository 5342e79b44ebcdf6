"""The training step of `scratch.py` for R runs of equal shape at once: every product a batched one, [R, …].

On a GPU a lone step of 256 rows is all launches. So runs train side by side, and on CUDA some steps of all of them are
captured as one graph (captured.py); their noise is drawn before, into buffers (stacknoise.py). The same code runs
uncaptured on a CPU, where it gains nothing and is tested.

Two things spare a GPU the memory that it would wait for. Beside hidden units stands a 1, whose weight is the bias: one
product gives H·W + b and another both gradients. And where nothing else is done to a gradient, that product is the
update: W ← W + Hᵀ·(−lr·D).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dropexp.nets import cuda_graph, scratch
from dropexp.nets.bitmask import threshold_backward
from dropexp.nets.sgd import Layer, limit_column_norms
from dropexp.nets.stacked_noise import StackNoise

BLOCK = 32  # steps whose noise is drawn at once; another number would draw other noise
EVAL_NUMBERS = 2**26  # of the widest layer, all runs together: 256 MB
ALIGNED = 8  # hidden units and their 1 are filled up with zeros to a multiple: cuBLAS is fastest there


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

        # a row of numbers for each run, and in it for each layer W over b over zeros
        self.heights = [-(-(m + 1) // ALIGNED) * ALIGNED for m in self.sizes[:-1]]
        self.theta = new(R, sum(h * m for h, m in zip(self.heights, self.sizes[1:], strict=True))).zero_()
        self.thetas = self._matrices(self.theta)
        self.layers = self._layers(self.theta)
        self.velocity = torch.zeros_like(self.theta) if self.momentum else None
        self._copy(to_pages=False)

        # a number of each run, (R, 1, 1); None where no run has any use for it
        self.minus_lr = new(R, 1, 1)
        self.weight_decay = self._numbers([page.sgd.weight_decay for page in self.pages], without=0.0)
        self.l1 = self._numbers([page.sgd.l1 for page in self.pages], without=0.0)
        self.max_norm = self._numbers([page.sgd.max_norm or math.inf for page in self.pages], without=math.inf)

        # what a step reads and writes; H, V, Z and O are the page's, D its n-fold, and −lr times that where it updates
        self.noise = StackNoise(self.pages, self.steps, n)
        noisy, on_weights = [xi is not None for xi in self.noise.xi], self.noise.placement == "weights"
        self.rows = torch.zeros(self.steps, R * n, dtype=torch.int64, device=X.device)
        self.targets = torch.stack([page.targets for page in self.pages])  # (R, num_outputs, num_outputs)
        self.Y = new(self.steps, R * n, self.sizes[-1])  # a row of targets for each row
        self.X_batches = [new(R * n, self.sizes[0]) for _ in range(2)]  # the next step's are gathered during a step
        self.H = [self._inputs(R * n, i) for i in range(1, len(self.thetas))]  # what hidden layers pass on
        self.ones = new(1, 1, n).fill_(1)
        self.V = [
            theta.clone() if there and on_weights else theta for theta, there in zip(self.thetas, noisy, strict=True)
        ]
        self.Z, self.slope = ([new(R * n, m) for m in self.sizes[1:-1]] for _ in range(2))
        self.O = new(self.steps, R * n, self.sizes[-1])
        self.D = [new(R * n, m) for m in self.sizes[1:]]
        plain = self.velocity is None and self.weight_decay is None and self.l1 is None and not on_weights
        self.gradient = None if plain else torch.zeros_like(self.theta)
        self.summed = self.thetas if self.gradient is None else self._matrices(self.gradient)  # what D is summed into
        self.eval_rows = max(1, EVAL_NUMBERS // (R * max(self.sizes)))  # of a run in a pass without training
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def _matrices(self, flat: Tensor) -> list[Tensor]:
        """Views of (R, length): for every layer (R, height, num_outputs), in which W lies over b over zeros."""
        shapes = list(zip(self.heights, self.sizes[1:], strict=True))
        parts = flat.split([h * m for h, m in shapes], dim=1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]

    def _layers(self, flat: Tensor) -> list[Layer]:
        """Views of (R, length): W (R, num_inputs, num_outputs) and b (R, 1, num_outputs) of every layer."""
        matrices = self._matrices(flat)
        return [(matrix[:, :n], matrix[:, n : n + 1]) for n, matrix in zip(self.sizes, matrices, strict=False)]

    def _inputs(self, count: int, i: int) -> Tensor:
        """Room for so many rows that layer i reads, (count, height): after its inputs a 1, then zeros."""
        buffer = self.theta.new_zeros(count, self.heights[i])
        buffer[:, self.sizes[i]] = 1
        return buffer

    def _numbers(self, numbers: list[float], without: float) -> Tensor | None:
        return None if set(numbers) == {without} else self.theta.new_tensor(numbers).view(-1, 1, 1)

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
        self.minus_lr.copy_(torch.tensor(minus_lr, dtype=torch.float64).view(-1, 1, 1))
        num_rows, block = rows.shape[1], self.steps * self.batch_size
        outputs = []
        for first in range(0, num_rows, block):
            part = rows[:, first : first + block]
            starts = range(first, first + part.shape[1], self.batch_size)
            progress = [(epoch - 1 + start / num_rows) / epochs for start in starts]
            outputs.append(self._train_block(part, progress))
        return torch.cat(outputs, dim=1)

    def _train_block(self, rows: Tensor, progress: Sequence[float]) -> Tensor:
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
        sizes = [min(self.batch_size, num_rows - start) for start in range(0, num_rows, self.batch_size)]

        def steps() -> None:
            self._gather(0, sizes[0])
            for k, n in enumerate(sizes):
                if k + 1 < len(sizes):
                    with cuda_graph.beside(self.X.device):
                        self._gather(k + 1, sizes[k + 1])
                self._step(k, n)

        if not self.X.is_cuda:
            steps()
            return
        if num_rows not in self.graphs:
            with cuda_graph.unchanged([self.theta, *([] if self.velocity is None else [self.velocity])]):
                self.graphs[num_rows], _ = cuda_graph.capture(steps, self.X.device)
        self.graphs[num_rows].replay()

    def _gather(self, k: int, n: int) -> None:
        """The images of step k of the block, n for each run."""
        count = len(self.pages) * n
        torch.index_select(self.X, 0, self.rows[k, :count], out=self.X_batches[k % 2][:count])

    def _step(self, k: int, n: int) -> None:
        """Step k of the block, on the first n rows of its batches. Results lie in buffers, none is read by the host."""
        R, last, on_weights = len(self.pages), len(self.layers) - 1, self.noise.placement == "weights"

        def first(buffer: Tensor) -> Tensor:
            return buffer[: R * n].view(R, n, -1)

        xi = self.noise.of_step(k, n)
        H = [self._read_images(first(self.X_batches[k % 2]), k, None if on_weights else xi[0])]
        slopes: list[Tensor | None] = [None]  # ∂H/∂Z of each layer before, where noise has a part in it
        for i in range(last):
            noise = None if on_weights else xi[i + 1]
            H.append(first(self.H[i]))
            units = H[-1][..., : self.sizes[i + 1]]
            Z = self._linear(i, H[i], xi[i] if on_weights else None, out=units if noise is None else first(self.Z[i]))
            slopes.append(self._activate(Z, noise, units, first(self.slope[i])))
        O = self._linear(last, H[last], xi[last] if on_weights else None, out=first(self.O[k]))
        if self.output_relu:
            O.relu_()

        D = torch.softmax(O, dim=2, out=first(self.D[last])).sub_(first(self.Y[k]))
        if self.output_relu:
            threshold_backward(D, O, 0, grad_input=D)
        if self.gradient is None:
            D.mul_(self.minus_lr)
        for i in range(last, -1, -1):
            D_i = D
            if i > 0:
                D = torch.bmm(D, self.V[i][:, : self.sizes[i]].transpose(1, 2), out=first(self.D[i - 1]))
            with cuda_graph.beside(self.X.device):  # while layers before this one are still waited for
                self._descend(i, H[i].transpose(1, 2), D_i, xi[i] if on_weights else None)
            if i > 0 and (slope := slopes[i]) is not None:
                D.mul_(slope)
            elif i > 0:
                threshold_backward(D, H[i][..., : self.sizes[i]], 0, grad_input=D)
        cuda_graph.join(self.X.device)
        if self.gradient is not None:
            self._update(self.gradient)

    def _read_images(self, X: Tensor, k: int, noise: Tensor | None) -> Tensor:
        """H of the first layer: the images X (R, n, num_inputs) of step k, with their noise from here on."""
        if self.noise.epsilon is not None:
            X.add_(self.noise.epsilon[:, k, : X.shape[1]])
        return X if noise is None else X.mul_(noise)

    def _linear(self, i: int, H: Tensor, noise: Tensor | None, out: Tensor) -> Tensor:
        """H·V + b of layer i, with `noise` on its weights. Beside images is no 1: at 792 inputs cuBLAS is slow."""
        (W, b), V, m = self.layers[i], self.V[i], self.sizes[i]
        if noise is not None:
            torch.mul(noise, W, out=V[:, :m])
            V[:, m].copy_(b[:, 0])
        return torch.bmm(H, V, out=out) if i > 0 else torch.baddbmm(b, H, V[:, :m], out=out)

    def _activate(self, Z: Tensor, noise: Tensor | None, H: Tensor, slope: Tensor) -> Tensor | None:
        """H = ξ ⊙ relu(Z), or relu(ξ ⊙ Z); without noise H is Z. Returns ∂H/∂Z where noise has a part in it."""
        if noise is None:
            Z.relu_()
            return None
        if self.noise.placement == "before":
            torch.mul(noise, Z, out=H).relu_()
            threshold_backward(noise, H, 0, grad_input=slope)
        else:
            threshold_backward(noise, Z, 0, grad_input=slope)
            torch.mul(slope, Z, out=H)
        return slope

    def _descend(self, i: int, H_T: Tensor, D: Tensor, noise: Tensor | None) -> None:
        """The gradients of layer i; where nothing else is done to them, and D is −lr-fold, the update."""
        direct, n, m = self.gradient is None, D.shape[1], self.sizes[i]
        matrix = self.summed[i]
        products = [(matrix, H_T)]
        if i == 0:
            products = [(matrix[:, :m], H_T), (matrix[:, m : m + 1], self.ones[..., :n].expand(len(D), -1, -1))]
        for sums, inputs in products:
            torch.baddbmm(sums, inputs, D, beta=direct, alpha=1 / n, out=sums)
        if noise is not None:
            matrix[:, :m].mul_(noise)
        if direct and self.max_norm is not None and i + 1 < len(self.layers):
            limit_column_norms(self.layers[i][0], self.max_norm)

    def _update(self, step: Tensor) -> None:
        """The page's update of all layers by their gradients, which are overwritten."""
        for (W, _), (dW, _) in zip(self.layers, self._layers(step), strict=True):
            if self.weight_decay is not None:
                dW.addcmul_(W, self.weight_decay)
            if self.l1 is not None:
                dW.addcmul_(W.sign(), self.l1)
        if self.velocity is not None:
            velocity = self.velocity.mul_(self.momentum).add_(step)
            step = step.add_(velocity, alpha=self.momentum) if self.nesterov else velocity
        self.theta.addcmul_(step, self.minus_lr[:, 0])
        if self.max_norm is not None:
            for W, _ in self.layers[:-1]:
                limit_column_norms(W, self.max_norm)

    def logits(self, X: Tensor) -> Tensor:
        """The outputs (R, n, num_outputs) without noise, for X (n, num_inputs) of all runs or (R, n, num_inputs)."""
        H = X.expand(len(self.pages), *X.shape[-2:])
        for i, (W, b) in enumerate(self.layers):
            at_eval = self.noise.at_eval(i)
            H = torch.baddbmm(b, H if at_eval is None else H * at_eval, W)
            if i + 1 < len(self.layers) or self.output_relu:
                H.relu_()
        return H
