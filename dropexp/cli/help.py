"""Help: plain text that fits the terminal, with examples.

Rich's panels would cut option names on a narrow terminal.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

MAX_WIDTH = 100
TWO_COLUMNS = 72  # columns of the terminal; on a narrower one, what an option does is below its name

EXAMPLES = {
    "train": [
        "dropexp train dropout",
        "dropexp train study.yaml --set lr=0.1 --set name=slower --seeds 0..9",
        "dropexp train study.yaml --sweep lr=0.1,0.5 --dry-run",
        "dropexp train study.yaml --jobs 4 --log-every 10",
    ],
    "compare": [
        "dropexp compare dropout",
        "dropexp compare -c study.yaml --metric test_loss --at best-val",
        "dropexp compare dropout --by drop_probs --plot sweep.svg",
        "dropexp compare dropout --require 'nn.test_acc >= 0.78'",
        "dropexp compare dropout --format csv > arms.csv",
    ],
    "report": ["dropexp report dropout -o report.html", "dropexp report -c study.yaml --by lr"],
    "runs": [
        "dropexp runs dropout --filter variant=nn",
        "dropexp runs --filter status=failed --sort -ended",
        "dropexp runs --prune",
        "dropexp runs --prune --yes",
    ],
    "export": ["dropexp export dropout --to tensorboard -o logs", "dropexp export dropout --to mlflow"],
    "evaluate": [
        "dropexp evaluate dropout/variant=nn,seed=0 --rotate 30",
        "dropexp evaluate dropout --at best-val",
        "dropexp evaluate f3cd009b --images 0,7,42",
    ],
    "claims": ["dropexp claims --quick", "dropexp claims monte-carlo", "dropexp claims --format md"],
    "bench": ["dropexp bench", "dropexp bench --rounds 10"],
    "config list": ["dropexp config list"],
    "config show": ["dropexp config show dropout", "dropexp config show dropout > my.yaml"],
    "config check": ["dropexp config check my.yaml"],
    "config keys": ["dropexp config keys", "dropexp config keys drop_probs lr"],
    "config schema": ["dropexp config schema > dropexp.schema.json"],
    "config init": ["dropexp config init my.yaml"],
    "data fetch": ["dropexp data fetch", "dropexp data fetch --data-url https://example.org/fashion-mnist"],
    "data verify": ["dropexp data verify", "dropexp data verify --data-dir ~/data"],
    "data path": ["dropexp data path"],
}


def epilog(command: str) -> str:
    """Return the end of a command's help: its examples."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in EXAMPLES[command])])


class Formatter(typer.Context.formatter_class):  # type: ignore[misc, valid-type]  # mypy takes no attribute as a base
    """Formats help in the width of the terminal, at most 100 columns."""

    def __init__(self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None) -> None:
        super().__init__(indent_increment, width or min(shutil.get_terminal_size().columns, MAX_WIDTH), max_width)

    def write_dl(self, rows: Sequence[tuple[str, str]], *args: Any, **options: Any) -> None:
        """Write options and what they do: in two columns, or below each other. Leave out types such as <list[str]>."""
        rows = [(re.sub(r" <(list\[)?\w+\]?>", "", name), text) for name, text in rows]
        if self.width >= TWO_COLUMNS:
            super().write_dl(rows, *args, **options)
            return
        for name, text in rows:
            self.write_text(name)
            with self.indentation():
                self.write_text(text)


class HelpContext(typer.Context):
    """The context of a command whose help fits the terminal."""

    formatter_class = Formatter


class Group(TyperGroup):
    """A group of commands whose help fits the terminal."""

    context_class = HelpContext

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the first sentence of each command's help, without shortening it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(limit=1000)) for name, one in self.commands.items()])
