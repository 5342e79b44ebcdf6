"""The library that multiplies matrices on a CPU, and a check that it multiplies in float32.

torch uses MKL by default. oneDNN is up to twice as fast on AMD, but torch uses it only where bfloat16 is allowed.
ONEDNN_MAX_CPU_ISA (set in `dropexp/__init__.py`) disables AMX: only with AMX does oneDNN round float32 to bfloat16.
Because the variable has no effect if torch was used before this package was imported, the precision is measured here.
A run with precision bf16 rounds on purpose, with `bf16_mm`.

Results should be equal bit for bit for any number of threads:

- MKL: under MKL_CBWR, also set in `dropexp/__init__.py`, with one exception. The first exp or log of a process selects
  the code to use, and two threads that share it can select different code. One thread therefore calls both below,
  before any training. (A Mac has no MKL; untested.)
- oneDNN: as long as it does not split the sums of a matrix product between threads. It was seen to do so for sums over
  2000 rows of a batch, but never over the width of a layer. A step therefore sums over at most ROWS rows at once.

Two differences were still seen, on an AMD processor: in matrix products of fewer than 4,096 multiplications, which
torch always computes with MKL, and in MKL's sums over long batches for widths of 12 to 16.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

ONEDNN, PLAIN = "onednn", "plain"  # the backends; "plain" is torch's default. run.json stores them
ROWS = 1024  # oneDNN does not split sums over so many rows, with any number of threads tried (1 to 8)
TOLERANCE = 2e-6  # max|error| / max|result|; bfloat16 would give 2e-3

torch.ones(1).exp_().log_()  # one element, so one thread: MKL's vector functions select their code


@contextmanager
def using(backend: str) -> Iterator[None]:
    """Multiply float32 matrices on the CPU with this backend, then restore torch's own setting."""
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
    """Return the fastest float32 backend here for sums over `rows` rows: "onednn" where possible, else "plain"."""
    return _best_backend() if rows <= ROWS else PLAIN


def bf16_mm(left: Tensor, right: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return left @ right with operands and result in bfloat16 and sums in float32, as under `torch.autocast`."""
    product = torch.mm(left.bfloat16(), right.bfloat16())
    return product.float() if out is None else out.copy_(product)


def require_bf16(device: torch.device) -> None:
    """Raise RuntimeError if `device` has no bfloat16 instructions; emulation would be slower than float32."""
    if device.type == "cpu":
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # newer than torch 2.6
        has_bf16 = any(capabilities[name] for name in capabilities if "bf16" in name.lower())
    else:
        has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if not has_bf16:
        raise RuntimeError(f"torch {torch.__version__} finds no bfloat16 on this {device.type}; use precision: float32")


def _setting() -> Any:
    """Return torch's precision setting for oneDNN matrix products, or None: it is newer than torch 2.6."""
    matmul = getattr(torch.backends.mkldnn, "matmul", None)
    return matmul if hasattr(matmul, "fp32_precision") else None


@cache
def _best_backend() -> str:
    if _setting() is None or not torch.backends.mkldnn.is_available():
        return PLAIN
    generator = torch.Generator().manual_seed(0)
    X = torch.rand(256, 784, generator=generator)
    W, D = (torch.randn(n, 256, generator=generator) for n in (784, 256))
    differs = False
    # the shapes of a step: forward, weight gradient, input gradient
    for left, right in ((X, W), (X.T, D), (D, W.T)):
        exact = left.double() @ right.double()
        with using(ONEDNN):
            product = left @ right
        if (product - exact).abs().max() > TOLERANCE * exact.abs().max():
            return PLAIN
        with using(PLAIN):
            differs = differs or not torch.equal(product, left @ right)
    return ONEDNN if differs else PLAIN  # equal in all bits: the setting had no effect
