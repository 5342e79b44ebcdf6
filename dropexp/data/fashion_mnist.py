"""Fashion-MNIST as tensors: loaded, cached in a file that all processes map, split, moved to a device."""

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from mmap import ACCESS_COPY, mmap
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dropexp.data.cache import cache_dir, cache_lock
from dropexp.data.dataset_files import CHECKSUMS, read, source
from dropexp.files import replacing

NUM_CLASSES = 10
_LAYOUT = 3  # of the cached file: see `_write`
_DTYPES = {"X_train": np.float32, "y_train": np.int64, "X_test": np.float32, "y_test": np.int64}  # as CHECKSUMS
_DIGITS = 8  # of a CRC-32 in hexadecimal; a SHA-256 would take each process that loads the data 0.1 s more
_ALIGNED = 64  # bytes of a cache line: if a tensor begins on one, every row of 784 numbers does

Stamp = list[list[str | int]]  # path, size and modification time of each file: differs when a file changes


@dataclass(frozen=True, eq=False)
class Data:
    """Images X, float32 in [0, 1], shape (n, 784), and their classes y, int64 in 0..9, shape (n,)."""

    X_train: Tensor
    y_train: Tensor
    X_test: Tensor
    y_test: Tensor
    checksum: str  # identifies the data set: equal for equal files
    X_val: Tensor | None = None  # rows held out of the training set, if any
    y_val: Tensor | None = None
    notes: tuple[str, ...] = ()  # messages from loading, such as a corrupted cache

    def to(self, device: torch.device | str) -> "Data":
        """Return the data on `device`. Tensors that are there already are not copied."""
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)


def load(root: Path, *, checksums: Mapping[str, str] = CHECKSUMS) -> Data:
    """Load the data set under `root`, a folder that `dataset_files.find` returned. Rows are in the order of the files.

    The files are verified and decoded once, and again when they or the cache change. The cached tensors are mapped:
    processes share one copy in memory, and do not see each other's writes. They are cached as float32, because bytes
    would have to be converted by each process (184 MB more per worker) or in each step (4 % of an epoch's time).
    Raises DataError if a file is missing or wrong.
    """
    stamp, checksum = _stamp(root, checksums), _checksum(checksums)
    cached = cache_dir() / f"decoded-{_LAYOUT}-{checksum}"
    with suppress(ValueError):  # a corrupted cache is reported below
        if tensors := _map(cached, stamp):
            return Data(**tensors, checksum=checksum, notes=())
    notes: tuple[str, ...] = ()
    with cache_lock():
        try:
            tensors = _map(cached, stamp)  # another process may have decoded the files meanwhile
        except ValueError:
            tensors, notes = {}, (f"{cached} was corrupted and is decoded again",)
        if not tensors:
            arrays = dict(zip(_DTYPES, map(_decode, read(root, checksums).values()), strict=True))
            tensors = _cache(arrays, cached, stamp) or {key: torch.from_numpy(one) for key, one in arrays.items()}
    return Data(**tensors, checksum=checksum, notes=notes)


