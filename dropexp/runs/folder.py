"""The folder of a run: the names of its files, how they are read and written, and its lock.

    runs/<name>/<cell>-<hash8>/
      run.json         authoritative for a finished run; from the start its status, config and provenance
      checkpoint.pt    authoritative for a run in progress; the weights of a finished one
      config.yaml      derived: the resolved config, complete
      epochs.csv       derived: one row per epoch
      predictions.npz  derived, of a finished run: its predictions for the test images

run.json and checkpoint.pt are replaced atomically and have a checksum. The derived files are for people and other
programs; epochs.csv grows by a line per epoch. `transitions.py` decides what is written when, and docs/architecture.md
describes it.
"""

from __future__ import annotations

import ast
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from dropexp.errors import CorruptedFile, MissingRun, RunError
from dropexp.files import plain, sha256, why, write_whole
from dropexp.home_folder import expanded
from dropexp.lock import is_locked, locked
from dropexp.runs.epochs_table import Columns, Row, csv_header, csv_line, from_csv
from dropexp.runs.run_json import RunInfo

CONFIG, EPOCHS, RUN, CHECKPOINT = "config.yaml", "epochs.csv", "run.json", "checkpoint.pt"
PREDICTIONS = "predictions.npz"
TEXTS = (CONFIG, EPOCHS, RUN)
FILES = (CONFIG, EPOCHS, PREDICTIONS, CHECKPOINT, RUN)  # if a copy in this order is cut short, the run can resume
# Suffixes, with a number, of files that are kept and no longer read: corrupted ones, and those of restarted runs.
CORRUPTED, BEFORE = ".corrupted-", ".before-"


def default_runs_dir() -> Path:
    """Return `$DROPEXP_RUNS`, or else `runs` in the current folder."""
    return expanded(os.environ.get("DROPEXP_RUNS") or "runs")


def make_runs_dir(path: Path) -> None:
    """Create the folder of runs unless it exists. Raises `OSError` with a message if runs cannot be written to it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(f"{path} is a file, and runs need a folder; --runs-dir names another one") from None
    except OSError as error:
        raise OSError(f"{path} cannot be created: {why(error)}; --runs-dir names another folder") from None
    tried = path / f".{os.getpid()}.tmp"
    try:  # os.access is wrong on Windows and on read-only disks
        tried.touch()
        tried.unlink()
    except OSError as error:
        raise OSError(f"{path} cannot be written to: {why(error)}; --runs-dir names another folder") from None


@dataclass(frozen=True)
class RunFolder:
    """One run's folder; it need not exist yet."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        return self.path / CHECKPOINT

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the run for this process, as `locked` does. Raises `Busy`, and `RunError` if the folder is a link."""
        if self.path.is_symlink():
            raise RunError(f"{self.path} is a link, and no run is trained through a link; replace it by the folder")
        with locked(self.path, *FILES):
            yield

    def is_locked(self) -> bool | None:
        """Return whether some process trains this run now; None if this user cannot find out."""
        return is_locked(self.path)

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, `plain` ones of a text file; None if there is no such file.

        Raises `RunError` if it cannot be read.
        """
        content = read_file(self.path / name)
        return plain(content) if content is not None and name in TEXTS else content

    def read_info(self) -> RunInfo:
        """Read run.json. Raises `MissingRun`, `CorruptedFile`, `NewerRun` or another `RunError`."""
        path = self.path / RUN
        content = self.read(RUN)
        if content is None:
            raise MissingRun(path)
        return RunInfo.from_bytes(path, content)

    def write_info(self, info: RunInfo) -> None:
        write_whole(self.path / RUN, info.to_bytes())

    def read_table(self, info: RunInfo | None = None) -> Columns:
        """Return the table: from run.json if the run is finished, otherwise the rows in epochs.csv.

        Raises `CorruptedFile` if epochs.csv is needed and is not as it was written.
        """
        if info is not None and info.table is not None:
            return info.table
        content = self.read(EPOCHS) or b""
        if info is not None and info.finished and sha256(content) != info.table_sha256:
            raise CorruptedFile(self.path / EPOCHS, "its SHA-256 differs from the one in run.json")
        try:
            return from_csv(content)
        except ValueError as error:
            raise CorruptedFile(self.path / EPOCHS, error) from None

    def append_row(self, row: Row) -> None:
        """Add one epoch to epochs.csv, after the header if it is the first."""
        with open(self.path / EPOCHS, "ab") as file:
            file.write(csv_line(row) if row["epoch"] > 1 else csv_header(row) + csv_line(row))


def read_file(path: Path) -> bytes | None:
    """Return a file's bytes, None if there is no such file. Raises `RunError` if it cannot be read."""
    try:
        with open(path, "rb", buffering=0, opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise RunError(f"{path} is not a file; remove the folder and train again")
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path} cannot be read ({why(error)})") from None


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for the other end of a named pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def rename(path: Path, ending: str = CORRUPTED) -> str:
    """Rename a file, so that it is kept and no longer read; return its new name."""
    names = (f"{path.name}{ending}{n}" for n in itertools.count(1))
    new = next(new for new in names if not path.with_name(new).exists())
    os.replace(path, path.with_name(new))
    return new


def rename_corrupted(error: CorruptedFile) -> str:
    """Rename the corrupted file, if it exists; return a message."""
    if not error.path.exists():
        return f"{error.path} was missing"
    return f"{error.path} was corrupted ({error.reason}) and is renamed to {rename(error.path)}"


def config_yaml(info: RunInfo) -> bytes:
    """Return the text of config.yaml."""
    return "".join(_yaml_entry(key, repr(value)) for key, value in {"name": info.name, **info.config}.items()).encode()


@cache  # a tenth of a millisecond each, while most of 100,000 runs share most entries
def _yaml_entry(key: str, literal: str) -> str:
    text: str = yaml.safe_dump({key: ast.literal_eval(literal)}, sort_keys=False, allow_unicode=True)
    return text
