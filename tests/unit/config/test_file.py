"""Parse a config file: its top, matrix, arms and published figures, or all of its problems."""

from __future__ import annotations

import unicodedata

import pytest
from helpers.configs import WRONG_IN_EVERY_SECTION, parsed, problems

from dropexp.config.fields import PROBES
from dropexp.config.names import RULE
from dropexp.config.schema import STUDY_KEYS, Config
from dropexp.config.variant_table import VARIANTS

NAMES = ", ".join(VARIANTS)
MC = "or mc: K (the mean of K stochastic passes)"


def test_a_file_is_parsed_into_its_parts() -> None:
    file = parsed("""\
name: widths
lr: 1
matrix: {seed: 0..2, momentum: [0, 0.9]}
arms: {wide: {variant: nn}, narrow: {variant: none, hidden: [8]}}
published: {source: a book}
""")
    assert file.name == "widths"
    assert file.base == {"lr": 1}
    assert file.axes == {"seed": [0, 1, 2], "momentum": [0, 0.9]}
    assert file.arms == {"wide": {"variant": "nn"}, "narrow": {"variant": "none", "hidden": [8]}}
    assert file.published == {"source": "a book"}


def test_a_file_without_sections_is_one_unnamed_arm() -> None:
    file = parsed("variant: nn\n")
    assert (file.name, file.base, file.axes, file.arms, file.published) == (
        "study",
        {"variant": "nn"},
        {},
        {None: {}},
        {},
    )


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 1, "it has no keys; {}"),
        ("# nothing\n", 1, "it has no keys; {}"),
        ("# a list\n- variant: nn\n", 2, "a list, and {}; remove the '- ' or the brackets"),
        ("[variant: nn]\n", 1, "a list, and {}; remove the '- ' or the brackets"),
        ("variant\n", 1, "'variant' is not of the form 'key: value'; {}"),
        ("---\nvariant nn\n", 2, "'variant nn' is not of the form 'key: value'; write variant: nn; {}"),
        ("variant:nn\n", 1, "'variant:nn' is not of the form 'key: value'; write variant: nn; {}"),
        ("--- variant\n", 1, "'--- variant' is not of the form 'key: value'; {}"),
        ("3\n", 1, "'3' is not of the form 'key: value'; {}"),
    ],
)
def test_a_file_without_keys_is_reported(text: str, line: int, what: str) -> None:
    form = "a config is a mapping with a line 'key: value' for each key"
    assert problems(text) == [f"study.yaml:{line}: {what.format(form)}"]


