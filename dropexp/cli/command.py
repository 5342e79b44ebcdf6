"""What all commands share: help that fits the terminal, ~ in every path, and suggestions for unknown options."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from dropexp.cli.help import HelpContext
from dropexp.home import expanded
from dropexp.nearest import did_you_mean

_UsageError: Any = typer.BadParameter.__base__  # typer exports no other name of it
_PATHS = re.compile("FILE|DIR|CONFIG|RUN|STUDY")  # in the metavar of arguments and options that can be a path


class Command(TyperCommand):
    """A command whose help fits the terminal. It expands `~` at the beginning of a path, also if the path is quoted."""

    context_class = HelpContext

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments. Raises a usage error, with a suggestion for an unknown option."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except _UsageError as error:
            if type(error).__name__ == "NoSuchOption":
                options = [option for param in self.get_params(ctx) for option in param.opts if option.startswith("--")]
                error.message += _suggestion(error.option_name, given, options)
                error.possibilities = None  # these can be far from what was typed
            raise

    def invoke(self, ctx: Any) -> Any:
        paths = {param.name for param in ctx.command.params if _PATHS.search(str(param.metavar))}
        ctx.params = {name: _with_home(value) if name in paths else value for name, value in ctx.params.items()}
        return super().invoke(ctx)


def _suggestion(option: str, arguments: list[str], options: list[str]) -> str:
    """Return the --set that an unknown option means, or a similar option; "" if there is neither."""
    from dropexp.config.elsewhere.keys import setting_instead

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
