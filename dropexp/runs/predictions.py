"""predictions.npz: what a run predicts for each test image, after its last and after its best validation epoch.

    label       (n,) uint8       the class of each image, 0 to 9
    epoch       (k,) int32       the epochs that are kept: one, or two if there is a validation split
    class       (k, n) uint8     the most probable class
    confidence  (k, n) float16   its probability
    loss        (k, n) float16   cross entropy, nats

Compressed, 10,000 images take about 45 kB per epoch; `numpy.load` reads the file. It is derived from checkpoint.pt, and
run.json has its SHA-256. Runs of earlier versions do not have this file.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dropexp.config.tasks import NUM_OUTPUTS
from dropexp.errors import CorruptedFile
from dropexp.files import sha256
from dropexp.runs.folder import PREDICTIONS, read_file

LARGEST = 1 << 24  # bytes of all arrays, uncompressed


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network predicts for n images; each array has the shape (n,)."""

    labels: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    confidences: NDArray[np.float16]  # probabilities of the predicted classes
    losses: NDArray[np.float16]  # cross entropies, nats

    @property
    def correct(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self.classes == self.labels
        return found


def encode(by_epoch: Mapping[int, Predictions]) -> bytes:
    """Return the content of predictions.npz; all predictions are for the same images."""
    kept = list(by_epoch.values())
    arrays: dict[str, Any] = {
        "label": kept[0].labels,
        "epoch": np.array(list(by_epoch), np.int32),
        "class": np.stack([one.classes for one in kept]),
        "confidence": np.stack([one.confidences for one in kept]),
        "loss": np.stack([one.losses for one in kept]),
    }
    file, save = io.BytesIO(), cast(Callable[..., None], np.savez_compressed)
    save(file, **arrays)
    return file.getvalue()


def decode(path: Path, content: bytes) -> dict[int, Predictions]:
    """Return the predictions by epoch. Raises `CorruptedFile`."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > LARGEST:
                raise ValueError("it is too large")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("label", "epoch", "class", "confidence", "loss")}
        _check(arrays)
    except Exception as error:  # zipfile, zlib and numpy raise many kinds
        raise CorruptedFile(path, f"{type(error).__name__}: {error}") from None
    rows = zip(arrays["epoch"].tolist(), arrays["class"], arrays["confidence"], arrays["loss"], strict=True)
    return {epoch: Predictions(arrays["label"], *row) for epoch, *row in rows}


def _check(arrays: Mapping[str, NDArray[Any]]) -> None:
    n, k = arrays["label"].size, arrays["epoch"].size
    expected = {
        "label": ((n,), np.uint8),
        "epoch": ((k,), np.int32),
        "class": ((k, n), np.uint8),
        "confidence": ((k, n), np.float16),
        "loss": ((k, n), np.float16),
    }
    for name, (shape, dtype) in expected.items():
        if arrays[name].shape != shape or arrays[name].dtype != dtype:
            raise ValueError(f"{name} has the shape {arrays[name].shape} and the type {arrays[name].dtype}")
    if not n or not k or max(arrays["label"].max(), arrays["class"].max()) >= NUM_OUTPUTS:
        raise ValueError("no image, no epoch, or a class that does not exist")


def read_predictions(folder: Path, checksum: str | None) -> dict[int, Predictions]:
    """Return the predictions in a run's folder by epoch, none if none are kept.

    `checksum` is what run.json has. Raises `CorruptedFile` if the file is not as it was written, or another `RunError`.
    """
    content = read_file(folder / PREDICTIONS) if checksum else None
    if content is None:
        return {}
    if sha256(content) != checksum:
        raise CorruptedFile(folder / PREDICTIONS, "its SHA-256 differs from the one in run.json")
    return decode(folder / PREDICTIONS, content)
