"""Fashion-MNIST as tensors: loaded, cached in a file that all processes map, split, moved to a device."""

import hashlib
import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from mmap import ACCESS_COPY, mmap
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from dropexp.data.download import CHECKSUMS, cache_dir, source, verify
from dropexp.errors import DataError
from dropexp.interrupts import interrupts_wait
from dropexp.tempfolder import remove_left_behind, temp_folder

LAYOUT = 1  # of the cached file: a line of JSON, then the tensors as they are in memory
# What reading the cache raises that is not there yet, is old, or is broken.
_NOT_CACHED = (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError, struct.error)
_PIECE = 32_000  # numbers checked at once: so few that they stay in the processor's cache
_ALIGNED = 64  # bytes of a cache line: tensors that begin on one have every row of 784 begin on one


class _OtherCache(ValueError):
    """A cache that was decoded from other files, or has another version's layout."""


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


def load(
    root: Path, *, checksums: Mapping[str, str] = CHECKSUMS, tell: Callable[[str], object] = lambda note: None
) -> Data:
    """The data set under `root`, a folder as `dropexp.fetch.find` gives, in the order of its files.

    The files are verified and decoded once and cached; and again when they or the cache have changed. Processes share
    one copy in memory; what one writes into its tensors is its own. Raises DataError if a file is missing or wrong,
    and tells of a cache that was damaged.
    """
    cached = cache_dir() / f"decoded-{_checksum(checksums)}"
    remove_left_behind(cache_dir())
    try:
        stamp = _stamp(root, checksums)
        with suppress(*_NOT_CACHED):  # then it is decoded
            return _read(cached, stamp, checksums)
        with _alone(cached), temp_folder(cache_dir()) as folder:
            try:
                return _read(cached, stamp, checksums)  # another process has decoded it meanwhile
            except (OSError, _OtherCache):
                pass
            except _NOT_CACHED:
                tell(f"{cached} was damaged and is decoded again")
            raw = folder / "FashionMNIST" / "raw"
            raw.mkdir(parents=True)
            verify(root, checksums, copy_to=raw)
            contents = _decode(folder)
            with suppress(*_NOT_CACHED):  # a cache that cannot be written costs time and memory, no more
                _write(contents, written := folder / cached.name, stamp)
                written.replace(cached)  # whole: the one there may be mapped, and must not change under a process
                return _read(cached, stamp, checksums)
            X_train, y_train, X_test, y_test = (torch.from_numpy(_numbers(array)) for array in contents)
            return Data(X_train, y_train, X_test, y_test, _checksum(checksums))
    except OSError as error:
        raise DataError(
            f"Fashion-MNIST cannot be unpacked: {error}.\nName a folder with 280 MB free by XDG_CACHE_HOME."
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


def _decode(root: Path) -> list[NDArray[np.uint8]]:
    """What torchvision reads under `root`: the bytes of each file, in its shape, in the order of CHECKSUMS."""
    with interrupts_wait():
        from torchvision.datasets import FashionMNIST

    train, test = FashionMNIST(root, train=True), FashionMNIST(root, train=False)
    return [tensor.to(torch.uint8).numpy() for tensor in (train.data, train.targets, test.data, test.targets)]


def _numbers(contents: NDArray[np.uint8]) -> NDArray[Any]:
    """Bytes as a model takes them: images (n, 28, 28) as rows of float32 in [0, 1], labels (n,) as int64."""
    images = contents.ndim == 3
    return contents.reshape(len(contents), -1) / np.float32(255) if images else contents.astype(np.int64)


def _write(contents: list[NDArray[np.uint8]], file: Path, stamp: list[list[str | int]]) -> None:
    """Writes a line that describes the tensors, then each as it is in memory."""
    shapes = [array.shape for array in contents]
    about = json.dumps({"layout": LAYOUT, "files": stamp, "shapes": shapes}).encode()
    with file.open("wb") as out:
        out.write(about + b" " * (-(len(about) + 1) % _ALIGNED) + b"\n")
        for array in contents:
            out.write(_numbers(array).data)


def _read(file: Path, stamp: list[list[str | int]], checksums: Mapping[str, str]) -> Data:
    """The data in `file`, mapped. Raises ValueError if it is not what was decoded from the files.

    A file that names no layout is of the first.
    """
    with file.open("rb") as decoded:
        about = json.loads(decoded.readline(1 << 16))
        if about["files"] != stamp or about.get("layout", 1) != LAYOUT:
            raise _OtherCache
        end = decoded.tell()
        mapped = mmap(decoded.fileno(), 0, access=ACCESS_COPY)
    tensors = []
    for name, shape in zip(CHECKSUMS, about["shapes"], strict=True):
        tensors.append(_mapped_tensor(mapped, end, shape, checksums[name]))
        end += tensors[-1].nbytes
    if end != len(mapped):
        raise ValueError(f"{file} is too long")
    X_train, y_train, X_test, y_test = tensors
    return Data(X_train, y_train, X_test, y_test, _checksum(checksums))


def _mapped_tensor(mapped: mmap, start: int, shape: list[int], sha256: str) -> Tensor:
    """The tensor that begins at byte `start`. To verify it, it is turned back into the bytes of its IDX file.

    Raises ValueError if that file has another SHA-256, or the tensor is not bit for bit what the bytes give.
    """
    images, width = len(shape) == 3, math.prod(shape[1:])
    mapping: NDArray[Any] = np.frombuffer(mapped, np.float32 if images else np.int64, shape[0] * width, start)
    rows = mapping.reshape(shape[0], width) if images else mapping
    digest = hashlib.sha256(struct.pack(f">{1 + len(shape)}I", 0x800 + len(shape), *shape))  # the IDX header
    for first in range(0, len(rows), _PIECE // width):
        numbers = rows[first : first + _PIECE // width]
        with np.errstate(all="ignore"):  # of a broken file
            contents = (numbers * (255.5 if images else 1)).astype(np.uint8)  # the half offsets what division rounded
        digest.update(contents.data)
        if _numbers(contents.reshape(-1, *shape[1:])).tobytes() != numbers.tobytes():
            raise ValueError(f"numbers in a tensor of shape {shape} come from no bytes")
    if digest.hexdigest() != sha256:
        raise ValueError(f"a tensor of shape {shape} is not what its file holds")
    return torch.from_numpy(rows)
