"""The states of a run, how they are recognised on disk, and the transitions between them.

docs/architecture.md draws them. Only a process that has locked the run changes its state. Each transition writes its
files in an order that lets the run resume or restart if the process is killed in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dropexp.config.digests import digest
from dropexp.config.planned_run import PlannedRun
from dropexp.errors import CorruptedFile, MissingRun, OtherRun, RunError
from dropexp.files import sha256, write_whole
from dropexp.lock import Busy, not_written
from dropexp.runs.epochs_table import Columns, to_csv
from dropexp.runs.folder import (
    BEFORE,
    CHECKPOINT,
    CONFIG,
    EPOCHS,
    FILES,
    PREDICTIONS,
    RUN,
    RunFolder,
    config_yaml,
    rename,
    rename_corrupted,
)
from dropexp.runs.provenance import is_other_host, this_host
from dropexp.runs.repair import repair
from dropexp.runs.run_json import SCHEMA, RunInfo
from dropexp.runs.state_names import Status


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run that does not train: already finished, busy in another process, or failed."""

    status: Status
    why: str | None = None
    notes: list[str] = field(default_factory=list)


def status_of(folder: RunFolder, planned: PlannedRun | None = None) -> Status:
    """Return the state of a run that this process has not locked, and write nothing.

    Raises `NewerRun`, `OtherRun` if the folder holds another run than the planned one, or another `RunError` if it
    cannot be read.
    """
    try:
        return as_of_now(folder, _read_own(folder, planned)).status
    except MissingRun:
        return Status.NEW if _is_new(folder) else Status.CORRUPTED
    except CorruptedFile:
        return Status.CORRUPTED


def as_of_now(folder: RunFolder, info: RunInfo) -> RunInfo:
    """Return run.json as it is now: a run whose process was killed is interrupted. Raises `RunError`.

    It is unknown whether a run is running if this user cannot see its lock, or if it was started on another machine,
    since a lock on a shared disk may be seen only where it was made.
    """
    if info.status != Status.RUNNING or (locked := folder.is_locked()):
        return info
    info = folder.read_info()  # again: the run may have ended before the lock was tried
    if info.status != Status.RUNNING:
        return info
    if locked is None:
        change = {"status": Status.UNKNOWN, "why": "it may be running: this user cannot see its lock"}
    elif is_other_host(host := info.provenance.get("host", {})):
        change = {"status": Status.UNKNOWN, "why": f"it may be running on {host['name']}, where it was started"}
    else:
        change = {"status": Status.INTERRUPTED}
    return info.model_copy(update=change)


def _is_new(folder: RunFolder) -> bool:
    return not any((folder.path / name).exists() for name in (RUN, EPOCHS, CHECKPOINT))


def _read_own(folder: RunFolder, planned: PlannedRun | None) -> RunInfo:
    """Return run.json if it is of the planned run: two of 100,000 runs are likely to have the same hash.

    Raises `OtherRun` if it is of another run with this hash, and what `RunFolder.read_info` raises. A finished run of
    schema 1 needs its epochs.csv too.
    """
    info = folder.read_info()
    if planned is not None:
        own = planned.config.settings(str(info.settings.get("device")))
        if info.settings != own and digest(info.settings) == digest(own):
            raise OtherRun(folder.path)
        if info.settings != own:
            raise CorruptedFile(folder.path / RUN, "its settings have another hash than the folder's name")
    if info.finished and info.version < SCHEMA:
        folder.read_table(info)
    return info


# Before training


def lock_unfinished(folder: RunFolder, planned: PlannedRun, locks: ExitStack, force: bool) -> Outcome | None:
    """Lock the run until `locks` closes. Return how it ended if there is nothing to train.

    With `force` a finished run is trained too. Otherwise its derived files are repaired.
    """
    try:
        locks.enter_context(folder.lock())
        info = _read_finished(folder, planned)
        if info is None or force:
            return None
        return Outcome(info.status, info.why, repair(folder, info))
    except Busy:
        return Outcome(Status.BUSY, "another process is training it")
    except RunError as error:  # a link, a run of a later version, another run, or one that cannot be read
        return Outcome(Status.FAILED, str(error))
    except OSError as error:
        if folder.is_locked():
            return Outcome(Status.BUSY, "another user is training it")
        return Outcome(Status.FAILED, f"its folder {not_written(error)}")


def _read_finished(folder: RunFolder, planned: PlannedRun) -> RunInfo | None:
    """Return run.json of a finished run; None if the run is not finished. Raises as `status_of`."""
    try:
        info = _read_own(folder, planned)
    except (CorruptedFile, MissingRun):
        return None
    return info if info.finished else None


def rename_if_corrupted(folder: RunFolder, planned: PlannedRun) -> list[str]:
    """Rename a corrupted run.json, or the corrupted epochs.csv of a finished run of schema 1; return a message.

    corrupted -> interrupted if there is a checkpoint, else new. Raises as `status_of`.
    """
    try:
        _read_own(folder, planned)
    except CorruptedFile as error:
        return [rename_corrupted(error)]
    except MissingRun:
        pass
    return []


