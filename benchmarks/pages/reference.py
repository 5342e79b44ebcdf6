"""Write the option tables of docs/commands.md and the key table of docs/config.md: `python -m pages.reference`.

Both come from the program itself. A test fails when a page is stale.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import typer
from storage import DOCS

from dropexp.cli.app import app
from dropexp.config.key_table import key_rows
from dropexp.config.schema import Config
from pages.markdown import replace_section, unaligned_table


def commands_page(text: str) -> str:
    """Return docs/commands.md with the usage and options of every command replaced."""
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]  # a group, though typed as a command
        text = replace_section(text, name, "\n\n".join(_usages(f"dropexp {name}", command)))
    return text


def config_page(text: str) -> str:
    """Return docs/config.md with the table of keys replaced."""
    rows = [[f"`{row.key}`", row.default or _without_default(row.key), row.allowed, row.doc] for row in key_rows()]
    return replace_section(text, "keys", unaligned_table(["key", "default", "allowed", "meaning"], rows))


def _without_default(key: str) -> str:
    return "(required)" if key in Config.model_fields else "(none)"


def _usages(path: str, command: Any) -> Iterator[str]:
    """Yield the section of a command, or of each command of a group."""
    if hasattr(command, "commands"):
        for name, member in command.commands.items():
            yield from _usages(f"{path} {name}", member)
        return
    context = typer.Context(command)
    # Typer writes a required RUN in braces
    pieces = [piece.replace("{", "").replace("}", "") for piece in command.collect_usage_pieces(context)]
    yield f"`{' '.join([path, *pieces])}`"
    yield command.help
    records = [param.get_help_record(context) for param in command.params if param.param_type_name == "option"]
    if records:
        rows = [[f"`{names}`", " ".join(text.split())] for names, text in records]
        yield unaligned_table(["option", "meaning"], rows)


def main() -> None:
    for name, page in (("commands.md", commands_page), ("config.md", config_page)):
        path = DOCS / name
        path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"written: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
