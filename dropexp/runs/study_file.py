"""study.json, beside the runs of a study: what each of its config files defines and declares, and its searches.

Usually a study has one file. Two files with the same `name` have two entries, so that the published figures of one are
not compared with the runs of the other. The entry of a file is replaced when the file is edited and trained again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from dropexp.config.study import Study
from dropexp.errors import CorruptedFile, RunError
from dropexp.files import decode_json, encode_json, why, write_whole
from dropexp.lock import Busy, locked, not_written
from dropexp.runs.folder import RunFolder, read_file, rename_corrupted
from dropexp.runs.run_json import SCHEMA
from dropexp.runs.search_records import SearchRecord, merged

STUDY = "study.json"
NO_FILE = "a config without a file"  # of standard input, or a mapping in Python


class Declared(BaseModel):
    """What one config file defines and declares, when it was trained last."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    file: str | None  # relative to the study's folder; None: unknown
    seeds: dict[str, list[int]] | None  # of each arm, by the digest of its settings; None: unknown
    published: dict[str, Any] = {}
    labels: dict[str, str] = {}  # the display names of arms

    @classmethod
    def of(cls, study: Study, folder: Path) -> Self:
        """Return what a study's file declares, ignoring options of the command that do not rename the study."""
        written = study.written or study
        file = None if study.file is None else _relative(study.file, folder)
        return cls(file=file, seeds=written.seeds, published=written.published, labels=written.labels)

    def defines(self, arm: str) -> bool:
        """Return whether the file defines the arm with this digest, with any seeds; True if that is not known."""
        return self.seeds is None or arm in self.seeds

    def covers(self, other: Declared) -> bool:
        """Return whether this file defines all runs of the other, and declares all that it declares."""
        seeds = self.seeds
        if seeds is None or other.seeds is None or other.published not in ({}, self.published):
            return False
        if other.labels not in ({}, self.labels):
            return False
        return all(arm in seeds and {*own} <= {*seeds[arm]} for arm, own in other.seeds.items())

    def source(self, folder: Path) -> str | None:
        """Return the file's path, or that the config was no file; None if the file does not exist or is not known."""
        if self.file is None:
            return None if self.seeds is None else NO_FILE
        path = self.path(folder)
        return None if path is None else str(path)

    def path(self, folder: Path) -> Path | None:
        """Return the file's path, relative to the current folder if it is below; None if it does not exist."""
        with suppress(OSError, ValueError, RuntimeError):  # such as a cycle of links
            path = (folder.resolve() / self.file).resolve() if self.file else None
            if path is not None and path.exists():
                return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        return None


def _relative(file: Path, folder: Path) -> str:
    """Return the path of a file relative to a folder, so that both can be moved; absolute on another drive."""
    path = file.resolve()
    with suppress(ValueError):
        path = Path(os.path.relpath(path, folder.resolve()))
    return path.as_posix().encode(errors="replace").decode()  # JSON has no lone surrogates


def write_study(runs_dir: Path, study: Study) -> list[str]:
    """Write what a study's file defines and declares, unless another file covers it.

    Entries of other files are kept as long as those files exist, and that of a config without a file. Return messages:
    if there are such entries, if study.json was corrupted, or if it cannot be written because it cannot be read, is of
    a later version, or is locked by another process.
    """
    path = runs_dir / study.name / STUDY
    declared = Declared.of(study, path.parent)
    try:
        if _is_written(path, declared):
            return _note_on_others(path, declared, _read(path))
        with locked(path.parent, STUDY):
            return [*_replace(path, declared), *_note_on_others(path, declared, _read(path))]
    except RunError as error:
        return [str(error)]
    except OSError as error:
        return [f"{path} is not written: its folder {not_written(error)}"]
    except Busy:
        if _is_written(path, declared):
            return []
        return [f"{path} is not written: another process has locked its folder; the same command writes it later"]


def notes_on_others(runs_dir: Path, studies: Sequence[Study]) -> list[str]:
    """Return the messages on other configs that `write_study` would return for these studies, in this order."""
    notes: list[str] = []
    planned: dict[Path, list[Declared]] = {}  # the entries that each study.json would have
    for study in studies:
        path = runs_dir / study.name / STUDY
        declared = Declared.of(study, path.parent)
        with suppress(RunError):  # `write_study` repairs the file or reports it
            entries = planned[path] if path in planned else _read(path)
            planned[path] = entries if _has(entries, declared, path) else _with(entries, declared, path)
            notes += _note_on_others(path, declared, planned[path])
    return notes


