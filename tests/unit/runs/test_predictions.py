"""predictions.npz: its format, and what is rejected."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dropexp.errors import CorruptedFile
from dropexp.files import sha256
from dropexp.runs.predictions import Predictions, decode, encode, read_predictions

PATH = Path("predictions.npz")


def predictions(seed: int, n: int = 30) -> Predictions:
    rng = np.random.default_rng(seed)
    return Predictions(
        labels=(np.arange(n) % 10).astype(np.uint8),
        classes=rng.integers(0, 10, n).astype(np.uint8),
        confidences=rng.uniform(0.1, 1, n).astype(np.float16),
        losses=rng.exponential(size=n).astype(np.float16),
    )


def same(one: Predictions, other: Predictions) -> bool:
    return all(np.array_equal(vars(one)[name], vars(other)[name]) for name in vars(one))


def npz(**changed: Any) -> bytes:
    """Return a file of two epochs, with changed arrays; None removes one."""
    with np.load(io.BytesIO(encode({2: predictions(0), 5: predictions(1)}))) as whole:
        arrays: dict[str, Any] = {name: changed.get(name, whole[name]) for name in whole}
    file, save = io.BytesIO(), np.savez
    save(file, **{name: array for name, array in arrays.items() if array is not None})
    return file.getvalue()


def test_predictions_are_read_as_they_were_written() -> None:
    found = decode(PATH, encode({2: predictions(0), 5: predictions(1)}))
    assert list(found) == [2, 5]
    assert same(found[2], predictions(0)) and same(found[5], predictions(1))


def test_numpy_reads_the_file() -> None:
    with np.load(io.BytesIO(encode({5: predictions(0)}))) as file:
        assert {name: (file[name].dtype.name, file[name].shape) for name in file} == {
            "label": ("uint8", (30,)),
            "epoch": ("int32", (1,)),
            "class": ("uint8", (1, 30)),
            "confidence": ("float16", (1, 30)),
            "loss": ("float16", (1, 30)),
        }
        assert file["class"][0].tolist() == predictions(0).classes.tolist()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        npz()[:-40],
        npz(loss=None),
        npz(label=np.zeros(29, np.uint8)),
        npz(label=np.full(30, 10, np.uint8)),
        npz(epoch=np.array([2], np.int32)),
        npz(confidence=np.zeros((2, 30))),
        npz(**{"class": np.array([None])}),
        npz(more=np.zeros(3_000_000), epoch=np.zeros(3_000_000)),
    ],
)
def test_anything_else_is_corrupted(content: bytes) -> None:
    with pytest.raises(CorruptedFile):
        decode(PATH, content)


def test_only_a_file_with_the_sha256_in_run_json_is_read(tmp_path: Path) -> None:
    content = encode({5: predictions(0)})
    assert read_predictions(tmp_path, sha256(content)) == {}
    (tmp_path / "predictions.npz").write_bytes(content)
    assert list(read_predictions(tmp_path, sha256(content))) == [5]
    assert read_predictions(tmp_path, None) == {}
    with pytest.raises(CorruptedFile, match="its SHA-256 differs"):
        read_predictions(tmp_path, sha256(b"another"))
