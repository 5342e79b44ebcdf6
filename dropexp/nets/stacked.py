"""The training step of `from_scratch.py` for R runs of equal shape at once, with batched matrix products (R, …).

On a GPU, a single run's step of 256 rows spends its time launching kernels. Runs of equal shape therefore train
together as a stack. On CUDA, a block of steps of all runs is captured as one CUDA graph (cuda_graph.py); its noise is
sampled beforehand, into buffers (stacked_noise.py). Without a GPU the same code runs uncaptured: it is not faster, but
can be tested.

Two tricks reduce the memory traffic, which is the bottleneck. The inputs of a layer have an extra column of ones, whose
weights are the bias: one GEMM computes H·W + b, and one computes both gradients. And where a gradient needs no
further terms, its GEMM is the update itself: W ← W + Hᵀ·(−lr·D).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dropexp.nets import cuda_graph, from_scratch
from dropexp.nets.fused_noise import threshold_backward
from dropexp.nets.sgd import Layer
from dropexp.nets.stacked_noise import StackNoise
from dropexp.nets.stacked_optimizer import StackOptimizer

BLOCK = 32  # steps whose noise is sampled together; another number would give other noise
EVAL_NUMBERS = 2**26  # outputs of the widest layer, over all runs, in an evaluation pass: 256 MB
ALIGNED = 8  # inputs of a layer are padded with zeros to a multiple of this number, where cuBLAS is fastest


class Stack:
    """R networks that train together on rows of X (N, num_inputs), each on `num_rows` of them per epoch.

    The labels y are (N,), or (R, N) if each network has its own. Parameters, noises, generator, drop schedule,
    penalties, max norm and label smoothing can differ between the networks. Sizes, kind of optimiser, momentum,
    `output_relu` and the placement of noise are equal. The stack works on copies of the parameters; `write_back` copies
    them to the networks.
    """

    def __init__(
        self, networks: Sequence[from_scratch.MLP], X: Tensor, y: Tensor, num_rows: int, batch_size: int
    ) -> None:
        first, R = networks[0], len(networks)
        self.networks, self.X, self.y = list(networks), X, y.expand(R, -1)
        self.output_relu = first.output_relu
        self.sizes = [len(first.layers[0][0]), *(len(b) for _, b in first.layers)]
        self.batch_size = n = min(batch_size, num_rows)
        self.steps = min(BLOCK, -(-num_rows // n))  # per block
        new = first.layers[0][0].new_empty

        # theta has a row per run: for each layer W, then b, then padding
        self.heights = [-(-(m + 1) // ALIGNED) * ALIGNED for m in self.sizes[:-1]]
        self.theta = new(R, sum(h * m for h, m in zip(self.heights, self.sizes[1:], strict=True))).zero_()
        self.thetas = self._matrices(self.theta)
        self.layers = self._layers(self.theta)
        self.optimizer = StackOptimizer(
            [network.optimizer for network in networks], self.theta, self.layers, self.steps
        )
        for r, network in enumerate(networks):
            state = self._state(r)
            for name, tensor in network.state().items():
                state[name].copy_(tensor)

        # buffers of a step, named as in `from_scratch.py`; but D is n·∂l/∂Z, or −lr·n·∂l/∂Z where GEMMs update directly
        self.noise = StackNoise(self.networks, self.steps, n)
        has_noise, on_weights = [xi is not None for xi in self.noise.xi], self.noise.placement == "weights"
        self.rows = torch.zeros(self.steps, R * n, dtype=torch.int64, device=X.device)
        self.targets = torch.stack([network.targets for network in networks])  # (R, num_outputs, num_outputs)
        self.Y = new(self.steps, R * n, self.sizes[-1])  # a row of targets per example
        self.X_batches = [new(R * n, self.sizes[0]) for _ in range(2)]  # one is filled while the other is used
        self.H = [self._inputs(R * n, i) for i in range(1, len(self.thetas))]  # of all layers but the first
        self.ones = new(1, 1, n).fill_(1)
        self.V = [
            theta.clone() if noisy and on_weights else theta
            for theta, noisy in zip(self.thetas, has_noise, strict=True)
        ]
        self.Z, self.slope = ([new(R * n, m) for m in self.sizes[1:-1]] for _ in range(2))
        self.O = new(self.steps, R * n, self.sizes[-1])
        self.D = [new(R * n, m) for m in self.sizes[1:]]
        direct = self.optimizer.is_plain_sgd and not on_weights
        self.gradient = None if direct else torch.zeros_like(self.theta)
        self.sums = self.thetas if self.gradient is None else self._matrices(self.gradient)  # where GEMMs accumulate
        self.grads = self.layers if self.gradient is None else self._layers(self.gradient)
        self.eval_rows = max(1, EVAL_NUMBERS // (R * max(self.sizes)))  # per run and evaluation pass
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def _matrices(self, flat: Tensor) -> list[Tensor]:
        """Return views of (R, length): for each layer (R, height, num_outputs), the rows of W, then b, then padding."""
        shapes = list(zip(self.heights, self.sizes[1:], strict=True))
        parts = flat.split([h * m for h, m in shapes], dim=1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]

    def _layers(self, flat: Tensor) -> list[Layer]:
        """Return views of (R, length): for each layer W (R, num_inputs, num_outputs) and b (R, 1, num_outputs)."""
        matrices = self._matrices(flat)
        return [(matrix[:, :n], matrix[:, n : n + 1]) for n, matrix in zip(self.sizes, matrices, strict=False)]

    def _inputs(self, count: int, i: int) -> Tensor:
        """Return a buffer for `count` rows of inputs of layer i, (count, height): the inputs, a 1, then zeros."""
        buffer = self.theta.new_zeros(count, self.heights[i])
        buffer[:, self.sizes[i]] = 1
        return buffer

    def _state(self, r: int) -> dict[str, Tensor]:
        """Return views of the parameters and moments of run r, and its number of steps, named as in its network."""
        flat = {"": self.theta, **self.optimizer.moments}
        steps = {f"t{i}": self.optimizer.t[r, 0] for i in range(1, len(self.sizes))}
        return steps | {
            f"{symbol}{name}{i}": tensor
            for symbol, numbers in flat.items()
            for i, (W, b) in enumerate(self._layers(numbers), start=1)
            for name, tensor in (("W", W[r]), ("b", b[r, 0]))
        }

    def write_back(self) -> None:
        """Copy the current parameters and moments to the networks."""
        for r, network in enumerate(self.networks):
            network.load(self._state(r))

    def train_epoch(self, rows: Tensor, lrs: Sequence[float], epoch: int = 1, epochs: int = 1) -> Tensor:
        """Train for one epoch and return the outputs (R, num_rows, num_outputs), with dropout active.

        `rows` (R, num_rows) are indices into X, in the order in which each run reads them; `lrs` has a learning rate
        per run. `epoch` (from 1) and `epochs` determine the progress for schedules of drop probabilities.
        """
        self.optimizer.set_lrs(lrs)
        num_rows, block = rows.shape[1], self.steps * self.batch_size
        outputs = []
        for first in range(0, num_rows, block):
            part = rows[:, first : first + block]
            starts = range(first, first + part.shape[1], self.batch_size)
            progress = [(epoch - 1 + start / num_rows) / epochs for start in starts]
            outputs.append(self._train_block(part, progress))
        return torch.cat(outputs, dim=1)

    def _train_block(self, rows: Tensor, progress: Sequence[float]) -> Tensor:
        """Take at most `steps` steps and return their outputs. The last may have fewer rows."""
        targets = self.targets.gather(1, self.y.gather(1, rows).unsqueeze(2).expand(-1, -1, self.sizes[-1]))
        self._by_step(rows, self.rows)
        self._by_step(targets, self.Y)
        self.noise.draw(progress)
        self.optimizer.begin(len(progress))
        self._run(rows.shape[1])
        (R, num_rows), n = rows.shape, self.batch_size
        full, rest = divmod(num_rows, n)
        outputs = [O.view(R, n, -1) for O in self.O[:full]]
        if rest:
            outputs.append(self.O[full, : R * rest].view(R, rest, -1))
        return torch.cat(outputs, dim=1)

    def _by_step(self, values: Tensor, buffer: Tensor) -> None:
        """Copy values (R, num_rows, …) into buffer (steps, R·n, …): by step, then by run."""
        (R, num_rows), n = values.shape[:2], self.batch_size
        full, rest = divmod(num_rows, n)
        buffer[:full] = values[:, : full * n].unflatten(1, (full, n)).transpose(0, 1).flatten(1, 2)
        if rest:
            buffer[full, : R * rest] = values[:, full * n :].flatten(0, 1)

    def _run(self, num_rows: int) -> None:
        """Take the steps of a block of `num_rows` rows per run; on CUDA, by replaying a graph."""
        sizes = [min(self.batch_size, num_rows - start) for start in range(0, num_rows, self.batch_size)]

        def steps() -> None:
            self._gather(0, sizes[0])
            for k, n in enumerate(sizes):
                if k + 1 < len(sizes):
                    with cuda_graph.side_stream(self.X.device):
                        self._gather(k + 1, sizes[k + 1])
                self._step(k, n)

        if not self.X.is_cuda:
            steps()
            return
        if num_rows not in self.graphs:
            with cuda_graph.restored([self.theta, *self.optimizer.moments.values()]):
                self.graphs[num_rows], _ = cuda_graph.capture(steps, self.X.device)
        self.graphs[num_rows].replay()

    def _gather(self, k: int, n: int) -> None:
        """Copy the images of step k of the block, n per run, into a buffer."""
        count = len(self.networks) * n
        torch.index_select(self.X, 0, self.rows[k, :count], out=self.X_batches[k % 2][:count])

    def _step(self, k: int, n: int) -> None:
        """Take step k of the block, on n rows per run. It writes into buffers only, so that a graph can capture it."""
        R, last, on_weights = len(self.networks), len(self.layers) - 1, self.noise.placement == "weights"

        def first(buffer: Tensor) -> Tensor:
            return buffer[: R * n].view(R, n, -1)

        xi = self.noise.of_step(k, n)
        H = [self._read_images(first(self.X_batches[k % 2]), k, None if on_weights else xi[0])]
        slopes: list[Tensor | None] = [None]  # ∂H/∂Z of each layer's input, where it depends on noise
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
            D.mul_(self.optimizer.minus_lr)
        for i in range(last, -1, -1):
            D_i = D
            if i > 0:
                D = torch.bmm(D, self.V[i][:, : self.sizes[i]].transpose(1, 2), out=first(self.D[i - 1]))
            with cuda_graph.side_stream(self.X.device):  # concurrently with the gradients of the layers before
                self._descend(i, H[i].transpose(1, 2), D_i, xi[i] if on_weights else None)
            if i > 0 and (slope := slopes[i]) is not None:
                D.mul_(slope)
            elif i > 0:
                threshold_backward(D, H[i][..., : self.sizes[i]], 0, grad_input=D)
        cuda_graph.join_side_stream(self.X.device)
        if self.gradient is not None:
            self.optimizer.update(self.gradient, self.grads, k)

    def _read_images(self, X: Tensor, k: int, noise: Tensor | None) -> Tensor:
        """Return H of the first layer: the images X (R, n, num_inputs) of step k with their noise, in place."""
        if self.noise.epsilon is not None:
            X.add_(self.noise.epsilon[:, k, : X.shape[1]])
        return X if noise is None else X.mul_(noise)

    def _linear(self, i: int, H: Tensor, noise: Tensor | None, out: Tensor) -> Tensor:
        """Compute H·V + b of layer i, with `noise` on its weights.

        The images have no column of ones: with the 792 inputs that this would give, cuBLAS is slow.
        """
        (W, b), V, m = self.layers[i], self.V[i], self.sizes[i]
        if noise is not None:
            torch.mul(noise, W, out=V[:, :m])
            V[:, m].copy_(b[:, 0])
        return torch.bmm(H, V, out=out) if i > 0 else torch.baddbmm(b, H, V[:, :m], out=out)

    def _activate(self, Z: Tensor, noise: Tensor | None, H: Tensor, slope: Tensor) -> Tensor | None:
        """Set H = ξ ⊙ relu(Z), or relu(ξ ⊙ Z), and return ∂H/∂Z.

        Without noise, Z is the buffer of H: apply the ReLU in place and return None.
        """
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
        """Compute the gradients of layer i, or update it directly if there is no gradient buffer."""
        direct, n, m = self.gradient is None, D.shape[1], self.sizes[i]
        matrix = self.sums[i]
        operands = [(matrix, H_T)]
        if i == 0:
            operands = [(matrix[:, :m], H_T), (matrix[:, m : m + 1], self.ones[..., :n].expand(len(D), -1, -1))]
        for sums, inputs in operands:
            torch.baddbmm(sums, inputs, D, beta=direct, alpha=1 / n, out=sums)
        if noise is not None:
            matrix[:, :m].mul_(noise)
        if direct:
            self.optimizer.limit_norms(i)

    def logits(self, X: Tensor) -> Tensor:
        """Return the outputs (R, n, num_outputs) in evaluation mode, for X (n, num_inputs) or (R, n, num_inputs)."""
        H = X.expand(len(self.networks), *X.shape[-2:])
        for i, (W, b) in enumerate(self.layers):
            at_eval = self.noise.at_eval(i)
            H = torch.baddbmm(b, H if at_eval is None else H * at_eval, W)
            if i + 1 < len(self.layers) or self.output_relu:
                H.relu_()
        return H
