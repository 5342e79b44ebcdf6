"""PyYAML's loader and dumper with the words, numbers and tabs of YAML 1.2.

PyYAML follows YAML 1.1: 1e-3 is text, no is false, 1:30 is 90, 010 is 8, and a tab before a comment is an error.
ruamel.yaml reads 0x1f, 1_000 and dates as values, stops at the first duplicate key, and makes this file no shorter.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.scanner import ScannerError

from dropexp.config.yaml_faults import character_fault

MERGE = "tag:yaml.org,2002:merge"  # of the key <<, which YAML 1.2 leaves out and many files use
_LINE_SEPARATORS = "\x85\u2028\u2029"  # line breaks of YAML 1.1, ordinary characters of YAML 1.2
_BREAKS = f"\r\n{_LINE_SEPARATORS}"
_SPACES = " \t"


class Loader(yaml.SafeLoader):
    """Reads words and numbers as the core schema of YAML 1.2 does, and tabs where it allows them."""

    def scan_line_break(self) -> str:
        """Skip a line break, if there is one, and return it as \\n. Raises ScannerError for one of YAML 1.1 only."""
        if self.peek() in _LINE_SEPARATORS:
            raise ScannerError(None, None, character_fault(self.peek()), self.get_mark())
        return str(super().scan_line_break())  # type: ignore[no-untyped-call]  # PyYAML has no types for it

    def scan_to_next_token(self) -> None:
        """Skip spaces, tabs, line breaks and comments. Raises ScannerError for a tab that indents."""
        if self.index == 0 and self.peek() == "\ufeff":
            self.forward()
        while True:
            indented = self.column == 0  # whether only spaces precede on this line
            while self.peek() == " ":
                self.forward()
            spaces = self.column
            while self.peek() in _SPACES:
                self.forward()
            if self.peek() == "#":
                line = self.line
                while self.peek() not in "\0\r\n":
                    self.forward()
                self.line = line  # PyYAML also counts the line separators in a comment
            elif indented and self.column > spaces and spaces <= self.indent and self.peek() not in f"\0{_BREAKS}":
                raise self._indenting_tab()
            if not self.scan_line_break():
                return
            if not self.flow_level:
                self.allow_simple_key = True

    def add_indent(self, column: int) -> bool:
        """Start a block at this column. Raises ScannerError if a tab precedes it on its line."""
        deeper: bool = super().add_indent(column)
        if deeper:
            start = max(self.buffer.rfind(character, 0, self.pointer) for character in _BREAKS) + 1
            if "\t" in self.buffer[start : start + column]:
                raise self._indenting_tab()
        return deeper

    def scan_plain_spaces(self, indent: int, start_mark: yaml.Mark) -> list[str]:
        """Return the white space inside a plain scalar, a line break as one space, or nothing if the scalar ends."""
        length = 0
        while self.peek(length) in _SPACES:
            length += 1
        spaces = self.prefix(length)
        self.forward(length)
        if self.peek() not in _BREAKS:
            return [spaces] if spaces else []
        self.scan_line_break()
        self.allow_simple_key = True
        breaks: list[str] = []
        while not self._is_document_marker():
            if self.peek() == " " or (self.peek() == "\t" and self.column >= indent):
                self.forward()
            elif self.peek() in _BREAKS:
                breaks.append(self.scan_line_break())
            else:
                return breaks or [" "]
        return []

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Return a whole number. Raises ValueError if it has a prefix of YAML 1.1, or more digits than Python reads."""
        text: str = node.value
        base = {"0x": 16, "0o": 8}.get(text[:2], 10)
        return int(text.removeprefix("0x").removeprefix("0o"), base)

    def _is_document_marker(self) -> bool:
        return self.column == 0 and self.prefix(3) in ("---", "...") and self.peek(3) in f"\0 \t{_BREAKS}"

    def _indenting_tab(self) -> ScannerError:
        return ScannerError(None, None, "tabs cannot indent; use spaces", self.get_mark())


class Dumper(yaml.SafeDumper):
    """Quotes text that `Loader` would read as something else."""


Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ("merge", r"<<", ["<"]),
):
    _classes: tuple[Any, ...] = (Loader, Dumper)
    for _class in _classes:
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"({_pattern})\Z"), _first)
Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
Loader.add_constructor(MERGE, lambda loader, node: node.value)  # << as a value is text
