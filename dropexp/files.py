"""Files that are replaced atomically, and checksums that reveal whether a file was changed after it was written.

The SHA-256 is at a fixed position and covers all other bytes. A JSON file has it in its first line,
`{"sha256": "<64 hex digits>",`, any other file in its last line, `sha256 <64 hex digits>`. Changed line endings or a
byte order mark in JSON do not invalidate it.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from dropexp.errors import CorruptedFile, NewerRun

DIGITS = 64  # of a SHA-256 in hexadecimal
_JSON_START, _JSON_NEXT = b'{"sha256": "', b'",\n'
_JSON_HEAD = len(_JSON_START) + DIGITS + len(_JSON_NEXT)
_TAIL_START, _TAIL_END = b"\nsha256 ", b"\n"
_OLD_JSON_START, _OLD_JSON_END = b',\n  "sha256": "', b'"\n}\n'  # JSON files of schema 1 end with the checksum


def write_result(path: Path, content: bytes) -> None:
    """Write a file that the user named, and create its folder. Raises `OSError` with a message that names the file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise OSError(f"{path} cannot be written: {why(error)}") from None


def why(error: Exception) -> str:
    """Return the reason of an error in words, for an `OSError` without its number and file."""
    if not isinstance(error, OSError):
        return str(error)
    if isinstance(error, FileExistsError | NotADirectoryError | FileNotFoundError):  # the last on Windows
        path = Path(os.fsdecode(error.filename or ""))
        for one in (path, *path.parents):
            if is_file(one):
                return f"{one} is a file, not a folder"
    return error.strerror or str(error)


def what_failed(error: Exception) -> str:
    """Return the reason of an error in words, for an `OSError` after its file."""
    file = getattr(error, "filename", None)
    return why(error) if file is None else f"{os.fsdecode(file)}: {why(error)}"


def is_file(path: Path) -> bool:
    """Return whether the path is a file, or a link to one; False in a folder that is not readable."""
    return os.path.isfile(path)  # noqa: PTH113 (up to Python 3.13 Path.is_file raises in such a folder)


def write_whole(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Replace `path` by `content`, as `replacing` does."""
    with replacing(path, sync=sync) as file:
        file.write(content)


@contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Open a new file that replaces `path` when the block ends without an error.

    A reader sees the old bytes or the new ones, never a part. With `sync` this holds after a power failure too.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        _replace(temporary, path)
    except OSError as error:
        if error.filename == str(temporary):
            error.filename, error.filename2 = str(path), None  # the name that the user knows
        raise
    finally:
        with suppress(OSError):  # for example, if the parent is a file
            temporary.unlink()


def half_written(*names: str) -> str:
    """Return a regular expression for the temporary files that a killed `write_whole` leaves beside these files."""
    return rf"\.(?:{'|'.join(map(re.escape, names))})\.\d+\.tmp"


def _replace(temporary: Path, path: Path) -> None:
    """Rename; retry on Windows, which refuses while another process, such as `compare`, reads the file."""
    for _ in range(9 if os.name == "nt" else 0):
        try:
            os.replace(temporary, path)
            return
        except PermissionError:
            time.sleep(0.1)
    os.replace(temporary, path)


def plain(text: bytes) -> bytes:
    """Remove a byte order mark and convert line endings to line feeds: git and editors may change both."""
    text = text.removeprefix(codecs.BOM_UTF8)
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text


def sha256(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()


def add_checksum(content: bytes) -> bytes:
    """Return the content with a checksum in a last line."""
    return content + _TAIL_START + sha256(content).encode() + _TAIL_END


def has_checksum(content: bytes) -> bool:
    """Return whether the content ends with its checksum. Raises ValueError if it ends with another one."""
    return _has_last(content, _TAIL_START, _TAIL_END)


def encode_json(content: Mapping[str, Any]) -> bytes:
    """Return the content as JSON with its checksum, one line for each key."""
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in content.items()]
    rest = (",\n".join(lines) + "\n}\n").encode(errors="replace")
    return _JSON_START + sha256(rest).encode() + _JSON_NEXT + rest


def has_json_checksum(content: bytes) -> bool:
    """Return whether the JSON has its checksum in its first line, or in its last key as in schema 1.

    Raises ValueError if it has another one.
    """
    if not content.startswith(_JSON_START) or content[_JSON_HEAD - len(_JSON_NEXT) : _JSON_HEAD] != _JSON_NEXT:
        return _has_last(content, _OLD_JSON_START, _OLD_JSON_END)
    return _matches(content[len(_JSON_START) : _JSON_HEAD - len(_JSON_NEXT)], memoryview(content)[_JSON_HEAD:])


def decode_json(path: Path, content: bytes, schema: int) -> dict[str, Any]:
    """Return the content of a JSON file, without its checksum.

    Raises `CorruptedFile`, also if it has no checksum, or `NewerRun` if its schema is later than the given one.
    """
    content = plain(content)
    try:
        has_one = has_json_checksum(content)
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CorruptedFile(path, error) from None
    if not isinstance(found, dict):
        raise CorruptedFile(path, "it is not a JSON object")
    if type(found.get("schema")) is int and found["schema"] > schema:  # its checksum may be elsewhere
        raise NewerRun(path)
    if not has_one:
        raise CorruptedFile(path, "it has no checksum")
    return {key: value for key, value in found.items() if key != "sha256"}


def _has_last(content: bytes, start: bytes, end: bytes) -> bool:
    begin = len(content) - len(start) - DIGITS - len(end)
    if begin < 0 or not content.startswith(start, begin) or not content.endswith(end):
        return False
    return _matches(content[begin + len(start) : len(content) - len(end)], memoryview(content)[:begin])


def _matches(checksum: bytes, rest: memoryview) -> bool:
    if checksum != sha256(rest).encode():
        raise ValueError("its SHA-256 does not match its content")
    return True
