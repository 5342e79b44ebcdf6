"""Links, commands and diagrams in the documentation match the files and the program."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pages import reference
from unit.test_architecture import ARROWS

from dropexp.cli.app import app

ROOT = Path(__file__).parents[2]
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
PAGES = [path for path in TRACKED if path.endswith(".md") and not path.startswith("tests/")]
CONFIGS = [
    path for path in TRACKED if path.endswith(".yaml") and path.startswith(("configs/", "examples/", "benchmarks/"))
]


def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", text_of(page)):
        target, _, anchor = "".join(link).partition("#")
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), f"{page} links to {target}"
        if anchor:
            assert anchor in anchors(path.resolve().relative_to(ROOT.resolve()).as_posix()), f"{page}: #{anchor}"


def commands() -> Iterator[tuple[str, str]]:
    """Yield each dropexp command in the comments of configs and in the code blocks of pages, with its file."""
    for path in CONFIGS:
        for line in re.findall(r"^# +(dropexp [a-z].*)$", text_of(path), re.MULTILINE):
            yield path, re.split(r" {2,}", line)[0]
    for path in PAGES:
        for block in re.findall(r"^```\w*\n(.*?)^```", text_of(path), re.MULTILINE | re.DOTALL):
            for line in re.findall(r"^(dropexp [a-z].*)$", block, re.MULTILINE):
                yield path, line


def options_of(command: Any) -> set[str]:
    names = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    return names | {"-h", "--help"}


@pytest.mark.parametrize(("path", "line"), list(commands()))
def test_documented_commands_and_their_options_exist(path: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        assert words and words[0] in command.commands, f"{path}: {line}"
        command = command.commands[words.pop(0)]
    assert {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} <= options_of(command), path
    for name in re.findall(r"\S+\.yaml\b", line):
        assert name == "my.yaml" or name == "study.yaml" or (ROOT / name).exists(), f"{path}: {line}"


def closure(arrows: dict[str, set[str]]) -> set[tuple[str, str]]:
    """Return every package with every package that it reaches."""
    found = {(package, other) for package, others in arrows.items() for other in others}
    while more := {(a, d) for a, b in found for c, d in found if b == c} - found:
        found |= more
    return found


def test_the_diagram_of_packages_has_the_arrows_of_the_table() -> None:
    diagram = text_of("docs/architecture.md").split("```mermaid\nflowchart TD\n")[1].split("```")[0]
    drawn: dict[str, set[str]] = {}
    for package, other in re.findall(r"^    (\w+) --> (\w+)$", diagram, re.MULTILINE):
        drawn.setdefault(package, set()).add(other)
    assert closure(drawn) == closure(ARROWS)


def test_the_options_and_keys_in_the_documentation_are_up_to_date() -> None:
    for page, written in (("docs/commands.md", reference.commands_page), ("docs/config.md", reference.config_page)):
        assert written(text_of(page)) == text_of(page), f"{page} is stale; run `make docs`"
