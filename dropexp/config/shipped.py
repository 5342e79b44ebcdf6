"""Configs by path or name: a file, or a study that ships with the program."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache
from pathlib import Path

from dropexp.did_you_mean import nearest, nearest_file
from dropexp.errors import ConfigError, Problem, quoted

SUFFIXES = (".yaml", ".yml")


def folder() -> Path:
    """Return the folder of the shipped studies: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    return next((found for found in (package / "configs", package.parent / "configs") if found.is_dir()), package)


@cache
def shipped() -> dict[str, Path]:
    """Return the shipped studies by name: their paths without `.yaml`, such as book/scratch, in the order of the index.

    The index is the README.md beside them; studies that it does not list come last.
    """
    root = folder()
    found = {path.relative_to(root).with_suffix("").as_posix(): path for path in sorted(root.rglob("*.yaml"))}
    index = ""
    with suppress(OSError):
        index = (root / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"\]\(([\w./-]+)\.yaml\)", index)
    return {name: found[name] for name in dict.fromkeys([*listed, *found]) if name in found}


def named(word: str) -> Path | None:
    """Return the shipped study with this name; None if there is none.

    The name can be its path, with or without configs/ and .yaml, the name of its runs, or the last part of its path if
    no other study has the same.
    """
    name = word.replace("\\", "/").removeprefix("./").removeprefix("configs/").removesuffix(".yaml")
    studies = shipped()
    if name in studies:
        return studies[name]
    ends = [path for known, path in studies.items() if known.rpartition("/")[2] == name]
    return study_names().get(name) or (ends[0] if len(ends) == 1 else None)


@cache
def study_names() -> dict[str, Path]:
    """Return the shipped studies by the name of their runs, such as a1-scratch."""
    names: dict[str, Path] = {}
    for path in shipped().values():
        found = re.search(r"^name: ([\w.-]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        names[found[1] if found else path.stem] = path
    return names


def question(path: Path) -> str:
    """Return the question that a shipped study opens with."""
    with path.open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").strip()


def find(word: str) -> Path:
    """Return the file with this path, also without `.yaml`, or else the shipped study with this name.

    Raises `ConfigError` if there is neither.
    """
    with suppress(RuntimeError, OSError, ValueError):  # no home folder, a name that is too long, a null character
        path = Path(word).expanduser()
        files = [path, *(path.with_name(path.name + suffix) for suffix in SUFFIXES if path.name)]
        found = next((file for file in files if file.exists() and not file.is_dir()), None) or named(word)
        if found or path.is_dir():
            return found or path  # a folder, which `read_config` reports
    raise ConfigError([Problem(quoted(word), _missing(word))])


def is_config(word: str) -> bool:
    """Return whether there is a file or a shipped study with this name."""
    try:
        return not find(word).is_dir()
    except ConfigError:
        return False


def _missing(word: str) -> str:
    """Return what is wrong with a word that is neither a file nor a study."""
    if word.startswith("=") or word.endswith("="):  # --set lr = 0.1
        return "no such file; to set a key, write --set KEY=VALUE without spaces around the ="
    if "=" in word and not re.search(r"[/\\]", word) and not word.endswith(SUFFIXES):
        return f"no such file; to set a key, write --set {quoted(word)}"
    here: list[str] = []
    with suppress(OSError, ValueError):  # such as a name that is too long
        if Path(word).is_symlink():
            return "a link to a file that does not exist"
        here = [str(path) for path in Path(word).parent.iterdir() if path.suffix in SUFFIXES]
    studies = [*shipped(), *study_names()]
    found = nearest_file(word, [*here, *studies]) or nearest(word.removesuffix(".yaml"), studies)
    similar = f" (did you mean {found!r}?)" if found else ""
    return f"no such file, and no study that ships with dropexp{similar}; `dropexp config list` lists those"