def _is_written(path: Path, declared: Declared) -> bool:
    """Return whether study.json needs no change. Raises `RunError` if it cannot be read, or `NewerRun`."""
    try:
        entries = _read(path)
        read_searches(path.parent)
    except CorruptedFile:
        return False
    return _has(entries, declared, path)


def _has(entries: Sequence[Declared], declared: Declared, path: Path) -> bool:
    """Return whether the entries of this study.json need no change."""
    is_new = all(one.file != declared.file for one in entries)
    return declared in entries or (is_new and any(one.covers(declared) and one.path(path.parent) for one in entries))


def _with(entries: Sequence[Declared], declared: Declared, path: Path) -> list[Declared]:
    """Return the entries with this one, without those that it replaces."""
    return sorted([*_others(entries, declared, path), declared], key=lambda one: one.file or "")


def _replace(path: Path, declared: Declared) -> list[str]:
    """Write the file, unless another process has while this one waited; return messages on what is lost."""
    notes: list[str] = []
    entries: list[Declared] = []
    searches: list[SearchRecord] = []
    try:
        if _is_written(path, declared):
            return []
        entries, searches = _read(path), [*read_searches(path.parent).values()]
        if any(one.seeds is None and one.published != declared.published for one in entries):
            notes.append(f"{path} had other published figures, of an earlier version of dropexp; they are removed")
    except CorruptedFile as error:
        notes.append(rename_corrupted(error))
    _write(path, _with(entries, declared, path), searches)
    return notes


def _write(path: Path, entries: Sequence[Declared], searches: Sequence[SearchRecord]) -> None:
    content: dict[str, Any] = {"schema": SCHEMA, "configs": [_content(one) for one in entries]}
    if searches:
        content["searches"] = [one.model_dump(mode="json") for one in searches]
    write_whole(path, encode_json(content))


def _content(declared: Declared) -> dict[str, Any]:
    """Return an entry; without labels it is as earlier versions write it."""
    return declared.model_dump(exclude=None if declared.labels else {"labels"})


def write_searches(folder: Path, records: Sequence[SearchRecord]) -> list[str]:
    """Write what is known of searches into the study.json of a study's folder; return messages if it is not written."""
    path = folder / STUDY
    try:
        with locked(folder, STUDY):
            known = read_searches(folder)
            if any(known.get((one.id, one.device)) != one for one in records):
                _write(path, _read(path), merged(known, records))
        return []
    except (RunError, OSError) as error:
        return [f"{path} is not written: {why(error)}"]
    except Busy:
        return [f"{path} is not written: another process has locked its folder; the same command writes it later"]


def read_searches(folder: Path) -> dict[tuple[str, str], SearchRecord]:
    """Return what is recorded of a study's searches, by search and kind of device.

    Raises `CorruptedFile`, `NewerRun` or another `RunError`.
    """
    path = folder / STUDY
    content = read_file(path)
    found = [] if content is None else decode_json(path, content, SCHEMA).get("searches", [])
    try:
        records = [SearchRecord.model_validate(one) for one in found]
    except (ValidationError, TypeError) as error:
        raise CorruptedFile(path, f"invalid: {type(error).__name__}") from None
    return {(one.id, one.device): one for one in records}


def _others(entries: Sequence[Declared], declared: Declared, path: Path) -> list[Declared]:
    """Return the entries of other configs, unless their file is gone, or one covers the other."""
    return [
        one
        for one in entries
        if one.file != declared.file and one.source(path.parent) and not (declared.covers(one) or one.covers(declared))
    ]


def _note_on_others(path: Path, declared: Declared, entries: Sequence[Declared]) -> list[str]:
    """Return a message if the study is that of other configs too."""
    files = " and ".join(str(one.source(path.parent)) for one in _others(entries, declared, path))
    hint = "a line `name: …` in one of the configs keeps their runs apart"
    return [f"{path.parent} has the runs of {files} too; {hint}"] if files else []


def read_study(run: RunFolder) -> list[Declared]:
    """Return what the config files of a run's study declared; nothing if that is not known.

    Raises `CorruptedFile`, `NewerRun` or another `RunError`.
    """
    return _read(run.path.parent / STUDY)


def _read(path: Path) -> list[Declared]:
    content = read_file(path)
    found = {} if content is None else decode_json(path, content, SCHEMA)
    if published := found.get("published"):  # of an earlier version
        return [Declared.model_construct(file=None, seeds=None, published=published)]
    configs = found.get("configs", [])
    try:
        return [Declared.model_validate(one) for one in configs]
    except (ValidationError, TypeError) as error:
        raise CorruptedFile(path, f"invalid: {type(error).__name__}") from None
