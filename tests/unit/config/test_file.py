"""A config file's content: what stands at the top, in the matrix and in the arms, or everything that is wrong."""

from __future__ import annotations

import pytest

from dropexp.config.file import ConfigFile
from dropexp.config.names import RULE
from dropexp.config.schema import PROBES
from dropexp.config.variants import VARIANTS
from dropexp.errors import ConfigError

NAMES = ", ".join(VARIANTS)
MC = "or mc: K (the mean of K stochastic passes)"


def read(text: str, *settings: str, seeds: str | None = None) -> ConfigFile:
    file = ConfigFile(text, "study.yaml", "study", settings, seeds)
    file.stop_if_wrong()
    return file


def problems(text: str, *settings: str, seeds: str | None = None) -> list[str]:
    with pytest.raises(ConfigError) as error:
        read(text, *settings, seeds=seeds)
    return str(error.value).splitlines()


def test_a_file_is_read_into_its_parts() -> None:
    file = read("""\
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


def test_a_file_without_sections_is_one_arm_without_a_name() -> None:
    file = read("variant: nn\n")
    assert (file.name, file.base, file.axes, file.arms, file.published) == (
        "study",
        {"variant": "nn"},
        {},
        {None: {}},
        {},
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "- variant: nn\n", "variant\n", "3\n"])
def test_a_file_without_keys_is_named(text: str) -> None:
    assert problems(text) == ["study.yaml: a config is a mapping: 'key: value', a line each"]


# Values


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("variant: dropout", f"variant = 'dropout' is not one of {NAMES}"),
        ("variant: no", f"variant = 'no' is not one of {NAMES}"),
        ("variant: false", f"variant = false is not one of {NAMES}"),
        ("seed: true", "seed = true is not a whole number, 0 or more"),
        ("seed: -1", "seed = -1 is not a whole number, 0 or more"),
        ("seed: 010", "seed = 10.0 is not a whole number, 0 or more"),
        ("seed: 0x1f", "seed = '0x1f' is not a whole number, 0 or more"),
        ("seed: 3..1", "seed = '3..1' is not a whole number, 0 or more"),
        ("hidden: 256", "hidden = 256 is not a list with the width of each hidden layer, such as [256, 256]"),
        ("hidden: 0..4", "hidden = '0..4' is not a list with the width of each hidden layer, such as [256, 256]"),
        ("hidden: []", "hidden = [] is not a list with the width of each hidden layer, such as [256, 256]"),
        ("hidden: [256, 0]", "hidden[1] = 0 is not a whole number, 1 or more"),
        ("hidden: [yes, 256]", "hidden[0] = 'yes' is not a whole number, 1 or more"),
        ("hidden: [true, 256]", "hidden[0] = true is not a whole number, 1 or more"),
        ("drop_probs: 0.5", "drop_probs = 0.5 is not a list with the drop probability of each hidden layer"),
        ("drop_probs: [0.2, 1.5]", "drop_probs[1] = 1.5 is not a probability (0 ≤ p ≤ 1)"),
        ("drop_probs: [-0.1, 0.5]", "drop_probs[0] = -0.1 is not a probability (0 ≤ p ≤ 1)"),
        ("drop_probs: [.nan, 0.5]", "drop_probs[0] = nan is not a probability (0 ≤ p ≤ 1)"),
        ("lr: 0", "lr = 0 is not a number greater than 0"),
        ("lr: .inf", "lr = inf is not a number greater than 0"),
        ("lr: .nan", "lr = nan is not a number greater than 0"),
        ("lr: 1e400", "lr = inf is not a number greater than 0"),
        ("lr: '0.5'", "lr = '0.5' is not a number greater than 0"),
        ("lr:", "lr = nothing is not a number greater than 0"),
        ("lr: {a: 1}", "lr = {'a': 1} is not a number greater than 0"),
        ("epochs: 5.0", "epochs = 5.0 is not a whole number, 1 or more"),
        ("epochs: 1:30", "epochs = '1:30' is not a whole number, 1 or more"),
        ("batch_size: 0", "batch_size = 0 is not a whole number, 1 or more"),
        ("sgd: adam", "sgd = 'adam' is not mean (w − lr·g) or book (w − lr·g/batch_size)"),
        ("momentum: 1", "momentum = 1 is not a number from 0 to under 1"),
        ("weight_decay: -1", "weight_decay = -1 is not a number, 0 or more"),
        ("init: zeros", "init = 'zeros' is not normal or torch (the default of nn.Linear)"),
        ("init_std: x", "init_std = 'x' is not a number, 0 or more"),
        ("init_bias: ones", "init_bias = 'ones' is not one of zeros, normal, torch"),
        ("mask: randn", "mask = 'randn' is not one of rand, randn-2019, per-batch"),
        ("task: mnist", "task = 'mnist' is not fashion-mnist or linear-regression"),
        ("input_drop_prob: 2", "input_drop_prob = 2 is not a probability (0 ≤ p ≤ 1)"),
        ("input_noise_std: -1", "input_noise_std = -1 is not a number, 0 or more"),
        ("placement: around", "placement = 'around' is not after or before (the ReLU)"),
        ("drop_schedule: x", "drop_schedule = 'x' is not one of constant, early, late, curriculum, random"),
        ("drop_epochs: -1", "drop_epochs = -1 is not a whole number, 0 or more"),
        ("nesterov: 1", "nesterov = 1 is not true or false"),
        ("l1: -1", "l1 = -1 is not a number, 0 or more"),
        ("max_norm: 0", "max_norm = 0 is not a number greater than 0"),
        ("label_smoothing: 1", "label_smoothing = 1 is not a number from 0 to under 1"),
        ("lr_schedule: linear", "lr_schedule = 'linear' is not one of constant, step, cosine"),
        ("early_stopping: 0", "early_stopping = 0 is not a whole number of epochs, 1 or more"),
        (
            "probes: calibration",
            "probes = 'calibration' is not a list of probes, each once, such as [weight_norms, mc: 50]",
        ),
        ("probes: [calibration, mc]", f"probes[1] = 'mc' is not one of {', '.join(PROBES)}, {MC}"),
        ("probes: [mc: 0]", f"probes[0] = {{'mc': 0}} is not one of {', '.join(PROBES)}, {MC}"),
        ("output_relu: 1", "output_relu = 1 is not true or false"),
        ("noise_at_eval: x", "noise_at_eval = 'x' is not true or false"),
        ("fused: 0", "fused = 0 is not true or false"),
        ("fused: off", "fused = 'off' is not true or false"),
        ("eval_train: []", "eval_train = [] is not true or false"),
        ("train_size: 9", "train_size = 9 is not a whole number, 10 to 60000"),
        ("train_size: 6e4", "train_size = 60000.0 is not a whole number, 10 to 60000"),
        ("validation_size: 59991", "validation_size = 59991 is not a whole number, 0 to 59990"),
        ("epoch: 3", "unknown key 'epoch'; did you mean 'epochs'?"),
        ("matrx: {}", "unknown key 'matrx'; did you mean 'matrix'?"),
    ],
)
def test_a_wrong_value_is_named_with_its_line_and_what_is_allowed(line: str, problem: str) -> None:
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
def test_several_values_for_a_key_that_takes_one_are_sent_to_the_matrix(line: str, problem: str) -> None:
    assert problems(f"{line}\n") == [f"study.yaml:1: {problem}; list several values in the matrix"]
    in_an_arm = f"study.yaml:2: arms.a.{problem}; list several values in the matrix"
    assert problems(f"arms:\n  a: {{{line}}}\n") == [in_an_arm]


def test_several_values_inside_the_matrix_are_not_sent_there() -> None:
    assert problems("matrix:\n  lr: [[0.1, 0.5]]\n  epochs: [1..3]\n") == [
        "study.yaml:2: matrix.lr[0] = [0.1, 0.5] is not a number greater than 0",
        "study.yaml:3: matrix.epochs[0] = '1..3' is not a whole number, 1 or more",
    ]


def test_a_long_value_is_cut_short() -> None:
    (problem,) = problems(f"variant: nn\nlr: {'x' * 1000}\n")
    assert problem == f"study.yaml:2: lr = '{'x' * 56}… is not a number greater than 0"


@pytest.mark.parametrize("key", ["xyzzy", "on", "2020-01-01"])
def test_an_unknown_key_that_is_near_to_none_lists_the_keys(key: str) -> None:
    (problem,) = problems(f"variant: nn\n{key}: 1\n")
    assert problem.startswith(f"study.yaml:2: unknown key {key!r}; the keys are variant, task, seed, hidden, ")
    assert problem.endswith("name, matrix, arms, published")


WRONG_EVERYWHERE = """\
published: {loss: 3}
arms:
  -a: {}
  b: 5
  c:
    epochs: x
    sead: 1
matrix:
  momentum: [0, 1]
  weight_decay: 0
variant: nn
lr: 0
epoch: 5
drop_probs: [0.2, 1.5]
name: a/b
"""


def test_everything_that_is_wrong_is_told_at_once_in_the_order_of_lines() -> None:
    assert problems(WRONG_EVERYWHERE) == [
        "study.yaml:1: published.loss = 3 is not a list of numbers, one per epoch",
        "study.yaml:3: arm = '-a' cannot name a folder; use letters, digits, '_' and, inside, ' +=,.-', at most 100 "
        "bytes, none of Windows' devices (con, nul, …)",
        "study.yaml:4: arms.b = 5 is not of the form {key: value, …}",
        "study.yaml:6: arms.c.epochs = 'x' is not a whole number, 1 or more",
        "study.yaml:7: unknown key 'sead'; did you mean 'seed'?",
        "study.yaml:9: matrix.momentum[1] = 1 is not a number from 0 to under 1",
        "study.yaml:10: matrix.weight_decay = 0 is not a list of values, or a range like 0..4",
        "study.yaml:12: lr = 0 is not a number greater than 0",
        "study.yaml:13: unknown key 'epoch'; did you mean 'epochs'?",
        "study.yaml:14: drop_probs[1] = 1.5 is not a probability (0 ≤ p ≤ 1)",
        f"study.yaml:15: name = 'a/b' cannot name a folder; use {RULE}",
    ]


@pytest.mark.parametrize(
    "text", ["".join(f"key{i}: 1\n" for i in range(1000)), "variant: nn\nmatrix: {hidden: 0..99999}\n"]
)
def test_of_very_many_problems_the_first_hundred_are_told(text: str) -> None:
    found = problems(text)
    assert len(found) == 101
    assert found[-1] == "study.yaml: these are 100 problems; there may be more"


@pytest.mark.parametrize("keys", ["{lr: x}", "5"])
def test_an_arm_of_several_lines_is_told_of_on_one(keys: str) -> None:
    found = problems(f'variant: nn\narms: {{"a\\nb\\e[2J": {keys}}}\n')
    assert [problem.startswith("study.yaml:2: ") for problem in found] == [True, True]
    assert found[1].startswith(r"study.yaml:2: arms.'a\nb\x1b[2J'")


@pytest.mark.parametrize("comments", [0, 1, 100])
def test_what_is_wrong_with_options_comes_last(comments: int) -> None:
    comment = "# a comment\n" * comments
    found = problems(f"{comment}{WRONG_EVERYWHERE}", "epochs=0", "momentun=1", seeds="x")
    assert [problem.startswith("study.yaml:") for problem in found] == [True] * 10 + [False] * 3
    assert set(found[10:]) == {
        "--set epochs=0: epochs = 0 is not a whole number, 1 or more",
        "--set momentun=1: unknown key 'momentun'; did you mean 'momentum'?",
        "--seeds x: seed = 'x' is not a whole number, 0 or more, or a range like 0..4",
    }


# Matrix and arms


@pytest.mark.parametrize(
    ("values", "seeds"),
    [("0..4", [0, 1, 2, 3, 4]), ("7..7", [7]), ("08..10", [8, 9, 10]), ("[5, 3]", [5, 3]), ("[2]", [2])],
)
def test_ranges_have_both_ends_in(values: str, seeds: list[int]) -> None:
    assert read(f"matrix: {{seed: {values}}}\n").axes == {"seed": seeds}


def test_a_range_is_for_every_key_with_whole_numbers() -> None:
    assert read("matrix: {epochs: 2..4}\n").axes == {"epochs": [2, 3, 4]}


NO_RANGE = ["3..1", "0..99999999", "-1..3", "0...3", "0..", "..4", f"0..{'9' * 50}"]


@pytest.mark.parametrize("key", ["seed", "lr", "variant", "hidden", "fused"])
@pytest.mark.parametrize("values", [*NO_RANGE, "5", "{}", "[]", "", "nn", "true"])
def test_what_is_no_list_and_no_range_is_named(key: str, values: str) -> None:
    (problem,) = problems(f"matrix:\n  {key}: {values}\n")
    assert problem.startswith(f"study.yaml:2: matrix.{key} = ")
    assert problem.endswith(" is not a list of values, or a range like 0..4")


@pytest.mark.parametrize("section", ["matrix", "arms"])
@pytest.mark.parametrize(("value", "shown"), [("3", "3"), ("[]", "[]"), ("{}", "{}"), ("x", "'x'"), ("[a]", "['a']")])
def test_a_section_that_holds_no_keys_is_named(section: str, value: str, shown: str) -> None:
    problem = f"study.yaml:2: {section} = {shown} is not a mapping ('key: …', a line each)"
    assert problems(f"variant: nn\n{section}: {value}\n") == [problem]


@pytest.mark.parametrize("section", ["matrix", "arms", "published"])
def test_a_section_that_is_left_empty_is_none(section: str) -> None:
    file = read(f"variant: nn\n{section}:\n")
    assert (file.axes, file.arms, file.published) == ({}, {None: {}}, {})


@pytest.mark.parametrize("key", ["name", "arms", "matrix", "published"])
def test_a_matrix_has_only_keys_of_a_run(key: str) -> None:
    (problem,) = problems(f"variant: nn\nmatrix:\n  {key}: [a, b]\n")
    assert problem.startswith(f"study.yaml:3: unknown key {key!r}; ")


def test_a_key_stands_in_one_place_only() -> None:
    text = "variant: nn\nlr: 1\nmatrix:\n  lr: [1, 2]\n  seed: 0..1\narms:\n  a: {seed: 3}\n"
    assert problems(text) == [
        "study.yaml:4: 'lr' stands in the matrix and at the top; keep one",
        "study.yaml:7: 'seed' stands in the matrix and in arm 'a'; keep one",
    ]


def test_an_anchor_saves_what_two_arms_share_from_being_written_twice() -> None:
    text = "variant: nn\narms:\n  a: {hidden: &sizes [64, 64], lr: 0.1}\n  b: {hidden: *sizes}\n"
    assert read(text).arms == {"a": {"hidden": [64, 64], "lr": 0.1}, "b": {"hidden": [64, 64]}}


# Names


LONGEST = ["x" * 100, "ü" * 50, "字" * 33]


@pytest.mark.parametrize(
    "name",
    ["a", "_a", "a1-scratch", "ünder", "a b", "1e", "a,b=c+d.e", "2020-01-01", "0x1f", "no", "console", *LONGEST],
)
def test_a_name_may_be(name: str) -> None:
    assert read(f"name: {name}\n").name == name
    assert list(read(f"arms: {{'{name}': {{}}}}\n").arms) == [name]
    assert read("variant: nn\n", f"name={name}").name == name


PATHS = ["a/b", "/a", "..", ".", ".a", "-a", "", "a\\b"]
MINDED_BY_WINDOWS = ["a.", "a ", "a:b", "a*", "a\nb", "con", "NUL", "nul.txt", "COM1", "lpt9.a.b"]
TOO_LONG = ["x" * 101, "ü" * 51, "字" * 34]


@pytest.mark.parametrize("name", [*PATHS, *MINDED_BY_WINDOWS, *TOO_LONG])
def test_a_name_may_not_be(name: str) -> None:
    quoted = '"' + name.replace("\\", "\\\\").replace("\n", "\\n") + '"'
    cannot = f"cannot name a folder; use {RULE}"
    shown = repr(name) if len(name) <= 58 else f"{name!r:.57}…"
    assert problems(f"variant: nn\nname: {quoted}\n") == [f"study.yaml:2: name = {shown} {cannot}"]
    assert problems(f"arms:\n  {quoted}: {{}}\n") == [f"study.yaml:2: arm = {shown} {cannot}"]
    assert problems("variant: nn\n", f"name={quoted}") == [f"--set name={quoted}: name = {shown} {cannot}"]


@pytest.mark.parametrize("name", ["5", "010", "true", "[a]", "null", "{a: b}"])
def test_a_name_is_text(name: str) -> None:
    (problem,) = problems(f"variant: nn\nname: {name}\n")
    assert problem.startswith("study.yaml:2: name = ")


# Published figures


def test_published_figures_are_read() -> None:
    text = "variant: nn\npublished: {arm: nn, source: a book, loss: [1], loss_scale: 256, test_acc: [0.5, 0.6]}\n"
    figures = {"arm": "nn", "source": "a book", "loss": [1.0], "loss_scale": 256.0, "test_acc": [0.5, 0.6]}
    assert read(text).published == figures
    assert read("variant: nn\npublished: {w_norm: {nn: 12.12}}\n").published == {"w_norm": {"nn": 12.12}}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("arm: x", "published.arm = 'x' is no arm here; there is wide, narrow"),
        ("arm: [wide, y]", "published.arm = 'y' is no arm here; there is wide, narrow"),
        ("arm: 5", "published.arm = 5 is not an arm's name, or a list of them"),
        ("source: 3", "published.source = 3 is not text"),
        ("loss: 3", "published.loss = 3 is not a list of numbers, one per epoch"),
        ("loss: [a]", "published.loss = ['a'] is not a list of numbers, one per epoch"),
        ("loss_scale: 0", "published.loss_scale = 0 is not a number greater than 0"),
        ("train_acc: [.nan]", "published.train_acc = [nan] is not a list of numbers, one per epoch"),
        ("test_acc: [true]", "published.test_acc = [True] is not a list of numbers, one per epoch"),
        (
            "w_norm: 1.5",
            "published.w_norm = 1.5 is not a mapping from arms to the norm of their weights after the last epoch",
        ),
        ("w_norm: {x: 1.5}", "published.w_norm = 'x' is no arm here; there is wide, narrow"),
        (
            "los: [1]",
            "unknown key 'los'; the keys of published are arm, source, loss, loss_scale, train_acc, test_acc, w_norm",
        ),
    ],
)
def test_a_wrong_published_figure_is_named(line: str, problem: str) -> None:
    text = f"variant: nn\narms: {{wide: {{lr: 1}}, narrow: {{lr: 2}}}}\npublished:\n  {line}\n"
    assert problems(text) == [f"study.yaml:4: {problem}"]


@pytest.mark.parametrize(("value", "shown"), [("5", "5"), ("[]", "[]"), ("x", "'x'")])
def test_published_holds_keys(value: str, shown: str) -> None:
    problem = f"study.yaml:2: published = {shown} is not a mapping ('key: …', a line each)"
    assert problems(f"variant: nn\npublished: {value}\n") == [problem]


@pytest.mark.parametrize(
    "text", ["variant: none\n", "matrix: {variant: [nn, none]}\n", "variant: nn\narms: {none: {}, b: {lr: 1}}\n"]
)
def test_published_figures_may_name_each_arm_that_is_there(text: str) -> None:
    assert read(f"{text}published: {{arm: none}}\n").published == {"arm": "none"}


# Options of the command


def test_a_setting_replaces_a_key_in_every_place() -> None:
    file = read("lr: 2\nmatrix: {momentum: [0, 0.5]}\narms: {a: {lr: 1, epochs: 2}}\n", "lr=3", "momentum=0.9")
    assert (file.base, file.axes, file.arms) == ({"lr": 3, "momentum": 0.9}, {}, {"a": {"epochs": 2}})


def test_a_setting_mends_what_is_wrong_in_the_file() -> None:
    assert read("variant: x\nlr: 0\n", "variant=nn", "lr=1").base == {"variant": "nn", "lr": 1}


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("lr", "is not of the form key=value"),
        ("lr=", "lr = nothing is not a number greater than 0"),
        ("lr=0", "lr = 0 is not a number greater than 0"),
        ("lr=[1, 2]", "lr = [1, 2] is not a number greater than 0; list several values in the matrix"),
        ("lrr=1", "unknown key 'lrr'; did you mean 'lr'?"),
        ("fused=no", "fused = 'no' is not true or false"),
        ("hidden=[8, x]", "hidden[1] = 'x' is not a whole number, 1 or more"),
        ("momentum=1", "momentum = 1 is not a number from 0 to under 1"),
        ("seed=x", "seed = 'x' is not a whole number, 0 or more, or a range like 0..4"),
        ("seed=[1, x]", "seed = 'x' is not a whole number, 0 or more, or a range like 0..4"),
        ("seed=[]", "seed = [] is not a list of values, or a range like 0..4"),
        ("matrix={}", "matrix can be given in the file only"),
        ("arms=a", "arms can be given in the file only"),
        ("published=1", "published can be given in the file only"),
    ],
)
def test_a_wrong_setting_is_named_as_it_was_typed(setting: str, problem: str) -> None:
    text = "variant: nn\nmatrix: {seed: [7, 8], momentum: [0, 0.5]}\narms: {a: {epochs: 1}, b: {epochs: 2}}\n"
    assert problems(text, setting) == [f"--set {setting}: {problem}"]


def test_an_arm_that_bears_the_name_of_a_set_key_keeps_its_line() -> None:
    text = "variant: nn\narms:\n  lr: {momentum: 3}\n"
    assert problems(text, "lr=1") == ["study.yaml:3: arms.lr.momentum = 3 is not a number from 0 to under 1"]


@pytest.mark.parametrize(
    "setting", ["epochs=[", "epochs={a: b: c}", "epochs='", "epochs=!!int x", "epochs={a: 1, a: 2}"]
)
def test_a_setting_that_is_no_yaml_does_not_hide_what_else_is_wrong(setting: str) -> None:
    found = problems("variant: nn\nlr: 0\n", setting, "momentum=1")
    assert found[0] == "study.yaml:2: lr = 0 is not a number greater than 0"
    assert found[1].startswith(f"--set {setting}:1: ")
    assert found[2:] == ["--set momentum=1: momentum = 1 is not a number from 0 to under 1"]


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ("0..9", list(range(10))),
        ("0,3,5", [0, 3, 5]),
        ("7", [7]),
        ("0..2,7", [0, 1, 2, 7]),
        (" 3 , 1..2 ", [3, 1, 2]),
        ("010", [10]),
    ],
)
@pytest.mark.parametrize("text", ["lr: 1\n", "seed: 4\n", "matrix: {seed: 0..3}\n", "arms: {a: {seed: 1}}\n"])
def test_seeds_are_ranges_and_lists(text: str, seeds: str, expected: list[int]) -> None:
    file = read(text, seeds=seeds)
    assert file.axes == {"seed": expected}
    assert "seed" not in {*file.base, *(key for keys in file.arms.values() for key in keys)}


NO_SEEDS = ["x", "", "-1", "1.5", "true", "0-2", "9" * 30, "9" * 5000]


@pytest.mark.parametrize("seeds", NO_SEEDS)
def test_what_are_no_seeds_is_named(seeds: str) -> None:
    (problem,) = problems("variant: nn\n", seeds=seeds)
    assert problem.startswith(f"--seeds {seeds}: seed = ")
    assert problem.endswith(" is not a whole number, 0 or more, or a range like 0..4")


@pytest.mark.parametrize(("seeds", "part"), [("0,", "''"), ("0,x,2", "'x'")])
def test_only_the_part_that_is_no_seed_is_named(seeds: str, part: str) -> None:
    assert problems("variant: nn\n", seeds=seeds) == [
        f"--seeds {seeds}: seed = {part} is not a whole number, 0 or more, or a range like 0..4"
    ]


@pytest.mark.parametrize("part", ["3..1", "0..99999999"])
def test_a_range_that_goes_down_or_too_far_is_named(part: str) -> None:
    wrong = f"seed = '{part}' is not a range of 1 to 100,000 seeds"
    assert problems("variant: nn\n", seeds=f"1..2,{part}") == [f"--seeds 1..2,{part}: {wrong}"]
    assert problems("variant: nn\n", f"seed={part}") == [f"--set seed={part}: {wrong}"]


def test_an_option_with_line_ends_is_told_of_on_one_line() -> None:
    assert problems("variant: nn", "variant=\r")[0].startswith(r"--set 'variant=\r': ")
    assert problems("variant: nn", seeds="1\n,x")[0].startswith(r"--seeds '1\n,x': ")
