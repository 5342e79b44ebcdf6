"""What may go: runs without a result, second folders of a run, leftovers; and to save space checkpoints.

It is planned first, and then done. Only files that this program writes are removed, and none through a link. A run with
a result stays unless another folder holds it too; a run that some process trains stays, one of a later version, and a
broken one that has epochs, which training mends. A result that was set aside stays too.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dropexp.errors import NewerRun, NoRuns, RunError, quoted
from dropexp.files import half_written, sha256
from dropexp.lock import LOCK, Busy
from dropexp.runs import folder
from dropexp.runs.folder import DAMAGED, FILES, FINISHED, RUN, Damaged, RunFolder, read_file, read_json_file
from dropexp.runs.record import NO_RUN, Run, keep, read_or_broken, read_runs
from dropexp.runs.study_file import STUDY


def _left(*names: str) -> str:
    """Matches what stands beside files of these names: set aside as damaged, or half-written."""
    either = "|".join(map(re.escape, names))
    return rf"(?:{either}){re.escape(DAMAGED)}\d+|{half_written(*names)}"


_LEFT = re.compile(_left(*FILES))
_LEFT_OF_STUDY = re.compile(_left(STUDY))
_RUN_FOLDER = re.compile(r".+-[0-9a-f]{8}")
_DAY = 86_400  # seconds; where no lock does, it tells a half-written file that was left from one at work


@dataclass(frozen=True)
class Removal:
    """Files of a folder that may go, and the folder with them if nothing else is in it."""

    state: str  # of the run, or "leftover", or "checkpoint"
    path: Path
    files: Sequence[Path]
    why: str
    size: int  # bytes
    known: str | None  # the SHA-256 of run.json when this was planned, "" if there was none; None for what is no run's


def needless(
    names: Sequence[str] = (),
    runs_dir: Path | None = None,
    where: Mapping[str, Any] | None = None,
    *,
    tell: Callable[[str], object] = lambda note: None,
) -> list[Removal]:
    """Runs that are broken, interrupted or failed, second folders of a run, and what was left behind.

    `where` keeps runs whose keys have these values, and leaves out what has no config to ask. Tells of broken runs that
    stay. Raises NoRuns.
    """
    place = runs_dir or folder.default_runs_dir()
    left = [] if where else [*_leftovers(place, names)]
    try:
        found = read_runs(names, place)
    except NoRuns:
        if not left:
            raise
        return left
    kept = {run.identity: run for run in keep(found, where or {}) if run.status not in NO_RUN}
    chosen = [run for run in found if run.identity in kept or (run.status == "broken" and not where)]
    planned = []
    for run in chosen:
        if run.status == "broken" and _is_broken(run.folder) and _has_epochs(run.folder):
            mended = run.folder.status() not in FINISHED  # else training leaves it as it is
            why = "training mends it" if mended else "it may hold a result"
            tell(f"{run.folder.path} stays, since {why}: {run.why}")
        elif removal := _of(run, kept.get(run.identity)):
            planned.append(removal)
    return [*planned, *left]


def checkpoints(
    names: Sequence[str] = (), runs_dir: Path | None = None, where: Mapping[str, Any] | None = None
) -> list[Removal]:
    """The checkpoints of finished runs, which nothing but `evaluate` reads. Raises NoRuns."""
    found = keep(read_runs(names, runs_dir), where or {})
    planned = []
    for finished in (run.folder for run in found if run.status in FINISHED):
        known = _digest(finished.path)
        if finished.checkpoint in _ours(finished.path) and _is_finished(finished):  # else it may be made good from it
            why = "only `dropexp evaluate` would read it"
            planned.append(_removal("checkpoint", finished.path, [finished.checkpoint], why, known))
    return planned


def _of(run: Run, kept: Run | None) -> Removal | None:
    """What of a run's folder may go, None if nothing; `kept` is that run, or the one that it is a second folder of."""
    path, files = run.folder.path, _ours(run.folder.path)
    known = _digest(path)  # before all that is asked of the folder below: many others were read since `run` was
    left = [file for file in files if _LEFT.fullmatch(file.name)]
    if not files or run.folder.held():
        return None
    if run.status in FINISHED:
        return _removal("leftover", path, left, "set aside as damaged, or half-written", known) if left else None
    if run.status != "twice" and read_or_broken(run.folder).status != run.status:
        return None
    if run.status == "twice" and kept and (_is_finished(kept.folder) or not _is_finished(run.folder)):
        why = f"the same run as {kept.folder.path}"
    elif run.status == "broken" and _is_broken(run.folder):
        why = run.why or "nobody can read it"
    elif run.status in ("interrupted", "failed"):
        why = run.why or f"{run.epoch or 0} of {run.config.get('epochs')} epochs, from which training would go on"
    else:
        return None
    others = [quoted(entry.name) for entry in _listed(path) if entry not in files]
    return _removal(run.status, path, files, f"{why}; it keeps {', '.join(others)}" if others else why, known)


