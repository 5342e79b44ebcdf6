"""What all commands share: help that fits, `~` in every path, no empty path, suggestions for unknown options."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from dropexp.cli.help import HelpContext
from dropexp.did_you_mean import did_you_mean
from dropexp.errors import PathError
from dropexp.home_folder import expanded

_UsageError: Any = typer.BadParameter.__base__  # typer exports no other name of it
_PATHS = re.compile("FILE|DIR|CONFIG|RUN|STUDY")  # in the metavar of arguments and options that can be a path


class Command(TyperCommand):
    """A command whose help fits the terminal. It expands `~` at the beginning of a path, also if the path is quoted.

    An empty path, such as that of a shell variable that is not set, is an error: it would be the current folder.
    """

    context_class = HelpContext

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments. Raises `PathError` for an empty path; suggests what an unknown option may mean."""
        given = list(args)
        try:
            if not ctx.resilient_parsing and ("" in args or any(arg.endswith("=") for arg in args)):
                _check_not_empty(self._paths(), self.make_parser(ctx).parse_args(list(args))[0])
            return super().parse_args(ctx, args)
        except _UsageError as error:
            if type(error).__name__ == "NoSuchOption":
                options = [option for param in self.get_params(ctx) for option in param.opts if option.startswith("--")]
                error.message += _suggestion(error.option_name, given, options)
                error.possibilities = None  # these can be far from what was typed
            raise

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


def _suggestion(option: str, arguments: list[str], options: list[str]) -> str:
    """Return the --set that an unknown option means, or a similar option; "" if there is neither."""
    from dropexp.config.other_libraries.keys import setting_instead

    at = next((i for i, word in enumerate(arguments) if word.partition("=")[0] == option), len(arguments))
    _, equals, value = arguments[at].partition("=") if at < len(arguments) else ("", "", "")
    if not equals and not (value := next(iter(arguments[at + 1 :]), "")).removeprefix("-")[:1].isalnum():
        value = ""
    setting = setting_instead(option, value, options) if "--set" in options else None
    return setting or did_you_mean(option, options)


def _with_home(value: Any) -> Any:
    """Return a path or a list of paths with `~` replaced, and any other value as it is."""
    if isinstance(value, list | tuple):
        return type(value)(map(_with_home, value))
    if isinstance(value, str | Path) and re.match(r"~[\w.-]*([/\\]|\Z)", str(value)):
        return type(value)(expanded(value))
    return value
