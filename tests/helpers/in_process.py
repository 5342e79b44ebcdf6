"""The command in this process, which saves the second that a process of its own takes to start."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

from helpers.command import Folder

from dropexp.cli.app import app
from dropexp.cli.main import exit_codes


@dataclass
class InProcess(Folder):
    """The command in this process, with the signature of `Command`."""

    def __call__(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the command and return what it printed; its exit code must be `code`."""
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n") for _ in range(2))
        with (
            patch.dict(os.environ, self.environment, clear=True),
            patch.object(sys, "argv", ["dropexp", *arguments]),
            redirect_stdout(out),
            redirect_stderr(err),
            chdir(self.folder),
            _signal_handlers_restored(),
        ):
            returncode = _run(arguments)
        done = subprocess.CompletedProcess(["dropexp", *arguments], returncode, _text(out), _text(err))
        assert done.returncode == code, done.stderr
        return done


def _run(arguments: tuple[str, ...]) -> int:
    try:
        with exit_codes():
            app(list(arguments), prog_name="dropexp")
    except SystemExit as end:
        assert isinstance(end.code, int | None)
        return end.code or 0
    return 0


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()


@contextmanager
def _signal_handlers_restored() -> Iterator[None]:
    """Restore the signal handlers that the command replaces, so that signals still end the tests."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
