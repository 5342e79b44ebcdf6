"""The run folder: every file name, how each is written, read and locked.

    runs/<name>/<cell>-<hash8>/
      config.yaml      the resolved config, complete
      epochs.csv       one row per epoch
      run.json         status, config, last row and provenance in one small file
      checkpoint.pt    what a resumed run goes on from

A file is replaced whole (written aside, then renamed), the table grows by whole lines. So a process that is
killed at any moment leaves a folder that can be read.

What a disk or a hand has changed is told by SHA-256. run.json, study.json and checkpoint.pt bear their own
(`wholefile.py`); the checkpoint also bears the table's, as far as it counts its rows, and the run.json of a finished
run the table's and config.yaml's. What is damaged is not believed and not lost: training renames it to
<file>.damaged-<n>, says so, and goes on from what is whole, or begins anew. Files of an earlier version lack
checksums and are read without; those of a later schema are not touched. A result is never cleared but by --force:
where it cannot be made good, the run begins anew beside it, which is kept as <file>.before-<n>.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dropexp.errors import NewerRun, OtherRun, RunError
from dropexp.files import read_json, sealed_json, sha256, write_whole
from dropexp.lock import is_locked, locked

SCHEMA = 1  # of run.json, study.json and checkpoint.pt; the others' are pinned by run.json
STATUSES = ("running", "done", "interrupted", "diverged", "failed")
FINISHED = ("done", "diverged")  # a diverged run is a result: it is not trained again
CONFIG, EPOCHS, RUN, CHECKPOINT = "config.yaml", "epochs.csv", "run.json", "checkpoint.pt"
# Of a run, in the order of writing that lets it go on wherever that is cut short.
FILES = (CONFIG, EPOCHS, CHECKPOINT, RUN)
_SET_ASIDE = (RUN, CHECKPOINT, CONFIG, EPOCHS)  # in this order, so that what is left yet may be a result to the last
DAMAGED, BEFORE = ".damaged-", ".before-"  # and a number: ends of names that files are set aside by

Row = dict[str, Any]
IsIts = Callable[[object], bool]  # `PlannedRun.has` for settings as they stand in run.json


class Damaged(RunError):
    """A file that is not as it was written; training sets it aside."""

    def __init__(self, path: Path, what: object) -> None:
        super().__init__(f"{path} is damaged: {what}; `dropexp train -c FILE` sets it aside and makes it anew")
        self.path, self.what = path, what

    def set_aside(self) -> str:
        """Rename the file, if it is there; returns a sentence that says so."""
        if not self.path.exists():
            return f"{self.path} was missing and is made anew"
        names = (f"{self.path.name}{DAMAGED}{n}" for n in itertools.count(1))
        kept = next(path for name in names if not (path := self.path.with_name(name)).exists())
        os.replace(self.path, kept)
        return f"{self.path} was damaged ({self.what}), is kept as {kept.name} and made anew"


def default_runs_dir() -> Path:
    """`$DROPEXP_RUNS`, else `runs` in the current folder."""
    return Path(os.environ.get("DROPEXP_RUNS") or "runs")


def _number(value: str) -> int | float | None:
    """A number as it was written; an empty cell is None."""
    if value == "":
        return None
    return float(value) if any(c in value for c in ".einfa") else int(value)


def so_far(last: Row | None) -> dict[str, Any]:
    """What run.json says of the table: how many rows it has, and its last, without what JSON has no word for."""
    finite = {key: value if value is None or math.isfinite(value) else None for key, value in (last or {}).items()}
    return {"rows": last["epoch"] if last else 0, "last": finite or None}


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
        """Hold the run for this process, as `locked` does. Raises `Busy`, and `RunError` where a link leads to it."""
        if self.path.is_symlink():
            raise RunError(f"{self.path} is a link, which no training follows; put the folder itself in its place")
        with locked(self.path, *FILES):
            yield

    def held(self) -> bool:
        """Whether some process trains this run now."""
        return is_locked(self.path)

    def clear(self) -> None:
        """Remove what a run wrote, the lock apart.

        Cut short, it leaves a result without its checkpoint, or a run that begins anew. Raises OSError.
        """
        self.checkpoint.unlink(missing_ok=True)  # from which the run would go on
        with suppress(RunError):  # there is none, or none that can be read
            self.write_info(self.read_info() | {"status": "interrupted"})
        for name in FILES:  # run.json last, which says so
            (self.path / name).unlink(missing_ok=True)

    def may_hold_a_result(self) -> bool:
        """Whether the run has ended as run.json says; or whether there is anything of it, if nobody can say."""
        try:
            return self.read_info()["status"] in FINISHED
        except RunError:
            return any((self.path / name).exists() for name in (EPOCHS, CHECKPOINT))

    def begin_anew(self) -> list[str]:
        """Clear the folder; what may be a result is set aside instead, and a sentence says so."""
        if not self.may_hold_a_result():
            self.clear()
            return []
        there = [name for name in _SET_ASIDE if (self.path / name).exists()]
        ends = (f"{BEFORE}{n}" for n in itertools.count(1))  # the same as for the rest, if that was cut short
        end = next(end for end in ends if not any((self.path / (name + end)).exists() for name in there))
        for name in there:
            os.replace(self.path / name, self.path / (name + end))
        kept = ", ".join(name + end for name in there)
        return [f"{self.path / EPOCHS} is begun anew; what was there before is kept as {kept}"]

    # run.json

    def write_info(self, info: dict[str, Any]) -> None:
        write_whole(self.path / RUN, sealed_json({"schema": SCHEMA, **info}))

    def read_info(self) -> dict[str, Any]:
        """run.json as it stands. Raises `RunError` if it is missing, `Damaged`, or `NewerRun`."""
        path = self.path / RUN
        info = read_json_file(path)
        if info is None:
            raise RunError(f"{path} is missing")
        if info.get("schema") != SCHEMA or info.get("status") not in STATUSES:
            raise Damaged(path, f"it is no run.json of schema {SCHEMA}")
        return info

    def digests(self) -> dict[str, str]:
        """The SHA-256 of the table and the config, by file name."""
        return {name: sha256(read_file(self.path / name) or b"") for name in (EPOCHS, CONFIG)}

    def check(self, is_its: IsIts = lambda settings: True) -> str:
        """The status in run.json. Raises as `read_info`, and `Damaged` for a finished run's table or config too.

        Raises `OtherRun` where the settings in run.json are not those of the run that the folder is asked for.
        """
        info = self.read_info()
        try:
            if not is_its(info.get("settings")):
                raise OtherRun(self.path)
        except ValueError as error:
            raise Damaged(self.path / RUN, error) from None
        known = info.get("files")
        if info["status"] in FINISHED and isinstance(known, dict):  # not of an earlier version
            for name, digest in self.digests().items():
                if digest != known.get(name):
                    raise Damaged(self.path / name, "it is not as run.json knows it, by its SHA-256")
        return str(info["status"])

    def mend_config(self, content: bytes) -> str | None:
        """Write a finished run's config.yaml anew, if nothing else is damaged; returns a sentence that says so."""
        try:
            self.check()
        except Damaged as damage:
            if damage.path == self.config_path:
                note, info = damage.set_aside(), self.read_info()
                write_whole(self.config_path, content)
                self.write_info(info | {"files": info["files"] | {CONFIG: sha256(content)}})
                return note
        return None

    def status(self, is_its: IsIts = lambda settings: True) -> str:
        """As in run.json, or "interrupted", as its process is gone; "missing", "broken".

        Raises `NewerRun`, and `OtherRun` as `check` does.
        """
        try:
            status = self.check(is_its)
        except (NewerRun, OtherRun):
            raise
        except Damaged:
            return "broken"
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

    def table(self, count: int | None = None) -> bytes:
        """The table's whole lines, or its header and first `count` rows; a torn last line is left out."""
        lines = (read_file(self.path / EPOCHS) or b"").splitlines(keepends=True)
        whole = lines if not lines or lines[-1].endswith(b"\n") else lines[:-1]
        return b"".join(whole if count is None else whole[: count + 1 if count else 0])

    def read_rows(self, count: int | None = None, known: str | None = None) -> list[Row]:
        """The table's rows, or the first `count`.

        Raises `Damaged` if there are fewer, if a cell is no number, or if its SHA-256 is not the one that is `known`.
        """
        path, table = self.path / EPOCHS, self.table(count)
        try:
            text = io.StringIO(table.decode())
            rows = [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(text)]
        except (ValueError, TypeError, AttributeError, csv.Error) as error:
            raise Damaged(path, error) from None
        if len(rows) < (count or 0):
            raise Damaged(path, f"it has {len(rows)} rows where the checkpoint counts {count}")
        if known is not None and sha256(table) != known:
            raise Damaged(path, "its rows are not as they were written, by their SHA-256")
        return rows

    def cut_rows(self, count: int, known: str | None = None) -> list[Row]:
        """Keep the first `count` rows of the table. Raises `Damaged` as `read_rows` does."""
        rows = self.read_rows(count, known)
        if (self.path / EPOCHS).exists():
            write_whole(self.path / EPOCHS, self.table(count))
        return rows


def read_file(path: Path) -> bytes | None:
    """A file's bytes, None if it is not there. Raises `RunError` if it cannot be read."""
    try:
        if path.exists() and not path.is_file():  # a pipe, say, which would be waited for
            raise RunError(f"{path} is no file; remove the folder and train again")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error})") from None


def read_json_file(path: Path) -> dict[str, Any] | None:
    """What stands in run.json or study.json, None if it is not there. Raises `RunError`, `Damaged`, `NewerRun`."""
    text = read_file(path)
    if text is None:
        return None
    try:
        content = read_json(text, SCHEMA)
    except ValueError as error:
        raise Damaged(path, error) from None
    if isinstance(content.get("schema"), int) and content["schema"] > SCHEMA:
        raise NewerRun(path)
    return content
