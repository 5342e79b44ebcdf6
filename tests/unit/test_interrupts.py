"""Interrupts wait for what may not be broken off, and are answered after it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.command import Command

from dropexp.interrupts import interrupts_wait

BOTH = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def handled() -> Iterator[None]:
    """BOTH are handled as the command does, or as a test says; and afterwards as before."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in BOTH}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


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


def test_what_is_ignored_stays_ignored(sent: signal.Signals) -> None:
    signal.signal(sent, signal.SIG_IGN)
    with interrupts_wait():
        signal.raise_signal(sent)
    assert signal.getsignal(sent) is signal.SIG_IGN


def test_all_that_came_is_handled_once_and_in_order(handled: None) -> None:
    """Where handlers only take a note, and where one wait is within another."""
    told: list[int] = []
    for number in BOTH:
        signal.signal(number, lambda number, frame: told.append(number))
    with interrupts_wait(), interrupts_wait():
        for number in reversed(BOTH):
            signal.raise_signal(number)
        assert told == []
    assert told == [*reversed(BOTH)]


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_an_interrupt_while_handlers_are_changed_leaves_them_as_they_were(
    moment: int, handled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SIGTERM just before one of two is changed, or the first is put back."""
    change, changes = signal.signal, 0

    def interrupted(number: int, handler: Any) -> Any:
        nonlocal changes
        changes += 1
        if changes == moment:
            signal.raise_signal(signal.SIGTERM)
        return change(number, handler)

    monkeypatch.setattr(signal, "signal", interrupted)
    with pytest.raises(KeyboardInterrupt), interrupts_wait():
        pass
    monkeypatch.undo()
    assert [signal.getsignal(number) for number in BOTH] == [signal.default_int_handler] * 2


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
import atexit, importlib.abc, signal, sys
from pathlib import Path

class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torch.nn":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
atexit.register(lambda: Path("loaded").write_text(str(hasattr(sys.modules.get("torch"), "compile"))))
"""


@pytest.mark.parametrize(
    ("words", "how_on"),
    [
        ("train -c t.yaml --device cpu", "; to go on: dropexp train -c t.yaml --device cpu"),
        ("train -c t.yaml --device cuda", "; to go on: dropexp train -c t.yaml --device cuda"),  # torch knows if it is
        ("train -c t.yaml --plugin noise.py", "; to go on: dropexp train -c t.yaml --plugin noise.py"),
        ("evaluate t/c-00000000", ""),
        ("claims --quick", ""),
        ("bench", ""),
    ],
)
def test_an_interrupt_while_torch_is_loaded_is_answered_when_it_is(words: str, how_on: str, command: Command) -> None:
    """A finder that is asked for a part of torch sends it; what torch defines last is there when the command ends."""
    command.write("sitecustomize.py", INTERRUPTED)
    command.write("t.yaml", "variant: nn\nepochs: 1\ntrain_size: 500\n")
    command.write("noise.py", "import torch\n")
    command.environment["PYTHONPATH"] = str(command.folder)
    done = command(*words.split(), code=130)
    assert done.stderr == f"dropexp: interrupted{how_on}\n"
    assert (command.folder / "loaded").read_text() == "True"
