"""Interrupts that wait: what may not be broken off in the middle."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Within it Ctrl-C, SIGTERM and SIGHUP wait until its end, if Python handles them; others act as ever.

    For the loading of torch: an interrupt that breaks into it may end the process by SIGABRT, without a word of ours,
    or leave a torch that only looks loaded. What waits is handled in turn, until a
    handler raises; an error within comes before it, and it is forgotten.
    """
    if threading.current_thread() is not threading.main_thread():  # no signal is handled in another
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
    with ExitStack() as put_back:
        for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
            if callable(handler := signal.getsignal(number)):
                handlers[number] = handler
                put_back.callback(signal.signal, number, handler)
                signal.signal(number, lambda *told: came.append(told))
        yield
    for number, frame in came:
        handlers[number](number, frame)


def import_torch() -> None:
    """Import torch, with interrupts delayed until it is complete."""
    with interrupts_wait():
        import torch  # noqa: F401 (only loaded here; callers import what they use)
