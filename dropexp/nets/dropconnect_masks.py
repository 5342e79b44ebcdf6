"""Masks on the weights of a layer, one for each example, and matrix products with them. (Wan et al., 2013)

n examples have n·num_inputs·num_outputs mask values: 17 million for a batch and the second layer of the book's network.
They are sampled and stored as bits, and expanded for a few examples at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from dropexp.nets.noise import Mask

SLAB = 2**19  # mask values that are expanded at once: 2 MB, which stay in the cache
BLOCK = 2**16  # words of 64 random bits that are sampled at once
DIGITS = 8  # binary digits of p that are compared for all bits; one word of 32 bits in nine needs more
INTEGERS = {4: torch.int32, 8: torch.int64}  # by bytes of a float

# grad_input = grad · (self > threshold), also for integers: the kernel that autograd calls for a ReLU
threshold_backward = torch.ops.aten.threshold_backward.grad_input


class WeightMasks:
    """A sample ξ_k (num_inputs, num_outputs) of `noise` for each example k = 0 … n − 1.

    W are the weights (num_inputs, num_outputs). Bit s of words[j], counted from the sign, is 1 where example
    s·len(words) + j drops a weight. words[j] has the shape of Wᵀ: inner loops over a network's ten outputs are slow.
    """

    def __init__(self, noise: Mask, W: Tensor, n: int, generator: torch.Generator) -> None:
        self.n, self.scale, integers = n, noise.scale, INTEGERS[W.itemsize]
        self.shifts = torch.arange(8 * W.itemsize, dtype=integers, device=W.device).view(-1, 1, 1, 1)
        shape = torch.Size((-(-n // len(self.shifts)), *W.T.shape))
        bits = random_bits(noise.drop_prob, -(-shape.numel() * W.itemsize // 8), generator)
        self.words = bits.view(integers)[: shape.numel()].view(shape)

    def forward(self, H: Tensor, W: Tensor) -> Tensor:
        """Return Z (n, num_outputs) with z_k = h_k·(ξ_k ⊙ W), for H (n, num_inputs)."""
        W_T, Z = W.T.contiguous(), H.new_empty(self.n, W.shape[1])
        for rows, signs, V_T in self._slabs(W):
            masked(W_T, signs, out=V_T)
            torch.bmm(H[rows].unsqueeze(1), V_T.mT, out=Z[rows].unsqueeze(1))
        return Z.mul_(self.scale)

    def backward(self, D: Tensor, H: Tensor, W: Tensor) -> tuple[Tensor, Tensor]:
        """Return ∂l/∂W = Σ_k ξ_k ⊙ (h_kᵀ·d_k) and ∂l/∂h_k = d_k·(ξ_k ⊙ W)ᵀ, for D = ∂l/∂Z (n, num_outputs)."""
        D, W_T, dH = self.scale * D, W.T.contiguous(), torch.empty_like(H)
        dW_T, slab_sum = torch.zeros_like(W_T), torch.empty_like(W_T)
        for rows, signs, V_T in self._slabs(W):
            masked(W_T, signs, out=V_T)
            torch.bmm(D[rows].unsqueeze(1), V_T, out=dH[rows].unsqueeze(1))
            masked(H[rows].unsqueeze(1), signs, out=V_T)
            dW_T.add_(torch.sum(V_T.mul_(D[rows].unsqueeze(2)), dim=0, out=slab_sum))
        return dW_T.T, dH

    def _slabs(self, like: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Yield a slice of examples, integers that are negative where these drop a weight, and a buffer for weights.

        Integers and buffer have the shape (len, num_outputs, num_inputs), the buffer with the dtype of `like`. The next
        slab overwrites both.
        """
        G, shape = len(self.words), self.words.shape[1:]
        at_once = max(1, SLAB // shape.numel())
        groups, shifts = min(G, at_once), min(len(self.shifts), max(1, at_once // G))
        signs, buffer = self.words.new_empty(shifts * groups, *shape), like.new_empty(shifts * groups, *shape)
        for s in range(0, len(self.shifts), shifts):
            for j in range(0, G, groups):
                start = s * G + j
                if start >= self.n:
                    return
                words, by = self.words[j : j + groups], self.shifts[s : s + shifts]
                count = len(by) * len(words)
                torch.bitwise_left_shift(words, by, out=signs[:count].view(len(by), len(words), *shape))
                count = min(count, self.n - start)
                yield slice(start, start + count), signs[:count], buffer[:count]


def masked(A: Tensor, signs: Tensor, out: Tensor) -> None:
    """Set `out` to A, expanded to its shape, with 0 where `signs` is negative."""
    integers = A.view(signs.dtype).expand_as(signs)
    threshold_backward(integers, signs, -1, grad_input=out.view(signs.dtype))


def random_bits(p: float, count: int, generator: torch.Generator) -> Tensor:
    """Return `count` words (int64), each of whose bits is 1 with probability p, independently."""
    words = torch.empty(count, dtype=torch.int64, device=generator.device)
    for block in words.split(BLOCK):
        _sample(block.view(torch.int32), p, generator)
    return words


def _sample(words: Tensor, p: float, generator: torch.Generator) -> None:
    """Set the bits of `words` (int32) to u < p, for uniform u whose binary digits are compared with those of p.

    The first digit that differs decides; a random bit of 1 stands for the digit 0 of u. So most bits need two digits,
    and the probability is exactly p.
    """
    words.zero_()
    undecided = torch.full_like(words, -1)
    random = words.new_empty(-(-len(words) // 2), dtype=torch.int64)
    drawn = random.view(torch.int32)[: len(words)]
    for _ in range(DIGITS):
        random.random_(-(2**63), None, generator=generator)  # random_() without bounds never sets the highest bit
        p *= 2
        if p >= 1:
            p -= 1
            words |= drawn.bitwise_and_(undecided)
            undecided ^= drawn
        else:
            undecided &= drawn
        if p == 0:
            return
    open_words = undecided.nonzero().squeeze(1)
    if len(open_words):
        rest = words.new_empty(len(open_words))
        _sample(rest, p, generator)
        words[open_words] |= rest.bitwise_and_(undecided[open_words])
