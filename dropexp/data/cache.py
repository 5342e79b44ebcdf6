"""The cache folder: its path, and one writer at a time.

Files in it are not synced to the disk, since each is read with a checksum.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dropexp.errors import DataError
from dropexp.files import expanded


def cache_dir() -> Path:
    """Return the folder: $XDG_CACHE_HOME/dropexp, or the platform's, on Linux ~/.cache/dropexp. It need not exist.

    A user without a home folder gets one for temporary files. Raises DataError if another user has that.
    """
    if xdg := os.environ.get("XDG_CACHE_HOME"):  # platformdirs ignores it on Windows
        return expanded(xdg) / "dropexp"
    from platformdirs import user_cache_path  # imported here for a quick start

    try:
        return user_cache_path("dropexp", appauthor=False, opinion=False)
    except RuntimeError:
        return _temporary()


def _temporary() -> Path:
    """Create a folder for temporary files that only this user can read and change."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"dropexp-{user}"
    remedy = "set HOME or XDG_CACHE_HOME to a folder of your own"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise DataError(f"there is no home folder and no cache: {error}; {remedy}") from None
    if os.name != "nt" and (not stat.S_ISDIR(found.st_mode) or found.st_uid != user or found.st_mode & 0o022):
        raise DataError(f"there is no home folder, and {folder} belongs to another user; {remedy}")
    return folder


@contextmanager
def cache_lock() -> Iterator[None]:
    """Lock the cache until the block ends, and remove the unfinished files of processes that were killed.

    Does nothing where the cache cannot be written or locked: then two processes may do the same work.
    """
    from filelock import FileLock

    folder = cache_dir()
    lock = FileLock(folder / ".lock")
    with suppress(OSError, NotImplementedError):
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        for left in folder.rglob(".*.tmp") if lock.is_locked else ():
            left.unlink(missing_ok=True)
        yield
    finally:
        lock.release()
