"""Workers whose start is interrupted."""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.context import SpawnProcess

import pytest
from command import TIMEOUT

from dropexp.trainer import Plan
from dropexp.workers import _starting_a_worker, _Worker

posix = pytest.mark.skipif(os.name == "nt", reason="Windows cannot hold a signal back")


@posix
def test_an_interrupt_while_a_worker_starts_leaves_the_main_module_as_it_was() -> None:
    main = sys.modules["__main__"]
    before = main.__spec__, main.__file__
    with pytest.raises(KeyboardInterrupt), _starting_a_worker():
        signal.raise_signal(signal.SIGINT)
    assert (main.__spec__, main.__file__) == before


@posix
def test_a_worker_whose_start_was_interrupted_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    start = SpawnProcess.start

    def interrupted(process: SpawnProcess) -> None:
        start(process)
        started.append(process)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(SpawnProcess, "start", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        _Worker(Plan(None))
    (left,) = started
    left.join(TIMEOUT)
    code = left.exitcode
    left.kill()
    assert code == 0
    assert caught  # which holds on to all that the interrupted start knew
