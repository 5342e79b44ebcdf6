"""Suggestions in messages about a config: each one, applied where the message points, leaves fewer problems."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Sequence

import pytest

from dropexp.config import yaml
from dropexp.config.file import NO_OPTIONS, Options, parse_config
from dropexp.config.other_libraries.keys import _ROWS
from dropexp.config.overrides import whole_range
from dropexp.config.schema import STUDY_KEYS, Config, allowed
from dropexp.errors import ConfigError

WRONG = """
'10'  '0.5'  '1e-3'  .5.  0,5  1,5  1,50  1.000  1.000,5  1,024  1,024, 512  1,024,512  01,024  60,000  60 000  60_000
1'000  50%  50 %  150%  20%, 50%  1/2  2**8  .nan  .inf  1e30  1e400  -1  0  1  5  50  1.5  0.5  0.5,  3,  [0.5,]
0,2 0,5  0,2; 0,5  0.2, 0.5  0.2 0.5  0.2; 0.5  .1,.5  0,1,2  0,0,1  256, 256  256x128  256 x 128  (256, 256)
'[0.2, 0.5]'  '[8, 8], [16, 16]'  [256 256]  [50%]  [50, 50]  [0,2 0,5]  ['256', x]  [8, x]  [1.5]  [[8, 8]]
0..4  0...4  0-4  0 to 4  0:5  1:30  range(5)  range(1, 5)  4..0  5..1  4-0  1..3  2020-2024  0..99999999  99999999..0
[0..4]  [4..0]  [1..5]  [0...4]  [0-4]  [range(5)]  [0..2, 5]  [[0..4]]
''  ~  yes  no  on  off  True  'true'  none  null  all  auto  default  false  half  max  full  x  []  [[]]  {}  {a: 1}
nn  nn,  NN  nn, none  none nn  [nn]  [none, nn]  Dropout  scratchh  adam, sgd  Adam  CosineAnnealingLR  constant, step
calibration  weight_norms, calibration  weight_norms calibration  [calibrated]  mc  mc=50  [mc]  [mc: '50']  {mc: 50}
"""
VALUES = re.split(r"\s{2,}|\n", WRONG.strip())
# one key for each kind of value
KEYS = {(allowed(Config, key), info.default is None): key for key, info in Config.model_fields.items()}.values()

Text = tuple[str, Options]  # of a config, and the options of the command
Position = Callable[[str, str], Text]


def _variant(key: str) -> str:
    return "" if key == "variant" else "variant: nn\n"


POSITIONS: dict[str, Position] = {
    "the top": lambda key, value: (f"{_variant(key)}{key}: {value}\n", NO_OPTIONS),
    "an arm": lambda key, value: (f"{_variant(key)}arms:\n  a:\n    {key}: {value}\n", NO_OPTIONS),
    "the matrix": lambda key, value: (f"{_variant(key)}matrix:\n  {key}: {value}\n", NO_OPTIONS),
    "--set": lambda key, value: (_variant(key), Options((f"{key}={value}",))),
    "--sweep": lambda key, value: (_variant(key), Options(sweeps=(f"{key}={value}",))),
    "--seeds": lambda key, value: ("variant: nn\n", Options(seeds=value)),
}
REMEDIES = (
    r"matrix: \{\w+: (?P<range>.+)\}",
    r" \(did you mean '(.+)'\?\).*",
    r" \(did you mean ([^']+?)(?:, without brackets)?\?\).*",
    r"; the same for each layer is (.+)",
    r"; \S+ % is (.+)",
    r"; its default is (.+)",
    r"; the largest is (.+)",
    r"; write ([^;]+?)(?:, or .+)?",
)


@functools.cache  # the tests come to the same texts in many ways
def problems(text: Text) -> tuple[str, ...]:
    try:
        parse_config(text[0], "study.yaml", "study", text[1])
    except ConfigError as error:
        return tuple(problem.what for problem in error.problems)
    return ()


def remedy(problem: str) -> re.Match[str] | None:
    return next((found for one in REMEDIES if (found := re.search(f"{one}$", problem))), None)


def replaced(value: str, index: Sequence[int], new: str) -> str:
    """Return a list as YAML with another text for one of its items; without an index the new text."""
    if not index:
        return new
    content = yaml.parse(value, "").content
    items = whole_range(content) or content
    texts = [yaml.dump_line([item])[1:-1] for item in items]
    texts[index[0]] = replaced(texts[index[0]], index[1:], new)
    return f"[{', '.join(texts)}]"


def repaired(position: str, key: str, value: str, problem: str) -> Text | None:
    """Return the text with the suggestion of the problem applied; None if it has no suggestion."""
    if (found := remedy(problem)) is None or "not YAML" in problem:
        return None
    new = next(group for group in found.groups() if group)
    if "the largest is" in found[0]:
        new = new.replace(",", "")
    if found.groupdict().get("range"):
        return POSITIONS["the matrix"](key, new)
    if position == "--seeds":  # the problem shows only one part
        new = value.replace(ast.literal_eval(problem.split(" is not ")[0].removeprefix("seed = ")), new)
    title = re.match(r"[\w.]+((?:\[\d+\])*)", problem)
    index = [int(digits) for digits in re.findall(r"\d+", title[1])] if title else []
    if position == "--sweep" and index:  # the problem does not show which value
        return None
    return POSITIONS[position](key, replaced(value, index, new))


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("key", KEYS)
def test_a_suggested_value_is_valid(position: str, key: str) -> None:
    if position == "--seeds" and key != "seed":
        return
    values = VALUES if position != "the matrix" else [*VALUES, *(f"[{value}]" for value in VALUES)]
    wrong = []
    for value in values:
        before = problems(POSITIONS[position](key, value))
        for problem in before:
            new = repaired(position, key, value, problem)
            if new and len(after := problems(new)) >= len(before):
                wrong.append((value, problem, new, after))
    assert wrong == []


def misspelt(key: str) -> list[str]:
    return [key[:-1], key + "s", key.upper(), key.replace("_", "-"), key[0] + key[2] + key[1] + key[3:]]


OTHER_KEYS = [
    *(name for _, names in _ROWS for name in names.split()),
    *(wrong for key in [*Config.model_fields, *STUDY_KEYS] if len(key) > 3 for wrong in misspelt(key)),
    *("keep_prob", "keep_probs", "input_keep_prob", "sgd.lr", "training", "xyzzy"),
]


@pytest.mark.parametrize("position", ["the top", "an arm", "the matrix"])
def test_a_suggested_key_is_valid_where_the_message_points(position: str) -> None:
    wrong = []
    for key in OTHER_KEYS:
        for value in ("0.5", "128", "[0.2, 0.5]", "x"):
            for problem in problems(POSITIONS[position](key, value)):
                named = re.search(r"did you mean '(.+?)'|it is '(.+?)' alone", problem)
                if named and "unknown key" in problem:
                    other = named[1] or named[2]
                    there = "the top" if "at the top of the file" in problem else position
                    after = problems(POSITIONS[there](other, value))
                    wrong += [(key, value, problem)] if any("unknown key" in one for one in after) else []
                if example := re.search(r": (\w+) = (.+)$", problem):
                    wrong += [(key, value, problem)] if problems(POSITIONS[position](example[1], example[2])) else []
    assert wrong == []


@pytest.mark.parametrize(
    "text",
    [
        *("epochs:5", "epochs 5", "epochs = 5", "epochs=5", "epochs := 5", "epochs == 5", "epochs:=5"),
        *("hidden:[8, 8]", "hidden [8, 8]", "hidden: [8, 8],\nlr: 1", "hidden: [8, 8]]", "hidden: [8, 8]}"),
        *("arms: {a: {lr: 1}}}", "arms:\n  a: {lr: 1},\n  b: {lr: 2}", "epochs: 5\n}", "lr: 1\n---\nepochs: 2"),
        *("lr: 1\n...\nepochs: 2", "probes = [weight_norms, activations, correlation, noise_at_test]"),
        *(f"name = a title that is {'very ' * 9}long, of which a message shows only the first words",),
    ],
)
def test_a_suggested_edit_of_a_line_gives_valid_yaml(text: str) -> None:
    lines = ["variant: nn", *text.splitlines()]
    with pytest.raises(ConfigError) as error:
        yaml.parse("\n".join(lines), "study.yaml")
    where, what = error.value.problems[0].where, error.value.problems[0].what
    number = int(where.rpartition(":")[2]) - 1
    if new := re.search(r"; write (\w+: .+)$", what):
        lines[number] = new[1]
    elif character := re.search(r"remove the '([],}])'$", what):
        start, _, end = lines[number].rpartition(character[1])
        lines[number] = start + end
    elif "remove" in what:
        lines.remove("---" if "'---'" in what else "...")
    else:
        assert "write" not in what
        return
    assert problems(("\n".join(lines), NO_OPTIONS)) == ()
