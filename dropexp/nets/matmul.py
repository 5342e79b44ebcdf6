"""Which matrix products a CPU computes with, and proof that they are float32.

torch multiplies with MKL unless it is asked to use oneDNN, which is up to twice as fast on AMD. It is asked by
allowing it bfloat16, with oneDNN held by ONEDNN_MAX_CPU_ISA (set in `dropexp/__init__.py`) to instructions short of
AMX: without these it rounds no float32. Whether that came true is measured here against float64, since it would not if
torch was imported and used before this package. A run whose precision is bf16 rounds on purpose, by `bf16_mm`.

Results are to be the same bit for bit on any number of threads. MKL's are under MKL_CBWR (also set there; a Mac has no
MKL, and was not tried), but for the first exp or log of a process: if two threads share it, each picks its code, and
they were seen to pick two. So one thread takes it here, before anything is trained. oneDNN's are as long as it does not
part the sums of a product among threads, which it was seen to do over 2000 rows of a batch, and never over a layer's
width; so a step sums over ROWS at once. What was seen to differ all the same, on an AMD: products of under 4,096
multiplications, which torch always gives to MKL, and MKL's own over long batches and a width of 12 to 16.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

ONEDNN, PLAIN = "onednn", "plain"
ROWS = 1024  # of a batch: what oneDNN sums in one piece on every number of threads tried (1 to 8)
TOLERANCE = 2e-6  # max|error| / max|result|; bfloat16 would give 2e-3

torch.ones(1).exp_().log_()  # one element, so one thread: MKL's vector functions have picked their code


def _setting() -> Any:
    """torch's switch for oneDNN products, or None: it came after torch 2.6, so its type is not always known."""
    matmul = getattr(torch.backends.mkldnn, "matmul", None)
    return matmul if hasattr(matmul, "fp32_precision") else None


@contextmanager
def using(backend: str) -> Iterator[None]:
    """Within it every float32 product on the CPU takes this route; torch's own setting comes back after it."""
    setting = _setting()
    if setting is None:
        yield
        return
    before = setting.fp32_precision
    setting.fp32_precision = "bf16" if backend == ONEDNN else "ieee"
    try:
        yield
    finally:
        setting.fp32_precision = before


def best_backend(rows: int = 1) -> str:
    """The best route of this process for sums over so many rows: "onednn" if it can be had, else "plain"."""
    return _best() if rows <= ROWS else PLAIN


def bf16_mm(left: Tensor, right: Tensor, *, out: Tensor | None = None) -> Tensor:
    """left @ right, both rounded to bfloat16, summed in float32 and rounded once more, as under `torch.autocast`."""
    product = torch.mm(left.bfloat16(), right.bfloat16())
    return product.float() if out is None else out.copy_(product)


def require_bf16(device: torch.device) -> None:
    """Raises RuntimeError if `device` has no instructions for bfloat16, so that it would be slower than float32."""
    if device.type == "cpu":
        known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # younger than torch 2.6
        there = any(known[name] for name in known if "bf16" in name.lower())
    else:
        there = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if not there:
        raise RuntimeError(f"torch {torch.__version__} finds no bfloat16 on this {device.type}; use precision: float32")


@cache
def _best() -> str:
    if _setting() is None or not torch.backends.mkldnn.is_available():
        return PLAIN
    generator = torch.Generator().manual_seed(0)
    X = torch.rand(256, 784, generator=generator)
    W, D = (torch.randn(n, 256, generator=generator) for n in (784, 256))
    differs = False
    for left, right in (
        (X, W),
        (X.T, D),
        (D, W.T),
    ):  # forward, weight gradient, backward: the shapes of a step
        exact = left.double() @ right.double()
        with using(ONEDNN):
            product = left @ right
        if (product - exact).abs().max() > TOLERANCE * exact.abs().max():
            return PLAIN
        with using(PLAIN):
            differs = differs or not torch.equal(product, left @ right)
    return ONEDNN if differs else PLAIN  # the same bits everywhere: the setting reached no oneDNN