# Values


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("variant: neither", f"variant = 'neither' is not one of {NAMES}"),
        ("variant: 5", f"variant = 5 is not one of {NAMES}"),
        ("seed: true", "seed = true is not a whole number, 0 or more"),
        ("seed: -1", "seed = -1 is not a whole number, 0 or more"),
        ("seed: 1_0", "seed = '1_0' is not a whole number, 0 or more; write 10"),
        ("seed: 1e30", "seed = 1e+30 is not a whole number, 0 or more; the largest is 9,223,372,036,854,775,807"),
        (
            "hidden: 256",
            "hidden = 256 is not a list with the width of each hidden layer, such as [256, 256]; "
            "the same for each layer is [256, 256]",
        ),
        ("hidden: 0..4", "hidden = '0..4' is not a list with the width of each hidden layer, such as [256, 256]"),
        (
            "hidden: 1,024",
            "hidden = '1,024' is not a list with the width of each hidden layer, such as [256, 256]; "
            "the same for each layer is [1024, 1024]",
        ),
        (
            "hidden: 1,024, 512",
            "hidden = '1,024, 512' is not a list with the width of each hidden layer, such as [256, 256]",
        ),
        ("hidden: []", "hidden = [] is not a list with the width of each hidden layer, such as [256, 256]"),
        ("hidden: [1e7]", "hidden[0] = 10000000.0 is not a whole number, 1 or more; the largest is 1,000,000"),
        ("hidden: [256, 0]", "hidden[1] = 0 is not a whole number, 1 or more"),
        ("hidden: [yes, 256]", "hidden[0] = 'yes' is not a whole number, 1 or more"),
        ("hidden: [true, 256]", "hidden[0] = true is not a whole number, 1 or more"),
        (
            "drop_probs: 0.5",
            "drop_probs = 0.5 is not a list with the drop probability of each hidden layer, such as [0.2, 0.5]; "
            "the same for each layer is [0.5, 0.5]",
        ),
        ("drop_probs: [0.2, 1.5]", "drop_probs[1] = 1.5 is not a probability (0 ≤ p ≤ 1)"),
        ("drop_probs: [50, 0.5]", "drop_probs[0] = 50 is not a probability (0 ≤ p ≤ 1); 50 % is 0.5"),
        ("drop_probs: [-0.1, 0.5]", "drop_probs[0] = -0.1 is not a probability (0 ≤ p ≤ 1)"),
        ("drop_probs: [.nan, 0.5]", "drop_probs[0] = nan is not a probability (0 ≤ p ≤ 1)"),
        ("lr: 0", "lr = 0 is not a number greater than 0"),
        ("lr: .inf", "lr = inf is not a number greater than 0"),
        ("lr: .nan", "lr = nan is not a number greater than 0"),
        ("lr: 1e400", "lr = inf is not a number greater than 0"),
        ("lr: '0.5'", "lr = '0.5' is not a number greater than 0; write 0.5"),
        ("lr:", "lr = nothing is not a number greater than 0"),
        (
            "lr: {a: 1}",
            "lr = {'a': 1} is not a number greater than 0; keys cannot be nested: write each at the top level",
        ),
        ("epochs: 5.5", "epochs = 5.5 is not a whole number, 1 or more"),
        ("epochs: 1:x", "epochs = '1:x' is not a whole number, 1 or more"),
        ("fused: 0..4", "fused = '0..4' is not true or false"),
        ("batch_size: 0", "batch_size = 0 is not a whole number, 1 or more"),
        ("sgd: adam", "sgd = 'adam' is not mean (w − lr·g) or book (w − lr·g/batch_size)"),
        ("momentum: 1", "momentum = 1 is not a number from 0 to under 1"),
        ("weight_decay: -1", "weight_decay = -1 is not a number, 0 or more"),
        ("init: x", "init = 'x' is not normal or torch (the default of nn.Linear)"),
        ("init_std: x", "init_std = 'x' is not a number, 0 or more"),
        ("init_bias: ones", "init_bias = 'ones' is not one of zeros, normal, torch"),
        ("mask: x", "mask = 'x' is not one of rand, randn-2019, per-batch"),
        ("task: x", "task = 'x' is not fashion-mnist or linear-regression"),
        ("input_drop_prob: 2", "input_drop_prob = 2 is not a probability (0 ≤ p ≤ 1)"),
        ("input_noise_std: -1", "input_noise_std = -1 is not a number, 0 or more"),
        ("placement: around", "placement = 'around' is not after or before (the ReLU)"),
        (
            "drop_schedule: x",
            "drop_schedule = 'x' is not one of constant, early, linear-decay, late, curriculum, random",
        ),
        ("drop_epochs: -1", "drop_epochs = -1 is not a whole number, 0 or more; its default is half"),
        ("nesterov: 1", "nesterov = 1 is not true or false (did you mean true?)"),
        ("l1: -1", "l1 = -1 is not a number, 0 or more"),
        ("max_norm: 0", "max_norm = 0 is not a number greater than 0; its default is none"),
        ("label_smoothing: 1", "label_smoothing = 1 is not a number from 0 to under 1"),
        ("lr_schedule: linear", "lr_schedule = 'linear' is not one of constant, step, cosine"),
        ("early_stopping: 0", "early_stopping = 0 is not a whole number of epochs, 1 or more; its default is none"),
        (
            "probes: calibration",
            "probes = 'calibration' is not a list of probes, each once, such as [weight_norms, mc: 50]; write "
            "[calibration]",
        ),
        ("probes: [calibration, mc]", f"probes[1] = 'mc' is not one of {', '.join(PROBES)}, {MC}"),
        ("probes: [mc: 0]", f"probes[0] = {{'mc': 0}} is not one of {', '.join(PROBES)}, {MC}"),
        ("output_relu: 2", "output_relu = 2 is not true or false"),
        ("noise_at_eval: x", "noise_at_eval = 'x' is not true or false"),
        ("fused: 0", "fused = 0 is not true or false (did you mean false?)"),
        ("fused: off", "fused = 'off' is not true or false (did you mean false?)"),
        ("eval_train: []", "eval_train = [] is not true or false"),
        ("train_size: 9", "train_size = 9 is not a whole number, 10 to 60000"),
        ("train_size: 7e4", "train_size = 70000.0 is not a whole number, 10 to 60000"),
        ("validation_size: 59991", "validation_size = 59991 is not a whole number, 0 to 59990"),
        ("epoch: 3", "unknown key 'epoch' (did you mean 'epochs'?)"),
        ("matrx: {}", "unknown key 'matrx' (did you mean 'matrix'?)"),
    ],
)
def test_a_wrong_value_is_reported_with_its_line_and_the_allowed_values(line: str, problem: str) -> None:
    variant = "" if line.startswith("variant") else "variant: nn"
    assert problems(f"# a comment\n{line}\n{variant}\n") == [f"study.yaml:2: {problem}"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("seed: 0..4", "seed = '0..4' is not a whole number, 0 or more"),
        ("seed: [0, 1]", "seed = [0, 1] is not a whole number, 0 or more"),
        ("lr: [0.1, 0.5]", "lr = [0.1, 0.5] is not a number greater than 0"),
        ("epochs: 1..3", "epochs = '1..3' is not a whole number, 1 or more"),
        ("variant: [none, nn]", f"variant = ['none', 'nn'] is not one of {NAMES}"),
        ("fused: [true, false]", "fused = [True, False] is not true or false"),
    ],
)
def test_several_values_for_a_single_value_key_are_referred_to_the_matrix(line: str, problem: str) -> None:
    remedy = "list several values in the matrix" + (f": matrix: {{{line}}}" if ".." in line else "")
    assert problems(f"{line}\n") == [f"study.yaml:1: {problem}; {remedy}"]
    in_an_arm = f"study.yaml:2: arms.a.{problem}; {remedy}"
    assert problems(f"arms:\n  a: {{{line}}}\n") == [in_an_arm]


