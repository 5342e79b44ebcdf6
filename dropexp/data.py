"""Fashion-MNIST as tensors: loaded, cached, split, moved to a device."""

import hashlib
import json
import math
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import torch
from filelock import FileLock
from torch import Tensor

from dropexp.fetch import CHECKSUMS, DataError, cache_dir, scratch_dir, source, verify

_NOT_CACHED = (OSError, ValueError, LookupError, TypeError, RuntimeError)  # none yet, old, or broken
_PIECE = 32_000  # numbers converted at once: so few that torch wakes no threads for them


@dataclass(frozen=True, eq=False)
class Data:
    """Images X, float32 in [0, 1], shape (n, 784), and their classes y, int64 in 0..9, shape (n,)."""

    X_train: Tensor
    y_train: Tensor
    X_test: Tensor
    y_test: Tensor
    checksum: str  # names the data set: equal for equal files
    X_val: Tensor | None = None  # rows held out of the training set, None if none are
    y_val: Tensor | None = None

    def to(self, device: torch.device | str) -> "Data":
        """The same data on `device`; what is there already is not copied."""
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)


def load(root: Path, *, checksums: Mapping[str, str] = CHECKSUMS) -> Data:
    """The data set under `root`, a folder as `dropexp.fetch.find` gives, in the order of its files.

    The files are verified and decoded once and cached; and again when they or the cache have changed.
    Raises DataError if a file is missing or wrong.
    """
    cached = cache_dir() / f"decoded-{_checksum(checksums)}"
    try:
        stamp = _stamp(root, checksums)
        with suppress(*_NOT_CACHED):
            return _read(cached, stamp, checksums)
        with _alone(cached), scratch_dir() as scratch:
            with suppress(*_NOT_CACHED):  # another process has decoded it meanwhile
                return _read(cached, stamp, checksums)
            decoded = Path(scratch) / cached.name
            raw = Path(scratch) / "FashionMNIST" / "raw"
            raw.mkdir(parents=True)
            verify(root, checksums, copy_to=raw)
            _decode(Path(scratch), decoded, stamp)
            data = _read(decoded, stamp, checksums)
            with suppress(OSError):  # a cache that cannot be written costs time, no more
                decoded.replace(cached)
            return data
    except OSError as error:
        raise DataError(
            f"Fashion-MNIST cannot be unpacked: {error}.\nName a folder with 120 MB free by XDG_CACHE_HOME."
        ) from error


@contextmanager
def _alone(cached: Path) -> Iterator[None]:
    """Within it no other process decodes: several workers begin at once, and decoding takes 400 MB each."""
    lock = FileLock(cached.with_suffix(".lock"))
    try:
        lock.acquire()
    except OSError:  # a cache that cannot be written serves nobody
        yield
        return
    try:
        yield
    finally:
        lock.release()


def split(data: Data, train_size: int | None, validation_size: int, generator: torch.Generator) -> Data:
    """Holds `validation_size` training rows out and keeps `train_size` of the others (None: all of them).

    Both are drawn by `generator` (on the CPU), balanced over the classes. From one seed, the rows held out do
    not depend on `train_size`, and a smaller training set opens a larger one. With None and 0 the data are
    returned as they are. Raises ValueError if more rows are asked for than there are, or none would be left.
    """
    if train_size is None and validation_size == 0:
        return data
    rows = len(data.y_train)
    least = 1 if train_size is None else train_size
    if validation_size < 0 or least < 1 or validation_size + least > rows:
        raise ValueError(
            f"validation_size {validation_size} and train_size {train_size} do not fit the {rows} training "
            f"rows: both come out of these, and at least 1 is trained on"
        )
    order = _balanced_order(data.y_train.cpu(), generator).to(data.y_train.device)
    held_out, kept = order[:validation_size], order[validation_size:][:train_size]
    return replace(
        data,
        X_train=data.X_train[kept],
        y_train=data.y_train[kept],
        X_val=data.X_train[held_out] if validation_size else None,
        y_val=data.y_train[held_out] if validation_size else None,
    )


def _balanced_order(y: Tensor, generator: torch.Generator) -> Tensor:
    """All rows, at random, dealt out class by class: the k-th of every class before the (k+1)-th of any."""
    shuffled = torch.randperm(len(y), generator=generator)
    by_class = torch.argsort(y[shuffled], stable=True)
    counts = torch.bincount(y)
    rank = torch.empty_like(by_class)
    rank[by_class] = torch.arange(len(y)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    return shuffled[torch.argsort(rank * len(counts) + y[shuffled], stable=True)]


def _checksum(checksums: Mapping[str, str]) -> str:
    """One name for the four files, 16 hexadecimal digits."""
    return hashlib.sha256("".join(checksums[name] for name in CHECKSUMS).encode()).hexdigest()[:16]


def _stamp(root: Path, checksums: Mapping[str, str]) -> list[list[str | int]]:
    """Path, size and time of change of each file: it differs when a file was changed or is another."""
    paths = [source(root, name).absolute() for name in checksums]
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] if path.is_file() else [] for path in paths]


def _decode(root: Path, file: Path, stamp: list[list[str | int]]) -> None:
    """Writes what torchvision reads under `root`: a line that describes it, then the bytes of each tensor."""
    from torchvision.datasets import FashionMNIST

    train, test = FashionMNIST(root, train=True), FashionMNIST(root, train=False)
    tensors = [tensor.to(torch.uint8) for tensor in (train.data, train.targets, test.data, test.targets)]
    with file.open("wb") as out:
        about = {"files": stamp, "shapes": [list(tensor.shape) for tensor in tensors]}
        out.write(json.dumps(about).encode() + b"\n")
        for tensor in tensors:
            out.write(tensor.numpy().data)


def _read(file: Path, stamp: list[list[str | int]], checksums: Mapping[str, str]) -> Data:
    """The data in `file`. Raises ValueError if it is not what was decoded from the files."""
    with file.open("rb") as decoded:
        about = json.loads(decoded.readline(1 << 16))
        shapes = dict(zip(CHECKSUMS, about["shapes"], strict=True))
        if about["files"] != stamp:
            raise ValueError(f"{file} was decoded from other files")
        if sum(map(math.prod, shapes.values())) != file.stat().st_size - decoded.tell():
            raise ValueError(f"{file} is cut or too long")
        X_train, y_train, X_test, y_test = (_read_tensor(decoded, shapes[name], checksums[name]) for name in CHECKSUMS)
        return Data(X_train, y_train, X_test, y_test, _checksum(checksums))


def _read_tensor(decoded: BinaryIO, shape: list[int], sha256: str) -> Tensor:
    """The next tensor, converted in pieces. Raises ValueError if its IDX file has another SHA-256."""
    images = len(shape) == 3
    tensor = torch.empty(shape[0], math.prod(shape[1:])) if images else torch.empty(shape, dtype=torch.int64)
    digest = hashlib.sha256(struct.pack(f">{1 + len(shape)}I", 0x800 + len(shape), *shape))  # the IDX header
    for numbers in torch.split(tensor.view(-1), _PIECE):
        piece = bytearray(decoded.read(len(numbers)))
        digest.update(piece)
        numbers.copy_(torch.frombuffer(piece, dtype=torch.uint8))
        if images:
            numbers.div_(255)
    if digest.hexdigest() != sha256:
        raise ValueError(f"a tensor of shape {shape} is not what its file holds")
    return tensor
