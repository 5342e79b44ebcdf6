"""The cache folder: its path, and one writer at a time.

Files in it are not synced to the disk, since each is read with a checksum.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dropexp.home import expanded, temporary_home


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
        return temporary_home()


@contextmanager
def cache_lock() -> Iterator[None]:
    """Lock the cache until the block ends, and remove the unfinished files of processes that were killed.

    Does nothing where the cache cannot be written or locked: then two processes may do the same work.
    """
    from filelock import FileLock

    folder = cache_dir()
    lock = FileLock(folder / ".lock")
    with suppress(OSError, NotImplementedError):  # a cache that is read-only, or on a disk without locks
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        for left in folder.rglob(".*.tmp") if lock.is_locked else ():
            left.unlink(missing_ok=True)
        yield
    finally:
        lock.release()
