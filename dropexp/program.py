"""The program as this user can start it, for commands that are printed to be copied."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from shutil import which


def command_line(*arguments: str) -> str:
    """Return the command with these arguments: by the program's path if the shell would not find it.

    In another program, such as a notebook, it is `dropexp`.
    """
    program, found = Path(sys.argv[0]), which("dropexp")
    is_found = found is not None and Path(found).resolve() == program.resolve()
    words = ["dropexp"]
    if program.name == "__main__.py" and program.parent.name == "dropexp":
        words = [sys.executable, "-m", "dropexp"]
    elif program.stem == "dropexp" and len(program.parts) > 1 and not is_found:
        words = [str(program)]
    return shlex.join([*words, *arguments])
