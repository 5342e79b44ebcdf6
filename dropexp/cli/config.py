"""`dropexp config list|show|check|keys|schema|init`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dropexp.cli.command import Command
from dropexp.cli.completion import complete_configs, complete_keys
from dropexp.cli.help import Group, epilog
from dropexp.cli.options import CONFIG, Plugin, load_plugins
from dropexp.cli.output import next_command, print_line, print_message
from dropexp.plurals import counted

if TYPE_CHECKING:
    from dropexp.config.key_table import KeyRow
    from dropexp.config.study import Study
    from dropexp.report.tables.table import Table

app = typer.Typer(
    help="List, print, check and write configs, and explain their keys.",
    cls=Group,
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.command("list", cls=Command, epilog=epilog("config list"))
def list_() -> None:
    """List the studies that ship with dropexp, each with its question."""
    from dropexp.config.shipped import question, shipped
    from dropexp.report.tables.table import Table

    rows = [[name, question(path)] for name, path in shipped().items()]
    _print_tables([Table("", ["study", "question"], rows, fold=(1,), cut=(), left=(0, 1))])
    print_message("`dropexp config show STUDY` prints one, `dropexp train STUDY` trains it")


@app.command(cls=Command, epilog=epilog("config show"))
def show(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="A shipped study.", autocompletion=complete_configs)],
) -> None:
    """Print a study that ships with dropexp, to copy and change."""
    from dropexp.config.source import read_config

    print(read_config(name)[0], end="")


@app.command(cls=Command, epilog=epilog("config check"))
def check(
    configs: Annotated[list[str], CONFIG],
    plugin: Plugin = None,
) -> None:
    """Check configs without training: report all problems, or count the runs."""
    from dropexp.config.study import load_configs

    load_plugins(plugin)
    for word, study in zip(configs, load_configs(configs), strict=True):
        print_line(f"{word}: valid; {_counted(study)}")


@app.command(cls=Command, epilog=epilog("config keys"))
def keys(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY", help="Keys to explain.", show_default="all", autocompletion=complete_keys),
    ] = None,
    plugin: Plugin = None,
) -> None:
    """Explain the keys of a config: default, allowed values, meaning and section of the book."""
    from dropexp.config.key_table import key_rows
    from dropexp.config.other_libraries.keys import similar_key
    from dropexp.config.schema import GROUPS
    from dropexp.report.tables.table import Table

    load_plugins(plugin)
    rows = {row.key: row for row in key_rows()}
    if not names:
        tables = []
        for group, members in GROUPS.items():
            of_group = [row for key, row in rows.items() if key.partition(".")[0] in members]
            cells = [[row.key, _default(row), row.allowed] for row in of_group]
            tables.append(Table(group, ["key", "default", "allowed"], cells, fold=(2,), cut=(), left=(0, 1, 2)))
        _print_tables(tables)
        print_message("`dropexp config keys KEY` explains one")
        return
    unknown = [f"{name!r}{similar_key(name, list(rows))}" for name in names if name not in rows]
    if unknown:
        raise typer.BadParameter(f"unknown key {', '.join(unknown)}", param_hint="KEY")
    for i, name in enumerate(names):
        _explain(rows[name], first=i == 0)


@app.command(cls=Command, epilog=epilog("config schema"))
def schema(plugin: Plugin = None) -> None:
    """Print the JSON Schema of a config, with which editors complete and check."""
    from dropexp.config.json_schema import json_schema_text

    load_plugins(plugin)
    print(json_schema_text(), end="")


@app.command(cls=Command, epilog=epilog("config init"))
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file, or - for standard output.")] = Path(
        "study.yaml"
    ),
) -> None:
    """Write a commented config to start from, and the schema that it points to; no file is overwritten."""
    from dropexp.config.json_schema import FILE, json_schema_text
    from dropexp.config.shipped import SUFFIXES
    from dropexp.config.starter import starter
    from dropexp.files import write_result

    if str(file) == "-":
        print(starter(Path("study.yaml")), end="")
        print_message(f"note: `dropexp config schema > {FILE}` writes the schema that it points to")
        return
    file = file.expanduser()
    if file.suffix not in SUFFIXES:
        what = (
            f"{file} does not end in .yaml or .yml; write the name of a file, such as {file}.yaml or {file}/study.yaml"
        )
        raise typer.BadParameter(what, param_hint="FILE")
    if file.exists():
        raise typer.BadParameter(f"{file} exists; name another file, or remove it", param_hint="FILE")
    write_result(file, starter(file).encode())
    schema_file = file.parent / FILE
    if not schema_file.exists():
        write_result(schema_file, json_schema_text().encode())
    elif schema_file.read_bytes() != json_schema_text().encode():
        print_message(
            f"note: {schema_file} differs; `dropexp config schema > {shlex.quote(str(schema_file))}` replaces it"
        )
    print_line(file)
    print_message(next_command("next", ["config", "check", str(file)]))


def _counted(study: Study) -> str:
    """Return the number of runs and arms of a study in words."""
    shape = counted(len(study.seeds), "arm")
    if study.searches:
        trials, tested = counted(len(study.runs), "trial"), counted(len(study.searches), "tested run")
        return f"{study.name} has {trials} and {tested}: {shape}"
    seeds = {len(own) for own in study.seeds.values()}
    each = f"{min(seeds)} to {max(seeds)}" if len(seeds) > 1 else str(max(seeds))
    runs, noun = counted(len(study.runs), "run"), "seed" if max(seeds) == 1 else "seeds"
    return f"{study.name} has {runs}: {shape}, {each} {noun} each"


def _default(row: KeyRow) -> str:
    return (
        row.default or "(required)"
        if row.key in ("variant", "tune.trials", "tune.repeats", "tune.space")
        else row.default
    )


def _explain(row: KeyRow, first: bool) -> None:
    """Print a key with all that is known of it."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    lines = [("default", _default(row)), ("allowed", row.allowed), ("book", row.section and f"section {row.section}")]
    if not first:
        console.print()
    console.print(Text(row.key, style="bold"))
    console.print(Text(row.doc.replace("`", "")), soft_wrap=not console.is_terminal)
    for title, text in lines:
        if text:
            console.print(Text(f"{title + ':':<9}{text}"), soft_wrap=not console.is_terminal)


def _print_tables(tables: Sequence[Table]) -> None:
    from rich.console import Console

    from dropexp.report.formats import console

    console.show(tables, Console())
