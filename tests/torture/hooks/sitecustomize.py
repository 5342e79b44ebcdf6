"""Inject the faults that the variable TORTURE describes into a Python process.

Python imports `sitecustomize` from PYTHONPATH at its start, in worker processes too, so dropexp needs no hooks.
TORTURE is JSON with any of these keys:

    die       {"event", "file", "nth", "tear", "who", "mark"}: SIGKILL at the n-th such event with such a file. `event`
              is "open" (for writing), "fsync", "os.rename" (its target) or "os.remove". `tear` first truncates the
              last write to this share of it. `who` is "self", "parent" or "group". `mark` is a file: only the process
              that creates it dies; with null every process dies
    flock     a number: the error that fcntl.flock fails with
    clock     seconds by which each reading of the clock is earlier than the last one
    allocate  megabytes that a process allocates with its first row
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
    """Call `do` with event, name and current path before a file is opened for writing, synced, renamed or removed."""
    busy = False

    def report(event: str, path: Any, current: Any = None) -> None:
        nonlocal busy
        if not busy and isinstance(path, str | os.PathLike):
            busy = True
            do(event, os.path.basename(path), os.fspath(current or path))  # noqa: PTH119 (pathlib takes time to load)
            busy = False

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            if (mode and set(mode) & set("wax+")) or (mode is None and flags & WRITING):
                report(event, path)
        elif event == "os.rename":
            report(event, arguments[1], arguments[0])
        elif event == "os.remove":
            report(event, arguments[0])

    def fsync(fd: int, sync: Callable[[int], None] = os.fsync) -> None:
        report("fsync", os.readlink(f"/proc/self/fd/{fd}"))  # noqa: PTH115 (pathlib takes time to load)
        sync(fd)

    sys.addaudithook(audit)
    os.fsync = fsync  # type: ignore[assignment]  # the original also accepts objects with fileno()


def _die(event: str, file: str, nth: int, tear: float | None, who: str, mark: str | None) -> None:
    left = nth

    def die_at_nth(happened: str, name: str, path: str) -> None:
        nonlocal left
        if happened != event or file not in name or (name.endswith(".lock") and file != ".lock"):
            return
        left -= 1
        if left:
            return
        if mark:
            try:
                os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
            except FileExistsError:  # another process has died
                return
        if tear is not None:
            _tear(path, tear)
        if who == "group":
            os.killpg(0, signal.SIGKILL)
        elif who == "parent" and "--multiprocessing-fork" in sys.orig_argv:
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()  # until it exits with its parent, so that the torn file is never renamed
        else:
            os.kill(os.getpid(), signal.SIGKILL)

    _on_file_events(die_at_nth)


def _tear(path: str, share: float) -> None:
    """Truncate the last write, a row of a table or a whole file, to its first bytes."""
    with open(path, "rb") as file:
        content = file.read()
    first = content.rstrip(b"\n").rfind(b"\n") + 1 if path.endswith("epochs.csv") else 0
    os.truncate(path, first + int(share * (len(content) - first)))


def _fail_locks(errno: int) -> None:
    import fcntl

    def flock(fd: int, operation: int) -> None:
        raise OSError(errno, os.strerror(errno))

    fcntl.flock = flock  # type: ignore[assignment]  # the original also accepts objects with fileno()


def _turn_clock_back(seconds: float) -> None:
    import datetime
    import time

    now, readings = time.time, 0

    def earlier() -> float:
        nonlocal readings
        readings += 1
        return now() - seconds * readings

    class Earlier(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Self:
            return cls.fromtimestamp(earlier(), tz)

    time.time = earlier
    time.time_ns = lambda: int(earlier() * 1e9)
    datetime.datetime = Earlier  # type: ignore[misc]  # mypy forbids replacing a class


def _allocate(megabytes: int) -> None:
    taken: list[bytes] = []

    def take(event: str, name: str, path: str) -> None:
        if not taken and event == "open" and name == "epochs.csv":
            taken.append(b"\1" * (megabytes << 20))

    _on_file_events(take)


_faults = json.loads(os.environ.get("TORTURE", "{}"))
if "die" in _faults:
    _die(**_faults["die"])
if "flock" in _faults:
    _fail_locks(_faults["flock"])
if "clock" in _faults:
    _turn_clock_back(_faults["clock"])
if "allocate" in _faults:
    _allocate(_faults["allocate"])
