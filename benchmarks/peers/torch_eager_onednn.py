"""torch, eager, with oneDNN's matrix products in place of MKL's, by torch's public switch.

The switch allows bfloat16; the variable holds oneDNN to instructions that know none, so products stay float32. That
is checked against float64 at the shapes of a step before anything is timed.
"""

from __future__ import annotations

import os

os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX512_CORE_VNNI"  # read once, when torch multiplies first

import torch

from peers import torch_eager
from peers.data import BATCH, SIZES


def main() -> None:
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"  # type: ignore[attr-defined]  # torch has no type for it
    X, W = torch.rand(BATCH, SIZES[0]), torch.randn(SIZES[0], SIZES[1])
    exact = X.double() @ W.double()
    error = ((X @ W - exact).abs().max() / exact.abs().max()).item()
    if error > 2e-6:
        raise SystemExit(f"these products are not float32: they err by {error:.0e}")
    torch_eager.main()


if __name__ == "__main__":
    main()
