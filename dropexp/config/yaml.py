"""YAML 1.2 with the line of each value, and with merge keys."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.reader import ReaderError

from dropexp.config.yaml_faults import character_fault, fault
from dropexp.config.yaml_loader import MERGE, Dumper, Loader
from dropexp.errors import ConfigError, Problem

KeyPath = tuple[str | int, ...]  # the keys and list indices that lead from the top to a value

MAX_PROBLEMS = 100  # that are listed
MAX_VALUES = 100_000  # far more than a config has; a few nested aliases make billions

_TAGS = {
    yaml.ScalarNode: ("scalar", {"null", "bool", "int", "float", "str"}),
    yaml.SequenceNode: ("sequence", {"seq"}),
    yaml.MappingNode: ("mapping", {"map"}),
}


@dataclass(frozen=True)
class Document:
    """The content of a text, the line of each key and list item, and what was typed for each scalar."""

    content: Any
    lines: dict[KeyPath, int]
    typed: dict[KeyPath, str]


def dump(content: dict[str, Any]) -> str:
    """Return content as text that `parse` reads back, a list of numbers in one line."""
    return yaml.dump(content, None, Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)


def dump_line(content: Any) -> str:
    """Return content as a text in one line, for a message."""
    return yaml.dump(content, None, Dumper, default_flow_style=True, allow_unicode=True, width=1000).strip()


def parse(text: str, where: str) -> Document:
    """Parse a text; `where` names it in errors.

    Raises `ConfigError` if it is not YAML or too large, and for all keys that are duplicate or not text.
    """
    text = unicodedata.normalize("NFC", text)  # the same letters are the same name
    try:
        loader = Loader(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError([Problem(f"{where}:{line}", f"not YAML: {character_fault(text[error.position])}")]) from None
    builder = _Builder(loader, where)
    try:
        node = loader.get_single_node()
        content = None if node is None else builder.value(node, ())
    except yaml.MarkedYAMLError as error:
        line, what = fault(error, text)
        raise ConfigError([Problem(f"{where}:{line}" if line else where, f"not YAML: {what}")]) from None
    except RecursionError:
        raise ConfigError([Problem(where, "nested too deeply, or an alias to itself")]) from None
    finally:
        loader.dispose()
    if builder.problems:
        raise ConfigError(first_of(builder.problems, where))
    return Document(content, builder.lines, builder.typed)


def first_of(problems: list[Problem], where: str) -> list[Problem]:
    """Return the problems. Of more than MAX_PROBLEMS, return the first ones and one that names the limit."""
    if len(problems) <= MAX_PROBLEMS:
        return problems
    return [*problems[:MAX_PROBLEMS], Problem(where, f"only the first {MAX_PROBLEMS} problems are listed")]


class _Builder:
    """Builds Python values from nodes, and records their lines. PyYAML's own drops lines and earlier duplicate keys."""

    def __init__(self, loader: Loader, where: str) -> None:
        self.loader, self.where = loader, where
        self.lines: dict[KeyPath, int] = {}
        self.typed: dict[KeyPath, str] = {}
        self.problems: list[Problem] = []
        self.count = 0  # of values, also of those that an alias repeats

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        """Build the value of a node. Raises `ConfigError` for a tag that a config cannot have."""
        self._count()
        self.lines.setdefault(path, _line(node))
        if isinstance(node, yaml.ScalarNode):
            self.typed.setdefault(path, node.value)
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
        self._count()
        content: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merged: list[tuple[yaml.Node, yaml.Node]] = []  # the key << with each of its values
        for key_node, value_node in node.value:
            origin = f"{self.where}:{_line(key_node)}"
            is_scalar = isinstance(key_node, yaml.ScalarNode)
            if is_scalar and key_node.tag == MERGE:
                if merged:
                    first = _line(merged[0][0])
                    what = f"key '<<' is given twice, first in line {first}; merge several as <<: [*a, *b]"
                    self.problems.append(Problem(origin, what))
                values = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                merged += [(key_node, value) for value in values]
                continue
            key = self._scalar(key_node) if is_scalar else None
            if not isinstance(key, str):
                shown = repr(key_node.value) if is_scalar else "with several parts"
                is_alone = (
                    isinstance(value_node, yaml.ScalarNode)
                    and key_node.value
                    and not (value_node.value or value_node.style)
                )
                fix = "has no value; several values are a list in brackets" if is_alone else "is not text; quote it"
                self.problems.append(Problem(origin, f"key {shown} {fix}"))
            elif key in content:
                self.problems.append(Problem(origin, f"key {key!r} is given twice, first in line {lines[key]}"))
            else:
                lines[key] = _line(key_node)
                self.lines.setdefault((*path, key), lines[key])  # a key that is also in << keeps its own line
                content[key] = self.value(value_node, (*path, key))
        for key_node, one in merged:
            content |= {key: value for key, value in self._merged(key_node, one, path).items() if key not in content}
        return content

    def _merged(self, key_node: yaml.Node, node: yaml.Node, path: KeyPath) -> dict[str, Any]:
        """Return the keys that a key << adds. Keys of the mapping itself, and of earlier merges, take precedence."""
        if not isinstance(node, yaml.MappingNode):
            raise self._error(key_node, "<< merges the keys of a mapping, or of a list of them, such as <<: *anchor")
        return self._mapping(node, path)

    def _count(self) -> None:
        self.count += 1
        if self.count > MAX_VALUES:
            raise ConfigError([Problem(self.where, f"more than {MAX_VALUES} values, too many for a config")])

    def _check_tag(self, node: yaml.Node) -> str:
        tag: str = "str" if node.tag == MERGE else node.tag.rpartition(":")[2]  # << as a value is text
        kind, allowed = _TAGS[type(node)]
        if tag not in allowed:  # !!timestamp, !!python/name:os.system
            raise self._error(node, f"a config has no {kind} of type {tag[:40]!r}; leave the tag out")
        return tag

    def _error(self, node: yaml.Node, what: str) -> ConfigError:
        return ConfigError([Problem(f"{self.where}:{_line(node)}", f"not YAML: {what}")])


def _line(node: yaml.Node) -> int:
    line: int = node.start_mark.line
    return line + 1