def test_several_values_inside_the_matrix_are_not_referred_to_it() -> None:
    assert problems("matrix:\n  lr: [[0.1, 0.5]]\n  epochs: [1..3]\n") == [
        "study.yaml:2: matrix.lr[0] = [0.1, 0.5] is not a number greater than 0",
        "study.yaml:3: matrix.epochs = ['1..3'] is a range in a list (did you mean 1..3, without brackets?)",
    ]


@pytest.mark.parametrize("value", ["0...2", "2..0", "[0..2]", "0-2", "range(3)"])
def test_a_range_in_any_notation_outside_the_matrix_is_referred_to_it(value: str) -> None:
    (problem,) = problems(f"variant: nn\nseed: {value}\n")
    assert problem.endswith(
        " is not a whole number, 0 or more; list several values in the matrix: matrix: {seed: 0..2}"
    )
    (problem,) = problems(f"variant: nn\nepochs: {value}\n")
    assert "did you mean" not in problem  # 0 is not allowed
    assert "0..2}" not in problem


def test_a_long_value_is_shortened() -> None:
    (problem,) = problems(f"variant: nn\nlr: {'x' * 1000}\n")
    assert problem == f"study.yaml:2: lr = '{'x' * 56}… is not a number greater than 0"


@pytest.mark.parametrize("key", ["xyzzy", "on", "2020-01-01"])
def test_an_unknown_key_similar_to_none_lists_the_keys(key: str) -> None:
    first, title, *groups = problems(f"variant: nn\n{key}: 1\n")
    assert first == f"study.yaml:2: unknown key {key!r}, which is not one of the keys listed below"
    assert title == "study.yaml: the keys, which `dropexp config keys` explains:"
    listed = ", ".join(line.split(": ")[-1].strip() for line in groups).replace(",,", ",")
    assert {*listed.split(", ")} == {*Config.model_fields, *STUDY_KEYS}
    assert all(len(line) <= 96 for line in groups)


