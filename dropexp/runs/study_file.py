"""study.json, beside the runs of a study: what the config declares for all of them, the published figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dropexp.errors import CorruptedFile, RunError
from dropexp.files import decode_json, encode_json, write_whole
from dropexp.lock import Busy, locked, not_written
from dropexp.runs.folder import RunFolder, read_file, rename_corrupted
from dropexp.runs.run_json import SCHEMA

STUDY = "study.json"


def write_study(runs_dir: Path, name: str, study: dict[str, Any]) -> str | None:
    """Write what a config declares for its study; if that is nothing, leave the file as it is.

    Return a message if the file was corrupted, or cannot be written: it cannot be read, is of a later version, or is
    locked by another process.
    """
    path = runs_dir / name / STUDY
    try:
        if not study:
            _read(path)
        elif not _is_written(path, study):
            with locked(path.parent, STUDY):
                return _replace(path, study)
    except CorruptedFile as error:
        return f"{path} is corrupted ({error.reason}); a config with a section `published` rewrites it"
    except RunError as error:
        return str(error)
    except OSError as error:
        return f"{path} is not written: its folder {not_written(error)}"
    except Busy:
        if not _is_written(path, study):
            return f"{path} is not written: another process has locked its folder; the same command writes it later"
    return None


def _replace(path: Path, study: dict[str, Any]) -> str | None:
    """Write the file, unless another process has while this one waited; return a message if it was corrupted."""
    if _is_written(path, study):
        return None
    note = None
    try:
        _read(path)
    except CorruptedFile as error:
        note = rename_corrupted(error)
    write_whole(path, encode_json({"schema": SCHEMA, **study}))
    return note


def _is_written(path: Path, study: dict[str, Any]) -> bool:
    """Return whether the file has this content already. Raises `RunError` if it cannot be read, or `NewerRun`."""
    try:
        return _read(path) == study
    except CorruptedFile:
        return False


def read_study(run: RunFolder) -> dict[str, Any]:
    """Return what the config declared for the study of a run, which may be nothing.

    Raises `CorruptedFile`, `NewerRun` or another `RunError`.
    """
    return _read(run.path.parent / STUDY)


def _read(path: Path) -> dict[str, Any]:
    content = read_file(path)
    found = {} if content is None else decode_json(path, content, SCHEMA)
    return {key: value for key, value in found.items() if key != "schema"}
