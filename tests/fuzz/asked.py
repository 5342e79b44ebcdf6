"""What the command answers to whatever it is asked, in this process: that is what lets thousands be tried."""

from __future__ import annotations

import faulthandler
import io
import os
import re
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

CODES = (0, 1, 2, 3, 5)  # those that the command documents, but for an interrupt
SECONDS = 20  # of this process's own time, so that a busy machine makes nothing fail
HANG = 600  # seconds on the clock, after which the process ends with a traceback of where it is
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree")

sys.dont_write_bytecode = True  # what is imported while it answers is no file of its own

tried: Counter[str] = Counter()  # inputs by target
_watched: list[Path] = []  # while it is not empty, whatever is written elsewhere is
_strays: list[str] = []  # put here


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


class Place:
    """A folder of its own: the current one while it is asked, with the runs and the cache in it."""

    def __init__(self, root: Path) -> None:
        self.root, self.cwd, self.cache = root, root / "deep" / "down" / "here", root / "cache"
        self.runs = self.cwd / "runs"
        self.runs.mkdir(parents=True)

    def write(self, name: str, content: bytes | str) -> str:
        """Write a file here; returns its name, as the command is to be given it."""
        (self.cwd / name).write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
        return name

    def ask(self, target: str, *words: str, may_write: tuple[str, ...] = ()) -> Answer:
        """Run the command; whatever it is asked, it must answer as it promises.

        No exception gets through, it takes no longer than SECONDS, exits with one of CODES, says something if that
        is not 0, and writes below runs/ and the cache only, and the files in `may_write`.
        """
        tried[target] += 1
        began = time.process_time()
        code, out, err = self._run(words, may_write)
        assert time.process_time() - began < SECONDS, f"{words} took {time.process_time() - began:.0f} s"
        assert code in CODES, (words, code, err)
        assert code == 0 or (err or out).strip(), (words, code)  # help, which is no talk, for a group without a word
        assert "Traceback" not in err and "Warning" not in err, err
        assert not _strays, [*_strays]
        return Answer(code, out, err)

    def _run(self, words: tuple[str, ...], may_write: tuple[str, ...]) -> tuple[int, str, str]:
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "strict", newline="\n") for _ in range(2))
        err.reconfigure(errors="backslashreplace")  # as Python's own is
        settings = {"XDG_CACHE_HOME": str(self.cache), "COLUMNS": "200", "NO_COLOR": "1"}
        code: object = 0
        with (
            patch.dict(os.environ, settings),
            patch.object(sys, "argv", ["dropexp", *words]),
            redirect_stdout(out),
            redirect_stderr(err),
            _in_folder(self.cwd),
            _ends_if_it_hangs(),
            _own_signals(),
            _watching(self.runs, self.cache, *(self.cwd / name for name in may_write)),
        ):
            try:
                with exit_codes():
                    app(list(words), prog_name="dropexp")
            except SystemExit as end:
                code = end.code
                if "internal error" in _text(err) and end.__context__ is not None:
                    raise end.__context__ from None  # which shows where it happened
        return code if isinstance(code, int) else 0 if code is None else -1, _text(out), _text(err)


@contextmanager
def a_place() -> Iterator[Place]:
    """A `Place` of its own for one input."""
    root = Path(tempfile.mkdtemp(prefix="dropexp-fuzz-"))
    try:
        yield Place(root)
    finally:
        shutil.rmtree(root)


def names_a_place(answer: Answer, *places: str) -> bool:
    """Whether what it says is wrong begins with one of these places, line by line."""
    said = [line.removeprefix("dropexp: ") for line in answer.err.splitlines()]
    return bool(said) and all(line.startswith(places) for line in said)


def told(text: str) -> str:
    """A message as one line, without the frame that usage errors have on a terminal."""
    return re.sub(r"[\s│╭╮╰╯─]+", " ", text)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode("utf-8", "replace")


@contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _own_signals() -> Iterator[None]:
    """The command takes SIGTERM and SIGHUP as an interrupt; these tests are to end by them."""
    before = {name: signal.getsignal(name) for name in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


@contextmanager
def _ends_if_it_hangs() -> Iterator[None]:
    faulthandler.dump_traceback_later(HANG, exit=True, file=2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextmanager
def _watching(*allowed: Path) -> Iterator[None]:
    _strays.clear()
    _watched[:] = allowed
    try:
        yield
    finally:
        _watched.clear()


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    """Hears of every file that Python opens, makes, moves or removes."""
    if not _watched:
        return
    if event == "open":
        path, _, flags = arguments
        paths = [path] if isinstance(flags, int) and flags & WRITES else []
    elif event in ("os.remove", "os.rmdir") and arguments[1] != -1:  # in an open folder: shutil.rmtree named it
        return
    elif event in CHANGES:
        paths = [word for word in arguments if isinstance(word, str | bytes | os.PathLike)]
    else:
        return
    for path in paths:
        if not isinstance(path, str | bytes | os.PathLike):  # the number of an open file
            continue
        place = Path(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 (Path.resolve follows links, Path.absolute keeps ..)
        if event == "os.mkdir" and (place.is_dir() or "torchinductor" in place.name):  # there already, or of torch
            continue
        if place != Path(os.devnull) and not any(place.is_relative_to(folder) for folder in _watched):
            _strays.append(f"{event} {place}")


sys.addaudithook(_audit)
