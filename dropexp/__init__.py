"""dropexp: does dropout help, how much, and how sure are we?

    from dropexp import load_config, fit, train, load_runs, compare

These functions do the work of the commands in a program or a notebook. `fit` trains a study with a progress bar and
compares its runs; `train` yields the epochs as they are trained. `load_plugin` loads a file that adds a noise with
`register`. `dropexp.errors` has the exceptions. Modules are imported when a function is first used.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dropexp import errors
    from dropexp.analysis.listing import load_runs
    from dropexp.config.plugins import load_plugin, register
    from dropexp.config.study import load_config
    from dropexp.notebook import compare, fit
    from dropexp.training.api import train

__all__ = ["__version__", "compare", "errors", "fit", "load_config", "load_plugin", "load_runs", "register", "train"]

# Read once, when torch loads. MKL: equal results on any number of threads. oneDNN: float32 GEMMs stay float32.
os.environ.setdefault("MKL_CBWR", "AVX2,STRICT")
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")

_MODULES = {
    "compare": "notebook",
    "errors": "errors",
    "fit": "notebook",
    "load_config": "config.study",
    "load_plugin": "config.plugins",
    "load_runs": "analysis.listing",
    "register": "config.plugins",
    "train": "training.api",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module, metadata

    if name == "__version__":
        return metadata.version("dropexp")
    if name not in _MODULES:
        raise AttributeError(f"module 'dropexp' has no attribute {name!r}")
    module = import_module(f"dropexp.{_MODULES[name]}")
    return module if name == "errors" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
