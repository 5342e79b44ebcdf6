"""The device that a run trains on."""

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


def test_the_cpu_always_exists() -> None:
    assert resolve("cpu") == "cpu"


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_auto_is_the_cpu_if_no_gpu_is_visible(monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: None)  # a driver exists
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("torch was called"))
    assert resolve("auto") == "cpu"


def test_auto_is_the_gpu_if_torch_has_one() -> None:
    assert resolve("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


def test_auto_is_the_cpu_if_the_driver_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_has_cuda_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve("auto") == "cpu"


@pytest.mark.parametrize(
    "name", ["", "gpu", "CPU", "cpu:0", "auto:0", "mps:0", "cuda:", "cuda:x", "cuda:-1", "cuda:1:2", "cuda 0", "tpu:0"]
)
def test_an_invalid_name_is_rejected_with_a_list_of_valid_ones(name: str) -> None:
    with pytest.raises(DeviceError) as error:
        resolve(name)
    similar = {"CPU": "cpu", "gpu": "cuda"}.get(name, name.partition(":")[0].partition(" ")[0])
    known = similar in ("auto", "cpu", "cuda", "mps")
    meant = f" (did you mean {similar!r}?)" if known else ""
    assert str(error.value) == f"device {name!r} is not one of auto, cpu, cuda, cuda:N, mps{meant}"


@pytest.mark.parametrize("name", ["cuda:999", "cuda:99999999999999999999"])
def test_a_missing_gpu_is_rejected_with_a_list_of_devices(name: str) -> None:
    with pytest.raises(DeviceError, match=rf"this machine has no device '{name}'; it has cpu"):
        resolve(name)


@pytest.mark.parametrize(("count", "present"), [(0, "cpu"), (1, "cpu, cuda:0"), (2, "cpu, cuda:0, cuda:1")])
def test_all_gpus_are_listed_and_accepted(monkeypatch: pytest.MonkeyPatch, count: int, present: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError) as error:
        resolve(f"cuda:{count}")
    assert str(error.value) == f"this machine has no device 'cuda:{count}'; it has {present}"
    assert [resolve(f"cuda:{i}") for i in range(count)] == [f"cuda:{i}" for i in range(count)]
    with pytest.raises(DeviceError):
        resolve("mps")
    if count:
        assert resolve("cuda") == "cuda"


def test_mps_exists_on_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve("mps") == "mps"
    with pytest.raises(DeviceError, match="mps"):
        resolve("cuda:999")


@pytest.mark.parametrize(("name", "expected"), [("cpu", "cpu"), ("cuda", "cuda"), ("cuda:3", "cuda"), ("mps", "mps")])
def test_the_kind_of_a_device_omits_its_index(name: str, expected: str) -> None:
    assert kind(name) == expected


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_resolving_the_cpu_does_not_import_torch(name: str) -> None:
    program = (
        f"import sys; from dropexp.training.device import resolve; print(resolve({name!r}), 'torch' in sys.modules)"
    )
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "cpu False\n"
