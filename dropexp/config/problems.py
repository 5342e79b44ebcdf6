"""What is wrong with one config file, and where."""

from __future__ import annotations

import sys
from typing import Any

from pydantic import ValidationError

from dropexp.config import names
from dropexp.config.yaml import MAX_PROBLEMS, KeyPath
from dropexp.errors import ConfigError, Problem


class Problems:
    """Collects the problems of a config file, each with its line, or with the command's option that set the key."""

    def __init__(self, where: str, lines: dict[KeyPath, int], typed: dict[KeyPath, str] | None = None) -> None:
        self.where = where
        self.lines = lines
        self.typed = typed or {}
        self.options: dict[str, str] = {}  # keys that an option set, and the option as it was typed
        self.found: list[Problem] = []
        self.footer = ""  # follows the problems

    def add(self, path: KeyPath, message: str) -> None:
        """Add a problem with the value at `path`, as `add_one` does."""
        self.add_one(Problem(self._origin(path), message))

    def add_one(self, problem: Problem) -> None:
        """Add a problem, once. Raises `ConfigError` with all when there are too many."""
        if problem in self.found:  # of another run of the same file
            return
        self.found.append(problem)
        if len(self.found) == MAX_PROBLEMS:
            self.found.append(Problem(self.where, f"only the first {MAX_PROBLEMS} problems are listed"))
            self.raise_if_any()

    def add_conflicts(self, error: ValidationError, arm: str | None) -> None:
        """Add each problem between keys of an arm, at the option or innermost section that sets one of them."""
        for one in error.errors():
            keys: list[str] = list(one["ctx"]["keys"])
            paths: list[KeyPath] = [(key,) for key in keys if key in self.options]
            sections: tuple[KeyPath, ...] = (("arms", arm or ""), ("matrix",), ("tune", "space"), ())
            paths += [(*section, key) for section in sections for key in keys]
            path = next((path for path in paths if path in self.lines or path[-1] in self.options), ())
            self.add(path, one["msg"])

    def raise_if_any(self) -> None:
        """Raise `ConfigError` with all problems in the order of lines, options last, if there are any."""
        if self.found:
            footer = [Problem(self.where, self.footer)] if self.footer else []
            raise ConfigError([*sorted(self.found, key=self._line), *footer])

    def add_not_text(self, key: str, value: Any) -> None:
        """Add the problem that a name at the top is a number, true or the like, with what to write instead."""
        option, _, setting = self.options.get(key, "").partition("=")
        typed = setting.strip() if option else self.typed.get((key,), "")
        if not names.is_name(typed):
            self.add((key,), f"{key} = {shown(value)} is not text; use {names.RULE}")
            return
        line = f"--set '{key}=\"{typed}\"'" if option else f'{key}: "{typed}"'  # the shell removes double quotes alone
        self.add((key,), f"{key} = {typed} is not text; write {line}")

    def _line(self, problem: Problem) -> int:
        file, _, line = problem.where.rpartition(":")
        return int(line) if file == self.where else sys.maxsize

    def _origin(self, path: KeyPath) -> str:
        """Return the option that set the key at `path`, or else its line, or that of the section around it."""
        depth = {"arms": 2, "matrix": 1, "tune": 2, "published": len(path)}.get(str(path[0]), 0) if path else 0
        if len(path) > depth and path[depth] in self.options:
            return self.options[str(path[depth])]
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.where}:{self.lines.get(path, 1)}"


def dotted(path: KeyPath) -> str:
    """Return a path as in arms.wide.hidden[1]; parts that are not valid names are quoted, to keep it on one line."""
    parts = (
        f"[{part}]" if isinstance(part, int) else f".{part if names.is_name(part) else repr(part)}" for part in path
    )
    return "".join(parts).removeprefix(".")


def shown(value: Any) -> str:
    """Return a value of a config as a message shows it, on one line."""
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
