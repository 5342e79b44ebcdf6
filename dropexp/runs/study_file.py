"""study.json, beside the runs of one name: what a config says of its study as a whole, a source's published figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dropexp.errors import RunError
from dropexp.files import sealed_json, write_whole
from dropexp.lock import Busy, locked, not_written
from dropexp.runs.folder import SCHEMA, Damaged, RunFolder, read_file, read_json_file

STUDY = "study.json"


def write_study(runs_dir: Path, name: str, study: dict[str, Any]) -> str | None:
    """Keep what a config says of its study; one that says nothing leaves what is there.

    Returns a sentence if what was there is damaged and set aside, or left alone: of a later version, unreadable, or
    held by another process all the while.
    """
    path = runs_dir / name / STUDY
    content = sealed_json({"schema": SCHEMA, **study})
    try:
        if not study:
            read_json_file(path)
        elif read_file(path) != content:
            with locked(path.parent, STUDY):
                return _replace(path, content)
    except Damaged as damage:
        return f"{path} is damaged ({damage.what}); a config with a section `published` makes it anew"
    except RunError as left:
        return str(left)
    except OSError as error:
        return f"{path} is not written: its folder {not_written(error)}"
    except Busy:
        if read_file(path) != content:
            return f"{path} is not written, since another process holds its folder; the same command writes it later"
    return None


def _replace(path: Path, content: bytes) -> str | None:
    """Write it, unless another process has while this one waited; a sentence if what was there is damaged."""
    note = None
    try:
        read_json_file(path)
    except Damaged as damage:
        note = damage.set_aside()
    if read_file(path) != content:
        write_whole(path, content)
    return note


def read_study(run: RunFolder) -> dict[str, Any]:
    """What the config said of the study that this run belongs to; empty if nothing was said.

    Raises `RunError` if it may not be read, `Damaged`, `NewerRun`.
    """
    return read_json_file(run.path.parent / STUDY) or {}
