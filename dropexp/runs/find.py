"""Find run folders: all of a study, all below a folder, or those with a given name or path."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from dropexp.config.names import normalised
from dropexp.config.shipped import is_config
from dropexp.did_you_mean import did_you_mean
from dropexp.errors import AmbiguousRun, ConfigError, RunError, UnknownRuns, quoted
from dropexp.home_folder import expanded
from dropexp.program import command
from dropexp.runs.folder import CHECKPOINT, EPOCHS, RUN, RunFolder, default_runs_dir

_EXPLICIT = re.compile(r"\.{1,2}[/\\]")  # the beginning of a path, which names no study


def by_hash(study: Path) -> dict[str, list[RunFolder]]:
    """Return the runs of a study by the hash at the end of their folders' names; the readable part may differ."""
    found: dict[str, list[RunFolder]] = {}
    for name in _subfolders(study):
        found.setdefault(name.rpartition("-")[2], []).append(RunFolder(study / name))
    return found


def folders(paths_or_names: Iterable[str], runs_dir: Path) -> list[RunFolder]:
    """Return the runs with these names of studies or paths of folders; all runs below `runs_dir` if none is given.

    A path that begins with ./ or ../ names no study. Raises `UnknownRuns` for a name or path without a run, and
    `AmbiguousRun` for one that is both the name of a study and the path of another folder of runs.
    """
    wanted = list(paths_or_names)
    if not wanted:
        return [RunFolder(runs_dir / name) for name in _runs_below(runs_dir)]
    found: dict[Path, RunFolder] = {}
    for item in wanted:
        studies = [] if _EXPLICIT.match(item) else [runs_dir / item, runs_dir / normalised(item)]
        named, here = _runs_of(studies), _runs_of([expanded(item), expanded(normalised(item))])
        if here and named and not (here.keys() & named.keys()):
            study, folder = shlex.quote(str(studies[0])), shlex.quote(f"./{item}")
            what = f"names both the runs in {study} and those in {folder}; write one of these paths"
            raise AmbiguousRun(f"{item!r} {what}")
        here = named | here
        if not here:
            names = study_names(runs_dir)
            what = f"neither a name under {runs_dir} ({', '.join(names) or 'nothing yet'}) nor a folder of runs"
            raise UnknownRuns(item, f"{_similar(item, names, runs_dir)}: {what}")
        found |= here
    return list(found.values())


def _runs_of(roots: Iterable[Path]) -> dict[Path, RunFolder]:
    """Return the runs in these folders by their real paths."""
    real = {root.resolve(): root for root in roots if root.is_dir()}
    return {path / name: RunFolder(root / name) for path, root in real.items() for name in _runs_below(root)}


def instead(item: str, arms: Mapping[str, str], runs_dir: Path) -> str:
    """Return what to do about a name without runs, which may be a config or one of these arms, each with its study."""
    if item in arms:
        return f"{item!r} is an arm of {arms[item]}: --filter {shlex.quote(f'arm={item}')} keeps its runs"
    if study := _trained(item, runs_dir):
        return f"{quoted(item)} is a config: write {quoted(study)}, the name of its runs"
    if is_config(item):
        train, compare = command("train", item), command("compare", "-c", item)
        return f"{quoted(item)} is a config: `{train}` creates its runs, `{compare}` compares them"
    return "dropexp train CONFIG creates runs"


def find_named(names: Iterable[str], runs_dir: Path | None = None) -> list[RunFolder]:
    """Return the runs with these names of studies, paths of folders, or short names of single runs.

    A short name is [STUDY/]FOLDER, with or without the hash at its end, or the hash alone. Raises `RunError` for a name
    without a run, `AmbiguousRun` for a short name of several.
    """
    root = runs_dir or default_runs_dir()
    found: dict[Path, RunFolder] = {}
    for name in names:
        for folder in _find(name, root):
            found.setdefault(folder.path.resolve(), folder)
    return list(found.values())


def _find(name: str, root: Path) -> list[RunFolder]:
    try:
        return folders([name], root)
    except UnknownRuns as error:
        every = folders([], root)
        found = [folder for folder in every if {name, normalised(name)} & _names(folder.path)]
        if not found:
            remedy = _training(name, root) or ("; dropexp runs lists the runs of each name" if every else "")
            raise RunError(f"{error}{remedy}") from None
    if len(found) > 1:
        some = ", ".join(str(folder.path) for folder in found[:3])
        more = ", …" if len(found) > 3 else ""
        raise AmbiguousRun(f"{name!r} names {len(found)} runs; name one of them: {some}{more}")
    return found


def _trained(config: str, runs_dir: Path) -> str | None:
    """Return the name of a config's study if the study has runs; None otherwise, and for an invalid config."""
    from dropexp.config.study import load_config  # pydantic is slow to import, and most names are found

    try:
        study = load_config(config).name if is_config(config) else None
    except ConfigError:
        return None
    return study if study in study_names(runs_dir) else None


def _training(name: str, root: Path) -> str:
    """Return "; `dropexp train dropout` trains them" if the name is a config without runs, or a run of one.

    For a config with runs, return "; write dropout, the name of its runs".
    """
    if study := _trained(name, root):
        return f"; {quoted(name)} is a config: write {quoted(study)}, the name of its runs"
    words = [name, str(Path(name).parent)]
    config = next((word for word in words if word not in study_names(root) and is_config(word)), None)
    return "" if config is None else f"; `{command('train', config)}` trains them"


def _names(path: Path) -> set[str]:
    cell, _, digest = path.name.rpartition("-")
    return {path.name, cell, digest, f"{path.parent.name}/{cell}"}


def _similar(item: str, studies: list[str], runs_dir: Path) -> str:
    """Return " (did you mean 'dropout'?)" for a name like that of a study, or of a run in a study that exists."""
    path = Path(item)
    study = runs_dir / path.parent.name
    if path.parent.name in studies:
        cells = [f"{study.name}/{name.rpartition('-')[0]}" for name in _subfolders(study)]
        return did_you_mean(f"{study.name}/{path.name}", cells)
    return did_you_mean(path.name or item, studies)


def seeds_of(study: Path) -> set[int]:
    """Return the seeds in the names of a study's run folders."""
    return {int(found[1]) for name in _subfolders(study) if (found := re.search(r"\bseed=(\d+)-\w+\Z", name))}


def study_names(runs_dir: Path) -> list[str]:
    """Return the names of the studies under `runs_dir` that have runs."""
    return sorted({(runs_dir / name).parent.name for name in _runs_below(runs_dir)})


def _runs_below(root: Path) -> list[str]:
    """Return the run folders at most two levels below `root` as relative paths; "" is `root` itself."""
    if _is_run(str(root)):
        return [""]
    found = []
    for name in _subfolders(root):
        if _is_run(f"{root}{os.sep}{name}"):
            found.append(name)
        else:
            below = [f"{name}{os.sep}{run}" for run in _subfolders(root / name)]
            found += [run for run in below if _is_run(f"{root}{os.sep}{run}")]
    return found


def _is_run(folder: str) -> bool:
    """Return whether the folder has files of a run, or may have them but cannot be read."""
    for name in (RUN, EPOCHS, CHECKPOINT):
        try:
            os.stat(f"{folder}{os.sep}{name}")  # noqa: PTH116 (a Path for each of 100,000 runs takes 0.4 s more)
        except PermissionError:
            return True
        except OSError:
            continue
        return True
    return False


def _subfolders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if _is_folder(entry))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