def test_the_keys_are_listed_once_for_all_unknown_ones() -> None:
    found = problems("variant: nn\nxyzzy: 1\nplugh: 2\n")
    assert [line.split(":")[0] for line in found].count("study.yaml") == 3


def test_all_problems_are_reported_in_the_order_of_lines() -> None:
    assert problems(WRONG_IN_EVERY_SECTION) == [
        "study.yaml:1: published.loss = 3 is not a list of numbers, one per epoch",
        "study.yaml:3: arm = '-a' cannot name a folder; use letters, digits, '_', and between them ' +=,.-'; at most "
        "100 bytes, no Windows device (con, nul, …)",
        "study.yaml:4: arms.b = 5 is not of the form {key: value, …}",
        "study.yaml:6: arms.c.epochs = 'x' is not a whole number, 1 or more",
        "study.yaml:7: unknown key 'sead' (did you mean 'seed'?)",
        "study.yaml:9: matrix.momentum[1] = 1 is not a number from 0 to under 1",
        "study.yaml:10: matrix.weight_decay = 0 is not a list of values, or a range like 0..4",
        "study.yaml:12: lr = 0 is not a number greater than 0",
        "study.yaml:13: unknown key 'epoch' (did you mean 'epochs'?)",
        "study.yaml:14: drop_probs[1] = 1.5 is not a probability (0 ≤ p ≤ 1)",
        f"study.yaml:15: name = 'a/b' cannot name a folder; use {RULE}",
    ]


@pytest.mark.parametrize(
    "text", ["".join(f"epochs{i}: 1\n" for i in range(1000)), "variant: nn\nmatrix: {hidden: 0..99999}\n"]
)
def test_at_most_a_hundred_problems_are_listed(text: str) -> None:
    found = problems(text)
    assert len(found) == 101
    assert found[-1] == "study.yaml: only the first 100 problems are listed"


def test_problems_of_options_count_towards_the_hundred() -> None:
    settings = [f"lr{i}" for i in range(99)]  # without a value
    found = problems("".join(f"epochs{i}: 1\n" for i in range(9)), *settings)
    assert len(found) == 101
    assert found[-1] == "study.yaml: only the first 100 problems are listed"


@pytest.mark.parametrize("keys", ["{lr: x}", "5"])
def test_an_arm_with_line_breaks_in_its_name_is_reported_on_one_line(keys: str) -> None:
    found = problems(f'variant: nn\narms: {{"a\\nb\\e[2J": {keys}}}\n')
    assert [problem.startswith("study.yaml:2: ") for problem in found] == [True, True]
    assert found[1].startswith(r"study.yaml:2: arms.'a\nb\x1b[2J'")


# Matrix and arms


@pytest.mark.parametrize(
    ("values", "seeds"),
    [
        ("0..4", [0, 1, 2, 3, 4]),
        ("7..7", [7]),
        ("08..10", [8, 9, 10]),
        ("0 .. 2", [0, 1, 2]),
        ("[5, 3]", [5, 3]),
        ("[2]", [2]),
    ],
)
def test_a_range_is_inclusive(values: str, seeds: list[int]) -> None:
    assert parsed(f"matrix: {{seed: {values}}}\n").axes == {"seed": seeds}


