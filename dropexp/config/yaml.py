"""YAML 1.2 with the line of each value, on PyYAML.

ruamel.yaml reads 0x1f, 1_000 and dates as values, stops at the first duplicate key, and makes this file no shorter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.reader import ReaderError

from dropexp.errors import ConfigError, Problem

KeyPath = tuple[str | int, ...]  # the keys and list indices that lead from the top to a value

MAX_VALUES = 100_000  # far more than a config has; a few nested aliases make billions

_TAGS = {
    yaml.ScalarNode: ("scalar", {"null", "bool", "int", "float", "str"}),
    yaml.SequenceNode: ("sequence", {"seq"}),
    yaml.MappingNode: ("mapping", {"map"}),
}


class _Loader(yaml.SafeLoader):
    """Reads words and numbers as YAML 1.2 does. PyYAML follows 1.1: 1e-3 is text, no is false and 1:30 is 90."""


class _Dumper(yaml.SafeDumper):
    """Quotes text that `_Loader` would read as something else."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
):
    for _reader in (_Loader, _Dumper):
        _reader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"({_pattern})\Z"), _first)


@dataclass(frozen=True)
class Document:
    """The content of a text, and the line of each key and list item."""

    content: Any
    lines: dict[KeyPath, int]


def dump(content: dict[str, Any]) -> str:
    """Return content as text that `parse` reads back, a list of numbers in one line."""
    return yaml.dump(content, None, _Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)


def parse(text: str, where: str) -> Document:
    """Parse a text; `where` names it in errors.

    Raises `ConfigError` if it is not YAML or too large, and for all keys that are duplicate or not text.
    """
    try:
        loader = _Loader(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError([Problem(f"{where}:{line}", f"not YAML: character {text[error.position]!r}")]) from None
    builder = _Builder(loader, where)
    try:
        node = loader.get_single_node()
        content = None if node is None else builder.value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        origin = f"{where}:{mark.line + 1}" if mark else where
        raise ConfigError([Problem(origin, f"not YAML: {error.problem or error.context}")]) from None
    except RecursionError:
        raise ConfigError([Problem(where, "nested too deeply, or an alias to itself")]) from None
    finally:
        loader.dispose()
    if builder.problems:
        raise ConfigError(builder.problems)
    return Document(content, builder.lines)


class _Builder:
    """Builds Python values from nodes, and records their lines. PyYAML's own drops lines and earlier duplicate keys."""

    def __init__(self, loader: _Loader, where: str) -> None:
        self.loader, self.where = loader, where
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        """Build the value of a node. Raises `ConfigError` for a tag that a config cannot have."""
        if len(self.lines) > MAX_VALUES:
            raise ConfigError([Problem(self.where, f"more than {MAX_VALUES} values, too many for a config")])
        self.lines.setdefault(path, _line(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._check_tag(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        tag = self._check_tag(node)
        try:
            value = self.loader.construct_object(node)
            str(value).encode()  # fails for thousands of digits and for lone surrogates, which cannot be printed
        except (ValueError, LookupError, AttributeError):  # !!bool x
            raise self._error(node, f"{node.value[:40]!r} is not of type {tag}") from None
        return value

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key_node, value_node in node.value:
            origin = f"{self.where}:{_line(key_node)}"
            is_scalar = isinstance(key_node, yaml.ScalarNode)
            key = self._scalar(key_node) if is_scalar else None
            if not isinstance(key, str):
                shown = repr(key_node.value) if is_scalar else "with several parts"
                self.problems.append(Problem(origin, f"key {shown} is not text; quote it"))
            elif key in content:
                first = self.lines[(*path, key)]
                self.problems.append(Problem(origin, f"key {key!r} is given twice, first in line {first}"))
            else:
                self.lines[(*path, key)] = _line(key_node)
                content[key] = self.value(value_node, (*path, key))
        return content

    def _check_tag(self, node: yaml.Node) -> str:
        tag: str = node.tag.rpartition(":")[2]
        kind, allowed = _TAGS[type(node)]
        if tag not in allowed:  # !!timestamp, !!python/name:os.system
            raise self._error(node, f"a config has no {kind} of type {tag[:40]!r}; leave the tag out")
        return tag

    def _error(self, node: yaml.Node, what: str) -> ConfigError:
        return ConfigError([Problem(f"{self.where}:{_line(node)}", f"not YAML: {what}")])


def _line(node: yaml.Node) -> int:
    line: int = node.start_mark.line
    return line + 1
