"""The command `dropexp`: run the app, and turn every exception into a message and an exit code.

0 success; 1 a run failed or diverged, a `--require` did not hold, or any other error; 2 usage or config error; 3 data
missing or corrupted; 5 no matching runs; 130 interrupted. Each kind of `DropexpError` has its exit code.
"""

from __future__ import annotations

import atexit
import errno
import gc
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from dropexp.cli.completion_in_bash import bash_words
from dropexp.cli.github import print_failure
from dropexp.cli.output import discard_output, next_command, print_message, redirect_to_devnull
from dropexp.errors import ConfigError, DropexpError, Problem
from dropexp.files import what_failed, why
from dropexp.home_folder import provide_home
from dropexp.terminal_encoding import ERRORS

FAILED, INTERRUPTED = 1, 130


def main() -> None:
    """Run the command line of this process."""
    gc.set_threshold(200_000, 20, 100)  # saves 0.2 s while torch is imported: modules are never garbage
    atexit.register(_skip_final_collection)
    _reserve_standard_streams()
    provide_home()
    with exit_codes(), bash_words():
        from dropexp.cli.app import app

        app()


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn every exception into a message and an exit code; DROPEXP_DEBUG shows the traceback instead."""
    if os.environ.get("COLUMNS", "").strip() == "0":  # the width is unknown; Rich would print nothing
        del os.environ["COLUMNS"]
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(getattr(signal, name), _interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal or a C locale may be unable to encode ± and bars
        is_terminal = sys.stdout.isatty()  # a file, as in `config show > my.yaml`, would not be UTF-8 on Windows
        sys.stdout.reconfigure(encoding=None if is_terminal else "utf-8", errors=ERRORS)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors=ERRORS)
    try:
        try:
            yield
        except SystemExit as end:  # Typer ends every command with it
            if end.code == INTERRUPTED:
                raise KeyboardInterrupt from None
            _flush_stdout()
            raise
        _flush_stdout()
    except KeyboardInterrupt:
        _exit(_interrupted(sys.argv[1:]), INTERRUPTED)
    except BrokenPipeError:  # `dropexp compare | head`
        discard_output()
        raise SystemExit(FAILED) from None
    except Exception as error:
        if os.environ.get("DROPEXP_DEBUG"):
            raise
        if isinstance(error, DropexpError):
            _exit(str(error), error.exit_code, error.problems if isinstance(error, ConfigError) else ())
        if isinstance(error, OSError):
            _exit(_reason(error), FAILED)
        what = f"{type(error).__name__}: {error}"
        _exit(f"internal error, please report it ({what}); DROPEXP_DEBUG=1 shows where", FAILED)


def _reserve_standard_streams() -> None:
    """Open the null device instead of closed standard streams, or what a library prints would go into a run's file."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)


def _skip_final_collection() -> None:
    """Skip the garbage collection at exit, which takes half a second; Triton needs it."""
    if "triton" not in sys.modules:
        gc.freeze()


def _interrupted(arguments: list[str]) -> str:
    """Return the message for an interrupt; for `train` it ends with the command that resumes it.

    $DROPEXP_RUNS becomes an option there: the variable may be set for this command only.
    """
    if arguments[:1] != ["train"]:
        return "interrupted"
    kept = "finished runs that were not restarted yet are unchanged\n" if "--force" in arguments else ""
    resuming = [argument for argument in arguments if argument != "--force"]
    if (runs_dir := os.environ.get("DROPEXP_RUNS")) and not any(one.startswith("--runs-dir") for one in arguments):
        resuming[1:1] = ["--runs-dir", runs_dir]  # not at the end, which can be after --
    return f"{kept}interrupted; {next_command('to resume', resuming)}"


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def _exit(message: str, code: int, problems: Sequence[Problem] = ()) -> NoReturn:
    text = "\n".join(f"dropexp: {line}" for line in message.splitlines())
    if code == INTERRUPTED:
        print_message(text)
    else:
        print_failure(text, problems)
    if code == INTERRUPTED and sys.stdout:  # a reader that neither reads nor exits would block the flush
        redirect_to_devnull(sys.stdout)
    discard_output()
    raise SystemExit(code)


def _reason(error: OSError) -> str:
    """Return the reason of an error of the system. A write error without a file name is one of stdout."""
    is_written = error.filename is None and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EIO)
    return f"the output cannot be written: {why(error)}" if is_written else what_failed(error)


def _flush_stdout() -> None:
    """Write buffered output while an error can still be reported."""
    if sys.stdout:
        sys.stdout.flush()