@pytest.mark.parametrize("values", ["0-4", "0 - 4", "0...4", "0:5", "range(5)", "0 to 4", "'0…4'"])
def test_a_range_in_another_notation_gets_ours(values: str) -> None:
    (problem,) = problems(f"matrix:\n  seed: {values}\n")
    assert problem.endswith(" is not a list of values, or a range like 0..4 (did you mean 0..4?)")
    (problem,) = problems("variant: nn\n", seeds=values.strip("'"))
    assert problem.endswith(", or a range like 0..4 (did you mean 0..4?)")


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("lr: '0.5'", "0.5"),
        ("lr: 0.5,", "0.5"),
        ("label_noise: 50%", "0.5"),
        ("max_norm: 1_000", "1000"),
        ("epochs: '1e1'", "10"),
        ("train_size: 60 000", "60000"),
        ("fused: 'true'", "true"),
        ("drop_probs: [50%]", "0.5"),
        ("drop_probs: 0.2, 0.5", "[0.2, 0.5]"),
        ("drop_probs: 20%, 50%", "[0.2, 0.5]"),
        ("drop_probs: 0,2 0,5", "[0.2, 0.5]"),
        ("drop_probs: '[0.2, 0.5]'", "[0.2, 0.5]"),
        ("hidden: 256 256", "[256, 256]"),
        ("hidden: 256x128", "[256, 128]"),
        ("hidden: (256, 256)", "[256, 256]"),
        ("hidden: [256 256]", "256, 256"),
        ("probes: weight_norms, calibration", "[weight_norms, calibration]"),
    ],
)
def test_a_text_that_is_a_valid_value_is_reported_with_the_value(line: str, number: str) -> None:
    (problem,) = problems(f"variant: nn\n{line}\n")
    assert problem.endswith(f"; write {number}")


@pytest.mark.parametrize(("line", "number"), [("lr: 0,5", "0.5"), ("train_size: 60,000", "60000")])
def test_a_number_with_a_comma_is_reported_as_one_number_or_several(line: str, number: str) -> None:
    (problem,) = problems(f"variant: nn\n{line}\n")
    assert problem.endswith(f"; write {number}, or list several values in the matrix")


def test_every_key_with_whole_numbers_can_have_a_range() -> None:
    assert parsed("matrix: {epochs: 2..4}\n").axes == {"epochs": [2, 3, 4]}


NOT_RANGES = ["-1..3", "0..", "..4", f"0..{'9' * 50}"]


@pytest.mark.parametrize("key", ["seed", "lr", "variant", "hidden", "fused"])
@pytest.mark.parametrize("values", [*NOT_RANGES, "5", "{}", "[]", "", "nn", "true"])
def test_a_matrix_value_that_is_neither_list_nor_range_is_reported(key: str, values: str) -> None:
    (problem,) = problems(f"matrix:\n  {key}: {values}\n")
    assert problem.startswith(f"study.yaml:2: matrix.{key} = ")
    assert problem.endswith(" is not a list of values, or a range like 0..4")


@pytest.mark.parametrize("values", ["3..1", "3 .. 1", "3-1", "[3..1]"])
def test_a_backward_range_gets_the_one_that_is_meant(values: str) -> None:
    (problem,) = problems(f"matrix:\n  seed: {values}\n")
    assert "(did you mean 1..3" in problem


@pytest.mark.parametrize(
    ("key", "values", "twice"),
    [
        ("seed", "[1, 1]", "1"),
        ("lr", "[1, 1.0]", "1"),
        ("max_norm", "[2, none, null]", "none"),
        ("hidden", "[[8, 8], [8, 8]]", "[8, 8]"),
        ("variant", "[nn, none, nn]", "nn"),
    ],
)
def test_a_value_that_an_axis_has_twice_is_reported(key: str, values: str, twice: str) -> None:
    what = f"matrix.{key}: {twice} is given twice; give each value once"
    assert problems(f"matrix:\n  {key}: {values}\n") == [f"study.yaml:2: {what}"]


