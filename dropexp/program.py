"""Commands to copy from messages, which may need this program's path, and from reports, which have none."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from shutil import which

NAME = "dropexp"


def command(*arguments: str) -> str:
    """Return the command with these arguments for a report or json: `dropexp` without a path of this machine."""
    return shlex.join([NAME, *arguments])


def command_line(*arguments: str) -> str:
    """Return the command with these arguments for a message: with the program's path if the shell would not find it.

    Called from another program, such as a notebook, it begins with `dropexp`.
    """
    program, found = Path(sys.argv[0]), which(NAME)
    is_found = found is not None and Path(found).resolve() == program.resolve()
    words = [NAME]
    if program.name == "__main__.py" and program.parent.name == NAME:
        words = [sys.executable, "-m", NAME]
    elif program.stem == NAME and len(program.parts) > 1 and not is_found:
        words = [str(program)]
    return shlex.join([*words, *arguments])
