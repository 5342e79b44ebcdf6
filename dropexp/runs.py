"""The run folder: every file name, how each is written, read, locked and found again.

    runs/<name>/<cell>-<hash8>/
      config.yaml      the resolved config, complete
      epochs.csv       one row per epoch
      run.json         status, config, last row and provenance in one small file
      checkpoint.pt    what a resumed run goes on from

A file is replaced whole (written aside, then renamed), the table grows by whole lines. So a process that is
killed at any moment leaves a folder that can be read.
"""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

SCHEMA = 1
STATUSES = ("running", "done", "interrupted", "diverged", "failed")
FINISHED = ("done", "diverged")  # a diverged run is a result: it is not trained again
CONFIG, EPOCHS, RUN, CHECKPOINT, LOCK = "config.yaml", "epochs.csv", "run.json", "checkpoint.pt", ".lock"
STUDY = "study.json"  # beside the runs of one name: what the config says of the whole study

Row = dict[str, Any]


class RunError(Exception):
    """A run folder that cannot be read or written, named, with what to do."""


class NewerRun(RunError):
    """A run of a later version of this program: it is left alone."""


class Busy(Exception):
    """Another process holds the run."""


def default_runs_dir() -> Path:
    """`$DROPEXP_RUNS`, else `runs` in the current folder."""
    return Path(os.environ.get("DROPEXP_RUNS") or "runs")


def write_whole(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, so that a reader sees the old bytes or the new ones, never a part."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _replace(aside: Path, path: Path) -> None:
    """Rename; on Windows it is refused while another process, such as `compare`, reads the file."""
    for _ in range(9 if os.name == "nt" else 0):
        try:
            os.replace(aside, path)
            return
        except PermissionError:
            time.sleep(0.1)
    os.replace(aside, path)


def to_json(content: Any) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _number(value: str) -> int | float | None:
    """A number as it was written; an empty cell is None."""
    if value == "":
        return None
    return float(value) if any(c in value for c in ".einfa") else int(value)


@dataclass(frozen=True)
class RunFolder:
    """One run's folder; it need not exist yet."""

    path: Path

    @property
    def config_path(self) -> Path:
        return self.path / CONFIG

    @property
    def checkpoint(self) -> Path:
        return self.path / CHECKPOINT

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process; the hold ends with the process, however it ends.

        Raises `Busy` if another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path / LOCK, timeout=1):  # `held` may be trying the lock just now
                for leftover in self.path.glob(".*.tmp"):  # of a process that was killed while it wrote
                    leftover.unlink(missing_ok=True)
                yield
        except Timeout:
            raise Busy(str(self.path)) from None

    def held(self) -> bool:
        """Whether some process trains this run now."""
        lock = FileLock(self.path / LOCK, timeout=0)
        if not (self.path / LOCK).exists():
            return False
        try:
            with lock:
                return False
        except Timeout:
            return True
        except OSError:  # a folder that one may only read has no lock to take, and nobody trains there
            return False

    def clear(self) -> None:
        """Remove what a run wrote, the lock apart."""
        for name in (RUN, EPOCHS, CHECKPOINT, CONFIG):
            (self.path / name).unlink(missing_ok=True)

    # run.json

    def write_info(self, info: dict[str, Any]) -> None:
        write_whole(self.path / RUN, to_json({"schema": SCHEMA, **info}))

    def read_info(self) -> dict[str, Any]:
        """run.json as it stands. Raises `RunError` if it is missing, broken or of a newer version."""
        path = self.path / RUN
        try:
            info = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise RunError(f"{path} is missing") from None
        except OSError as error:
            raise RunError(f"{path} cannot be read ({error})") from None
        except ValueError as error:
            raise RunError(f"{path} cannot be read ({error}); remove the folder and train again") from None
        if isinstance(info, dict) and isinstance(info.get("schema"), int) and info["schema"] > SCHEMA:
            raise NewerRun(f"{path} is of a later version of dropexp; use that, or another --runs-dir")
        if not isinstance(info, dict) or info.get("schema") != SCHEMA or info.get("status") not in STATUSES:
            raise RunError(f"{path} is not a run.json of schema {SCHEMA}; remove the folder and train again")
        return info

    def status(self) -> str:
        """As run.json says, but a run whose process is gone is interrupted; "missing" without a run.json to read.

        Raises `NewerRun` for a run of a later version.
        """
        try:
            status: str = self.read_info()["status"]
        except NewerRun:
            raise
        except RunError:
            return "missing"
        return "interrupted" if status == "running" and not self.held() else status

    # epochs.csv

    def append_row(self, row: Row) -> None:
        """Add one epoch to the table, the header before the first."""
        path = self.path / EPOCHS
        line = io.StringIO(newline="")
        writer = csv.DictWriter(line, row.keys(), lineterminator="\n")
        if not path.exists() or path.stat().st_size == 0:
            writer.writeheader()
        writer.writerow(row)
        with open(path, "ab") as file:
            file.write(line.getvalue().encode())
            file.flush()
            os.fsync(file.fileno())

    def read_rows(self) -> list[Row]:
        """The table's whole lines; a torn last line is left out. Raises `RunError` if a cell is no number."""
        path = self.path / EPOCHS
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise RunError(f"{path} cannot be read ({error})") from None
        whole = text[: text.rfind("\n") + 1]
        try:
            return [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(io.StringIO(whole))]
        except (ValueError, TypeError, AttributeError, csv.Error) as error:
            raise RunError(f"{path} is damaged ({error}); train the run again with --force") from None

    def cut_rows(self, count: int) -> list[Row]:
        """Keep the first `count` rows of the table. Raises `RunError` if there are fewer."""
        rows = self.read_rows()
        if len(rows) < count:
            raise RunError(f"{self.path / EPOCHS} has {len(rows)} rows where the checkpoint counts {count}")
        path = self.path / EPOCHS
        if path.exists():
            lines = path.read_bytes().splitlines(keepends=True)
            write_whole(path, b"".join(lines[: count + 1 if count else 0]))
        return rows[:count]


