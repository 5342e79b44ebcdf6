"""torch, eager, with oneDNN's matrix products instead of MKL's, by torch's public switch.

The switch allows bfloat16. ONEDNN_MAX_CPU_ISA restricts oneDNN to instructions without it, so matrix products stay
float32. They are checked against float64 before anything is timed.
"""

from __future__ import annotations

import os

os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX512_CORE_VNNI"  # read once, at the first matrix product

import torch

from peers import torch_eager
from peers.data import BATCH, SIZES


def main() -> None:
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"  # type: ignore[attr-defined]  # torch has no type for it
    X, W = torch.rand(BATCH, SIZES[0]), torch.randn(SIZES[0], SIZES[1])
    exact = X.double() @ W.double()
    error = ((X @ W - exact).abs().max() / exact.abs().max()).item()
    if error > 2e-6:
        raise SystemExit(f"oneDNN's matrix products are not float32: their error is {error:.0e}")
    torch_eager.main()


if __name__ == "__main__":
    main()
