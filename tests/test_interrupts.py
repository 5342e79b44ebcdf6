"""Interrupts wait for what may not be broken off, and are answered after it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest
from command import Command

from dropexp.interrupts import interrupts_wait


@pytest.fixture(params=[getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)])
def sent(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that is answered as the command answers it."""
    number: signal.Signals = request.param
    before = signal.signal(number, signal.default_int_handler)
    yield number
    signal.signal(number, before)


def test_an_interrupt_waits_for_the_end_and_is_answered_there(sent: signal.Signals) -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), interrupts_wait():
        signal.raise_signal(sent)
        reached.append("the end")
    assert reached == ["the end"]
    assert signal.getsignal(sent) is signal.default_int_handler


def test_an_error_within_is_told_before_an_interrupt_that_waits(sent: signal.Signals) -> None:
    with pytest.raises(ImportError), interrupts_wait():
        signal.raise_signal(sent)
        raise ImportError
    assert signal.getsignal(sent) is signal.default_int_handler


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with interrupts_wait():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    signal.signal(signal.SIGTERM, before)


def test_another_thread_may_load_what_it_likes() -> None:
    done = []

    def load() -> None:
        with interrupts_wait():
            done.append(True)

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    assert done == [True]


INTERRUPTED = """
import atexit, importlib.abc, os, signal, sys
from pathlib import Path

class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torch.nn":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
atexit.register(lambda: Path("loaded").write_text(str(hasattr(sys.modules.get("torch"), "compile"))))
"""


def test_an_interrupt_while_torch_is_loaded_is_answered_when_it_is(command: Command) -> None:
    """A finder that is asked for a part of torch sends it; what torch defines last is there when the command ends."""
    command.write("sitecustomize.py", INTERRUPTED)
    command.write("t.yaml", "variant: nn\nepochs: 1\ntrain_size: 500\n")
    command.environment["PYTHONPATH"] = str(command.folder)
    done = command("train", "-c", "t.yaml", code=130)
    assert done.stderr == "dropexp: interrupted; to go on: dropexp train -c t.yaml\n"
    assert (command.folder / "loaded").read_text() == "True"
