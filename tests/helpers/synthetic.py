"""Data for tests: a small set that can be learned, in files like those of Fashion-MNIST, and the real one."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from dropexp.data.dataset_files import find
from dropexp.errors import DataError


def write_synthetic(root: Path, train: int = 600, test: int = 100) -> dict[str, str]:
    """Write root/FashionMNIST/raw/*.gz with ten classes of equal size. Return the checksums by file name."""
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    checksums = {}
    for part, rows in (("train", train), ("t10k", test)):
        labels = rng.permutation(np.arange(rows) % 10).astype(np.uint8)
        images = rng.integers(0, 100, (rows, 28, 28), dtype=np.uint8)
        for label in range(10):
            bar = slice(2 * label + 4, 2 * label + 7)  # bright rows, which distinguish the classes
            images[labels == label, bar] += 150
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
            contents = header + array.tobytes()
            (raw / f"{name}.gz").write_bytes(gzip.compress(contents, mtime=0))
            checksums[name] = hashlib.sha256(contents).hexdigest()
    return checksums


def real_data() -> Path:
    """Return the folder with the real Fashion-MNIST: where `dropexp` finds it, or else ../shared/data.

    The test fails if it is in neither. DROPEXP_DATA and the cache must be those of the user.
    """
    shared = Path(__file__).parents[3] / "shared" / "data"
    try:
        root = find() or find(shared)
    except DataError as error:
        pytest.fail(str(error), pytrace=False)
    assert root is not None
    return root.resolve()
