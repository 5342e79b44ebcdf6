"""YAML whose values know their lines."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.reader import ReaderError

from dropexp.errors import ConfigError, Problem

Path = tuple[str | int, ...]  # where a value stands: keys and list indices from the top
KINDS = {
    yaml.ScalarNode: ("scalar", {"null", "bool", "int", "float", "str"}),
    yaml.SequenceNode: ("sequence", {"seq"}),
    yaml.MappingNode: ("mapping", {"map"}),
}
MAX_VALUES = 100_000  # far more than a config has; a few nested aliases ask for billions


class _Loader(yaml.SafeLoader):
    """YAML 1.2's words and decimal numbers. PyYAML's own, 1.1, reads 1e-3 as text, no as false and 1:30 as 90."""


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


def dump(content: dict[str, Any]) -> str:
    """Return content as text that `parse` reads back, a list of numbers in one line."""
    return yaml.dump(content, None, _Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)


def parse(text: str, where: str) -> tuple[Any, dict[Path, int]]:
    """The content of `text`, and the line of each key and list item in it; `where` names the text in errors.

    Raises `ConfigError` for what is no YAML, for a key given twice and for a key that is no text.
    """
    try:
        loader = _Loader(text)
    except ReaderError as error:  # a control character
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError([Problem(f"{where}:{line}", f"not YAML: character {text[error.position]!r}")]) from None
    lines: dict[Path, int] = {}
    problems: list[Problem] = []

    def build(node: yaml.Node, path: Path) -> Any:
        if len(lines) > MAX_VALUES:
            raise ConfigError([Problem(where, f"more than {MAX_VALUES} values: this is no config")])
        lines.setdefault(path, node.start_mark.line + 1)
        kind_of(node)
        if isinstance(node, yaml.MappingNode):
            return mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [build(child, (*path, i)) for i, child in enumerate(node.value)]
        return scalar(node)

    def scalar(node: yaml.Node) -> Any:
        kind = kind_of(node)
        try:
            value = loader.construct_object(node)
            str(value).encode()  # fails for thousands of digits and for half a character: no message could show them
        except (ValueError, LookupError, AttributeError):  # !!bool x
            what = f"not YAML: {node.value[:40]!r} is no {kind}"
            raise ConfigError([Problem(f"{where}:{node.start_mark.line + 1}", what)]) from None
        return value

    def kind_of(node: yaml.Node) -> str:
        kind: str = node.tag.rpartition(":")[2]
        what_it_is, kinds = KINDS[type(node)]
        if kind not in kinds:  # !!timestamp, !!python/name:os.system
            what = f"not YAML: a {what_it_is} of kind {kind[:40]!r} is nothing that a config has; leave the tag out"
            raise ConfigError([Problem(f"{where}:{node.start_mark.line + 1}", what)])
        return kind

    def mapping(node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                shown = repr(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "of several parts"
                problems.append(Problem(f"{where}:{line}", f"key {shown} is not text; quote it"))
            elif key in content:
                first = lines[(*path, key)]
                problems.append(Problem(f"{where}:{line}", f"key {key!r} is given twice, first in line {first}"))
            else:
                lines[(*path, key)] = line
                content[key] = build(value_node, (*path, key))
        return content

    try:
        node = loader.get_single_node()
        content = None if node is None else build(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}" if mark else ""
        raise ConfigError([Problem(f"{where}{place}", f"not YAML: {error.problem or error.context}")]) from None
    except RecursionError:
        raise ConfigError([Problem(where, "nested too deeply, or an alias to itself: this is no config")]) from None
    finally:
        loader.dispose()
    if problems:
        raise ConfigError(problems)
    return content, lines