def noisy_labels(y: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """Return the labels y (n,), each replaced with probability p by another class, drawn uniformly.

    The generator (on the CPU) draws a uniform number and a class for each label; those with a number below p are
    replaced. So the labels that a smaller p replaces are replaced by the same classes with a larger p.
    """
    uniform = torch.rand(len(y), generator=generator)
    steps = torch.randint(1, NUM_CLASSES, (len(y),), generator=generator)
    return (y + (steps * (uniform < p)).to(y.device)) % NUM_CLASSES


def split(
    data: Data,
    train_size: int | None,
    validation_size: int,
    generator: torch.Generator,
    labels: Tensor | None = None,
) -> Data:
    """Hold out `validation_size` training rows and keep `train_size` of the others (None: all of them).

    Both are drawn by `generator` (on the CPU) and balanced over the classes. For one seed, the rows held out do not
    depend on `train_size`, and a smaller training set is the beginning of a larger one. With None and 0, all rows are
    kept in their order. `labels` (n,), such as those of `noisy_labels`, replace the training labels; the choice of rows
    and the labels of the rows held out do not depend on them. Raises ValueError if the sizes exceed the rows, or leave
    none to train on.
    """
    y_train = data.y_train if labels is None else labels
    if train_size is None and validation_size == 0:
        return data if labels is None else replace(data, y_train=labels)
    rows = len(data.y_train)
    least = 1 if train_size is None else train_size
    if validation_size < 0 or least < 1 or validation_size + least > rows:
        raise ValueError(
            f"validation_size {validation_size} and train_size {train_size} do not fit the {rows} training "
            "rows: both are taken from these, and at least 1 is needed for training"
        )
    order = _balanced_order(data.y_train.cpu(), generator).to(data.y_train.device)
    held_out, kept = order[:validation_size], order[validation_size:][:train_size]
    return replace(
        data,
        X_train=data.X_train[kept],
        y_train=y_train[kept],
        X_val=data.X_train[held_out] if validation_size else None,
        y_val=data.y_train[held_out] if validation_size else None,
    )


def _balanced_order(y: Tensor, generator: torch.Generator) -> Tensor:
    """Return all rows in random order, the k-th of each class before the (k+1)-th of any."""
    shuffled = torch.randperm(len(y), generator=generator)
    by_class = torch.argsort(y[shuffled], stable=True)
    counts = torch.bincount(y)
    rank = torch.empty_like(by_class)
    rank[by_class] = torch.arange(len(y)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    return shuffled[torch.argsort(rank * len(counts) + y[shuffled], stable=True)]


def _checksum(checksums: Mapping[str, str]) -> str:
    """Return 16 hexadecimal digits that identify the four files."""
    return hashlib.sha256("".join(checksums[name] for name in CHECKSUMS).encode()).hexdigest()[:16]


def _stamp(root: Path, checksums: Mapping[str, str]) -> Stamp:
    stamp: Stamp = []
    for path in (source(root, name).absolute() for name in checksums):
        with suppress(OSError):  # a missing file is reported by `read`
            about = path.stat()
            stamp.append([str(path), about.st_size, about.st_mtime_ns])
    return stamp


def _decode(idx: bytes) -> NDArray[Any]:
    """Decode an IDX file: images (n, 28, 28) to rows of float32 in [0, 1], labels (n,) to int64."""
    dimensions = idx[3]
    (rows,) = struct.unpack_from(">I", idx, 4)
    values = np.frombuffer(idx, np.uint8, offset=4 + 4 * dimensions)
    return values.reshape(rows, -1) / np.float32(255) if dimensions == 3 else values.astype(np.int64)


def _cache(arrays: dict[str, NDArray[Any]], cached: Path, stamp: Stamp) -> dict[str, Tensor]:
    """Write the arrays to the cache and map them; return {} if that fails, which costs only memory and time."""
    try:
        _write(cached, arrays, stamp)
        _remove_older(cached)
        return _map(cached, stamp)
    except (OSError, ValueError):
        return {}


def _remove_older(cached: Path) -> None:
    """Remove the files of older layouts, each as large as this one. A process that has mapped one keeps it."""
    checksum = cached.name.rpartition("-")[2]
    for name in (f"decoded-{checksum}", *(f"decoded-{layout}-{checksum}" for layout in range(2, _LAYOUT))):
        with suppress(OSError):
            cached.with_name(name).unlink()


def _write(cached: Path, arrays: dict[str, NDArray[Any]], stamp: Stamp) -> None:
    """Write a line with the CRC-32 of the rest, a line of JSON, padded to align the arrays, and each array's bytes."""
    about = json.dumps({"files": stamp, "shapes": {name: array.shape for name, array in arrays.items()}}).encode()
    about += b" " * (-(_DIGITS + len(about) + 2) % _ALIGNED) + b"\n"
    crc = zlib.crc32(about)
    for array in arrays.values():
        crc = zlib.crc32(array.data, crc)
    with replacing(cached, sync=False) as file:
        file.write(f"{crc:0{_DIGITS}x}\n".encode() + about)
        for array in arrays.values():
            file.write(array.data)


def _map(cached: Path, stamp: Stamp) -> dict[str, Tensor]:
    """Return the cached tensors, mapped; {} if no cache of these files exists. Raises ValueError if it is corrupted."""
    try:
        with cached.open("rb") as file:
            mapped = mmap(file.fileno(), 0, access=ACCESS_COPY)
    except OSError:
        return {}
    start = _DIGITS + 1
    if mapped[:start] != f"{zlib.crc32(memoryview(mapped)[start:]):0{_DIGITS}x}\n".encode():
        raise ValueError(f"{cached} is corrupted")
    mapped.seek(start)
    about = json.loads(mapped.readline())
    if about["files"] != stamp:
        return {}
    tensors, start = {}, mapped.tell()
    for name, shape in about["shapes"].items():
        array: NDArray[Any] = np.frombuffer(mapped, _DTYPES[name], math.prod(shape), start).reshape(shape)
        tensors[name] = torch.from_numpy(array)
        start += array.nbytes
    return tensors
