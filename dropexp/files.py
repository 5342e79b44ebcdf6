"""A file that is written whole, and that tells by a SHA-256 whether it is still as it was written.

A sealed file ends with the SHA-256 of all that stands before it: a JSON file in a last key, any other in a last line,
which a reader that knows nothing of it passes over. A file without a seal is of an earlier version.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any

_SEAL = re.compile(rb"\nsha256 ([0-9a-f]{64})\n\Z")
_JSON_SEAL = re.compile(rb',\n  "sha256": "([0-9a-f]{64})"\n}\n\Z')
_LENGTH = 100  # bytes at the end of a file that any seal fits into
_BROKEN = "it is not as it was written, by its SHA-256"


def write_whole(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, so that a reader sees the old bytes or the new ones, never a part."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def half_written(*names: str) -> str:
    """A pattern for what `write_whole` leaves beside files of these names where its process is killed."""
    return rf"\.(?:{'|'.join(map(re.escape, names))})\.\d+\.tmp"


def _replace(aside: Path, path: Path) -> None:
    """Rename; on Windows it is refused while another process, such as `compare`, reads the file."""
    for _ in range(9 if os.name == "nt" else 0):
        try:
            os.replace(aside, path)
            return
        except PermissionError:
            time.sleep(0.1)
    os.replace(aside, path)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sealed(content: bytes) -> bytes:
    """The content with its seal."""
    return content + f"\nsha256 {sha256(content)}\n".encode()


def is_sealed(content: bytes) -> bool:
    """Whether the content has a seal. Raises ValueError if it is another content's."""
    return _checked(content, _SEAL)


def sealed_json(content: dict[str, Any]) -> bytes:
    """The content as JSON, and its seal as a last key."""
    text = (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
    body = text.removesuffix(b"\n}\n")
    return body + f',\n  "sha256": "{sha256(body)}"\n}}\n'.encode()


def read_json(text: bytes, schema: int) -> dict[str, Any]:
    """What stands in a JSON file, the seal apart; that of a later schema is not known, and is left in.

    Raises ValueError if it is no JSON object, or if its seal is another content's, whatever schema it claims to have.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    whole = _checked(text, _JSON_SEAL)
    if isinstance(content.get("schema"), int) and content["schema"] > schema:
        return content
    if "sha256" in content and not whole:
        raise ValueError(_BROKEN)
    content.pop("sha256", None)
    return content


def _checked(content: bytes, seal: re.Pattern[bytes]) -> bool:
    found = seal.search(content, max(0, len(content) - _LENGTH))
    if found and sha256(content[: found.start()]) != found[1].decode():
        raise ValueError(_BROKEN)
    return found is not None
