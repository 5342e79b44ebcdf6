"""Train and evaluate under the program's own torch settings, whatever the calling process has set.

Many settings of torch are global, and change numbers: `torch.set_default_dtype(torch.float64)` in a notebook, or
`with torch.autocast("cpu")` around a run, would give another table under the same hash. The number of threads is
the caller's: no figure depends on it (docs/reproducibility.md). torch's default generator needs nothing here:
`nets.torch_nn.as_default_generator` gives it a run's state during a pass of `nn.Dropout`, and restores it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.modules import module
from torch.optim import optimizer
from torch.serialization import get_default_load_endianness, set_default_load_endianness

T = TypeVar("T")


@dataclass(frozen=True)
class Setting:
    """One global setting: how it is read and set, and the program's own value."""

    get: Callable[[], Any]
    set: Callable[[Any], object]
    own: Any


def _attribute(owner: Any, name: str, own: Any) -> list[Setting]:
    """Return a setting that is an attribute, if this version of torch has it."""
    if not hasattr(owner, name):
        return []
    return [Setting(lambda: getattr(owner, name), lambda value: setattr(owner, name, value), own)]


def _tensor_type() -> str:
    """Return the type of new tensors: the default dtype, and the device that `set_default_tensor_type` may have set."""
    usual = torch.get_default_dtype() is torch.float32 and torch._C._get_default_device() == "cpu"
    return "torch.FloatTensor" if usual else torch.tensor([]).type()


def _set_tensor_type(tensor_type: str) -> None:
    """Set the type of new tensors without torch's deprecation warning: `set_default_dtype` does not set the device."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.set_default_tensor_type(tensor_type)


SETTINGS = [
    Setting(_tensor_type, _set_tensor_type, "torch.FloatTensor"),
    Setting(
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        # not by `use_deterministic_algorithms`, which imports the compiler
        lambda pair: torch._C._set_deterministic_algorithms(pair[0], warn_only=pair[1]),
        (False, False),
    ),
    Setting(
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda pair: torch.set_anomaly_enabled(*pair),
        (False, True),
    ),
    # torch has no getter: if denormal numbers are flushed, this one is 0
    Setting(lambda: sys.float_info.min / 2 == 0, torch.set_flush_denormal, False),
    *_attribute(torch.backends.mkldnn, "enabled", True),
    *_attribute(torch.backends.mkldnn, "deterministic", False),
    *_attribute(torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction", True),
    # of checkpoints: `skip_data` saves them without their numbers
    *_attribute(getattr(torch.serialization, "_serialization_tls", None), "skip_data", False),
    Setting(get_default_load_endianness, set_default_load_endianness, None),
]
# The precision of float32 matrix products is set where they are computed: `matmul.using` and `cuda_graph.ieee_matmul`.

HOOKS: list[dict[int, Any]] = [  # of every module and every optimiser
    getattr(owner, f"_global_{kind}_hooks")
    for owner, kind in (
        *((module, kind) for kind in ("forward_pre", "forward", "backward_pre", "backward")),
        *((module, f"{kind}_registration") for kind in ("module", "parameter", "buffer")),
        *((optimizer, kind) for kind in ("optimizer_pre", "optimizer_post")),
    )
    if hasattr(owner, f"_global_{kind}_hooks")
]


@contextmanager
def _no_autocast() -> Iterator[None]:
    """Leave autocast on every device. Disable its cache: a nested autocast would use stale copies of the weights."""
    cached = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        with torch._C._DisableAutocast():
            yield
    finally:
        torch.set_autocast_cache_enabled(cached)


# newer than torch 2.6; the argument: also while torch traces
top_saved_hooks = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", lambda tracing: None)

MODES: list[tuple[Callable[[], Any], Callable[[], AbstractContextManager[Any]]]] = [  # whether one is on; how to leave
    (lambda: not torch.is_grad_enabled() or torch.is_inference_mode_enabled(), lambda: torch.inference_mode(False)),
    (torch._C._len_torch_function_stack, torch._C.DisableTorchFunction),  # the default device is one of these modes
    (torch._C._len_torch_dispatch_stack, torch._C._DisableTorchDispatch),
    (torch._C._is_any_autocast_enabled, _no_autocast),
    (lambda: top_saved_hooks(True), lambda: saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor)),
]


@contextmanager
def own_settings() -> Iterator[None]:
    """Set the program's own torch settings where they differ, and restore those of the caller at the end."""
    with ExitStack() as restore:
        for is_on, leave in MODES:
            if is_on():
                restore.enter_context(leave())
        for setting in SETTINGS:
            if (before := setting.get()) != setting.own:
                restore.callback(setting.set, before)
                setting.set(setting.own)
        for hooks in HOOKS:
            if hooks:
                restore.callback(hooks.update, dict(hooks))
                hooks.clear()
        yield


def under_own_settings(steps: Generator[T]) -> Generator[T]:
    """Run each step of a generator under `own_settings`. The caller's settings are back whenever it is suspended."""
    try:
        while True:
            with own_settings():
                step = next(steps, None)
            if step is None:
                return
            yield step
    finally:
        with own_settings():
            steps.close()
