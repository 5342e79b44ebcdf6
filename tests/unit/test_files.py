"""Files are replaced atomically, and a checksum reveals any change."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.processes import another_process, kill

from dropexp.errors import CorruptedFile, NewerRun
from dropexp.files import (
    add_checksum,
    decode_json,
    encode_json,
    has_checksum,
    has_json_checksum,
    sha256,
    what_failed,
    why,
    write_result,
    write_whole,
)

CONTENT: dict[str, Any] = {"schema": 2, "status": "done", "last": {"epoch": 5, "loss": 0.25}, "why": None, "arm": "ü"}
KEEPS_WRITING = """
import sys
from pathlib import Path
from dropexp.files import write_whole
write_whole(Path(sys.argv[1]), b"a" * 300_000)
print("ready", flush=True)
while True:
    for letter in b"abcdefgh":
        write_whole(Path(sys.argv[1]), bytes([letter]) * 300_000)
"""


def test_a_reader_sees_only_whole_files_even_when_the_writer_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    seen = set()
    for wait in (0.0, 0.003, 0.01, 0.03):
        with another_process(KEEPS_WRITING, str(file)) as writer:
            until = time.monotonic() + wait
            while time.monotonic() < until:
                seen.add(file.read_bytes())
            kill(writer)
        seen.add(file.read_bytes())
    assert all(content == content[:1] * 300_000 for content in seen)


@pytest.mark.parametrize("sync", [True, False])
def test_nothing_is_left_beside_a_written_file(sync: bool, tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"one", sync=sync)
    write_whole(tmp_path / "a", b"two", sync=sync)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"two")]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(OSError):
        write_whole(tmp_path / "a", b"one")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_is_synced_unless_sync_is_false(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    write_whole(tmp_path / "a", b"one", sync=False)
    assert not synced
    write_whole(tmp_path / "a", b"one")
    assert len(synced) == 1


def flipped(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def test_json_is_read_back_and_has_one_key_more_for_other_readers() -> None:
    content = encode_json(CONTENT)
    assert has_json_checksum(content)
    assert decode_json(Path("x"), content, 2) == CONTENT
    assert {key: value for key, value in json.loads(content).items() if key != "sha256"} == CONTENT
    assert content.startswith(b'{"sha256": "') and content.count(b"\n") == len(CONTENT) + 2 and "ü" in content.decode()


def test_any_changed_bit_of_a_json_file_is_detected() -> None:
    content = encode_json(CONTENT)
    draw = random.Random(0)
    for at in range(len(content)):
        with pytest.raises((CorruptedFile, NewerRun)):
            decode_json(Path("x"), flipped(content, at, draw.randrange(8)), 2)


@pytest.mark.parametrize("length", [0, 1, 11, 12, 40, 75, 78, 79, 80, 100, -1])
def test_a_json_file_that_was_cut_is_corrupted(length: int) -> None:
    with pytest.raises(CorruptedFile):
        decode_json(Path("x"), encode_json(CONTENT)[:length], 2)


def old_json(content: dict[str, Any]) -> bytes:
    """Return JSON as schema 1 writes it, with the checksum in the last key."""
    body = json.dumps(content, indent=2).encode().removesuffix(b"\n}")
    return body + f',\n  "sha256": "{sha256(body)}"\n}}\n'.encode()


def test_json_of_schema_1_is_read_and_its_checksum_is_verified() -> None:
    content = old_json({"schema": 1, "status": "done"})
    assert decode_json(Path("x"), content, 2) == {"schema": 1, "status": "done"}
    with pytest.raises(CorruptedFile, match="SHA-256"):
        decode_json(Path("x"), content.replace(b"done", b"dome"), 2)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"schema": 2}', b'{"schema": "3"}', b"{}"]
)
def test_what_is_not_json_with_a_checksum_is_corrupted(content: bytes) -> None:
    with pytest.raises(CorruptedFile):
        decode_json(Path("x"), content, 2)


@pytest.mark.parametrize("content", [encode_json({"schema": 3}), b'{"schema": 3, "sha256": "elsewhere"}'])
def test_a_later_schema_is_not_reported_as_corruption(content: bytes) -> None:
    with pytest.raises(NewerRun):
        decode_json(Path("x"), content, 2)
    if has_json_checksum(content):
        with pytest.raises(CorruptedFile):  # the checksum shows that this schema is an edit
            decode_json(Path("x"), content.replace(b"3\n", b"7\n"), 2)


def test_any_changed_bit_of_a_file_with_a_checksum_in_its_last_line_is_detected() -> None:
    content = add_checksum(b"some bytes")
    assert has_checksum(content) and not has_checksum(b"some bytes") and not has_checksum(b"")
    for at in range(len(content)):
        for bit in range(8):
            try:
                assert not has_checksum(flipped(content, at, bit))
            except ValueError as error:
                assert "SHA-256" in str(error)


def test_a_file_that_cannot_be_written_is_named_without_its_temporary_file(tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "a"
    with pytest.raises(OSError) as error:
        write_whole(file, b"one")
    assert (error.value.filename, error.value.filename2) == (str(file), None)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"folder cannot be written: (?:Is a directory|Permission denied)"):
        write_result(tmp_path / "folder", b"one")
    write_result(file, b"one")
    assert file.read_bytes() == b"one"


def test_the_reason_of_an_error_names_a_file_in_place_of_a_folder_only_if_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    below = str(tmp_path / "file" / "x")
    assert why(NotADirectoryError(20, "Not a directory", below)) == f"{tmp_path / 'file'} is a file, not a folder"
    nowhere = str(tmp_path / "nowhere" / "x")
    assert why(NotADirectoryError(20, "Not a directory", nowhere)) == "Not a directory"
    assert why(FileNotFoundError(2, "No such file or directory", nowhere)) == "No such file or directory"
    assert why(NotADirectoryError(20, "Not a directory", os.fsencode(below))).endswith("is a file, not a folder")


def test_what_failed_names_the_file_of_an_error_that_has_one(tmp_path: Path) -> None:
    assert what_failed(PermissionError(13, "Permission denied", "a.csv")) == "a.csv: Permission denied"
    assert what_failed(OSError(28, "No space left on device")) == "No space left on device"
    assert what_failed(ValueError("odd")) == "odd"