@pytest.mark.parametrize(
    ("line", "list_"),
    [
        ("lr: 0.1, 0.5", "[0.1, 0.5]"),
        ("seed: 0, 1, 2", "[0, 1, 2]"),
        ("variant: none, nn", "[none, nn]"),
        ("hidden: '[8, 8], [16, 16]'", "[[8, 8], [16, 16]]"),
    ],
)
def test_an_axis_without_brackets_gets_them(line: str, list_: str) -> None:
    (problem,) = problems(f"matrix:\n  {line}\n")
    assert problem.endswith(f" is not a list of values, or a range like 0..4; write {list_}")


@pytest.mark.parametrize("section", ["matrix", "arms"])
@pytest.mark.parametrize(("value", "shown"), [("3", "3"), ("[]", "[]"), ("{}", "{}"), ("x", "'x'"), ("[a]", "['a']")])
def test_a_section_without_keys_is_reported(section: str, value: str, shown: str) -> None:
    problem = f"study.yaml:2: {section} = {shown} is not a mapping with a line 'key: …' for each key"
    assert problems(f"variant: nn\n{section}: {value}\n") == [problem]


@pytest.mark.parametrize("section", ["matrix", "arms", "published"])
def test_an_empty_section_is_ignored(section: str) -> None:
    file = parsed(f"variant: nn\n{section}:\n")
    assert (file.axes, file.arms, file.published) == ({}, {None: {}}, {})


@pytest.mark.parametrize("key", ["name", "arms", "matrix", "published"])
def test_a_matrix_has_only_keys_of_runs(key: str) -> None:
    (problem,) = problems(f"variant: nn\nmatrix:\n  {key}: [a, b]\n")
    assert problem == f"study.yaml:3: unknown key {key!r}; {key!r} is a key of the top of a file"


def test_a_key_in_two_sections_is_reported() -> None:
    text = "variant: nn\nlr: 1\nmatrix:\n  lr: [1, 2]\n  seed: 0..1\narms:\n  a: {seed: 3}\n"
    assert problems(text) == [
        "study.yaml:4: 'lr' is in the matrix and at the top; keep one",
        "study.yaml:7: 'seed' is in the matrix and in arm 'a'; keep one",
    ]


def test_arms_can_share_values_by_an_anchor() -> None:
    text = "variant: nn\narms:\n  a: {hidden: &sizes [64, 64], lr: 0.1}\n  b: {hidden: *sizes}\n"
    assert parsed(text).arms == {"a": {"hidden": [64, 64], "lr": 0.1}, "b": {"hidden": [64, 64]}}


# Names


LONGEST = ["x" * 100, "ü" * 50, "字" * 33]


@pytest.mark.parametrize(
    "name",
    ["a", "_a", "a1-scratch", "ünder", "a b", "1e", "a,b=c+d.e", "2020-01-01", "0x1g", "no", "console", *LONGEST],
)
def test_valid_names(name: str) -> None:
    assert parsed(f"name: {name}\n").name == name
    assert list(parsed(f"arms: {{'{name}': {{}}}}\n").arms) == [name]
    assert parsed("variant: nn\n", f"name={name}").name == name


PATHS = ["a/b", "/a", "..", ".", ".a", "-a", "", "a\\b"]
INVALID_ON_WINDOWS = ["a.", "a ", "a:b", "a*", "a\nb", "con", "NUL", "nul.txt", "COM1", "lpt9.a.b"]
TOO_LONG = ["x" * 101, "ü" * 51, "字" * 34]


