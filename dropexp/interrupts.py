"""Interrupts that wait: what may not be broken off in the middle."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Within it Ctrl-C, SIGTERM and SIGHUP wait until its end, where Python answers them at all.

    For the loading of torch: an interrupt that breaks into it may end the process by SIGABRT, without a word of ours,
    or leave a torch that only looks loaded.
    """
    if threading.current_thread() is not threading.main_thread():  # no signal is answered in another
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    answers = {}
    for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
        if callable(answer := signal.getsignal(number)):
            answers[number] = answer
            signal.signal(number, lambda *told: came.append(told))
    try:
        yield
    finally:
        for number, answer in answers.items():
            signal.signal(number, answer)
    for number, frame in came[:1]:
        answers[number](number, frame)
