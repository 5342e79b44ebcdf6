"""Images for the page: samples of the data, confident mistakes and first-layer weights, as PNG in data URLs."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dropexp.analysis.reliability import confident_mistakes
from dropexp.config.tasks import CLASSES
from dropexp.report.kept_predictions import Kept
from dropexp.runs.predictions import Predictions

SIDE = 28  # pixels of an image
MISTAKES, UNITS, ARMS = 8, 32, 6  # how many are shown at most
Gray = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Arrays:
    """What pictures are made of: test images (n, 784) in [0, 1] and their classes (n,), None if there is no data set.

    `weights` are W (784, units) of the first layer of a run of each arm, by arm; `seeds` are the seeds of these runs.
    """

    images: NDArray[np.float32] | None = None
    labels: NDArray[np.int64] | None = None
    weights: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """An image with its description and caption."""

    url: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Rows of pictures, each with a title, and what they show."""

    id: str
    heading: str
    legend: str
    rows: Sequence[tuple[str, Sequence[Picture]]]


def galleries(arrays: Arrays, kept: Kept, titles: Mapping[str, str] | None = None) -> list[Gallery]:
    """Return the galleries that there are arrays for, in which arms have their titles."""
    shown = titles or {}
    found = []
    if arrays.images is not None and arrays.labels is not None:
        found.append(_samples(arrays.images, arrays.labels))
        if rows := [
            (shown.get(arm, arm), _mistakes(arrays.images, own)) for arm, own in list(kept.items())[:ARMS] if own
        ]:
            legend = "the test images on which the runs of an arm are most confident of a wrong class, mean over seeds"
            found.append(Gallery("mistakes", "Confident mistakes", legend, rows))
    if weights := list(arrays.weights.items())[:ARMS]:
        named = [(shown.get(arm, arm), arrays.seeds[arm], W) for arm, W in weights]
        pictures = [(f"{arm}, seed {seed}", [_weights(arm, W)]) for arm, seed, W in named]
        legend = f"the {UNITS} units with the largest weights; grey: 0, white: positive, black: negative"
        found.append(Gallery("weights", "First-layer weights", legend, pictures))
    return found


def _samples(images: NDArray[np.float32], labels: NDArray[np.int64]) -> Gallery:
    pictures = [
        Picture(png(_image(images[i])), f"a test image of class {name}", name)
        for label, name in enumerate(CLASSES)
        for i in np.flatnonzero(labels == label)[:1]
    ]
    return Gallery("samples", "The data", "the first test image of each class", [("", pictures)])


def _mistakes(images: NDArray[np.float32], predictions: Sequence[Predictions]) -> list[Picture]:
    pictures = []
    for one in confident_mistakes(predictions, MISTAKES):
        if one.image < len(images):
            label, predicted = CLASSES[one.label], CLASSES[one.predicted]
            caption = f"{label} → {predicted}, {one.confidence:.0%}"
            alt = f"test image {one.image}, class {label}, predicted {predicted}"
            pictures.append(Picture(png(_image(images[one.image])), alt, caption))
    return pictures


def _weights(arm: str, W: NDArray[np.float32]) -> Picture:
    """Draw the incoming weights of the units with the largest norm as images, in rows of eight."""
    finite = np.nan_to_num(W.astype(float))
    units = np.argsort(-np.linalg.norm(finite, axis=0), kind="stable")[:UNITS]
    largest = float(np.quantile(np.abs(finite[:, units]), 0.995)) or 1.0
    columns = min(8, len(units))
    sheet = np.full((-(-len(units) // columns) * (SIDE + 1), columns * (SIDE + 1)), 255, np.uint8)
    for k, unit in enumerate(units):
        y, x = (SIDE + 1) * (k // columns), (SIDE + 1) * (k % columns)
        scaled = np.clip(127.5 * (1 + finite[:, unit] / largest), 0, 255)
        sheet[y : y + SIDE, x : x + SIDE] = scaled.astype(np.uint8).reshape(SIDE, SIDE)
    return Picture(png(sheet), f"first-layer weights of {len(units)} units of {arm}", "")


def _image(row: NDArray[np.float32]) -> Gray:
    return (255 * np.clip(row, 0, 1)).round().astype(np.uint8).reshape(SIDE, SIDE)


def png(pixels: Gray) -> str:
    """Return an image (height, width) of grey values as a data URL; a library would be larger than these lines."""
    height, width = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + b64encode(b"\x89PNG\r\n\x1a\n" + content).decode()