@pytest.mark.parametrize("name", [*PATHS, *INVALID_ON_WINDOWS, *TOO_LONG])
def test_invalid_names_are_reported(name: str) -> None:
    quoted = '"' + name.replace("\\", "\\\\").replace("\n", "\\n") + '"'
    rule = f"cannot name a folder; use {RULE}"
    shown = repr(name) if len(name) <= 58 else f"{name!r:.57}…"
    assert problems(f"variant: nn\nname: {quoted}\n") == [f"study.yaml:2: name = {shown} {rule}"]
    assert problems(f"arms:\n  {quoted}: {{}}\n") == [f"study.yaml:2: arm = {shown} {rule}"]
    assert problems("variant: nn\n", f"name={quoted}") == [f"--set name={quoted}: name = {shown} {rule}"]


@pytest.mark.parametrize("name", ["5", "007", "0x10", "1e3", "1.0", "true"])
def test_a_name_that_is_not_text_is_shown_as_typed_and_as_text(name: str) -> None:
    what = f"name = {name} is not text; write"
    assert problems(f"variant: nn\nname: {name}  # a comment\n") == [f'study.yaml:2: {what} name: "{name}"']
    assert parsed(f'variant: nn\nname: "{name}"\n').name == name
    assert problems("variant: nn\n", f"name={name}") == [f"--set name={name}: {what} --set 'name=\"{name}\"'"]
    assert parsed("variant: nn\n", f'name="{name}"').name == name


@pytest.mark.parametrize("name", ["[a]", "{a: b}", "", "-5", "1" * 200])
def test_a_name_that_is_not_text_and_cannot_name_a_folder_as_text_gets_the_rule(name: str) -> None:
    (problem,) = problems(f"variant: nn\nname: {name}\n")
    assert problem.startswith("study.yaml:2: name = ") and problem.endswith(f" is not text; use {RULE}")


# Words for defaults, numbers and anchors


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("max_norm: none", None),
        ("max_norm: None", None),
        ("train_size: all", None),
        ("train_size: null", None),
        ("early_stopping: none", None),
        ("drop_epochs: half", None),
        ("seed: 007", 7),
        ("epochs: 1e1", 10),
        ("epochs: 5.0", 5),
        ("train_size: 6e4", 60_000),
        ("hidden: [2.56e2, 64]", [256, 64]),
        ("probes: [mc: 5e1]", [{"mc": 50}]),
        ("lr: 1", 1),
    ],
)
def test_default_words_and_whole_numbers_in_any_notation_are_accepted_everywhere(line: str, value: object) -> None:
    key, _, text = line.partition(": ")
    for parsed_value in (
        parsed(f"variant: nn\n{line}\n").base[key],
        parsed(f"variant: nn\nmatrix: {{{key}: [{text}]}}\n").axes[key][0],
        parsed(f"arms: {{a: {{{line}}}}}\n").arms["a"][key],
        parsed("variant: nn\n", f"{key}={text}").base[key],
        parsed("variant: nn\n", sweeps=(f"{key}={text}",)).axes[key][0],
    ):
        assert repr(parsed_value) == repr(value)


def test_keys_for_anchors_have_no_meaning_and_can_be_merged() -> None:
    file = parsed("x-common: &common {lr: 0.1}\nx-any: [1, {}]\n<<: *common\narms: {a: {<<: *common, variant: nn}}\n")
    assert (file.base, file.arms) == ({"lr": 0.1}, {"a": {"lr": 0.1, "variant": "nn"}})
    assert problems("variant: nn\narms: {a: {x-b: 1}}\n")[0].startswith("study.yaml:2: unknown key 'x-b'")


@pytest.mark.parametrize("name", ["हिन्दी", "ไทย", "Việt", "한국어"])
def test_names_have_letters_of_every_script(name: str) -> None:
    decomposed = unicodedata.normalize("NFD", name)
    assert parsed(f"variant: nn\nname: {decomposed}\n").name == unicodedata.normalize("NFC", name)
    assert [*parsed(f"arms: {{{decomposed}: {{}}}}\n").arms] == [unicodedata.normalize("NFC", name)]
