"""Matrix products are float32 on every backend."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from dropexp.nets import matmul


@pytest.mark.parametrize("backend", sorted({matmul.PLAIN, matmul.best_backend()}))
@pytest.mark.parametrize(("n", "k", "m"), [(256, 784, 256), (96, 256, 10), (1000, 2048, 2048)])
def test_matmuls_are_float32_on_every_backend(backend: str, n: int, k: int, m: int) -> None:
    generator = torch.Generator().manual_seed(n)
    A, B = torch.rand(n, k, generator=generator), torch.randn(k, m, generator=generator)
    exact = A.double() @ B.double()
    with matmul.using(backend):
        error = ((A @ B) - exact).abs().max() / exact.abs().max()
    assert error < matmul.TOLERANCE


def test_torchs_own_setting_is_restored() -> None:
    A, B = torch.rand(256, 784), torch.rand(784, 256)
    before = A @ B
    with matmul.using(matmul.ONEDNN):
        pass
    assert torch.equal(A @ B, before)


def test_a_process_whose_onednn_would_round_to_bfloat16_uses_the_plain_backend() -> None:
    """Without the limit on instructions a CPU with AMX computes in bfloat16; other CPUs in float32."""
    script = (
        "import os, torch\n"
        "os.environ['ONEDNN_MAX_CPU_ISA'] = 'ALL'\n"
        "from dropexp.nets import matmul\n"
        "A, B = torch.rand(256, 784), torch.rand(784, 256)\n"
        "exact = A.double() @ B.double()\n"
        "with matmul.using(matmul.best_backend()):\n"
        "    print(float(((A @ B) - exact).abs().max() / exact.abs().max()) < matmul.TOLERANCE)\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ONEDNN", "MKL"))}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "True"


def test_bfloat16_matmuls_are_rounded_to_eight_bits_once() -> None:
    A, B = torch.rand(256, 784), torch.rand(784, 256)
    exact = A.double() @ B.double()
    out = torch.empty(256, 256)
    product = matmul.bf16_mm(A, B, out=out)
    assert product is out and torch.equal(matmul.bf16_mm(A, B), out)
    error = ((out - exact).abs() / exact).max()  # numbers are positive, so all but the last rounding average out
    assert 2**-10 < error <= 2**-8


def test_a_cpu_without_bfloat16_is_an_error_that_names_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False}, raising=False)
    with pytest.raises(RuntimeError, match=r"finds no bfloat16 on this cpu; use precision: float32"):
        matmul.require_bf16(torch.device("cpu"))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    matmul.require_bf16(torch.device("cpu"))
