"""The cache folder: its path, and one writer at a time.

Its files are written without fsync, since every read verifies a checksum.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dropexp.home_folder import expanded, temporary_home


def cache_dir() -> Path:
    """Return $XDG_CACHE_HOME/dropexp, or else the platform's cache folder: ~/.cache/dropexp on Linux. It may not exist.

    Without a home folder, return `temporary_home()`. Raises DataError if that cannot be used, and PathError if
    XDG_CACHE_HOME begins with a `~` that cannot be expanded.
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
