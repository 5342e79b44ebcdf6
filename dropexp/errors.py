"""The exceptions of dropexp, each with the exit code of the command.

A message states what is wrong, where, what is allowed and what to do. `cli/main.py` prints it and exits with
`exit_code`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_UNPRINTABLE = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # terminal control, lone surrogates


class DropexpError(Exception):
    """An error with a message for the user. `exit_code` is the command's."""

    exit_code = 1


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where: a file and line, or an option of the command."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class ConfigError(DropexpError):
    """Everything that is wrong with a config or an option, all problems at once."""

    exit_code = 2

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = list(dict.fromkeys(problems))
        super().__init__("\n".join(map(str, self.problems)))


class PathError(DropexpError):
    """A path that is empty, begins with ~ where no home folder is known, or names a file instead of a folder."""

    exit_code = 2


class PluginError(DropexpError):
    """A plugin file that cannot be loaded or registers no noise."""

    exit_code = 2


class DeviceError(DropexpError):
    """A device that does not exist here."""

    exit_code = 2


class ClusterError(DropexpError):
    """A Ray cluster that cannot be used."""

    exit_code = 2


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that training did not bring to "done": its name, its status such as "failed", and the reason."""

    run: str
    status: str
    why: str | None


class TrainingError(DropexpError, RuntimeError):
    """Runs that failed or diverged. It is raised after all other runs were trained."""

    def __init__(self, runs: list[UnfinishedRun]) -> None:
        self.runs = runs
        super().__init__("\n".join(f"{one.run}: {one.status}, {one.why}" for one in runs))


class ComparisonError(DropexpError, ValueError):
    """A baseline, metric, epoch or requirement that these runs do not have. The message lists those that they have."""

    exit_code = 2


class EvaluationError(DropexpError, ValueError):
    """An image that does not exist, or a rotation that is not finite."""

    exit_code = 2


class ChartError(DropexpError, ValueError):
    """A chart or report that cannot be written: its kind is unknown, it is too small, or its data is missing."""

    exit_code = 2


class DataError(DropexpError):
    """The data set is missing or corrupted."""

    exit_code = 3


class ExportError(DropexpError):
    """An extra that is not installed, or a destination that accepts no runs."""


class NoRuns(DropexpError):
    """No matching runs."""

    exit_code = 5


class RunError(DropexpError):
    """A run folder that is missing or cannot be read or written."""

    exit_code = 5


class UnknownRuns(RunError):
    """A name or path without runs."""

    def __init__(self, item: str, what: str) -> None:
        super().__init__(f"no runs at {item!r}{what}")
        self.item = item


class MissingRun(RunError):
    """A run folder without a run.json."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is missing")


class AmbiguousRun(RunError):
    """A name that several runs, or two folders of runs, have. The message lists some of them."""

    exit_code = 2


class CorruptedFile(RunError):
    """A file that was changed after dropexp wrote it."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(f"{path} is corrupted ({reason}); `dropexp train -c FILE` repairs it")
        self.path, self.reason = path, reason


class NewerRun(RunError):
    """A file that a later version of dropexp wrote. It is never changed."""

    exit_code = 1

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} was written by a later version of dropexp; use that version, or another --runs-dir")


class OtherRun(RunError):
    """A folder that holds another run than the requested one: two configs can share the eight digits of the hash."""

    exit_code = 2

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} holds another run with the same hash; train this one in a study of another name")


def printable(text: str) -> str:
    """Replace terminal control characters and lone surrogates with U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


def quoted(name: str) -> str:
    """Return the name, or its Python literal if it has unprintable characters."""
    return name if name.isprintable() else repr(name)
