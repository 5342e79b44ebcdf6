"""Load, cache and split the data."""

import gzip
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from helpers.synthetic import write_synthetic

from dropexp.data.cache import cache_dir
from dropexp.data.dataset_files import find
from dropexp.data.fashion_mnist import _DIGITS, Data, load, noisy_labels, split
from dropexp.errors import DataError

IMAGES = "train-images-idx3-ubyte"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def checksums(root: Path) -> dict[str, str]:
    return write_synthetic(root)


def cached_file() -> Path:
    (file,) = cache_dir().glob("decoded-*")
    return file


def same(a: Data, b: Data) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("X_train", "y_train", "X_test", "y_test"))


def rows_of(X: torch.Tensor | None) -> set[bytes]:
    assert X is not None
    return {row.numpy().tobytes() for row in X}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Load


def test_real_data_equals_what_torchvision_gives(real_root: Path) -> None:
    from torchvision.datasets import FashionMNIST
    from torchvision.transforms.functional import to_tensor

    data = load(real_root)
    assert (data.X_train.shape, data.X_test.shape) == ((60_000, 784), (10_000, 784))
    assert (data.X_train.dtype, data.y_train.dtype) == (torch.float32, torch.int64)
    assert [data.X_train.min().item(), data.X_train.max().item()] == [0, 1]
    assert data.y_train.bincount().tolist() == [6000] * 10
    assert data.y_test.bincount().tolist() == [1000] * 10

    unpacked = cache_dir() / "FashionMNIST" / "raw"
    unpacked.mkdir(parents=True)
    for packed in (real_root / "FashionMNIST" / "raw").glob("*.gz"):
        (unpacked / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    for train, X, y in ((True, data.X_train, data.y_train), (False, data.X_test, data.y_test)):
        theirs = FashionMNIST(cache_dir(), train=train)
        assert torch.equal(y, theirs.targets)
        for row in (0, 1, 4321, len(theirs) - 1):
            assert torch.equal(X[row].view(1, 28, 28), to_tensor(theirs[row][0]))


def test_packed_and_unpacked_files_give_equal_tensors(root: Path, checksums: dict[str, str]) -> None:
    packed = load(root, checksums=checksums)
    for path in list((root / "FashionMNIST" / "raw").iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert same(load(root, checksums=checksums), packed)


def test_nothing_is_written_into_the_data_folder(root: Path, checksums: dict[str, str]) -> None:
    raw = root / "FashionMNIST" / "raw"
    before = sorted(root.rglob("*"))
    for folder in (raw, raw.parent, root):
        folder.chmod(0o555)
    try:
        load(find(root) or Path(), checksums=checksums)
        assert sorted(root.rglob("*")) == before
    finally:
        for folder in (root, raw.parent, raw):
            folder.chmod(0o755)


def test_a_wrong_file_is_reported(root: Path, checksums: dict[str, str]) -> None:
    with pytest.raises(DataError, match=f"{IMAGES}.gz: the SHA-256 of its contents is"):
        load(root, checksums=checksums | {IMAGES: "0" * 64})


def test_a_missing_file_is_reported(root: Path, checksums: dict[str, str]) -> None:
    (root / "FashionMNIST" / "raw" / f"{IMAGES}.gz").unlink()
    with pytest.raises(DataError, match=f"{IMAGES}.gz: No such file"):
        load(root, checksums=checksums)


def test_checksum_identifies_the_data_set(tmp_path: Path, root: Path, checksums: dict[str, str]) -> None:
    other = write_synthetic(tmp_path / "other", train=60)
    first = load(root, checksums=checksums).checksum
    assert len(first) == 16
    assert load(root, checksums=checksums).checksum == first
    assert load(tmp_path / "other", checksums=other).checksum != first


def test_data_moves_to_a_device(root: Path, checksums: dict[str, str]) -> None:
    data = load(root, checksums=checksums)
    assert data.to("cpu").X_train is data.X_train
    moved = split(data, 100, 50, seeded()).to("meta")
    assert {t.device.type for t in vars(moved).values() if isinstance(t, torch.Tensor)} == {"meta"}
    assert moved.X_val is not None and moved.X_val.shape == (50, 784)
    assert data.to("meta").X_val is None


# The cache


LOAD = """if True:
    import json, sys
    from pathlib import Path
    from dropexp.data.fashion_mnist import load
    data = load(Path(sys.argv[1]), checksums=json.loads(sys.argv[2]))
    print(data.X_train.shape[0], data.notes, "torchvision" in sys.modules)
"""


def test_processes_that_decode_at_once_get_whole_data_without_torchvision(
    root: Path, checksums: dict[str, str]
) -> None:
    command = [sys.executable, "-c", LOAD, str(root), json.dumps(checksums)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["600 () False\n"] * 2
    assert sorted(file.name for file in cache_dir().iterdir()) == [".lock", cached_file().name]


def test_unfinished_files_of_killed_processes_are_removed(root: Path, checksums: dict[str, str]) -> None:
    cache_dir().mkdir(parents=True)
    (cache_dir() / ".decoded-3-0123456789abcdef.12345.tmp").write_bytes(b"half")
    load(root, checksums=checksums)
    assert sorted(file.name for file in cache_dir().iterdir()) == [".lock", cached_file().name]


def test_files_of_older_layouts_are_removed_when_the_data_is_decoded(root: Path, checksums: dict[str, str]) -> None:
    checksum = load(root, checksums=checksums).checksum
    current, another = cached_file(), cache_dir() / "decoded-2-0123456789abcdef"  # of another data set
    for name in (f"decoded-{checksum}", f"decoded-2-{checksum}", another.name):
        (cache_dir() / name).write_bytes(b"large")
    load(root, checksums=checksums)  # from the cache
    assert len(list(cache_dir().glob("decoded-*"))) == 4
    current.unlink()
    load(root, checksums=checksums)
    assert set(cache_dir().glob("decoded-*")) == {current, another}


def test_data_is_cached_without_file_locks(root: Path, checksums: dict[str, str], no_locks: None) -> None:
    assert same(load(root, checksums=checksums), load(root, checksums=checksums))
    assert cached_file()


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def negate_a_zero(file: Path) -> None:
    content = bytearray(file.read_bytes())
    numbers = range(content.index(b"\n", _DIGITS + 1) + 1, len(content), 4)
    zero = next(start for start in numbers if not any(content[start : start + 4]))
    content[zero + 3] = 0x80
    file.write_bytes(content)


CORRUPTIONS: dict[str, Callable[[Path], object]] = {
    "a flipped byte": flip_a_byte,
    "minus zero": negate_a_zero,
    "another label": lambda file: file.write_bytes(file.read_bytes()[:-8] + (11).to_bytes(8, "little")),
    "cut": lambda file: os.truncate(file, 1000),
    "empty": lambda file: os.truncate(file, 0),
    "too long": lambda file: file.write_bytes(file.read_bytes() + b"\0"),
    "other bytes": lambda file: file.write_bytes(bytes(range(256)) * 100),
    "deep JSON": lambda file: file.write_bytes(file.read_bytes()[: _DIGITS + 1] + b"[" * 60_000 + b"\n"),
    "other JSON": lambda file: file.write_bytes(file.read_bytes()[: _DIGITS + 1] + b"null\n"),
    "another shape": lambda file: file.write_bytes(file.read_bytes().replace(b"[600, 784]", b"[599, 784]")),
    "no shape": lambda file: file.write_bytes(file.read_bytes().replace(b"[600, 784]", b"[600      ")),
}


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_corrupted_cache_is_reported_and_rebuilt(root: Path, checksums: dict[str, str], corruption: str) -> None:
    before = deepcopy(load(root, checksums=checksums))  # a copy, because a mapped file must not change
    content = cached_file().read_bytes()
    CORRUPTIONS[corruption](cached_file())
    assert cached_file().read_bytes() != content
    rebuilt = load(root, checksums=checksums)
    assert same(rebuilt, before)
    assert rebuilt.notes == (f"{cached_file()} was corrupted and is decoded again",)
    assert cached_file().read_bytes() == content
    again = load(root, checksums=checksums)
    assert same(again, before) and again.notes == ()


def test_changed_files_are_verified_again(root: Path, checksums: dict[str, str]) -> None:
    load(root, checksums=checksums)
    packed = root / "FashionMNIST" / "raw" / f"{IMAGES}.gz"
    flip_a_byte(packed)
    with pytest.raises(DataError, match=f"{IMAGES}.gz"):
        load(root, checksums=checksums)
    flip_a_byte(packed)
    load(root, checksums=checksums)


def test_another_folder_is_verified_although_the_set_is_cached(
    tmp_path: Path, root: Path, checksums: dict[str, str]
) -> None:
    load(root, checksums=checksums)
    write_synthetic(tmp_path / "copy")
    flip_a_byte(tmp_path / "copy" / "FashionMNIST" / "raw" / f"{IMAGES}.gz")
    with pytest.raises(DataError, match=f"copy.*{IMAGES}.gz"):
        load(tmp_path / "copy", checksums=checksums)


def test_a_cache_that_is_not_writable_is_not_needed(tmp_path: Path, root: Path, checksums: dict[str, str]) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert same(load(root, checksums=checksums), load(root, checksums=checksums))


def test_a_cache_that_cannot_be_replaced_is_not_needed(root: Path, checksums: dict[str, str]) -> None:
    before = deepcopy(load(root, checksums=checksums))
    cached = cached_file()
    cached.unlink()
    (cached / "folder").mkdir(parents=True)  # cannot be replaced, like a file that is mapped on Windows
    data = load(root, checksums=checksums)
    assert same(data, before)
    assert data.checksum == before.checksum
    assert cached_file() == cached


def test_loaded_data_does_not_change_with_the_cache(root: Path, checksums: dict[str, str]) -> None:
    data = load(root, checksums=checksums)
    before = deepcopy(data)
    os.utime(root / "FashionMNIST" / "raw" / f"{IMAGES}.gz", (0, 0))
    again = load(root, checksums=checksums)
    assert same(data, before)
    assert same(again, before)
    cached_file().unlink()
    assert same(data, before)


# Split


@pytest.fixture
def data(root: Path, checksums: dict[str, str]) -> Data:
    return load(root, checksums=checksums)


def test_without_sizes_the_data_is_not_split(data: Data) -> None:
    assert split(data, None, 0, seeded()) is data


def test_every_row_is_either_trained_on_or_held_out(data: Data) -> None:
    parts = split(data, None, 100, seeded())
    assert parts.X_val is not None and (len(parts.X_train), len(parts.X_val)) == (500, 100)
    assert rows_of(parts.X_train) | rows_of(parts.X_val) == rows_of(data.X_train)
    assert rows_of(parts.X_train).isdisjoint(rows_of(parts.X_val))
    assert torch.equal(parts.X_test, data.X_test)


def test_images_keep_their_labels(data: Data) -> None:
    label_of = {image.numpy().tobytes(): label for image, label in zip(data.X_train, data.y_train, strict=True)}
    parts = split(data, 200, 100, seeded())
    assert parts.X_val is not None and parts.y_val is not None
    for X, y in ((parts.X_train, parts.y_train), (parts.X_val, parts.y_val)):
        assert [label_of[image.numpy().tobytes()] for image in X] == y.tolist()


@pytest.mark.parametrize(("train_size", "validation_size"), [(10, 0), (37, 5), (200, 33), (None, 77), (1, 1)])
def test_both_parts_are_balanced_over_the_classes(data: Data, train_size: int | None, validation_size: int) -> None:
    parts = split(data, train_size, validation_size, seeded())
    for y in (parts.y_train, parts.y_val):
        if y is not None:
            counts = y.bincount(minlength=10)
            assert counts.max() - counts.min() <= 1


def test_unequal_classes_alternate_until_the_smaller_one_is_used_up(data: Data) -> None:
    few = torch.cat([(data.y_train == 3).nonzero()[:5, 0], (data.y_train == 7).nonzero()[:2, 0]])
    small = Data(data.X_train[few], data.y_train[few], data.X_test, data.y_test, "")
    assert split(small, 7, 0, seeded()).y_train.tolist() == [3, 7, 3, 7, 3, 3, 3]


def test_the_rows_held_out_do_not_depend_on_train_size(data: Data) -> None:
    few, many, all_others = (split(data, size, 100, seeded()).X_val for size in (20, 300, None))
    assert few is not None and many is not None and all_others is not None
    assert torch.equal(few, many) and torch.equal(many, all_others)


def test_a_smaller_training_set_is_the_beginning_of_a_larger_one(data: Data) -> None:
    few, many = (split(data, size, 100, seeded()).X_train for size in (20, 300))
    assert torch.equal(few, many[:20])


def test_the_seed_determines_the_rows(data: Data) -> None:
    once, again, other = (split(data, 50, 0, seeded(seed)).X_train for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


@pytest.mark.parametrize(
    ("train_size", "validation_size"), [(601, 0), (501, 100), (None, 600), (0, 10), (-1, 0), (None, -1)]
)
def test_sizes_that_exceed_the_rows_are_rejected(data: Data, train_size: int | None, validation_size: int) -> None:
    message = f"validation_size {validation_size} and train_size {train_size} do not fit the 600 training rows"
    with pytest.raises(ValueError, match=message):
        split(data, train_size, validation_size, seeded())


# Label noise


def test_a_label_changes_with_the_given_probability_to_a_uniform_other_class() -> None:
    y = torch.arange(10).repeat(6000)
    noisy = noisy_labels(y, 0.3, seeded())
    wrong = noisy != y
    assert wrong.double().mean() == pytest.approx(0.3, abs=5 * math.sqrt(0.3 * 0.7 / len(y)))
    steps = ((noisy - y) % 10)[wrong].bincount(minlength=10) / wrong.sum()
    assert steps.tolist() == pytest.approx([0] + [1 / 9] * 9, abs=5 * math.sqrt(1 / 9 * 8 / 9 / int(wrong.sum())))
    assert noisy.min() == 0 and noisy.max() == 9 and noisy.dtype == torch.int64


def test_a_larger_probability_replaces_further_labels() -> None:
    y = torch.arange(10).repeat(600)
    none, some, more, every = (noisy_labels(y, p, seeded()) for p in (0.0, 0.1, 0.5, 1.0))
    assert torch.equal(none, y) and bool((every != y).all())
    for few, many in ((some, more), (more, every)):
        replaced = few != y
        assert torch.equal(few[replaced], many[replaced]) and bool((many != few).any())


def test_label_noise_changes_neither_the_rows_nor_the_labels_of_those_held_out(data: Data) -> None:
    noisy = noisy_labels(data.y_train, 0.5, seeded(9))
    true, parts = split(data, 200, 100, seeded()), split(data, 200, 100, seeded(), noisy)
    assert parts.y_val is not None and true.y_val is not None and parts.X_val is not None and true.X_val is not None
    assert torch.equal(parts.X_train, true.X_train) and torch.equal(parts.X_val, true.X_val)
    assert torch.equal(parts.y_val, true.y_val) and torch.equal(parts.y_test, data.y_test)
    label_of = {image.numpy().tobytes(): label for image, label in zip(data.X_train, noisy, strict=True)}
    assert [label_of[image.numpy().tobytes()] for image in parts.X_train] == parts.y_train.tolist()
    assert torch.equal(split(data, None, 0, seeded(), noisy).y_train, noisy)


def test_the_synthetic_set_can_be_learned(data: Data) -> None:
    means = torch.stack([data.X_train[data.y_train == label].mean(dim=0) for label in range(10)])
    nearest = torch.cdist(data.X_test, means).argmin(dim=1)
    assert (nearest == data.y_test).float().mean() > 0.95