def by_hash(study: Path) -> dict[str, RunFolder]:
    """The runs of a study by the hash that their folders' names end with, whatever readable cell they begin with."""
    return {path.name.rpartition("-")[2]: RunFolder(path) for path in reversed(_folders(study))}


def folders(paths_or_names: Iterable[str], runs_dir: Path) -> list[RunFolder]:
    """Run folders named by a study's name, a run's path or a folder of runs; all under `runs_dir` if none is named.

    Raises `RunError` for a name or path that holds no run.
    """
    wanted = list(paths_or_names)
    if not wanted:
        return _below(runs_dir)
    found: dict[Path, RunFolder] = {}
    for item in wanted:
        here = [run for place in (runs_dir / item, Path(item)) if place.is_dir() for run in _below(place)]
        if not here:
            names = ", ".join(study_names(runs_dir)) or "nothing yet"
            raise RunError(f"no runs at {item!r}: neither a name under {runs_dir} ({names}) nor a folder of runs")
        found |= {run.path.resolve(): run for run in here}
    return list(found.values())


def study_names(runs_dir: Path) -> list[str]:
    """The names under `runs_dir` that hold runs."""
    return sorted({run.path.parent.name for run in _below(runs_dir)})


def _below(place: Path) -> list[RunFolder]:
    """The run folder itself, or the run folders at most two levels down, damaged ones too."""
    if _is_run(place):
        return [RunFolder(place)]
    found = []
    for path in _folders(place):
        found += [path] if _is_run(path) else [below for below in _folders(path) if _is_run(below)]
    return [RunFolder(path) for path in found]


def _is_run(path: Path) -> bool:
    """Whether a run was written here, or nobody knows since one may not look."""
    try:
        return any((path / name).exists() for name in (RUN, EPOCHS, CHECKPOINT))
    except PermissionError:
        return True


def _folders(place: Path) -> list[Path]:
    try:
        with os.scandir(place) as entries:
            return [place / name for name in sorted(entry.name for entry in entries if entry.is_dir())]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def write_study(runs_dir: Path, name: str, study: dict[str, Any]) -> None:
    """Keep what a config says of its study as a whole, a source's published figures; nothing is kept of nothing."""
    path = runs_dir / name / STUDY
    content = to_json({"schema": SCHEMA, **study}) if study else None
    if content == (path.read_bytes() if path.exists() else None):
        return
    if content is None:
        path.unlink()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)


def read_study(run: RunFolder) -> dict[str, Any]:
    """What the config said of the study that this run belongs to; empty if nothing was said."""
    try:
        study = json.loads((run.path.parent / STUDY).read_bytes())
    except (OSError, ValueError):
        return {}
    return study if isinstance(study, dict) else {}
