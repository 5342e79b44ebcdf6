"""`--help` of every command, on terminals of several widths."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from helpers.in_process import InProcess

from dropexp.cli.app import app
from dropexp.cli.help import EXAMPLES
from dropexp.runs.metrics import METRICS


def commands(group: Any = None, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command with its name, such as "data fetch"."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


ALL = dict(commands())


def names_of(command: Any) -> set[str]:
    return {name for param in command.params for name in (*param.opts, *param.secondary_opts) if name[0] == "-"}


@pytest.mark.parametrize("width", ["40", "80", "120"])
@pytest.mark.parametrize("name", ALL)
def test_help_has_whole_option_names_defaults_and_no_types(name: str, width: str, cli: InProcess) -> None:
    cli.environment["COLUMNS"] = width
    printed = cli(*name.split(), "--help").stdout
    text = " ".join(printed.split())
    options, _, examples = printed.partition("Examples:")
    assert max(map(len, options.splitlines())) <= int(width)
    assert names_of(ALL[name]) <= set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", options))
    assert not re.search(r"<\w+>|<list|…|\w\.\.\.$", options, re.MULTILINE)
    for param in ALL[name].params:
        if isinstance(param.default, int | float | str) and not isinstance(param.default, bool):
            assert f"[default: {param.default}" in text, param.name
        if isinstance(getattr(param, "show_default", None), str):
            assert param.show_default in text, param.name
    assert examples.strip()


def test_an_option_of_several_commands_is_explained_alike() -> None:
    explained: dict[str, set[str]] = {}
    for command in ALL.values():
        for param in command.params:
            if param.param_type_name == "option":
                explained.setdefault(max(param.opts, key=len), set()).add(param.help)
    with_own_meanings = {"--config", "--data-dir", "--at", "--trials", "--format", "--out"}
    assert {name for name, texts in explained.items() if len(texts) > 1} == with_own_meanings


def test_every_command_has_examples_with_options_that_exist() -> None:
    assert set(EXAMPLES) == set(ALL)
    for name, lines in EXAMPLES.items():
        for line in lines:
            words = shlex.split(line)
            assert " ".join(words).startswith(f"dropexp {name}")
            assert {word.partition("=")[0] for word in words if re.match("--?[a-z]", word)} <= names_of(ALL[name]) | {
                "-ended"
            }


def test_every_metric_is_listed(cli: InProcess) -> None:
    assert set(METRICS) <= set(re.findall(r"\w+", cli("compare", "--help").stdout))


def test_the_first_sentence_of_every_command_is_whole(cli: InProcess) -> None:
    text = " ".join(cli("--help").stdout.split())
    for name, command in ALL.items():
        if " " not in name:
            assert str(command.help).split(". ")[0].rstrip(".") in text


@pytest.mark.parametrize(
    ("arguments", "option", "what"),
    [
        (("train", "dropout", "--jobs", "x"), "--jobs", "'x' is not a whole number, 1 or more"),
        (("train", "dropout", "--jobs", "0"), "--jobs", "'0' is not a whole number, 1 or more"),
        (("train", "dropout", "--log-every", "1.5"), "--log-every", "'1.5' is not a whole number, 1 or more"),
        (("train", "dropout", "--jobs", "1,000"), "--jobs", "'1,000' is not a whole number, 1 or more; write 1000"),
        (("compare", "--margin", "abc"), "--margin", "'abc' is not a number"),
        (("compare", "--margin", "nan"), "--margin", "'nan' is not a number"),
        (("compare", "--margin", "0.3%"), "--margin", "'0.3%' is not a number; write 0.003"),
        (("compare", "--width", "-1"), "--width", "'-1' is not a whole number, 50 to 5000"),
        (("compare", "--height", "1e9"), "--height", "'1e9' is not a whole number, 50 to 5000"),
        (("evaluate", "x", "--mc", "0"), "--mc", "'0' is not a whole number, 1 or more"),
        (("evaluate", "x", "--rotate", "inf"), "--rotate", "'inf' is not a number"),
        (("bench", "--rounds", "many"), "--rounds", "'many' is not a whole number, 1 or more"),
    ],
)
def test_a_wrong_number_is_reported_with_what_is_allowed(
    arguments: tuple[str, ...], option: str, what: str, cli: InProcess
) -> None:
    printed = " ".join(cli(*arguments, code=2).stderr.replace("│", " ").split())
    assert printed.endswith(f"Invalid value for '{option}': {what}")