def rename_for_restart(folder: RunFolder) -> list[str]:
    """Rename the checkpoint and the table of a run that restarts; return the new names. interrupted, failed -> new."""
    return [rename(path, BEFORE) for name in (EPOCHS, CHECKPOINT) if (path := folder.path / name).exists()]


# Transitions while it trains


def start(folder: RunFolder, info: RunInfo, columns: Columns) -> list[str]:
    """new, interrupted, failed -> running. Start after the epochs of the columns; return messages on repaired files.

    Without epochs the run starts from its beginning, and what it had written is removed. --force uses this for
    done, diverged -> running. If run.json is missing, epochs.csv is renamed: it may be of a finished run.
    """
    notes = []
    if not info.epoch:
        folder.checkpoint.unlink(missing_ok=True)  # before run.json: nothing may resume from it
        if (folder.path / EPOCHS).exists() and not (folder.path / RUN).exists():
            new = rename(folder.path / EPOCHS)
            notes.append(f"{folder.path / EPOCHS} may be of a finished run and is renamed to {new}")
    folder.write_info(info)
    (folder.path / PREDICTIONS).unlink(missing_ok=True)  # of the old result
    write_whole(folder.path / CONFIG, config_yaml(info), sync=False)
    table, found = to_csv(columns), folder.read(EPOCHS) or b""
    if not table:
        (folder.path / EPOCHS).unlink(missing_ok=True)
    elif found != table:  # there may be rows of epochs after the last checkpoint
        if not found.startswith(table):
            notes.append(f"{folder.path / EPOCHS} was missing or edited and is rewritten from {CHECKPOINT}")
        write_whole(folder.path / EPOCHS, table, sync=False)
    return notes


def save(folder: RunFolder, checkpoint: bytes, info: RunInfo | None = None) -> None:
    """running -> running, with another checkpoint; the last one needs no run.json, since `finish` writes it."""
    write_whole(folder.checkpoint, checkpoint)
    if info is not None:
        folder.write_info(info)


def finish(folder: RunFolder, info: RunInfo, predictions: bytes | None = None) -> None:
    """running -> done, diverged. The table in run.json makes the result complete."""
    if predictions is not None:
        write_whole(folder.path / PREDICTIONS, predictions, sync=False)
        info = info.model_copy(update={"predictions_sha256": sha256(predictions)})
    folder.write_info(info)


def stop(folder: RunFolder, status: Status, why: str | None = None, traceback: str | None = None) -> None:
    """running -> interrupted, failed; interrupted, failed -> failed. In any other state nothing changes.

    Raises `RunError` or OSError if run.json cannot be read or written.
    """
    info = folder.read_info()
    if info.version == SCHEMA and (info.status == Status.RUNNING or (status == Status.FAILED and not info.finished)):
        provenance = {key: value for key, value in info.provenance.items() if key != "host"} | {"ended": now()}
        ended = {"status": status, "why": why, "traceback": traceback, "provenance": provenance}
        folder.write_info(info.model_copy(update=ended))


def fail(folder: RunFolder, why: str, traceback: str | None, started: Callable[[], RunInfo]) -> None:
    """new, running, interrupted, failed -> failed. `started` returns the run.json of a run that has none.

    Raises as `stop`.
    """
    if _is_new(folder):
        folder.write_info(started().model_copy(update={"status": Status.FAILED, "why": why, "traceback": traceback}))
    else:
        stop(folder, Status.FAILED, why, traceback)


def mark(folder: RunFolder, status: Status, why: str | None = None) -> None:
    """Record how a run ended if its own process could not; do nothing if another process has locked it by now."""
    with suppress(Exception), folder.lock():
        stop(folder, status, why)


def receive(folder: RunFolder, files: Mapping[str, bytes | None], restart: bool = False) -> None:
    """Write the files of a run that another machine trains; None removes one, and unknown names are renamed files.

    If this is cut short, the run can resume: renamed files are written first, run.json last. A folder without run.json
    first gets one without epochs; without it the other files would be those of a corrupted run. With `restart` a
    finished run starts again, as in `start`: its checkpoint is removed, and such a run.json replaces the old result.
    """
    if restart:
        folder.checkpoint.unlink(missing_ok=True)  # nothing may resume from it
    for name in [name for name in files if name not in FILES]:
        write_whole(folder.path / name, files[name] or b"", sync=False)
    for name in [name for name in reversed(FILES) if name in files and files[name] is None]:
        (folder.path / name).unlink(missing_ok=True)
    if content := files.get(RUN):
        info = RunInfo.from_bytes(folder.path / RUN, content)
        here = info.model_copy(update={"provenance": info.provenance | {"host": this_host()}})
        if restart or not (folder.path / RUN).exists():
            started = here.model_copy(update={"status": Status.RUNNING, "epoch": 0, "last": {}, "table": None})
            write_whole(folder.path / RUN, started.to_bytes(), sync=True)
        if info.status == Status.RUNNING:  # this machine has locked it
            files = {**files, RUN: here.to_bytes()}
    for name in FILES:
        if (content := files.get(name)) is not None:
            write_whole(folder.path / name, content, sync=name in (CHECKPOINT, RUN))
    for name in (EPOCHS, PREDICTIONS):
        if restart and name not in files:
            (folder.path / name).unlink(missing_ok=True)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
