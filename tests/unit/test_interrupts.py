"""Interrupts are delayed while torch is imported, and handled afterwards."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.command import Command

from dropexp.interrupts import delay_interrupts

BOTH = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def handlers() -> Iterator[None]:
    """Handle both signals as the command does, and restore the handlers afterwards."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in BOTH}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(params=[getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)])
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """One signal, handled as the command does."""
    one: signal.Signals = request.param
    before = signal.signal(one, signal.default_int_handler)
    yield one
    signal.signal(one, before)


def test_an_interrupt_is_handled_at_the_end_of_the_block(number: signal.Signals) -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), delay_interrupts():
        signal.raise_signal(number)
        reached.append("the end")
    assert reached == ["the end"]
    assert signal.getsignal(number) is signal.default_int_handler


def test_an_error_in_the_block_takes_precedence_over_a_delayed_interrupt(number: signal.Signals) -> None:
    with pytest.raises(ImportError), delay_interrupts():
        signal.raise_signal(number)
        raise ImportError
    assert signal.getsignal(number) is signal.default_int_handler


def test_an_ignored_signal_stays_ignored(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)
    with delay_interrupts():
        signal.raise_signal(number)
    assert signal.getsignal(number) is signal.SIG_IGN


def test_every_signal_is_handled_once_and_in_order(handlers: None) -> None:
    """With handlers that do not raise, and nested blocks."""
    received: list[int] = []
    for number in BOTH:
        signal.signal(number, lambda number, frame: received.append(number))
    with delay_interrupts(), delay_interrupts():
        for number in reversed(BOTH):
            signal.raise_signal(number)
        assert received == []
    assert received == [*reversed(BOTH)]


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_an_interrupt_while_handlers_are_replaced_restores_them(
    moment: int, handlers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM arrives just before the first or second handler is replaced, or the first restored."""
    change, changes = signal.signal, 0

    def interrupted(number: int, handler: Any) -> Any:
        nonlocal changes
        changes += 1
        if changes == moment:
            signal.raise_signal(signal.SIGTERM)
        return change(number, handler)

    monkeypatch.setattr(signal, "signal", interrupted)
    with pytest.raises(KeyboardInterrupt), delay_interrupts():
        pass
    monkeypatch.undo()
    assert [signal.getsignal(number) for number in BOTH] == [signal.default_int_handler] * 2


def test_other_threads_are_not_affected() -> None:
    done = []

    def load() -> None:
        with delay_interrupts():
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
    ("words", "remedy"),
    [
        ("train -c t.yaml --device cpu", "; to resume: dropexp train -c t.yaml --device cpu"),
        # only torch can tell whether there is a GPU
        ("train -c t.yaml --device cuda", "; to resume: dropexp train -c t.yaml --device cuda"),
        ("train -c t.yaml --plugin noise.py", "; to resume: dropexp train -c t.yaml --plugin noise.py"),
        ("evaluate t/c-00000000", ""),
        ("claims --quick", ""),
        ("bench", ""),
    ],
)
def test_an_interrupt_during_the_import_of_torch_ends_the_command_after_it(
    words: str, remedy: str, command: Command
) -> None:
    """An import hook raises it in the middle of torch; at exit, torch has what it defines last."""
    command.write("sitecustomize.py", INTERRUPTED)
    if words != "train -c t.yaml --device cpu":  # the whole torch takes two seconds to import
        (command.folder / "torch").mkdir()
        command.write("torch/__init__.py", "import torch.nn\ncompile = None\n")
        command.write("torch/nn.py", "")
    command.write("t.yaml", "variant: nn\nepochs: 1\ntrain_size: 500\n")
    command.write("noise.py", "import torch\n")
    command.environment["PYTHONPATH"] = str(command.folder)
    done = command(*words.split(), code=130)
    assert done.stderr == f"dropexp: interrupted{remedy}\n"
    assert (command.folder / "loaded").read_text() == "True"
