"""GitHub Actions: failures as annotations, a comparison as the summary of a step.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions describes both.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dropexp.cli.output import print_message
from dropexp.errors import Problem, printable
from dropexp.files import why

if TYPE_CHECKING:
    from dropexp.analysis.comparison import Comparison

MAX_SUMMARY = 1024 * 1024  # bytes of one step's summary; GitHub shows nothing of a longer one


def print_failure(text: str, problems: Sequence[Problem] = ()) -> None:
    """Print a message of one or more lines to stderr, under GitHub Actions as an annotation of the run.

    `problems` are those that the text lists, if any. Each becomes an annotation of its own, at its line of its file.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        for line in text.splitlines():
            print_message(line)
        return
    for problem in problems:
        print_message(f"::error {_position(problem.where)}title=dropexp::{_escaped(f'dropexp: {problem}')}")
    if not problems:
        print_message(f"::error title=dropexp::{_escaped(text)}")


def _position(where: str) -> str:
    """Return the annotation properties of FILE or FILE:LINE, relative to the repository; "" for anything else."""
    match = re.fullmatch(r"(.+):(\d+)", where)
    file, line = match.groups() if match else (where, "")
    with suppress(OSError, ValueError, RuntimeError):  # such as an option that is too long for a path
        if (path := Path(file)).is_file():
            path, root = path.resolve(), Path(os.environ.get("GITHUB_WORKSPACE") or ".").resolve()
            shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
            position = f"file={_escaped(shown).replace(':', '%3A').replace(',', '%2C')},"
            return f"{position}line={line}," if line else position
    return ""  # an option, or standard input


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def add_to_summary(comparison: Comparison, outcomes: Mapping[str, str | None]) -> None:
    """Append a comparison and the outcomes of its requirements to the summary of a step of GitHub Actions, if any.

    `outcomes` are by requirement: None if it holds, or else why it does not. Prints a note if the summary cannot be
    written.
    """
    if not (path := os.environ.get("GITHUB_STEP_SUMMARY")):
        return
    from dropexp.report.formats.markdown import markdown
    from dropexp.report.tables.comparison import comparison_tables
    from dropexp.report.tables.table import Table

    rows = [(line, "yes" if failure is None else "no", failure or "") for line, failure in outcomes.items()]
    checked = [Table("Requirements", ("requirement", "passed", "reason"), rows, left=(0, 1, 2))] if rows else []
    tables = [*checked, *comparison_tables(comparison)]
    content = f"{printable(markdown(tables, comparison.headlines, comparison.notes))}\n\n".encode()
    try:
        with open(path, "ab") as file:
            if file.tell() + len(content) > MAX_SUMMARY:
                print_message(f"note: the step's summary has no room for this comparison ({len(content):,} bytes)")
                return
            file.write(content)
    except OSError as error:
        print_message(f"note: {path}, which GITHUB_STEP_SUMMARY names, cannot be written: {why(error)}")
