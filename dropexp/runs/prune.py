"""What `dropexp runs --prune` removes: runs without a result, second folders, leftovers; or checkpoints; or trials.

Planning only reads. A removal locks the folder, and removes nothing if run.json has changed since. Only files of
dropexp are removed, and none through a link.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dropexp.errors import NoRuns, RunError
from dropexp.files import half_written, sha256, why
from dropexp.lock import LOCK, Busy
from dropexp.runs.folder import BEFORE, CORRUPTED, FILES, RUN, RunFolder, default_runs_dir, read_file
from dropexp.runs.record import Run, keep, read_any, read_runs
from dropexp.runs.run_json import SCHEMA
from dropexp.runs.state_names import FINISHED, NO_RUN, Status
from dropexp.runs.study_file import STUDY, read_searches

LEFTOVER = "renamed because it was corrupted or the run restarted, or half-written"
_RUN_FOLDER = re.compile(r".+-[0-9a-f]{8}")


def _leftovers_of(*names: str) -> re.Pattern[str]:
    """Return a pattern for files of these names that were renamed, by the version of schema 1 too, or half-written."""
    renamed = "|".join(map(re.escape, (CORRUPTED, BEFORE, ".damaged-")))
    return re.compile(rf"(?:{'|'.join(map(re.escape, names))})(?:{renamed})\d+|{half_written(*names)}")


_LEFTOVER, _STUDY_LEFTOVER = _leftovers_of(*FILES), _leftovers_of(STUDY)


@dataclass(frozen=True)
class Removal:
    """Files of a folder that can be removed, and the folder with them if nothing else is in it."""

    state: str  # of the run, or "leftover", "checkpoint" or "trial"
    path: Path
    files: Sequence[Path]
    why: str
    size: int  # bytes
    known: str  # the SHA-256 of run.json when this was planned, "" if there was none


@dataclass(frozen=True)
class Pruning:
    """What can be removed, and messages about corrupted runs that are kept."""

    removals: list[Removal]
    notes: list[str]


def without_result(
    names: Sequence[str] = (), runs_dir: Path | None = None, where: Mapping[str, Any] | None = None
) -> Pruning:
    """Plan to remove runs that are corrupted, interrupted or failed, second folders of a run, and leftovers.

    `where` selects runs whose keys have these values; folders without a config are then left out. Raises `NoRuns`.
    """
    root = runs_dir or default_runs_dir()
    leftovers = [] if where else [*_leftovers(root, names)]
    try:
        found = read_runs(names, root)
    except NoRuns:
        if not leftovers:
            raise
        return Pruning(leftovers, [])
    selected = keep(found, where or {})
    chosen = {run.identity: run for run in selected if run.status not in NO_RUN}
    corrupted = [run.folder for run in selected if run.status == Status.CORRUPTED and set(where or {}) <= {"status"}]
    removals, notes = [], []
    for run in found:
        if run.identity in chosen or run.folder in corrupted:
            of_run = _removals_of(run, chosen.get(run.identity))
            if of_run and of_run[-1].state == Status.CORRUPTED and _has_epochs(run.folder):
                notes.append(f"{run.folder.path} is kept, since training may resume it or keep its figures: {run.why}")
            else:
                removals += of_run
    return Pruning([*removals, *leftovers], notes)


def checkpoints(
    names: Sequence[str] = (), runs_dir: Path | None = None, where: Mapping[str, Any] | None = None
) -> list[Removal]:
    """Plan to remove the checkpoints of finished runs. Raises `NoRuns`."""
    reason = "`dropexp evaluate` and `report` would read it, and `train` to rewrite lost predictions"
    finished = (run.folder for run in keep(read_runs(names, runs_dir), where or {}) if run.status in FINISHED)
    return [
        _removal("checkpoint", folder.path, [folder.checkpoint], reason, _digest(folder.path))
        for folder in finished
        if folder.checkpoint in _own_files(folder.path)
    ]


def trials(
    names: Sequence[str] = (), runs_dir: Path | None = None, where: Mapping[str, Any] | None = None
) -> list[Removal]:
    """Plan to remove the trials of searches whose selection and figures study.json has. Raises `NoRuns`."""
    runs = keep(read_runs(names, runs_dir), where or {})
    known = {folder: _known_trials(folder) for folder in {run.folder.path.parent for run in runs}}
    reason = "study.json has its figures and the selection; `train` does not train it again"
    removals = []
    for run in runs:
        tuning, path = run.tuning, run.folder.path
        if (
            tuning is None
            or tuning.role != "trial"
            or run.status not in FINISHED
            or run.folder.is_locked() is not False
        ):
            continue
        if (tuning.search, str(run.settings.get("device")), tuning.trial) in known[path.parent]:
            removals.append(_removal("trial", path, _own_files(path), reason, _digest(path)))
    return removals


def _known_trials(study: Path) -> set[tuple[str, str, int]]:
    """Return the trials of searches with a selection whose figures study.json has: search, kind of device, number."""
    try:
        searches = read_searches(study)
    except RunError:
        return set()
    return {
        (*key, index)
        for key, record in searches.items()
        if record.selected is not None
        for index, trial in enumerate(record.trials)
        if trial.status is not None
    }


def _removals_of(run: Run, first: Run | None) -> list[Removal]:
    """Return what can be removed of a run's folder: its leftovers, and the run unless it has a result.

    `first` is the run itself, or the run that this folder repeats. Leftovers come first: their removal leaves run.json
    as it is.
    """
    path, files = run.folder.path, _own_files(run.folder.path)
    known = _digest(path)  # before the folder is read again below: it may have changed since `run` was read
    if not files or run.folder.is_locked() is not False:
        return []
    left = [file for file in files if _LEFTOVER.fullmatch(file.name)]
    leftovers = [_removal("leftover", path, left, LEFTOVER, known)] if left else []
    if run.status in FINISHED:
        return leftovers
    status = read_any(run.folder).status
    if status in (Status.RUNNING, Status.UNKNOWN, Status.UNREADABLE):  # it may be running
        return []
    if run.status == Status.DUPLICATE and first is not None and (_is_finished(first.folder) or status not in FINISHED):
        reason = f"the same run as {first.folder.path}"
    elif status == run.status == Status.CORRUPTED:
        reason = run.why or ""
    elif status == run.status and status in (Status.INTERRUPTED, Status.FAILED):
        reason = run.why or _saved(run)
    else:
        return []
    if others := [entry.name for entry in _listed(path) if entry not in files]:
        reason += f"; the folder and its {', '.join(others)} are kept"
    own = [file for file in files if file not in left]
    return [*leftovers, _removal(run.status, path, own, reason, known)]


def _removal(state: str, path: Path, files: Sequence[Path], reason: str, known: str) -> Removal:
    size = 0
    for file in files:
        with suppress(OSError):  # it is gone
            size += file.lstat().st_size
    return Removal(state, path, files, reason, size, known)


def _saved(run: Run) -> str:
    """Return how many epochs a run's checkpoint has, or that a checkpoint of schema 1 cannot be resumed.

    After a kill between the writes of checkpoint.pt and run.json, the checkpoint has more epochs.
    """
    if not run.folder.checkpoint.exists():
        return "no checkpoint"
    if run.info is not None and run.info.version < SCHEMA:
        return "its checkpoint was written by an earlier version of dropexp and cannot be resumed"
    if not run.epoch:
        return "a checkpoint whose epochs run.json does not have yet"
    return f"at least {run.epoch} of {run.config.get('epochs')} epochs in its checkpoint"


def _is_finished(folder: RunFolder) -> bool:
    return read_any(folder).status in FINISHED


def _has_epochs(folder: RunFolder) -> bool:
    """Return whether a run without a readable run.json has a checkpoint or figures."""
    try:
        return folder.checkpoint.exists() or bool(folder.read_table())
    except RunError:
        return False


def _leftovers(root: Path, names: Sequence[str]) -> Iterator[Removal]:
    """Find leftovers of study.json, and folders of runs that never started, in these studies or in all."""
    for study in [root / name for name in names] or _listed(root):
        if study.is_symlink():
            continue
        files = [file for file in _listed(study) if _STUDY_LEFTOVER.fullmatch(file.name) and _is_regular(file)]
        if files:
            yield _removal("leftover", study, files, LEFTOVER, "")
        for path in filter(_never_started, _listed(study)):
            yield _removal("leftover", path, _own_files(path), "a run that never started", "")


def _never_started(path: Path) -> bool:
    """Return whether a run's folder has nothing but a lock, which is free, and half-written files."""
    files = _own_files(path) if _RUN_FOLDER.fullmatch(path.name) else []
    started = any(file.name in FILES for file in files)
    return bool(files) and files == _listed(path) and not started and RunFolder(path).is_locked() is False


