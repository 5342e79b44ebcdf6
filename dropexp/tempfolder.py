"""Folders for work that is not done yet, and what processes that were killed have left of theirs."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "tmp-dropexp-"
_AT_WORK = ".lock"  # in such a folder, held while it is used
_A_DAY = 86_400  # seconds


@contextmanager
def scratch_dir(place: Path) -> Iterator[str]:
    """A folder for the length of a `with`, in `place`, or with the system's if that cannot be written."""
    from filelock import FileLock

    remove_left_behind(place)
    try:
        place.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{_prefix_here()}-", dir=place))
    except OSError:
        scratch = Path(tempfile.mkdtemp(prefix=f"{_prefix_here()}-"))
    lock = FileLock(scratch / _AT_WORK)
    with suppress(OSError):  # where locks do not work, a day passes before it counts as left behind
        lock.acquire()
    try:
        yield str(scratch)
    finally:
        with suppress(OSError):
            _empty(scratch)
        lock.release()
        with suppress(OSError):
            _remove(scratch)


def remove_left_behind(place: Path) -> None:
    """Remove the scratch folders in `place` of processes that were killed: those whose lock nobody holds.

    Of another machine's lock nobody may know here; such a folder is left behind if nothing has changed in it for a day.
    """
    from filelock import FileLock, Timeout

    for left in place.glob(f"{_PREFIX}*"):
        with suppress(OSError, Timeout):
            if left.is_symlink() or (hasattr(os, "getuid") and left.lstat().st_uid != os.getuid()):
                continue
            here = left.name.rpartition("-")[0] == _prefix_here()
            if here and (left / _AT_WORK).exists():
                with FileLock(left / _AT_WORK, timeout=0):
                    pass
            elif not (here and _is_empty(left)) and time.time() - left.stat().st_mtime < _A_DAY:
                continue
            _empty(left)
            _remove(left)


def _prefix_here() -> str:
    """How scratch folders of this machine are named, but for their last part."""
    return f"{_PREFIX}{platform.node()}"


def _is_empty(folder: Path) -> bool:
    """Whether nothing is in it: one that was made a moment ago comes back with its lock."""
    return not any(folder.iterdir())


def _empty(scratch: Path) -> None:
    """Remove what is in it but the lock: so a removal that is cut short leaves what is known to be left behind."""
    for path in scratch.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != _AT_WORK:
            path.unlink(missing_ok=True)


def _remove(scratch: Path) -> None:
    (scratch / _AT_WORK).unlink(missing_ok=True)
    scratch.rmdir()
