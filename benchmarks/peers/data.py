"""What all contenders share: Fashion-MNIST as arrays in memory, and the hyperparameters."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIZES, DROP_PROBS, LR, BATCH, INIT_STD = [784, 256, 256, 10], [0.2, 0.5], 0.5, 256, 0.01
EVAL_ROWS = 1000  # rows per evaluation pass, as in dropexp

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


def root() -> Path:
    """Return the folder whose FashionMNIST/raw has the four files, unpacked."""
    return Path(os.environ["DROPEXP_DATA"])


def fashion_mnist() -> tuple[Images, Labels, Images, Labels]:
    """Return X_train, y_train, X_test, y_test: images in [0, 1] as rows of 784."""
    return (*_rows("train"), *_rows("t10k"))


def _rows(part: str) -> tuple[Images, Labels]:
    raw = root() / "FashionMNIST" / "raw"
    pixels = np.fromfile(raw / f"{part}-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, 784)
    labels = np.fromfile(raw / f"{part}-labels-idx1-ubyte", np.uint8, offset=8)
    return np.divide(pixels, 255, dtype=np.float32), labels.astype(np.int64)
