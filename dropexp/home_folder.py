"""The home folder: `~` in paths, and a user who has none, as in some containers."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from dropexp.errors import DataError, PathError
from dropexp.files import why

HOME = "HOME"


def expanded(path: str | Path) -> Path:
    """Return the path with `~` or `~user` at its beginning replaced. Raises `PathError` if that home is unknown."""
    try:
        if Path(path).parts[:1] == ("~",) and os.environ.get(HOME) == str(_temporary()):
            raise RuntimeError
        return Path(path).expanduser()
    except RuntimeError:
        raise PathError(f"{path}: there is no home folder for {Path(path).parts[0]}; give the whole path") from None


def provide_home() -> None:
    """Give this process and its workers a temporary home folder if the user has none: libraries need one."""
    try:
        Path.home()
    except RuntimeError:
        with suppress(DataError):  # commands that need none work
            os.environ[HOME] = str(temporary_home())


def temporary_home() -> Path:
    """Create a folder for temporary files that only this user can read and change.

    Raises DataError if it cannot be created or belongs to another user.
    """
    folder, remedy = _temporary(), "set HOME or XDG_CACHE_HOME to a folder of your own"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise DataError(f"there is no home folder, and {folder} cannot be created: {why(error)}; {remedy}") from None
    is_own = os.name == "nt" or (found.st_uid == os.getuid() and not found.st_mode & 0o022)
    if not stat.S_ISDIR(found.st_mode) or not is_own:
        raise DataError(f"there is no home folder, and {folder} belongs to another user; {remedy}")
    return folder


def _temporary() -> Path:
    import tempfile  # imported here for a quick start

    return Path(tempfile.gettempdir()) / f"dropexp-{os.getuid() if hasattr(os, 'getuid') else 'home'}"
