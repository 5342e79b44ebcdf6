"""Which run folders there are: all of a study, below a folder, or those that somebody names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dropexp.errors import RunError, quoted
from dropexp.runs.folder import CHECKPOINT, EPOCHS, RUN, RunFolder


@dataclass(frozen=True)
class Unshown(RunFolder):
    """In place of a folder whose name a terminal would obey: under a name that can be shown, and nothing is there."""

    def read_info(self) -> dict[str, Any]:
        raise RunError(f"{self.path} has a name that cannot be shown, here as Python writes it; rename the folder")


def by_hash(study: Path) -> dict[str, list[RunFolder]]:
    """The runs of a study by the hash that their folders' names end with, whatever readable cell they begin with."""
    found: dict[str, list[RunFolder]] = {}
    for path in _folders(study):
        if path.name.isprintable():
            found.setdefault(path.name.rpartition("-")[2], []).append(RunFolder(path))
    return found


def folders(paths_or_names: Iterable[str], runs_dir: Path) -> list[RunFolder]:
    """Run folders named by a study's name, a run's path or a folder of runs; all under `runs_dir` if none is named.

    Raises `RunError` for a name or path that holds no run.
    """
    wanted = list(paths_or_names)
    if not wanted:
        return _below(runs_dir)
    found: dict[Path, RunFolder] = {}
    for item in wanted:
        if not item.isprintable():
            raise RunError(f"{item!r} has a name that cannot be shown; rename the folder")
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
    """The run folder itself, or the run folders at most two levels down, damaged ones and `Unshown` too."""
    if _is_run(place):
        return [RunFolder(place)]
    found = []
    for path in _folders(place):
        found += [path] if _is_run(path) else [below for below in _folders(path) if _is_run(below)]
    return [_under(place, path) for path in found]


def _under(place: Path, path: Path) -> RunFolder:
    below = path.relative_to(place).parts
    return RunFolder(path) if all(map(str.isprintable, below)) else Unshown(place.joinpath(*map(quoted, below)))


def _is_run(path: Path) -> bool:
    """Whether a run was written here, or nobody knows since one may not look."""
    for name in (RUN, EPOCHS, CHECKPOINT):
        try:
            (path / name).stat()
        except PermissionError:  # which Path.exists() says in some versions of Python only
            return True
        except OSError:
            continue
        return True
    return False


def _folders(place: Path) -> list[Path]:
    try:
        with os.scandir(place) as entries:
            return [place / name for name in sorted(entry.name for entry in entries if _is_folder(entry))]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
