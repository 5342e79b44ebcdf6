"""Does to a Python process what the variable TORTURE asks for.

Python imports `sitecustomize` from PYTHONPATH at its start, in worker processes too, so the product needs no hook.
TORTURE is JSON with any of these keys:

    die      {"event", "file", "nth", "tear", "who", "marker"}: SIGKILL at the n-th such event with such a file. `event`
             is "open" (for writing), "fsync", "os.rename" (its target) or "os.remove". `tear` first cuts what was
             written last to this share of it. `who` is "self", "parent" or "group". `marker` is a file: only
             the process that creates it is killed; null: each process is
    flock    a number: what fcntl.flock fails with
    clock    seconds by which each look at the clock is earlier than the last one
    ballast  megabytes that a process takes with its first row
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Self

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def _on_file_events(do: Callable[[str, str, str], None]) -> None:
    """Before a file is opened for writing, synced, renamed or removed: the event, its name, and its current path."""
    busy = False

    def tell(event: str, path: Any, now: Any = None) -> None:
        nonlocal busy
        if not busy and isinstance(path, str | os.PathLike):
            busy = True
            do(event, os.path.basename(path), os.fspath(now or path))  # noqa: PTH119 (pathlib takes time to load)
            busy = False

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            if (mode and set(mode) & set("wax+")) or (mode is None and flags & WRITING):
                tell(event, path)
        elif event == "os.rename":
            tell(event, arguments[1], arguments[0])
        elif event == "os.remove":
            tell(event, arguments[0])

    def fsync(fd: int, sync: Callable[[int], None] = os.fsync) -> None:
        tell("fsync", os.readlink(f"/proc/self/fd/{fd}"))  # noqa: PTH115 (pathlib takes time to load)
        sync(fd)

    sys.addaudithook(heard)
    os.fsync = fsync  # type: ignore[assignment]  # which takes an object with fileno() too


def _die(event: str, file: str, nth: int, tear: float | None, who: str, marker: str | None) -> None:
    left = nth

    def perhaps(happened: str, name: str, path: str) -> None:
        nonlocal left
        if happened != event or file not in name or (name.endswith(".lock") and file != ".lock"):
            return
        left -= 1
        if left:
            return
        if marker:
            try:
                os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
            except FileExistsError:  # another process did it
                return
        if tear is not None:
            _tear(path, tear)
        if who == "group":
            os.killpg(0, signal.SIGKILL)
        elif who == "parent" and "--multiprocessing-fork" in sys.orig_argv:
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()  # until its own watch on the parent ends it: what is torn here is never renamed
        else:
            os.kill(os.getpid(), signal.SIGKILL)

    _on_file_events(perhaps)


def _tear(path: str, share: float) -> None:
    """Leave the first bytes of what was written last, a row of a table or a whole file: a write was cut short."""
    with open(path, "rb") as file:
        content = file.read()
    first = content.rstrip(b"\n").rfind(b"\n") + 1 if path.endswith("epochs.csv") else 0
    os.truncate(path, first + int(share * (len(content) - first)))


def _fail_locks(errno: int) -> None:
    import fcntl

    def flock(fd: int, operation: int) -> None:
        raise OSError(errno, os.strerror(errno))

    fcntl.flock = flock  # type: ignore[assignment]  # which takes an object with fileno() too


def _turn_the_clock_back(seconds: float) -> None:
    import datetime
    import time

    now, looks = time.time, 0

    def earlier() -> float:
        nonlocal looks
        looks += 1
        return now() - seconds * looks

    class Earlier(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Self:
            return cls.fromtimestamp(earlier(), tz)

    time.time = earlier
    time.time_ns = lambda: int(earlier() * 1e9)
    datetime.datetime = Earlier  # type: ignore[misc]  # mypy lets no class be replaced, which is meant here


def _take_memory(megabytes: int) -> None:
    taken: list[bytes] = []

    def take(event: str, name: str, path: str) -> None:
        if not taken and event == "open" and name == "epochs.csv":
            taken.append(b"\1" * (megabytes << 20))

    _on_file_events(take)


_asked = json.loads(os.environ.get("TORTURE", "{}"))
if "die" in _asked:
    _die(**_asked["die"])
if "flock" in _asked:
    _fail_locks(_asked["flock"])
if "clock" in _asked:
    _turn_the_clock_back(_asked["clock"])
if "ballast" in _asked:
    _take_memory(_asked["ballast"])