def _is_finished(folder: RunFolder) -> bool:
    """Whether the run has a result, and all of it."""
    try:
        return folder.status() in FINISHED
    except NewerRun:
        return False


def _has_epochs(folder: RunFolder) -> bool:
    """Whether there is a checkpoint, or a table that can be read, from which a run is made good or known at least."""
    try:
        return folder.checkpoint.exists() or bool(folder.read_rows())
    except RunError:
        return False


def _is_broken(folder: RunFolder) -> bool:
    """Whether it is sure that run.json is missing, or is nothing that training has written."""
    try:
        read_json_file(folder.path / RUN)
    except Damaged:
        return True
    except RunError:  # it is of a later version, or one may not look
        return False
    return True  # it can be read, but is not as training writes it, or the run would not be called broken


def _leftovers(place: Path, names: Sequence[str]) -> Iterator[Removal]:
    """In the folders of these studies, or of all: what was left of study.json, and of runs that never began."""
    for study in [place / name for name in names] or _listed(place):
        if study.is_symlink() or not study.name.isprintable():
            continue
        files = [file for file in _listed(study) if _LEFT_OF_STUDY.fullmatch(file.name) and not file.is_symlink()]
        files = [file for file in files if DAMAGED in file.name or _age(file) > _DAY]
        if files:
            yield _removal("leftover", study, files, "set aside as damaged, or half-written", None)
        for path in filter(_never_began, _listed(study)):
            yield _removal("leftover", path, _ours(path), "a run that never began", "")


def _never_began(path: Path) -> bool:
    files = _ours(path) if _RUN_FOLDER.fullmatch(path.name) and path.name.isprintable() else []
    begun = any(file.name in FILES for file in files)
    return bool(files) and files == _listed(path) and not begun and not RunFolder(path).held()


def _removal(state: str, path: Path, files: Sequence[Path], why: str, known: str | None) -> Removal:
    return Removal(state, path, files, why, sum(map(_size, files)), known)


def remove(removal: Removal) -> str | None:
    """Remove the files; returns a sentence if something had to stay."""
    if removal.known is None:
        return _unlinked(removal.files)
    locks = [file for file in removal.files if file.name == LOCK]
    try:
        with RunFolder(removal.path).lock():
            if _digest(removal.path) != removal.known:
                return f"{removal.path} has changed meanwhile and stays"
            said = _unlinked([file for file in removal.files if file.name != LOCK])
            if os.name != "nt":  # a process that waits for the lock sees that it is gone, and makes its own
                said = said or _unlinked(locks)
    except Busy:
        return f"{removal.path} is being trained and stays"
    except (OSError, RunError) as error:
        return f"{removal.path} stays: {error}"
    if os.name == "nt":  # where a file that some process has open cannot be removed
        said = said or _unlinked(locks)
    with suppress(OSError):  # there is something else in it
        removal.path.rmdir()
        removal.path.parent.rmdir()
    return said


def _unlinked(files: Iterable[Path]) -> str | None:
    try:
        for file in sorted(files, key=lambda file: file.name == RUN):  # last what tells the next call of the others
            file.unlink(missing_ok=True)
    except OSError as error:
        return str(error)
    return None


def _digest(path: Path) -> str:
    """The SHA-256 of run.json; "" where it is missing, cannot be read, or is no file, such as a pipe."""
    try:
        content = read_file(path / RUN)
    except RunError:
        return ""
    return "" if content is None else sha256(content)


def _ours(path: Path) -> list[Path]:
    """The files in a run's folder that this program writes; none where a link leads to it."""
    if path.is_symlink() or path.parent.is_symlink():
        return []
    files = filter(_is_plain, _listed(path))
    return [file for file in files if file.name in (*FILES, LOCK) or _LEFT.fullmatch(file.name)]


def _is_plain(file: Path) -> bool:
    """Whether it is a file, and no link to one, and one may look."""
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except OSError:
        return False


def _size(file: Path) -> int:
    """In bytes; 0 if it is gone."""
    try:
        return file.lstat().st_size
    except OSError:
        return 0


def _age(file: Path) -> float:
    """Seconds since it was written; 0 if it is gone, as a training renames what it has written."""
    try:
        return time.time() - file.lstat().st_mtime
    except OSError:
        return 0.0


def _listed(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError:
        return []
