"""How the command answers: exit codes, and a message in place of every exception."""

from __future__ import annotations

import io
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn, TextIO

from dropexp.names import shown

FAILED, USAGE, NO_DATA, NO_RUNS, INTERRUPTED = 1, 2, 3, 5, 130


def say(text: str, quiet: bool = False) -> None:
    """Talk goes to stderr, as long as somebody is there to hear it."""
    if not quiet and sys.stderr:  # which is None where it was closed, and print() would take stdout for it
        try:
            print(shown(text), file=sys.stderr)
        except OSError:  # its terminal was closed
            _forget_unread()


@contextmanager
def answers() -> Iterator[None]:
    """Every exception becomes a message and an exit code; a traceback is shown under DROPEXP_DEBUG only."""
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) != signal.SIG_IGN:  # as nohup has it
            signal.signal(getattr(signal, name), _interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a pipe on Windows, or a C locale, has no ± and no bars
        sys.stdout.reconfigure(errors="replace")
    try:
        try:
            yield
        except SystemExit as end:  # as Typer ends every command
            if end.code == INTERRUPTED:
                raise KeyboardInterrupt from None
            _write_out()
            raise
        _write_out()
    except KeyboardInterrupt:
        _end(_interrupted(sys.argv[1:]), INTERRUPTED)
    except BrokenPipeError:  # `dropexp compare | head`
        _forget_unread()
        raise SystemExit(FAILED) from None
    except Exception as error:
        if os.environ.get("DROPEXP_DEBUG"):
            raise
        _end(*_explained(error))


def _interrupted(words: list[str]) -> str:
    """What to say of an interrupt: a training ends with the command that goes on."""
    if words[:1] != ["train"]:
        return "interrupted"
    kept = "runs that --force has not reached are as they were\n" if "--force" in words else ""
    return f"{kept}interrupted; to go on: {shlex.join(['dropexp', *(word for word in words if word != '--force')])}"


def _explained(error: Exception) -> tuple[str, int]:
    """What to say of an error, and how to exit. An error can only be of a kind whose module is loaded."""
    kinds = {
        ("dropexp.yamlfile", "ConfigError"): USAGE,
        ("dropexp.device", "DeviceError"): USAGE,
        ("dropexp.baselines", "ComparisonError"): USAGE,
        ("dropexp.charts", "ChartError"): USAGE,
        ("dropexp.plugins", "PluginError"): USAGE,
        ("dropexp.cluster", "ClusterError"): USAGE,
        ("dropexp.export", "ExportError"): FAILED,
        ("dropexp.fetch", "DataError"): NO_DATA,
        ("dropexp.history", "NoRuns"): NO_RUNS,
        ("dropexp.runs", "RunError"): NO_RUNS,
        ("dropexp.runs", "NewerRun"): FAILED,
        ("dropexp.runs", "OtherRun"): USAGE,
    }
    families = ((kind.__module__, kind.__name__) for kind in type(error).__mro__)
    code = next((kinds[family] for family in families if family in kinds), None)
    if code:
        return str(error), code
    if isinstance(error, OSError):
        return str(error), FAILED
    return (
        f"internal error, please report it ({type(error).__name__}: {error}); DROPEXP_DEBUG=1 shows where",
        FAILED,
    )


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def _end(message: str, code: int) -> NoReturn:
    for line in message.splitlines():
        say(f"dropexp: {line}")
    if code == INTERRUPTED and sys.stdout:  # whoever neither reads it nor leaves would be waited for
        _forget(sys.stdout)
    _forget_unread()
    raise SystemExit(code)


def _write_out() -> None:
    """Write what print() has only gathered, while an error can still be answered."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:  # a full disk, say
        raise OSError(f"the output cannot be written: {error}") from None


def _forget_unread() -> None:
    """Send what nobody reads any more to nowhere; Python would try again at its end, complain, and exit with 120."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # one that was closed from the beginning is None
        try:
            stream.flush()
        except OSError:
            _forget(stream)


def _forget(stream: TextIO) -> None:
    """Send all that it has not written yet to nowhere."""
    with suppress(OSError):  # there is nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
