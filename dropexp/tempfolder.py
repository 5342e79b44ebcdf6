"""Folders for work that is not done yet, and what processes that were killed have left of theirs."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock

_PREFIX = "tmp-dropexp-"
_LOCK = ".lock"  # ends the name of a file beside the folder, which is locked before there is one until it is gone
_A_DAY = 86_400  # seconds


@contextmanager
def temp_folder(place: Path) -> Iterator[Path]:
    """A folder for the length of a `with`, in `place`, or with the system's if that cannot be written.

    Raises OSError where neither can be.
    """
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(_temp_folder_in(place))
        except OSError:
            folder = stack.enter_context(_temp_folder_in(Path(tempfile.gettempdir())))
        yield folder


@contextmanager
def _temp_folder_in(place: Path) -> Iterator[Path]:
    from filelock import FileLock

    remove_left_behind(place)
    place.mkdir(parents=True, exist_ok=True)
    folder = place / f"{_prefix_here()}-{uuid.uuid4().hex}"
    lock = FileLock(f"{folder}{_LOCK}", timeout=10)  # seconds; nobody else wants it, but a disk may be odd
    try:
        _acquired(lock)
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        _remove(folder, lock)


def remove_left_behind(place: Path) -> None:
    """Remove what processes that were killed have left in `place`: the folders whose lock nobody holds.

    Where locks do not work, and of another machine's, which may not be seen here, nobody knows; such a folder is left
    behind if nothing was put directly into it or taken out for a day.
    """
    from filelock import FileLock

    for path in place.glob(f"{_PREFIX}*"):
        folder = path.with_name(path.name.removesuffix(_LOCK))
        lock = FileLock(f"{folder}{_LOCK}", timeout=0)
        with suppress(OSError):
            about = (folder if folder.exists() else path).lstat()
            if hasattr(os, "getuid") and about.st_uid != os.getuid():
                continue
            here = folder.name.rpartition("-")[0] == _prefix_here()
            if (here and _acquired(lock)) or time.time() - about.st_mtime > _A_DAY:
                _remove(folder, lock)


def _prefix_here() -> str:
    """How the folders of this machine are named, but for their last part."""
    return f"{_PREFIX}{platform.node()}"


def _acquired(lock: BaseFileLock) -> bool:
    """Whether this process holds it now; not where locks do not work. Raises OSError if it is another's, too."""
    from dropexp.lock import NO_LOCKS

    try:
        lock.acquire()
    except OSError as error:  # filelock's Timeout is one, without a number
        if error.errno not in NO_LOCKS:
            raise
    return lock.is_locked


def _remove(folder: Path, lock: BaseFileLock) -> None:
    """Remove both; the lock stays to the end, so what is left of a removal that was cut short counts as left behind."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # on Windows it is open, and goes when it is released
            Path(lock.lock_file).unlink(missing_ok=True)
    finally:
        lock.release()