def remove(removal: Removal) -> str | None:
    """Remove the files; return a message if any were not removed."""
    locks = [file for file in removal.files if file.name == LOCK]
    try:
        with RunFolder(removal.path).lock():
            if _digest(removal.path) != removal.known:
                return f"{removal.path} is not removed: it has changed since"
            failed = _unlink([file for file in removal.files if file.name != LOCK])
            if not failed and [file.name for file in _listed(removal.path)] == [LOCK]:
                locks = [removal.path / LOCK]  # created above in a folder without one
            if os.name != "nt":  # a process that waits for the lock finds it removed, and creates another
                failed = failed or _unlink(locks)
    except Busy:
        return f"{removal.path} is not removed: another process has locked it"
    except (OSError, RunError) as error:
        return f"{removal.path} is not removed: {why(error)}"
    if os.name == "nt":  # where no open file can be removed
        failed = failed or _unlink(locks)
    with suppress(OSError):  # there is something else in it
        removal.path.rmdir()
        removal.path.parent.rmdir()
    return failed


def _unlink(files: Iterable[Path]) -> str | None:
    """Remove files, run.json last: without it the next call would not find the others. Return a message on failure."""
    for file in sorted(files, key=lambda file: file.name == RUN):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            return f"{file} is not removed: {why(error)}"
    return None


def _digest(path: Path) -> str:
    """Return the SHA-256 of run.json; "" if it is missing or cannot be read."""
    with suppress(RunError):
        return sha256(content) if (content := read_file(path / RUN)) is not None else ""
    return ""


def _own_files(path: Path) -> list[Path]:
    """Return the files in a run's folder that dropexp writes; none if a link leads to it."""
    if path.is_symlink() or path.parent.is_symlink():
        return []
    names = (*FILES, LOCK)
    return [
        file for file in _listed(path) if (file.name in names or _LEFTOVER.fullmatch(file.name)) and _is_regular(file)
    ]


def _is_regular(path: Path) -> bool:
    """Return whether the path is a regular file, not a link."""
    with suppress(OSError):
        return stat.S_ISREG(path.lstat().st_mode)
    return False


def _listed(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError:
        return []
