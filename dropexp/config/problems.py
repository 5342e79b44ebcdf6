"""What is wrong with one config file, and where."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from dropexp.config.yaml import KeyPath
from dropexp.errors import ConfigError, Problem

MAX_PROBLEMS = 100


class Problems:
    """Collects the problems of a config file, each with its line, or with the command's option that set the key."""

    def __init__(self, where: str, lines: dict[KeyPath, int]) -> None:
        self.where = where
        self.lines = lines
        self.options: dict[str, str] = {}  # keys that an option set, and the option as it was typed
        self.found: list[Problem] = []

    def add(self, path: KeyPath, message: str) -> None:
        """Add a problem with the value at `path`, once. Raises `ConfigError` with all when there are too many."""
        problem = Problem(self._origin(path), message)
        if problem in self.found:  # of another run of the same file
            return
        self.found.append(problem)
        if len(self.found) == MAX_PROBLEMS:
            self.found.append(Problem(self.where, f"only the first {MAX_PROBLEMS} problems are listed"))
            self.raise_if_any()

    def add_conflict(self, keys: Iterable[str], arm: str | None, message: str) -> None:
        """Add a problem between keys of an arm, at the option or else the innermost section that sets one of them."""
        keys = list(keys)
        paths: list[KeyPath] = [(key,) for key in keys if key in self.options]
        paths += [(*section, key) for section in (("arms", arm or ""), ("matrix",), ()) for key in keys]
        self.add(next((path for path in paths if path in self.lines or path[-1] in self.options), ()), message)

    def raise_if_any(self) -> None:
        """Raise `ConfigError` with all problems in the order of lines, options last, if there are any."""
        if self.found:
            raise ConfigError(sorted(self.found, key=self._line))

    def _line(self, problem: Problem) -> int:
        file, _, line = problem.where.rpartition(":")
        return int(line) if file == self.where else sys.maxsize

    def _origin(self, path: KeyPath) -> str:
        """Return the option that set the key at `path`, or else its line, or that of the section around it."""
        depth = {"arms": 2, "matrix": 1, "published": len(path)}.get(str(path[0]), 0) if path else 0
        if len(path) > depth and path[depth] in self.options:
            return self.options[str(path[depth])]
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.where}:{self.lines.get(path, 1)}"
