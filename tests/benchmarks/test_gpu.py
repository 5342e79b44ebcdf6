"""The GPU benchmark at small size, with the CPU instead of the GPU: its checks pass, and fail on TF32 matmuls."""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType

import gpu as benchmark
import pytest
import torch
from pages.gpu import sections
from torch import Tensor

from dropexp.data.fashion_mnist import Data

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the benchmark at small size, on the CPU."""
    for name, value in {"GPU": torch.device("cpu"), "MANY": 3, "SEEDS": 3, "NN_SEEDS": 3, "EPOCHS": 3}.items():
        monkeypatch.setattr(benchmark, name, value)
    return benchmark


def test_without_a_gpu_the_benchmark_exits_with_a_message() -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, str(benchmark.__file__)], capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert "needs a CUDA device" in done.stderr


def test_the_checks_of_steps_pass_on_a_cpu(gpu: ModuleType, data: Data) -> None:
    report = gpu.Report()
    gpu.check_gradients(report, data)
    gpu.check_drop_rates(report, data)
    assert [row["passed"] for row in report.rows] == [True, True]


@pytest.mark.parametrize("name", ["bmm", "baddbmm"])
def test_the_check_of_gradients_fails_on_tf32_matmuls(
    name: str, gpu: ModuleType, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = getattr(torch, name)

    def rounded(*tensors: Tensor, out: Tensor, **factors: float) -> Tensor:
        """Round both factors to ten bits of mantissa, as TF32 does."""
        *rest, X, Y = tensors
        X, Y = ((Z.contiguous().view(torch.int32) & -(2**13)).view(torch.float32) for Z in (X, Y))
        return out.copy_(product(*rest, X, Y, **factors))

    monkeypatch.setattr(torch, name, rounded)
    report = gpu.Report()
    gpu.check_gradients(report, data)
    assert [row["passed"] for row in report.rows] == [False]


def test_timings_and_checks_fill_the_table(gpu: ModuleType, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("reset_peak_memory_stats", "max_memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda: 2**20)
    report = gpu.Report()
    gpu.time_epochs(report, data)
    gpu.check_captures(report, data)
    gpu.check_trainings(report, data)
    table = sections({"device": "a GPU", "torch": "2", "cuda": "13", "date": "today", "rows": report.rows})["gpu"]
    assert table.startswith("a GPU, torch 2") and "one scratch run, an epoch |" in table
    assert len(report.rows) == 8 + 8 + 3
