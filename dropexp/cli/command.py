"""What all commands share: help that fits the terminal, and ~ in every path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from dropexp.cli.help import HelpContext
from dropexp.home import expanded

_PATHS = re.compile("FILE|DIR|CONFIG|RUN|STUDY")  # in the metavar of arguments and options that can be a path


class Command(TyperCommand):
    """A command whose help fits the terminal. It expands `~` at the beginning of a path, also if the path is quoted."""

    context_class = HelpContext

    def invoke(self, ctx: Any) -> Any:
        paths = {param.name for param in ctx.command.params if _PATHS.search(str(param.metavar))}
        ctx.params = {name: _with_home(value) if name in paths else value for name, value in ctx.params.items()}
        return super().invoke(ctx)


def _with_home(value: Any) -> Any:
    """Return a path or a list of paths with `~` replaced, and any other value as it is."""
    if isinstance(value, list | tuple):
        return type(value)(map(_with_home, value))
    if isinstance(value, str | Path) and re.match(r"~[\w.-]*([/\\]|\Z)", str(value)):
        return type(value)(expanded(value))
    return value
