"""Run the command in this process, in a temporary folder, and check what it always guarantees.

With a process per input, the same time would suffice for hundreds of inputs instead of thousands.
"""

from __future__ import annotations

import faulthandler
import io
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from dropexp.cli.app import app
from dropexp.cli.main import exit_codes

CODES = (0, 1, 2, 3, 5)  # the documented exit codes, without that of an interrupt
SECONDS = 20  # of CPU time, so that a busy machine fails no test
HANG = 600  # seconds after which the process exits with a traceback
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree")

sys.dont_write_bytecode = True  # a .pyc file would count as written outside the sandbox

tried: Counter[str] = Counter()  # inputs by target
_allowed: list[Path] = []  # where the command can write; empty: no command is running
_strays: list[str] = []  # what it wrote elsewhere


@dataclass(frozen=True)
class Result:
    """The exit code and output of a command."""

    code: int
    out: str
    err: str

    def every_problem_names(self, *sources: str) -> bool:
        """Return whether each line of stderr begins with one of these files or options, or is part of a list below."""
        lines = [line.removeprefix("dropexp: ") for line in self.err.splitlines()]
        return bool(lines) and lines[0].startswith(sources) and all(line.startswith((*sources, "  ")) for line in lines)


class Sandbox:
    """A folder with the working folder of a command, its runs and its cache."""

    def __init__(self, root: Path) -> None:
        self.root, self.cwd, self.cache = root, root / "deep" / "down" / "here", root / "cache"
        self.runs = self.cwd / "runs"
        self.runs.mkdir(parents=True)

    def write(self, name: str, content: bytes | str) -> str:
        """Write a file into the working folder. Return its name, as an argument of the command."""
        (self.cwd / name).write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
        return name

    def run(self, target: str, *words: str, may_write: tuple[str, ...] = ()) -> Result:
        """Run the command on an input for `target`, and check what it guarantees for any input.

        It raises no exception, takes at most SECONDS, exits with one of CODES, prints a message unless that is 0, and
        writes only into runs/, the cache and the files in `may_write`.
        """
        tried[target] += 1
        start = time.process_time()
        code, out, err = self._run(words, may_write)
        seconds = time.process_time() - start
        assert seconds < SECONDS, f"{words} took {seconds:.0f} s"
        assert code in CODES, (words, code, err)
        assert code == 0 or (err or out).strip(), (words, code)  # a group without a command prints its help to stdout
        assert "Traceback" not in err and "Warning" not in err, err
        assert not _strays, [*_strays]
        return Result(code, out, err)

    def _run(self, words: tuple[str, ...], may_write: tuple[str, ...]) -> tuple[int, str, str]:
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "strict", newline="\n") for _ in range(2))
        err.reconfigure(errors="backslashreplace")  # as Python's own stderr
        settings = {"XDG_CACHE_HOME": str(self.cache), "COLUMNS": "200", "NO_COLOR": "1"}
        code: object = 0
        with (
            patch.dict(os.environ, settings),
            patch.object(sys, "argv", ["dropexp", *words]),
            redirect_stdout(out),
            redirect_stderr(err),
            _working_folder(self.cwd),
            _exit_if_it_hangs(),
            _restored_signals(),
            _writes_allowed_in(self.runs, self.cache, *(self.cwd / name for name in may_write)),
        ):
            try:
                with exit_codes():
                    app(list(words), prog_name="dropexp")
            except SystemExit as end:
                code = end.code
                if "internal error" in _text(err) and end.__context__ is not None:
                    raise end.__context__ from None  # shows where it occurred
        return code if isinstance(code, int) else 0 if code is None else -1, _text(out), _text(err)


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """Make a new sandbox, for one input."""
    root = Path(tempfile.mkdtemp(prefix="dropexp-fuzz-"))
    try:
        yield Sandbox(root)
    finally:
        shutil.rmtree(root)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode("utf-8", "replace")


@contextmanager
def _working_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _restored_signals() -> Iterator[None]:
    """Restore the handlers of SIGTERM and SIGHUP, which the command replaces, so that both still end the tests."""
    before = {name: signal.getsignal(name) for name in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


@contextmanager
def _exit_if_it_hangs() -> Iterator[None]:
    faulthandler.dump_traceback_later(HANG, exit=True, file=2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextmanager
def _writes_allowed_in(*folders: Path) -> Iterator[None]:
    _strays.clear()
    _allowed[:] = folders
    try:
        yield
    finally:
        _allowed.clear()


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    """Note every file that Python opens for writing, creates, moves or removes outside the allowed folders."""
    if not _allowed:
        return
    if event == "open":
        path, _, flags = arguments
        paths = [path] if isinstance(flags, int) and flags & WRITES else []
    elif event in ("os.remove", "os.rmdir") and arguments[1] != -1:  # shutil.rmtree reports its folder
        return
    elif event in CHANGES:
        paths = [word for word in arguments if isinstance(word, str | bytes | os.PathLike)]
    else:
        return
    for path in paths:
        if not isinstance(path, str | bytes | os.PathLike):  # a file descriptor
            continue
        target = Path(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 (Path.resolve follows links, Path.absolute keeps ..)
        if event == "os.mkdir" and (target.is_dir() or "torchinductor" in target.name):  # it exists, or is torch's
            continue
        if target != Path(os.devnull) and not any(target.is_relative_to(folder) for folder in _allowed):
            _strays.append(f"{event} {target}")


sys.addaudithook(_audit)
