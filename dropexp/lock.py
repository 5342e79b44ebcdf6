"""One process per folder: a lock that is released when its process exits, however it exits."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dropexp.files import half_written, why

LOCK = ".lock"
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)  # errors of a network disk that was mounted without locks


class Busy(Exception):
    """Another process has locked the folder."""


@contextmanager
def locked(folder: Path, *names: str) -> Iterator[None]:
    """Lock the folder, and create it if it does not exist. Raises `Busy` if another process has locked it.

    Temporary files that a killed process left beside files of these names are removed.
    """
    lock = FileLock(folder / LOCK, timeout=1)  # in seconds; `is_locked` in another process locks for a moment
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except FileNotFoundError:  # the folder was pruned meanwhile
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
    except Timeout:
        raise Busy(str(folder)) from None
    try:
        for leftover in folder.glob(".*.tmp"):
            if re.fullmatch(half_written(*names), leftover.name):
                leftover.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def is_locked(folder: Path) -> bool | None:
    """Return whether a process has locked the folder; None if this user cannot find out."""
    path = folder / LOCK
    try:
        path.stat()
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except FileNotFoundError:
        return False
    except (OSError, NotImplementedError):  # the folder of another user, or a disk without locks
        return _is_locked_for_reading(path)


def _is_locked_for_reading(path: Path) -> bool | None:
    """Return whether a lock file that cannot be written is locked."""
    try:
        import fcntl
    except ImportError:  # on Windows
        return None
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return None


def max_locks() -> int:
    """Return how many folders this process should lock at most: half of the files that it may open (`ulimit -n`)."""
    try:
        import resource
    except ImportError:  # on Windows, which has no such limit
        return 1 << 15
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return limit // 2 if limit != resource.RLIM_INFINITY else 1 << 15


def not_written(error: OSError) -> str:
    """Return the rest of a message about a folder that gave this error: what is wrong, and what to do."""
    if error.errno in NO_LOCKS:
        return f"is on a disk where locks do not work ({why(error)}); choose a folder on another disk with --runs-dir"
    return f"cannot be written: {why(error)}"
