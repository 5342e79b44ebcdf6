"""Generated inputs: arbitrary text and trees, and valid content with a few changes."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from dropexp.config.schema import Config
from dropexp.files import encode_json

CONFIGS = sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))
KEYS = [*Config.model_fields, "name", "matrix", "arms", "published", "sedd", "<<", ""]

HOSTILE = [
    *("", " ", ".", "..", "../..", "../evil", "a/../../evil", "/tmp/evil", "a/b", "a\\b", "..\\evil", "C:\\x", "~/x"),
    *("con", "CON", "nul.txt", "com1", "lpt9.tar", "com¹", "con .txt", "aux ", "x.", "x ", "-rf", "--help", "-"),
    *("x" * 300, "é" * 200, "a\0b", "a\nb", "a\rb", "\x1b[31m", "\x7f", "\u202egnp", "\ufeffx", "\ud800", "\udcff"),
    *("данные", "データ", "数据", "बिंदु", "🎲", "a🎲", "ß", "ﬁ", "$(id)", "`id`", ";id", "|id", "&", "*", "%s", "{0}"),
    *("{{7*7}}", "<script>alert(1)</script>", "'\"><", "__import__('os')", "null", "true", "nan", "inf", "1e999"),
    *("9" * 30, "9" * 5000, "0..4", "0..99999", "0..999999999999999999", "4..0", "-1..3", "0,1,,2", "0x10", "1_000"),
    *("!!python/object/apply:os.system [id]", "!!binary aGk=", "!!timestamp 2001-01-01", "!!set {a}", "&a [*a]", "*a"),
    *("[" * 2000, "{a: " * 500, "%YAML 1.1", "---\n---", "? [a]\n: b", "{a: 1, a: 2}", "- - - -", "!", "'", "\t"),
]  # fmt: skip
texts = st.sampled_from(HOSTILE) | st.text(max_size=30) | st.text("09aex.,=+-[]{}:!&*|>'\"# \n\\/_", max_size=40)
words = texts.filter(lambda word: "\0" not in word)  # an argument of a command cannot contain NUL

huge = st.sampled_from([2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400, -(10**400)])
numbers = st.integers(-3, 70_000) | huge | st.floats() | st.sampled_from([1e308, 5e-324, -0.0])
scalars = st.none() | st.booleans() | numbers | texts
trees: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | texts, inner, max_size=4),
    max_leaves=12,
)


def _nested(depth: int) -> Any:
    tree: Any = 0
    for _ in range(depth):
        tree = [tree]
    return tree


odd = trees | st.sampled_from([10, 100, 300]).map(_nested)  # instead of a value


@st.composite
def changed(draw: st.DrawFn, content: bytes) -> bytes:
    """Return the bytes after up to five changes: bits flipped, pieces removed, repeated, moved or inserted."""
    for _ in range(draw(st.integers(1, 5))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        piece = content[start : min(end, start + 2000)]
        how = draw(st.sampled_from(["flip", "cut", "double", "move", "put", "truncate"]))
        if how == "flip" and content:
            at = min(start, len(content) - 1)
            content = content[:at] + bytes([content[at] ^ (1 << draw(st.integers(0, 7)))]) + content[at + 1 :]
        elif how == "cut":
            content = content[:start] + content[start + len(piece) :]
        elif how == "double":
            content = content[:start] + piece + content[start:]
        elif how == "move":
            content = content[start:] + content[:start]
        elif how == "put":
            put = draw(st.binary(max_size=8) | texts.map(lambda text: text.encode("utf-8", "surrogatepass")))
            content = content[:start] + put + content[start:]
        elif how == "truncate":
            content = content[:end]
    return content


@st.composite
def altered(draw: st.DrawFn, tree: Any) -> Any:
    """Return a copy of JSON or a checkpoint with up to three values replaced, removed, or moved to another key."""
    tree = deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        entries = _entries(tree)
        if not entries:
            return draw(odd)
        parent, key = draw(st.sampled_from(entries))
        how = draw(st.sampled_from(["replace", "replace", "remove", "key"]))
        if how == "replace":
            parent[key] = draw(odd)
        elif how == "remove":
            del parent[key]
        elif isinstance(parent, dict):
            parent[draw(texts | st.sampled_from(RESERVED))] = parent[key] if draw(st.booleans()) else draw(odd)
    return tree


RESERVED = ["arm", "series", "study", "by", "n", "diverged", "mean", "sd", "curve", "seed", "path", "epoch", "gap",
            "name", "label", "status", "why", "task", "variant", "key", "value", "w1_norm", "mc_acc"]  # fmt: skip


def _entries(tree: Any) -> list[tuple[Any, Any]]:
    """Return every list and mapping in the tree, with each of its keys or indices."""
    found = []
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        found += [(tree, key), *_entries(value)]
    return found


def as_json(tree: Any) -> bytes:
    return json.dumps(tree).encode()


def as_checked_json(tree: Any) -> bytes:
    """Return the tree as a file with the right checksum."""
    return encode_json(tree) if isinstance(tree, dict) else as_json(tree)
