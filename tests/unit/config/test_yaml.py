"""YAML values with their lines, and errors with theirs."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from dropexp.config import yaml
from dropexp.config.yaml import Document, KeyPath, dump, parse
from dropexp.errors import ConfigError, Problem


def content(text: str) -> Any:
    return parse(text, "f.yaml").content


def lines(text: str) -> dict[KeyPath, int]:
    return parse(text, "f.yaml").lines


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse(text, "f.yaml")
    return str(error.value).splitlines()


@pytest.mark.parametrize(
    ("path", "line"),
    [(("a",), 1), (("b",), 3), (("b", "c"), 4), (("b", "d"), 5), (("b", "d", 1), 6), (("e", 0), 8), (("e", 1, "f"), 9)],
)
def test_every_key_and_list_item_has_its_line(path: KeyPath, line: int) -> None:
    text = "a: 1\n# a comment\nb:\n  c: 2\n  d: [3,\n      4]\ne:\n  - 5\n  - f: 6\n"
    assert lines(text)[path] == line


def test_content_is_plain_python() -> None:
    text = "a: 1\nb: {c: [1.5, true, null, text, 'quoted']}\n"
    assert content(text) == {"a": 1, "b": {"c": [1.5, True, None, "text", "quoted"]}}


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "~\n"])
def test_empty_text_is_none(text: str) -> None:
    assert content(text) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e-3", 1e-3), ("1E5", 1e5), ("-2.5e-3", -2.5e-3), ("+1e+2", 100.0), (".5e1", 5.0), ("1.e3", 1e3), ("0.5", 0.5)],
)
def test_numbers_with_an_exponent_are_numbers(text: str, number: float) -> None:
    found = content(f"a: {text}")["a"]
    assert isinstance(found, float)
    assert found == number


@pytest.mark.parametrize("text", ["1e", "e5", "1e-3x", "0..4", "-1..3", "'1e-3'", "1e3.5", "1.2.3", ".", "+", "1_000"])
def test_text_that_resembles_a_number_is_text(text: str) -> None:
    assert content(f"a: {text}") == {"a": text.strip("'")}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *[("0", 0), ("12", 12), ("-3", -3), ("+5", 5), ("60000", 60_000)],
        *[("007", 7), ("010", 10), ("-010", -10), ("08", 8), ("00", 0), ("0x1F", 31), ("0o17", 15)],
    ],
)
def test_whole_numbers_are_whole(text: str, number: int) -> None:
    found = content(f"a: {text}")["a"]
    assert isinstance(found, int)
    assert found == number


@pytest.mark.parametrize(("text", "number"), [(".inf", math.inf), ("-.Inf", -math.inf), ("+.INF", math.inf)])
def test_infinity_is_a_number(text: str, number: float) -> None:
    assert content(f"a: {text}") == {"a": number}


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_nan_is_a_number(text: str) -> None:
    assert math.isnan(content(f"a: {text}")["a"])


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("True", True), ("FALSE", False), ("null", None), ("Null", None), ("", None)]
)
def test_true_false_and_null(text: str, value: object) -> None:
    assert content(f"a: {text}")["a"] is value


WORDS = ["no", "yes", "on", "off", "No", "YES", "y", "n", "tRue", "="]
DATES = ["2020-01-01", "2020-13-45", "2020-01-01T10:00:00Z"]
NUMBERS_ELSEWHERE = ["0x", "0xg", "+0x1f", "0o8", "0b1", "0b_", "1:30", "190:20:30"]


@pytest.mark.parametrize("text", [*WORDS, *DATES, *NUMBERS_ELSEWHERE])
def test_special_values_of_yaml_1_1_are_text(text: str) -> None:
    assert content(f"a: {text}") == {"a": text}
    assert content(f"- {text}") == [text]


@pytest.mark.parametrize("key", [*WORDS, *DATES, "0b1", "1:30", "'<<'"])
def test_special_values_of_yaml_1_1_can_be_keys(key: str) -> None:
    assert content(f"{key}: x\n") == {key.strip("'"): "x"}
    assert lines(f"a: 1\n{key}: x\n")[(key.strip("'"),)] == 2


def test_all_duplicate_keys_are_reported_with_both_lines() -> None:
    text = "a: 1\nb:\n  c: 2\n  c: 3\na: 4\na: 5\n"
    assert problems(text) == [
        "f.yaml:4: key 'c' is given twice, first in line 3",
        "f.yaml:5: key 'a' is given twice, first in line 1",
        "f.yaml:6: key 'a' is given twice, first in line 1",
    ]


@pytest.mark.parametrize("text", ["b:\n  <<: *x\n  <<: *y\n", "b: {<<: *x, <<: *y}\n", "b:\n  <<: [*x]\n  <<: *y\n"])
def test_a_second_merge_key_is_reported_with_its_remedy(text: str) -> None:
    anchors = "x-x: &x {c: 1}\nx-y: &y {c: 2}\n"
    assert len(found := problems(anchors + text)) == 1
    assert "key '<<' is given twice, first in line " in found[0] and "merge several as <<: [*a, *b]" in found[0]


@pytest.mark.parametrize("key", ["1", "1.5", "1e3", "010", ".inf", "true", "~"])
def test_a_key_that_is_not_text_is_reported(key: str) -> None:
    assert problems(f"a: 1\n{key}: x\n") == [f"f.yaml:2: key {key!r} is not text; quote it"]
    assert content(f"'{key}': x") == {key: "x"}


@pytest.mark.parametrize("key", ["[a, b]", "{a: b}"])
def test_a_key_with_several_parts_is_reported(key: str) -> None:
    assert problems(f"a: 1\n? {key}\n: c\n") == ["f.yaml:2: key with several parts is not text; quote it"]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: 1\nb: [1\nc: 2\n", 2, "the '[' of this line is not closed, or a comma is missing after it"),
        ("a: {b: 1\n", 1, "the '{' of this line is not closed, or a comma is missing after it"),
        ("a: 'b\nc: 2\n", 1, "the quote of this line is not closed"),
        ("a: b: c\n", 1, "a second colon in this line; write each key on its own line; a value with a colon "
         "needs quotes"),
        ("a: [1, 2],\n", 1, "a value has ended before ','; remove the ','"),
        ("a: [1]]\n", 1, "a value has ended before ']'; remove the ']'"),
        ("{a: 1}}\n", 1, "a value has ended before '}'; remove the '}'"),
        ("{a: 1} b\n", 1, "text follows the end of the config, a closing bracket or a line '...' above; remove that "
         "end, or the text"),
        ("a: 1\n  b: 2\n", 2, "this line is indented deeper than the line above, which has a value of its own"),
        ("a: 1\nb 2\n", 2, "'b 2' is not of the form 'key: value'; write b: 2"),
        ("a = 1\nb: 2\n", 1, "'a = 1' is not of the form 'key: value'; write a: 1"),
        ("a: 1\nb:2\nc: 3\n", 2, "'b:2' is not of the form 'key: value'; write b: 2"),
        ("\ta: 1\n", 1, "tabs cannot indent; use spaces"),
        ("a:\n\tb: 1\n", 2, "tabs cannot indent; use spaces"),
        ("a: 1\n- b\n", 2, "a list item among keys; indent it below its key, or remove the '-'"),
        ("a: @b\n", 1, "a value cannot begin with '@'; write it in quotes"),
        ('a: "c:\\data"\n', 1, "\\d has no meaning in double quotes; use single quotes"),
        ("a: [1,, 2]\n", 1, "a value is missing before ','"),
        ("a: 1 # b\n  c: 2\n", 2, "this line does not line up with the lines above it"),
        ("a: 'it's'\n", 1, "text follows a value that has ended; write all of it in one quote"),
        ("a: [\n", 2, "a bracket that opens above is not closed"),
        ("a: *b\n", 1, "the alias *b has no anchor &b above it"),
        ("a: &\n", 1, "& and * begin the name of an anchor, which is missing; for the character itself use "
         "quotes"),
        ("a: &x 1\nb: &x 2\n", 2, "found duplicate anchor 'x'; first occurrence, second occurrence"),
        ("a: 1\nb: !!python/object:os.system x\n", 2, "a config has no scalar of type 'os.system'; "
         "leave the tag out"),
        ("a: 1\n---\nb: 2\n", 2, "a second document begins here, and a config is one: remove the line '---', or "
         "write two files"),
        ("a: 1\n...\nb: 2\n", 3, "text follows the end of the config, a closing bracket or a line '...' above; "
         "remove that end, or the text"),
    ],
)  # fmt: skip
def test_invalid_yaml_is_reported_with_its_line_and_what_to_do(text: str, line: int, what: str) -> None:
    assert problems(text) == [f"f.yaml:{line}: not YAML: {what}"]


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("\0", "U+0000 (null)"),
        ("\a", "U+0007 (control character)"),
        ("\x7f", "U+007F (control character)"),
        ("\ud800", "U+D800 (control character)"),
        ("\x85", "U+0085 (next line)"),
        ("\u2028", "U+2028 (line separator)"),
        ("\u2029", "U+2029 (paragraph separator)"),
    ],
)
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_an_invisible_character_is_reported_with_its_line(character: str, name: str, quote: str) -> None:
    text = f"a: 1\nb: {quote}x{character}y{quote}\n"
    assert problems(text) == [f"f.yaml:2: not YAML: the invisible character {name}; remove it"]


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029"])
def test_a_comment_can_have_line_separators_of_yaml_1_1(character: str) -> None:
    text = f"# a{character}b: c\na: 1 # x{character}y\nb: 2\n"
    assert parse(text, "f.yaml") == Document(
        {"a": 1, "b": 2}, {(): 2, ("a",): 2, ("b",): 3}, {("a",): "1", ("b",): "2"}
    )
    assert problems(f"{text}c: [1\n") == [
        "f.yaml:4: not YAML: the '[' of this line is not closed, or a comma is missing after it"
    ]


def test_a_key_without_a_value_among_values_is_explained() -> None:
    assert problems("a: {lr: 0.1,0.5}\n") == ["f.yaml:1: key '0.5' has no value; several values are a list in brackets"]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("!!bool x", "'x' is not of type bool"),
        ("!!int ''", "'' is not of type int"),
        ("!!int 0b_", "'0b_' is not of type int"),
        ('"x\\ud800"', r"'x\ud800' is not of type str"),
        ('{"\\udfff": 1}', r"'\udfff' is not of type str"),
        ("9" * 5000, f"'{'9' * 40}' is not of type int"),
        ("0x" + "f" * 5000, f"'0x{'f' * 38}' is not of type int"),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_reported_with_its_line(value: str, what: str) -> None:
    assert problems(f"a: 1\nb: {value}\n") == [f"f.yaml:2: not YAML: {what}"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("!!timestamp 2001-01-01", "scalar of type 'timestamp'"),
        ("!!binary aGk=", "scalar of type 'binary'"),
        ("!!seq x", "scalar of type 'seq'"),
        ("!!python/name:os.system", "scalar of type 'os.system'"),
        ("!!python/object/apply:os.system [id]", "sequence of type 'os.system'"),
        ("!!set {x}", "mapping of type 'set'"),
        ("!mine {x: 1}", "mapping of type '!mine'"),
    ],
)
def test_an_unknown_tag_is_reported_with_its_line(value: str, kind: str) -> None:
    expected = [f"f.yaml:2: not YAML: a config has no {kind}; leave the tag out"]
    assert problems(f"a: 1\nb: {value}\n") == expected


def nested_aliases(levels: int) -> str:
    names = [f"v{i}" for i in range(levels)]
    first = f"{names[0]}: &{names[0]} [x, x, x, x, x, x, x, x, x, x]\n"
    rest = (f"{name}: &{name} [{', '.join([f'*{one}'] * 10)}]\n" for one, name in itertools.pairwise(names))
    return first + "".join(rest)


def nested_merges(levels: int) -> str:
    names = [f"v{i}" for i in range(levels)]
    merges = (f"{name}: &{name} {{<<: [{', '.join([f'*{one}'] * 10)}]}}\n" for one, name in itertools.pairwise(names))
    return f"{names[0]}: &{names[0]} {{}}\n{''.join(merges)}"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (nested_aliases(9), "more than 1000 values"),
        ("a: &a [*a]\n", "an alias to itself"),
        ("a: &a {b: [*a]}\n", "an alias to itself"),
        ("a: &a {<<: *a}\n", "an alias to itself"),
        (nested_merges(9), "more than 1000 values"),
        ("[" * 50_000, "nested too deeply"),
        ("- " * 50_000, "nested too deeply"),
        ("a: " + "{a: " * 5000, "nested too deeply"),
        ("a: [" + "x, " * 1001 + "]\n", "more than 1000 values"),
    ],
    ids=[
        "nested aliases",
        "list in itself",
        "mapping in itself",
        "merged into itself",
        "merges",
        "brackets",
        "dashes",
        "braces",
        "long list",
    ],
)
def test_a_bomb_is_rejected_quickly(text: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "MAX_VALUES", 1000)
    (problem,) = problems(text)  # otherwise it takes hours
    assert what in problem


def test_an_alias_is_replaced_by_its_anchors_value() -> None:
    text = "a: &a {p: [1, 2]}\nb: *a\nc:\n  - *a\n  - x\n"
    assert content(text) == {"a": {"p": [1, 2]}, "b": {"p": [1, 2]}, "c": [{"p": [1, 2]}, "x"]}
    assert lines(text)[("b",)] == 2


def test_aliases_share_no_objects() -> None:
    both = content("a: &a {p: 1}\nb: *a\n")
    both["a"]["p"] = 2
    assert both["b"] == {"p": 1}


def test_a_merge_key_adds_the_keys_that_a_mapping_lacks() -> None:
    text = "w: &w {a: 1, b: [2]}\nx: {b: 3, <<: *w}\ny: {<<: [*w, {a: 8, c: 4}], d: 5}\nz: {<<: {<<: *w}}\n"
    assert content(text) == {
        "w": {"a": 1, "b": [2]},
        "x": {"a": 1, "b": 3},
        "y": {"a": 1, "b": [2], "c": 4, "d": 5},
        "z": {"a": 1, "b": [2]},
    }


def test_a_merged_key_has_the_line_of_its_anchor_and_an_own_key_its_own() -> None:
    found = lines("w: &w\n  a: 1\n  b: 2\nx:\n  <<: *w\n  b: 3\n")
    assert (found[("x", "a")], found[("x", "b")]) == (2, 6)


@pytest.mark.parametrize("value", ["4", "text", "[1, 2]", "[[a]]", ""])
def test_a_merge_of_anything_but_mappings_is_reported(value: str) -> None:
    assert problems(f"a: 1\nb: {{<<: {value}}}\n") == [
        "f.yaml:2: not YAML: << merges the keys of a mapping, or of a list of them, such as <<: *anchor"
    ]


@pytest.mark.parametrize("value", ["*w", "[*w]"])
def test_an_anchor_that_cannot_be_merged_is_reported_in_the_line_of_the_merge(value: str) -> None:
    (found,) = problems(f"w: &w [64, 64]\na: 1\n<<: {value}\n")
    assert found.startswith("f.yaml:3: not YAML: << merges the keys of a mapping")


@pytest.mark.parametrize("text", ["a: <<\n", "a: [<<]\n", "a: '<<'\n"])
def test_two_angle_brackets_as_a_value_are_text(text: str) -> None:
    assert "<<" in str(content(text))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\t# comment\n", {"a": 1}),
        ("\t# comment\na:\t1\n\t\n", {"a": 1}),
        ("a: [1,\t2]\t\n", {"a": [1, 2]}),
        ("{a:\t1,\tb: 2}", {"a": 1, "b": 2}),
        ("-\tx\n- y\t\n", ["x", "y"]),
        ("a: x\ty\n", {"a": "x\ty"}),
        ("a: x\n \ty\n", {"a": "x y"}),
        ("a:\n \tb\n", {"a": "b"}),
        ("a: [\n \t1]\n", {"a": [1]}),
        ("a: '\tq'\nb: \"\tq\"\n", {"a": "\tq", "b": "\tq"}),
    ],
)
def test_tabs_are_accepted_where_yaml_1_2_accepts_them(text: str, value: object) -> None:
    assert content(text) == value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\ta: 1\n", 1),
        ("a:\n\tb: 1\n", 2),
        ("a: 1\n\tb: 2\n", 2),
        ("a:\n  b: 1\n  \tc: 2\n", 3),
        ("a:\n \tb: 1\n", 2),
        ("a:\n\t- 1\n", 2),
        ("-\ta: 1\n", 1),
        ("-\t- 1\n", 1),
        ("a: [\n\t1]\n", 2),
        ("a: x\n\ty\n", 2),
    ],
)
def test_tabs_that_indent_are_reported(text: str, line: int) -> None:
    assert problems(text) == [f"f.yaml:{line}: not YAML: tabs cannot indent; use spaces"]


def test_letters_are_the_same_whether_composed_or_not() -> None:
    assert content("e\u0301: e\u0301\n") == {"\xe9": "\xe9"}


def test_byte_order_mark_and_windows_line_ends_are_ignored() -> None:
    assert parse("\ufeffa: 1\r\nb: 2\r\n", "f.yaml") == Document(
        {"a": 1, "b": 2}, {(): 1, ("a",): 1, ("b",): 2}, {("a",): "1", ("b",): "2"}
    )


@pytest.mark.parametrize("value", ["1e-3", "no", "0x1f", "", "a: b", "\x1b", 1e-3, None, [1, 2.5, True], {"b": ["x"]}])
def test_dumped_content_is_parsed_to_itself(value: Any) -> None:
    assert content(dump({"a": value})) == {"a": value}


def test_equal_problems_are_reported_once() -> None:
    one, other = Problem("f.yaml:1", "this"), Problem("f.yaml:2", "this")
    assert str(ConfigError([one, other, one])) == "f.yaml:1: this\nf.yaml:2: this"
