"""What all commands share: help that fits the terminal, ~ in every path, and no empty path."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from dropexp.cli.help import HelpContext
from dropexp.errors import PathError
from dropexp.home import expanded

_PATHS = re.compile("FILE|DIR|CONFIG|RUN|STUDY")  # in the metavar of arguments and options that can be a path


class Command(TyperCommand):
    """A command whose help fits the terminal. It expands `~` at the beginning of a path, also if the path is quoted.

    An empty path, such as that of a shell variable that is not set, is an error: it would be the current folder.
    """

    context_class = HelpContext

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing and ("" in args or any(arg.endswith("=") for arg in args)):
            _check_not_empty(self._paths(), self.make_parser(ctx).parse_args(list(args))[0])
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        paths = {param.name for param in self._paths()}
        ctx.params = {name: _with_home(value) if name in paths else value for name, value in ctx.params.items()}
        return super().invoke(ctx)

    def _paths(self) -> list[Any]:
        return [param for param in self.params if _PATHS.search(str(param.metavar))]


def _check_not_empty(paths: Iterable[Any], typed: dict[str, Any]) -> None:
    """Raise `PathError` for an empty path among the values as they were typed: `Path` makes it the current folder."""
    for param in paths:
        value = typed.get(param.name)
        if "" in (value if isinstance(value, list | tuple) else [value]):
            name = param.metavar if param.param_type_name == "argument" else max(param.opts, key=len)
            raise PathError(f"{name} is empty, as with a variable of the shell that is not set; give a path")


def _with_home(value: Any) -> Any:
    """Return a path or a list of paths with `~` replaced, and any other value as it is."""
    if isinstance(value, list | tuple):
        return type(value)(map(_with_home, value))
    if isinstance(value, str | Path) and re.match(r"~[\w.-]*([/\\]|\Z)", str(value)):
        return type(value)(expanded(value))
    return value
