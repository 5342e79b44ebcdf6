"""The contenders: one row of the table each, and the process that is timed for it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field

BOOK, SCRATCH, MATMULS, PEAK = (
    "the book's loop, 0 workers",
    "dropexp scratch",
    "matrix products alone",
    "multiply-add peak",
)
ONE_THREAD = ", one thread"


@dataclass(frozen=True)
class Contender:
    """A module of this package that is timed, the environment variables that it gets, and a note for readers."""

    name: str
    module: str
    env: dict[str, str] = field(default_factory=dict)
    note: str = ""
    learns: bool = True  # False: only a part of the work
    needs_compiler: bool = False

    def absent(self) -> str | None:
        """Return why it cannot be timed here, or None."""
        compilers = (os.environ.get("CXX"), "c++", "g++", "clang++")
        if self.needs_compiler and not any(name and shutil.which(name) for name in compilers):
            return "needs a C++ compiler"
        return None


CONTENDERS = [
    Contender(BOOK, "book", {"BOOK_WORKERS": "0"}, "torchvision DataLoader, `ToTensor`, `.item()` each step"),
    Contender(
        "the book's loop, 4 workers", "book", {"BOOK_WORKERS": "4"}, "d2l's own default; memory of its main process"
    ),
    Contender("Lightning", "lightning_mlp", {}, "batched DataLoader over tensors in memory, no logging"),
    Contender("Keras 3 on torch", "keras_mlp", {"KERAS_BACKEND": "torch"}, "`fit` and `evaluate` on arrays"),
    Contender("Keras 3 on JAX", "keras_mlp", {"KERAS_BACKEND": "jax"}, "`fit` and `evaluate` on arrays"),
    Contender("torch eager", "torch_eager", {}, "tensors in memory, no `.item()` in a step"),
    Contender("torch eager, oneDNN matrix products", "torch_eager_onednn", {}, "the same, by torch's public switch"),
    Contender("torch.compile", "torch_compiled", {}, "the whole step; compiled before timing", needs_compiler=True),
    Contender(
        "scikit-learn MLPClassifier", "sklearn_mlp", {}, "no dropout, no train accuracy, own initial weights, lr 0.1"
    ),
    Contender("JAX, jit + scan", "jax_scan", {}, "a whole epoch under one `jit`"),
    Contender("dropexp nn", "ours", {"VARIANT": "nn"}, "`nn.Dropout` and autograd"),
    Contender(SCRATCH, "ours", {"VARIANT": "scratch"}, "the step from scratch"),
    Contender(MATMULS, "matmuls", {}, "of an epoch, with dropexp's matmul backend; no learning", learns=False),
    Contender(PEAK, "peak", {}, "an epoch's operations at the rate of a 2048³ float32 matrix product", learns=False),
]
ALONE = [  # on one thread
    Contender(SCRATCH + ONE_THREAD, "ours", {"VARIANT": "scratch", "OMP_NUM_THREADS": "1"}),
    Contender(MATMULS + ONE_THREAD, "matmuls", {"OMP_NUM_THREADS": "1"}, learns=False),
]
