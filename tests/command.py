"""The installed command as a user starts it: a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DROPEXP = Path(sys.executable).with_name("dropexp")
TIMEOUT = 180


@dataclass
class Command:
    folder: Path
    environment: dict[str, str]

    def __call__(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run to its end; the exit code must be the one that is expected, and no traceback may be seen."""
        done = self.answer(*arguments)
        assert done.returncode == code, done.stderr
        return done

    def answer(self, *arguments: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run to its end, whatever the exit code; `prefix` starts it. No traceback may be seen."""
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

    def start(self, *arguments: str, own_group: bool = False) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [DROPEXP, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            start_new_session=own_group,
            text=True,
        )

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def tables(self) -> dict[str, list[list[str]]]:
        """Every epochs.csv below runs/ without its column `seconds`, by the run's folder name."""
        found = {}
        for path in sorted(self.folder.glob("runs/*/*/epochs.csv")):
            lines = [line.split(",") for line in path.read_text().splitlines()]
            found[path.parent.name] = [line[:-1] for line in lines]
            assert lines[0][-1] == "seconds"
        return found

    def wait_for_rows(self, count: int, process: subprocess.Popen[str]) -> None:
        """Wait until the tables hold so many epochs."""
        deadline = time.monotonic() + TIMEOUT
        while sum(len(table) - 1 for table in self.tables_so_far()) < count:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, "no epochs came"
            time.sleep(0.02)

    def tables_so_far(self) -> list[list[str]]:
        return [path.read_text().splitlines() for path in self.folder.glob("runs/*/*/epochs.csv")]
