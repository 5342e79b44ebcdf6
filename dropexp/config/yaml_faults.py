"""What is wrong with a text that is not YAML, and what to do, instead of the parser's own terms."""

from __future__ import annotations

import re
import unicodedata

import yaml

_UNCLOSED = "the {0!r} of this line is not closed, or a comma is missing after it"
_OTHER_INDENT = "this line does not line up with the lines above it"
# By the parser's message: what is wrong. {0} is what its group found.
_MESSAGES = {
    r"but found another document": "a second document begins here, and a config is one: remove the line '---', or "
    "write two files",
    r"expected '<document start>'.*": "text follows the end of the config, a closing bracket or a line '...' above; "
    "remove that end, or the text",
    r"found undefined alias '(.*)'": "the alias *{0} has no anchor &{0} above it",
    r"found character '(.)' that cannot start any token": "a value cannot begin with {0!r}; write it in quotes",
    r"found unknown escape character '(.)'": "\\{0} has no meaning in double quotes; use single quotes",
    r"expected alphabetic or numeric character.*": "& and * begin the name of an anchor, which is missing; for the "
    "character itself use quotes",
    r"expected <block end>, but found '-'": "a list item among keys; indent it below its key, or remove the '-'",
    r"expected the node content, but found '<stream end>'": "a bracket that opens above is not closed",
    r"expected the node content, but found '(.*)'": "a value is missing before {0!r}",
    r"sequence entries are not allowed here": "a list item cannot be here; write a list as [a, b], or one '- item' per "
    "line below its key",
    r"found unexpected document separator": "a quote that opens above is not closed",
}


def fault(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    """Return the line of an error of the parser, 0 if it is unknown, and what is wrong there."""
    mark, context = error.problem_mark or error.context_mark, error.context_mark
    line = mark.line + 1 if mark else 0
    problem = str(error.problem or error.context)
    opened = context.line + 1 if context else line
    if problem == "could not find expected ':'":
        return opened, _without_colon(_lines(text)[opened - 1])
    if problem == "found unexpected end of stream":
        return opened, "the quote of this line is not closed"
    if found := re.match(r"expected ',' or '([]}])'", problem):
        return opened, _UNCLOSED.format({"]": "[", "}": "{"}[found[1]])
    if problem == "mapping values are not allowed here":
        return _unexpected_colon(_lines(text), line)
    if found := re.fullmatch(r"expected (?:<block end>|'<document start>'), but found '([],}])'", problem):
        return line, f"a value has ended before {found[1]!r}; remove the {found[1]!r}"
    if mark and problem.startswith("expected <block end>") and not problem.endswith("'-'"):
        is_first = not _lines(text)[mark.line][: mark.column].strip()
        return line, _OTHER_INDENT if is_first else "text follows a value that has ended; write all of it in one quote"
    for pattern, what in _MESSAGES.items():
        if found := re.fullmatch(pattern, problem):
            return line, what.format(*found.groups())
    return line, f"{error.context}, {problem}" if error.context and error.problem else problem


def character_fault(character: str) -> str:
    """Return what is wrong with a character that a config cannot have there."""
    name = {"\0": "null", "\x85": "next line"}.get(character) or unicodedata.name(
        character, "control character"
    ).lower()
    return f"the invisible character U+{ord(character):04X} ({name}); remove it"


def not_a_mapping(content: object, text: str) -> tuple[int, str]:
    """Return the line, and what is wrong with a config that is a list, a word or empty."""
    lines = [(i, line) for i, line in enumerate(_lines(text), 1) if not re.match(r"\s*(#|%|(---)?\s*\Z)", line)]
    form = "a config is a mapping with a line 'key: value' for each key"
    if content is None:
        return 1, f"it has no keys; {form}"
    first, line = next(iter(lines), (1, text.strip()))
    if isinstance(content, list):
        return first, f"a list, and {form}; remove the '- ' or the brackets"
    return first, f"{_without_colon(line)}; {form}"


def _lines(text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text)


def _without_colon(line: str) -> str:
    """Return what is wrong with a line that is not a key with a value."""
    line = line.strip()
    shown = repr(line if len(line) <= 40 else f"{line[:39]}…")
    found = re.match(r"([A-Za-z_][\w-]*)\s*(?:[:=]+|\s)\s*(\S.*)", line[:80])
    return f"{shown} is not of the form 'key: value'" + (f"; write {found[1]}: {found[2]}" if found else "")


def _unexpected_colon(lines: list[str], line: int) -> tuple[int, str]:
    """Return the line and what is wrong where a key follows a value that has not ended."""
    if re.search(r":\s.*:(\s|\Z)", lines[line - 1]):
        return line, "a second colon in this line; write each key on its own line; a value with a colon needs quotes"
    above = next((i for i in range(line - 1, 0, -1) if lines[i - 1].strip()), line)
    if not re.search(r":(\s|\Z)", lines[above - 1]):
        return above, _without_colon(lines[above - 1])
    return line, "this line is indented deeper than the line above, which has a value of its own"
