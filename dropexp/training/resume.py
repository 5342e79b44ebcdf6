"""Where a run starts: after the epochs of its checkpoint, or again from its beginning, with a message.

Epochs that round differently are never joined in one table: a run resumes only under the identity of its checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from dropexp.config.planned_run import PlannedRun
from dropexp.errors import CorruptedFile, RunError
from dropexp.runs.epochs_table import Columns, num_epochs
from dropexp.runs.folder import RunFolder, rename_corrupted
from dropexp.runs.transitions import rename_for_restart, rename_if_corrupted
from dropexp.training import checkpoint
from dropexp.training.checkpoint import Checkpoint, TrainingState

NAMES = {"hash": "config", "route": "matmul backend", "drawing": "version of the sampling"}  # of keys of an identity


@dataclass
class Resumed:
    """Where a run starts or resumes."""

    state: TrainingState
    columns: Columns = field(default_factory=dict)  # the table so far
    notes: list[str] = field(default_factory=list)  # on corrupted files, or why the run restarts


@dataclass(frozen=True)
class Restart:
    """Why a run cannot resume, and how many epochs that loses."""

    why: str
    epochs: int

    def __str__(self) -> str:
        lost = f", {self.epochs} epoch{' is' if self.epochs == 1 else 's are'} lost" if self.epochs else ""
        return f"{self.why}; the run restarts{lost}"


def resume(
    folder: RunFolder,
    planned: PlannedRun,
    identity: dict[str, str],
    fresh: Callable[[], TrainingState],
    is_complete: Callable[[Columns], bool],
) -> Resumed:
    """Return the state in checkpoint.pt, or a fresh one if there is none from which the run may resume.

    Corrupted files are renamed, and so are the old files of a run that restarts. The notes name these and the reason.
    Raises `NewerRun`.
    """
    state = fresh()  # first: if memory is too small for it, nothing is renamed
    trained = _trained_epochs(folder)
    notes = rename_if_corrupted(folder, planned)
    columns: Columns = {}
    try:
        saved = checkpoint.read(folder)
        restart = _restart(folder, saved, trained, identity, is_complete)
        if saved is not None and saved.columns is not None and restart is None:
            if saved.identity == identity:  # otherwise the table is complete, and no epoch is left to train
                state.load(saved, folder)
            state.kept, columns = saved.kept, saved.columns
    except CorruptedFile as error:
        state = fresh()  # the first may be partly loaded
        restart = Restart(rename_corrupted(error), trained)
    if restart is not None:
        kept = " and ".join(rename_for_restart(folder) if restart.epochs else [])
        notes.append(f"{restart}; kept as {kept}" if kept else str(restart))
    elif notes:
        done = num_epochs(columns)
        notes[-1] += f"; the run {f'resumes after epoch {done}' if done else 'restarts'}"
    return Resumed(state, columns, notes)


def would_restart(
    folder: RunFolder, identity: dict[str, str], is_complete: Callable[[Columns], bool]
) -> Restart | None:
    """Return why an unfinished run would restart, and write nothing; None if it would resume or start."""
    trained = _trained_epochs(folder)
    try:
        return _restart(folder, checkpoint.read(folder), trained, identity, is_complete)
    except CorruptedFile as error:
        return Restart(f"{error.path} is corrupted ({error.reason})", trained)


def _restart(
    folder: RunFolder,
    saved: Checkpoint | None,
    trained: int,
    identity: dict[str, str],
    is_complete: Callable[[Columns], bool],
) -> Restart | None:
    """Return why the run may not resume from what is saved; None if it may, or nothing was ever saved.

    The checkpoint must have the same identity, so that all epochs round alike. If its table is complete, nothing is
    left to compute, and the same hash and data are enough.
    """
    if saved is None:
        return Restart(f"{folder.checkpoint} is missing", trained) if trained else None
    epochs = max(trained, saved.epoch)
    if saved.columns is None:
        why = f"{folder.checkpoint} was written by an earlier version of dropexp and cannot be resumed"
        return Restart(why, epochs)
    same = saved.identity == identity
    if is_complete(saved.columns):
        same = all(saved.identity.get(key) == identity[key] for key in ("hash", "data"))
    if same:
        return None
    return Restart(f"{folder.checkpoint} was written with another {_differences(saved.identity, identity)}", epochs)


def _trained_epochs(folder: RunFolder) -> int:
    """Return how many epochs a run has trained; 0 if it never had a checkpoint, or run.json is unreadable."""
    try:
        info = folder.read_info()
    except RunError:
        return 0
    with suppress(RunError):
        return max(info.epoch, num_epochs(folder.read_table(info))) if info.epoch else 0
    return info.epoch


def _differences(before: dict[str, str], now: dict[str, str]) -> str:
    """Return the keys of the identities that differ, in words, such as "torch (2.14.0 → 2.15.0)"."""
    differing = [key for key in now if before.get(key) != now[key]]
    return ", ".join(f"{NAMES.get(key, key)} ({before.get(key, 'unknown'):.20} → {now[key]:.20})" for key in differing)
