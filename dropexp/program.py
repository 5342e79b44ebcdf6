"""Commands that are printed to be copied: with this user's program, or in texts that are read elsewhere too."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from shutil import which

NAME = "dropexp"


def command(*arguments: str) -> str:
    """Return the command with these arguments as a report or json has it: without a path of this machine."""
    return shlex.join([NAME, *arguments])


def command_line(*arguments: str) -> str:
    """Return the command with these arguments: by the program's path if the shell would not find it.

    In another program, such as a notebook, it is `dropexp`.
    """
    program, found = Path(sys.argv[0]), which(NAME)
    is_found = found is not None and Path(found).resolve() == program.resolve()
    words = [NAME]
    if program.name == "__main__.py" and program.parent.name == NAME:
        words = [sys.executable, "-m", NAME]
    elif program.stem == NAME and len(program.parts) > 1 and not is_found:
        words = [str(program)]
    return shlex.join([*words, *arguments])
