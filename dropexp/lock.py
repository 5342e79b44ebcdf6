"""One process to a folder: its lock, which ends with the process that holds it, however that ends."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dropexp.files import half_written

LOCK = ".lock"
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)  # as a network disk says it that was mounted without


class Busy(Exception):
    """Another process holds the folder."""


@contextmanager
def locked(folder: Path, *names: str) -> Iterator[None]:
    """Hold the folder, which is made if need be. Raises `Busy` if another process holds it.

    What is left of files of these names by a process that was killed while it wrote them is removed.
    """
    lock = FileLock(folder / LOCK, timeout=1)  # `is_locked` may be trying the lock just now
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except FileNotFoundError:  # the folder was pruned while this waited
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


def is_locked(folder: Path) -> bool:
    """Whether some process holds the folder now."""
    if not (folder / LOCK).exists():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a folder that one may only read has no lock to take, and nobody trains there
        return False


def most_locks() -> int:
    """How many folders this process should hold at most: half of the files that it may open, as `ulimit -n` says."""
    try:
        import resource
    except ImportError:  # on Windows, where nobody says it
        return 1 << 15
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return limit // 2 if limit != resource.RLIM_INFINITY else 1 << 15


def not_written(error: OSError) -> str:
    """What is said of a folder that gave this error, and what to do."""
    if error.errno in NO_LOCKS:
        return f"is on a disk where locks do not work ({error}); name one on another by --runs-dir"
    return f"cannot be written: {error}"
