"""Delay interrupts while torch is imported: an interrupted import can abort the process or leave torch half loaded."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP


@contextmanager
def delay_interrupts() -> Iterator[None]:
    """Delay Ctrl-C, SIGTERM and SIGHUP until the block ends, if they have a Python handler.

    Then their handlers are called in the order of arrival until one raises. If the block raises, that error propagates
    and the signals are dropped. In a thread other than the main one nothing changes: Python handles no signals there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[tuple[int, FrameType | None]] = []
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
    with ExitStack() as restore:
        for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
            if callable(handler := signal.getsignal(number)):
                handlers[number] = handler
                restore.callback(signal.signal, number, handler)
                signal.signal(number, lambda number, frame: received.append((number, frame)))
        yield
    for number, frame in received:
        handlers[number](number, frame)


def import_torch() -> None:
    """Import torch, with interrupts delayed until it is complete."""
    with delay_interrupts():
        import torch  # noqa: F401 (only loaded here; callers import what they use)
