"""Any files in the data folder or the cache: the loaded data is Fashion-MNIST bit for bit, or the file is rejected."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from helpers.synthetic import write_synthetic
from hypothesis import given
from hypothesis import strategies as st

from dropexp.data import fashion_mnist
from dropexp.data.dataset_files import CHECKSUMS
from dropexp.data.download import LARGEST
from dropexp.errors import DataError
from fuzz.inputs import altered, as_json, changed, odd
from fuzz.sandbox import sandbox, tried

LABELS = "t10k-labels-idx1-ubyte"
PACKED = gzip.compress(struct.pack(">2I", 0x801, 10_000) + bytes(10_000), mtime=0)
BOMB = gzip.compress(bytes(LARGEST + 1))


def verify(content: bytes, ending: str, target: str = "idx and gzip") -> None:
    """Run `data verify` on a folder with four such files: each is rejected on a line of its own."""
    with sandbox() as box:
        for name in CHECKSUMS:
            box.write(f"{name}{ending}", content)
        result = box.run(target, "data", "verify", "--data-dir", ".")
        assert result.code == 3
        assert sum(name in result.err for name in CHECKSUMS) == 4
        assert sum(file.stat().st_size for file in box.cache.rglob("*") if file.is_file()) == 0


@given(st.binary(max_size=500) | changed(PACKED), st.sampled_from(["", ".gz"]))
def test_any_bytes_in_the_four_files_are_rejected(content: bytes, ending: str) -> None:
    verify(content, ending)


@pytest.mark.parametrize(
    ("content", "ending"),
    [
        (BOMB, ".gz"),
        (gzip.compress(BOMB), ".gz"),
        (gzip.compress(b"") * 20_000, ".gz"),
        (b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * 2_000_000, ".gz"),
        (b"\x1f\x8b\x08\x04" + bytes(6) + b"\xff\xff", ".gz"),
        (struct.pack(">4I", 0x803, 2**32 - 1, 2**32 - 1, 2**32 - 1), ""),
        (b"", ""),
        (b"", ".gz"),
    ],
    ids=["bomb", "bomb in a bomb", "many empty members", "endless name", "endless field", "2**96 pixels", "", "gz"],
)
def test_a_decompression_bomb_is_rejected(content: bytes, ending: str) -> None:
    verify(content, ending)


@pytest.mark.parametrize("size", [LARGEST + 1, 2**40], ids=["a byte too long", "a terabyte"])
def test_a_file_that_is_too_large_is_not_read(size: int) -> None:
    with sandbox() as box:
        for name in CHECKSUMS:
            with open(box.cwd / f"{name}.gz", "wb") as file:
                file.truncate(size)
        result = box.run("idx and gzip", "data", "verify", "--data-dir", ".")
        assert result.code == 3 and result.err.count(f"more than {LARGEST:,} bytes") == 4


def test_folders_in_place_of_files_are_rejected() -> None:
    with sandbox() as box:
        for name in CHECKSUMS:
            (box.cwd / f"{name}.gz").mkdir()
        assert box.run("idx and gzip", "data", "verify", "--data-dir", ".").code == 3


# The cache of decoded tensors


class _Small:
    """A small data set with known checksums, and the contents of its cache."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with patch.dict("os.environ", {"XDG_CACHE_HOME": str(self.root / "cache")}):
            self.checksums = write_synthetic(self.root, train=60, test=20)
            self.tensors = [
                tensor.clone() for tensor in _tensors(fashion_mnist.load(self.root, checksums=self.checksums))
            ]
        (self.cached,) = self.root.glob("cache/dropexp/decoded-*")
        self.content = self.cached.read_bytes()

    def load_from(self, content: bytes) -> None:
        tried["decoded cache"] += 1
        self.cached.write_bytes(content)
        with patch.dict("os.environ", {"XDG_CACHE_HOME": str(self.root / "cache")}):
            assert self.equals(fashion_mnist.load(self.root, checksums=self.checksums))

    def equals(self, found: fashion_mnist.Data) -> bool:
        return all(map(torch.equal, _tensors(found), self.tensors))


def _tensors(found: fashion_mnist.Data) -> list[torch.Tensor]:
    return [found.X_train, found.y_train, found.X_test, found.y_test]


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> _Small:
    return _Small(tmp_path_factory.mktemp("small"))


def test_a_cache_of_any_bytes_is_decoded_again(small: _Small) -> None:
    @given(st.binary(max_size=300) | changed(small.content))
    def check(content: bytes) -> None:
        small.load_from(content)

    check()


def test_a_cache_with_any_header_is_decoded_again(small: _Small) -> None:
    digest, line, tensors = small.content.split(b"\n", 2)
    about = json.loads(line)

    @given(altered(about) | odd.map(lambda shapes: about | {"shapes": shapes}))
    def check(changed_line: object) -> None:
        small.load_from(digest + b"\n" + as_json(changed_line) + b"\n" + tensors)

    check()
    for header in (b"[" * 60_000, b'{"files": ' + b"[" * 60_000):
        small.load_from(digest + b"\n" + header + b"\n" + tensors)
        small.load_from(header + b"\n" + line + b"\n" + tensors)


def test_a_changed_file_is_rejected_unless_its_contents_are_equal(small: _Small) -> None:
    path = small.root / "FashionMNIST" / "raw" / f"{LABELS}.gz"
    original = path.read_bytes()

    @given(changed(original))
    def check(content: bytes) -> None:
        tried["idx and gzip"] += 1
        path.write_bytes(content)
        try:
            with patch.dict("os.environ", {"XDG_CACHE_HOME": str(small.root / "other cache")}):
                found = fashion_mnist.load(small.root, checksums=small.checksums)
        except DataError as error:
            assert LABELS in str(error)
        else:
            assert small.equals(found)  # equal contents, such as another time in the gzip header

    check()
    path.write_bytes(original)


URLS = ["x", "ftp://127.0.0.1/", "http://", "https://[", "http://127.0.0.1:9", "http://127.0.0.1:99999/", "file:///\0",
        "file:///dev", "file://x/y", "HTTP://127.0.0.1:9", "http://\ud800", "http://127.0.0.1:9/ x"]  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_an_address_that_cannot_be_read_is_reported(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DROPEXP_DATA", raising=False)  # where `data fetch` would write
    with sandbox() as box, patch("dropexp.data.dataset_files.MIRRORS", ("http://127.0.0.1:9/",)):
        result = box.run("--data-url", "data", "fetch", f"--data-url={url}")
        assert result.code == 3 and not list(box.cache.rglob("*.gz")), result.err
