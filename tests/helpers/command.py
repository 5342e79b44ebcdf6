"""The installed command as a user starts it: a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DROPEXP = Path(sys.executable).with_name("dropexp")
TIMEOUT = 180


@dataclass
class Folder:
    """The folder and environment of a command."""

    folder: Path
    environment: dict[str, str]

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def tables(self) -> dict[str, list[list[str]]]:
        """Return every epochs.csv below runs/ without its column `seconds`, by the name of the run's folder."""
        found = {}
        for path in sorted(self.folder.glob("runs/*/*/epochs.csv")):
            lines = [line.split(",") for line in path.read_text().splitlines()]
            found[path.parent.name] = [line[:-1] for line in lines]
            assert lines[0][-1] == "seconds"
        return found


@dataclass
class Command(Folder):
    """The installed command; each call is a process of its own."""

    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __call__(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the command; its exit code must be `code`, and stderr has no traceback."""
        done = self.run(*arguments)
        assert done.returncode == code, done.stderr
        return done

    def run(self, *arguments: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run the command with any exit code, as arguments of the program `prefix`; stderr has no traceback."""
        done = subprocess.run(
            [*prefix, DROPEXP, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            stdin=subprocess.DEVNULL,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command with large pipes: no test reads them while it waits for rows."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "pipesize": 1 << 20}
        return self.launch(DROPEXP, *arguments, **pipes)

    def launch(self, *words: str | Path, **options: Any) -> subprocess.Popen[str]:
        """Start any program in the folder and environment of the command, by default in a new process group."""
        usual: dict[str, Any] = {"env": self.environment, "stdin": subprocess.DEVNULL, "process_group": 0}
        self.started.append(subprocess.Popen(words, cwd=self.folder, text=True, **usual | options))
        return self.started[-1]

    def end(self) -> None:
        """Kill the started processes and their process groups."""
        for process in self.started:
            with process:
                if hasattr(os, "killpg"):
                    with suppress(ProcessLookupError, PermissionError):  # the latter on macOS, if all have exited
                        os.killpg(process.pid, signal.SIGKILL)
                process.kill()

    def wait_for_rows(self, count: int, process: subprocess.Popen[str]) -> None:
        """Wait until all tables together have `count` epochs; fail if the process exits or TIMEOUT seconds pass."""
        deadline = time.monotonic() + TIMEOUT
        while self.rows_so_far() < count:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, "too few epochs"
            time.sleep(0.02)

    def rows_so_far(self) -> int:
        tables = [path.read_text().splitlines() for path in self.folder.glob("runs/*/*/epochs.csv")]
        return sum(len(table) - 1 for table in tables)
