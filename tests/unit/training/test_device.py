"""Which device a run trains on."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest
import torch

from dropexp.errors import DeviceError
from dropexp.training import device
from dropexp.training.device import kind, resolve


def test_the_cpu_is_there() -> None:
    assert resolve("cpu") == "cpu"


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_auto_is_the_cpu_where_no_gpu_is_visible(monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: None)  # a driver
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("torch was asked"))
    assert resolve("auto") == "cpu"


def test_auto_is_the_gpu_where_torch_has_one() -> None:
    assert resolve("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


def test_auto_is_the_cpu_where_a_driver_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_cuda_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve("auto") == "cpu"


@pytest.mark.parametrize(
    "name", ["", "gpu", "CPU", "cpu:0", "auto:0", "mps:0", "cuda:", "cuda:x", "cuda:-1", "cuda:1:2", "cuda 0", "tpu:0"]
)
def test_an_unknown_name_is_refused_and_the_known_ones_are_listed(name: str) -> None:
    with pytest.raises(DeviceError) as error:
        resolve(name)
    assert str(error.value) == f"device {name!r} is none of auto, cpu, cuda, cuda:N, mps"


@pytest.mark.parametrize("name", ["cuda:999", "cuda:99999999999999999999"])
def test_a_gpu_that_is_not_there_is_refused_and_what_is_there_is_listed(name: str) -> None:
    with pytest.raises(DeviceError, match=rf"device '{name}' is not there; this machine has cpu"):
        resolve(name)


@pytest.mark.parametrize(("count", "there"), [(0, "cpu"), (1, "cpu, cuda:0"), (2, "cpu, cuda:0, cuda:1")])
def test_each_gpu_is_listed_and_those_that_are_listed_are_there(
    monkeypatch: pytest.MonkeyPatch, count: int, there: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError) as error:
        resolve(f"cuda:{count}")
    assert str(error.value) == f"device 'cuda:{count}' is not there; this machine has {there}"
    assert [resolve(f"cuda:{i}") for i in range(count)] == [f"cuda:{i}" for i in range(count)]
    with pytest.raises(DeviceError):
        resolve("mps")
    if count:
        assert resolve("cuda") == "cuda"


def test_a_mac_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve("mps") == "mps"
    with pytest.raises(DeviceError, match="mps"):
        resolve("cuda:999")


@pytest.mark.parametrize(("name", "expected"), [("cpu", "cpu"), ("cuda", "cuda"), ("cuda:3", "cuda"), ("mps", "mps")])
def test_the_kind_of_a_device_leaves_out_its_number(name: str, expected: str) -> None:
    assert kind(name) == expected


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_the_cpu_is_found_without_torch(name: str) -> None:
    program = (
        f"import sys; from dropexp.training.device import resolve; print(resolve({name!r}), 'torch' in sys.modules)"
    )
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    answer = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout == "cpu False\n"
