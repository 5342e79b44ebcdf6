"""A config file becomes the runs that it asks for, or everything that is wrong with it at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dropexp.study import PlannedRun, Study, load_config
from dropexp.yamlfile import ConfigError

Load = Callable[..., Study]
Problems = Callable[..., list[str]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def loaded(text: str, *settings: str, seeds: str | None = None) -> Study:
        file = tmp_path / "study.yaml"
        file.write_text(text, encoding="utf-8")
        return load_config(file, settings, seeds)

    return loaded


@pytest.fixture
def problems(load: Load, tmp_path: Path) -> Problems:
    """What is wrong, the folder of the file left out."""

    def found(text: str, *settings: str, seeds: str | None = None) -> list[str]:
        with pytest.raises(ConfigError) as error:
            load(text, *settings, seeds=seeds)
        return str(error.value).replace(f"{tmp_path}{os.sep}", "").splitlines()

    return found


def cells(study: Study) -> list[str]:
    return [run.cell for run in study.runs]


def seeds_of(study: Study) -> list[int]:
    return [run.config.seed for run in study.runs]


# Files


def test_the_smallest_config_is_one_run_of_the_book(load: Load) -> None:
    study = load("variant: nn\n")
    (run,) = study.runs
    assert study.name == run.name == "study"  # the file's stem
    assert (run.arm, run.cell) == (None, "seed=0")
    assert (run.config.lr, run.config.drop_probs, study.published) == (0.5, [0.2, 0.5], {})


@pytest.mark.parametrize("text", ["", "# nothing\n", "- variant: nn\n", "variant\n", "3\n"])
def test_a_file_without_keys_is_named(problems: Problems, text: str) -> None:
    assert problems(text) == ["study.yaml: a config is a list of 'key: value' lines"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: no such file"):
        load_config(tmp_path / "absent.yaml")


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00v", b"variant: nn\nname: \xe9\n", b"\x80\x04\x95\x00"])
def test_a_binary_file_is_no_config(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(ConfigError, match=r"checkpoint\.pt: cannot be read"):
        load_config(tmp_path / "checkpoint.pt")


# Values


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("variant: dropout", "variant = 'dropout' is not one of none, nn, scratch"),
        ("variant: no", "variant = false is not one of none, nn, scratch"),
        ("seed: true", "seed = true is not a whole number, 0 or more"),
        ("seed: -1", "seed = -1 is not a whole number, 0 or more"),
        ("seed: 0..4", "seed = '0..4' is not a whole number, 0 or more"),
        ("hidden: 256", "hidden = 256 is not a list with the width of each hidden layer, such as [256, 256]"),
        ("hidden: []", "hidden = [] is not a list with the width of each hidden layer, such as [256, 256]"),
        ("hidden: [256, 0]", "hidden[1] = 0 is not a whole number, 1 or more"),
        ("hidden: [yes, 256]", "hidden[0] = true is not a whole number, 1 or more"),
        ("drop_probs: 0.5", "drop_probs = 0.5 is not a list with the drop probability of each hidden layer"),
        ("drop_probs: [0.2, 1.5]", "drop_probs[1] = 1.5 is not a probability (0 ≤ p ≤ 1)"),
        ("drop_probs: [-0.1, 0.5]", "drop_probs[0] = -0.1 is not a probability (0 ≤ p ≤ 1)"),
        ("drop_probs: [.nan, 0.5]", "drop_probs[0] = nan is not a probability (0 ≤ p ≤ 1)"),
        ("drop_probs: [0.5]", "drop_probs = [0.5] has 1 entries for 2 hidden layers; give one per layer"),
        ("lr: 0", "lr = 0 is not a number greater than 0"),
        ("lr: .inf", "lr = inf is not a number greater than 0"),
        ("lr: .nan", "lr = nan is not a number greater than 0"),
        ("lr: 1e400", "lr = inf is not a number greater than 0"),
        ("lr: '0.5'", "lr = '0.5' is not a number greater than 0"),
        ("lr:", "lr = nothing is not a number greater than 0"),
        ("lr: {a: 1}", "lr = {'a': 1} is not a number greater than 0"),
        ("epochs: 5.0", "epochs = 5.0 is not a whole number, 1 or more"),
        ("batch_size: 0", "batch_size = 0 is not a whole number, 1 or more"),
        ("sgd: adam", "sgd = 'adam' is not mean (w − lr·g) or book (w − lr·g/batch_size)"),
        ("momentum: 1", "momentum = 1 is not a number from 0 to under 1"),
        ("weight_decay: -1", "weight_decay = -1 is not a number, 0 or more"),
        ("init: zeros", "init = 'zeros' is not normal or torch (nn.Linear's own)"),
        ("init_std: x", "init_std = 'x' is not a number, 0 or more"),
        ("init_bias: ones", "init_bias = 'ones' is not one of zeros, normal, torch"),
        ("mask: randn", "mask = 'randn' is not one of rand, randn-2019"),
        ("mask: randn-2019", "mask = randn-2019 is not for nn, which draws its own; use scratch"),
        ("output_relu: 1", "output_relu = 1 is not true or false"),
        ("noise_at_eval: x", "noise_at_eval = 'x' is not true or false"),
        ("fused: 0", "fused = 0 is not true or false"),
        ("eval_train: []", "eval_train = [] is not true or false"),
        ("train_size: 9", "train_size = 9 is not a whole number, 10 to 60000"),
        ("train_size: 6e4", "train_size = 60000.0 is not a whole number, 10 to 60000"),
        ("validation_size: 59991", "validation_size = 59991 is not a whole number, 0 to 59990"),
        ("epoch: 3", "unknown key 'epoch'; did you mean 'epochs'?"),
        ("matrx: {}", "unknown key 'matrx'; did you mean 'matrix'?"),
    ],
)
def test_a_wrong_value_is_named_with_its_line_and_what_is_allowed(problems: Problems, line: str, problem: str) -> None:
    variant = "" if line.startswith("variant") else "variant: nn"
    assert problems(f"# a comment\n{line}\n{variant}\n") == [f"study.yaml:2: {problem}"]


def test_a_long_value_is_cut_short(problems: Problems) -> None:
    (problem,) = problems(f"variant: nn\nlr: {'x' * 1000}\n")
    assert problem == f"study.yaml:2: lr = '{'x' * 56}… is not a number greater than 0"


def test_an_unknown_key_that_is_near_to_none_lists_the_keys(problems: Problems) -> None:
    (problem,) = problems("variant: nn\nxyzzy: 1\n")
    assert problem.startswith("study.yaml:2: unknown key 'xyzzy'; the keys are variant, seed, hidden, ")
    assert problem.endswith("name, matrix, arms, published")


def test_everything_that_is_wrong_is_told_at_once(problems: Problems) -> None:
    text = """\
variant: nn
lr: 0
epoch: 5
drop_probs: [0.2, 1.5]
matrix:
  momentum: [0, 1]
  weight_decay: 0
arms:
  -a: {}
  b: 5
  c:
    epochs: x
    sead: 1
published: {loss: 3}
"""
    assert sorted(problems(text), key=lambda p: int(p.split(":")[1])) == [
        "study.yaml:2: lr = 0 is not a number greater than 0",
        "study.yaml:3: unknown key 'epoch'; did you mean 'epochs'?",
        "study.yaml:4: drop_probs[1] = 1.5 is not a probability (0 ≤ p ≤ 1)",
        "study.yaml:6: matrix.momentum[1] = 1 is not a number from 0 to under 1",
        "study.yaml:7: matrix.weight_decay = 0 is not a list of values",
        "study.yaml:9: arm = '-a' cannot name a folder; use letters, digits and ' +=,.-_', at most 100, beginning "
        "with a letter or digit",
        "study.yaml:10: arms.b = 5 is not of the form {key: value, …}",
        "study.yaml:12: arms.c.epochs = 'x' is not a whole number, 1 or more",
        "study.yaml:13: unknown key 'sead'; did you mean 'seed'?",
        "study.yaml:14: published.loss = 3 is not a list of numbers, one per epoch",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("variant: nn\ndrop_probs: [0.5]\n", 2),
        ("variant: nn\nhidden: [8, 8, 8]\n", 2),
        ("variant: nn\narms:\n  a: {}\n  b:\n    drop_probs: [0.5]\n", 5),
        ("variant: nn\ndrop_probs: [0.1, 0.1]\narms:\n  a: {}\n  b:\n    hidden: [8]\n", 6),
        ("variant: nn\nmatrix:\n  seed: 0..1\n  hidden: [[8, 8], [8]]\n", 4),
        ("variant: nn\ndrop_probs: [0.1, 0.1]\nmatrix:\n  hidden: [[8, 8], [8]]\n", 4),
    ],
)
def test_a_wrong_number_of_probabilities_leads_to_the_line_that_made_it_wrong(
    problems: Problems, text: str, line: int
) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"study.yaml:{line}: drop_probs = ")
    assert problem.endswith("give one per layer")


def test_more_images_than_there_are_leads_to_the_line_that_asked_for_too_many(problems: Problems) -> None:
    assert problems("variant: nn\ntrain_size: 59999\narms:\n  a: {validation_size: 2}\n") == [
        "study.yaml:4: train_size = 59999 and validation_size = 2 are more than the 60000 training images"
    ]


# Matrix and arms


def test_a_matrix_is_every_combination_in_the_order_of_the_file(load: Load) -> None:
    assert cells(load("matrix:\n  variant: [none, scratch]\n  lr: [0.1, 0.5]\n  seed: 3..4\n")) == [
        "variant=none,lr=0.1,seed=3",
        "variant=none,lr=0.1,seed=4",
        "variant=none,lr=0.5,seed=3",
        "variant=none,lr=0.5,seed=4",
        "variant=scratch,lr=0.1,seed=3",
        "variant=scratch,lr=0.1,seed=4",
        "variant=scratch,lr=0.5,seed=3",
        "variant=scratch,lr=0.5,seed=4",
    ]


@pytest.mark.parametrize(
    ("values", "seeds"),
    [("0..4", [0, 1, 2, 3, 4]), ("7..7", [7]), ("08..10", [8, 9, 10]), ("[5, 3]", [5, 3]), ("[2, 2]", [2])],
)
def test_ranges_of_seeds_have_both_ends_in(load: Load, values: str, seeds: list[int]) -> None:
    assert seeds_of(load(f"variant: nn\nmatrix: {{seed: {values}}}\n")) == seeds


@pytest.mark.parametrize("values", ["3..1", "0..99999999", "-1..3", "0...3", "0..", "..4", f"0..{'9' * 50}", "5", "{}"])
def test_what_is_no_range_of_seeds_is_named(problems: Problems, values: str) -> None:
    (problem,) = problems(f"variant: nn\nmatrix:\n  seed: {values}\n")
    assert problem.startswith("study.yaml:3: matrix.seed = ")
    assert problem.endswith(" is not a list of values, or a range like 0..4")


def test_a_matrix_beyond_all_measure_is_refused_before_it_is_made(problems: Problems) -> None:
    axes = "".join(f"  {key}: [{', '.join(map(str, range(1, 1001)))}]\n" for key in ("lr", "epochs", "batch_size"))
    assert problems(f"variant: nn\nmatrix:\n{axes}") == [
        "study.yaml:2: 1000000000 runs are more than one config may ask for (100000)"
    ]


@pytest.mark.parametrize("section", ["matrix", "arms"])
@pytest.mark.parametrize(("value", "shown"), [("3", "3"), ("[]", "[]"), ("{}", "{}"), ("x", "'x'"), ("[a]", "['a']")])
def test_a_section_that_holds_no_keys_is_named(problems: Problems, section: str, value: str, shown: str) -> None:
    problem = f"study.yaml:2: {section} = {shown} is not a list of 'key: …' lines"
    assert problems(f"variant: nn\n{section}: {value}\n") == [problem]


@pytest.mark.parametrize("section", ["matrix", "arms", "published"])
def test_a_section_that_is_left_empty_is_none(load: Load, section: str) -> None:
    assert cells(load(f"variant: nn\n{section}:\n")) == ["seed=0"]


@pytest.mark.parametrize("key", ["name", "arms", "matrix", "published"])
def test_a_matrix_has_only_keys_of_a_run(problems: Problems, key: str) -> None:
    (problem,) = problems(f"variant: nn\nmatrix:\n  {key}: [a, b]\n")
    assert problem.startswith(f"study.yaml:3: unknown key {key!r}; ")


def test_a_key_stands_in_one_place_only(problems: Problems) -> None:
    text = "variant: nn\nlr: 1\nmatrix:\n  lr: [1, 2]\n  seed: 0..1\narms:\n  a: {seed: 3}\n"
    assert problems(text) == [
        "study.yaml:4: 'lr' stands in the matrix and at the top; keep one",
        "study.yaml:7: 'seed' stands in the matrix and in arm 'a'; keep one",
    ]


def test_arms_are_runs_of_their_own_and_may_change_what_the_top_says(load: Load) -> None:
    study = load("variant: nn\nlr: 1\narms: {wide: {hidden: [512, 512]}, fast: {lr: 2}}\n")
    assert [(run.arm, run.config.hidden, run.config.lr) for run in study.runs] == [
        ("wide", [512, 512], 1.0),
        ("fast", [256, 256], 2.0),
    ]
    assert cells(study) == ["arm=wide,seed=0", "arm=fast,seed=0"]


def test_arms_times_a_matrix_is_every_combination(load: Load) -> None:
    study = load("matrix: {seed: 0..1}\narms: {a: {variant: none}, b: {variant: nn}}\n")
    assert cells(study) == ["arm=a,seed=0", "arm=a,seed=1", "arm=b,seed=0", "arm=b,seed=1"]


def test_an_anchor_saves_an_arm_from_being_written_twice(load: Load) -> None:
    study = load("variant: nn\narms:\n  a: &a {hidden: [64, 64], lr: 0.1}\n  b: *a\nmatrix: {seed: [0]}\n", "lr=1")
    assert study.runs[0].config.hidden == [64, 64]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lr: 1\n", "study.yaml:1: this file has no variant; add one of none, nn, scratch"),
        ("matrix: {seed: 0..4}\n", "study.yaml:1: this file has no variant; add one of none, nn, scratch"),
        (
            "arms:\n  a: {variant: nn}\n  b: {lr: 1}\n",
            "study.yaml:3: arm 'b' has no variant; add one of none, nn, scratch",
        ),
    ],
)
def test_a_missing_variant_is_asked_for_once(problems: Problems, text: str, problem: str) -> None:
    assert problems(text) == [problem]


def test_equal_runs_train_once(load: Load) -> None:
    study = load("matrix:\n  variant: [none, nn]\n  drop_probs: [[0.1, 0.1], [0.2, 0.2]]\n  seed: 0..1\n")
    assert cells(study) == [
        "variant=none,seed=0",
        "variant=none,seed=1",
        "variant=nn,drop_probs=0.1+0.1,seed=0",
        "variant=nn,drop_probs=0.1+0.1,seed=1",
        "variant=nn,drop_probs=0.2+0.2,seed=0",
        "variant=nn,drop_probs=0.2+0.2,seed=1",
    ]


def test_a_cell_has_nothing_that_a_file_system_minds(load: Load) -> None:
    (run,) = load("variant: nn\narms: {with a space: {lr: 1e-5}}\n").runs
    assert run.cell == "arm=with-a-space,seed=0"
    (wide,) = load(f"variant: nn\nmatrix: {{hidden: [[{'256, ' * 80}]], drop_probs: [[{'0.5, ' * 80}]]}}\n").runs
    assert len(wide.cell) == 120


# Names


@pytest.mark.parametrize("name", ["a", "a1-scratch", "x" * 100, "ünder", "a b", "1e", "a,b=c+d.e"])
def test_a_name_may_be(load: Load, name: str) -> None:
    assert load(f"variant: nn\nname: '{name}'\n").name == name


PATHS = ["a/b", "/a", "..", ".", ".a", "-a", "", "a\\b"]
MINDED_BY_WINDOWS = ["a.", "a ", "a:b", "a*", "a\nb", "con", "NUL", "nul.txt", "COM1"]


@pytest.mark.parametrize("name", [*PATHS, *MINDED_BY_WINDOWS, "x" * 101])
@pytest.mark.parametrize("place", ["name", "arm", "option"])
def test_a_name_may_not_be(problems: Problems, name: str, place: str) -> None:
    quoted = '"' + name.replace("\\", "\\\\").replace("\n", "\\n") + '"'
    if place == "name":
        (problem,) = problems(f"variant: nn\nname: {quoted}\n")
    elif place == "arm":
        (problem,) = problems(f"variant: nn\narms: {{{quoted}: {{}}}}\n")
    else:
        (problem,) = problems("variant: nn\n", f"name={quoted}")
    assert "cannot name a folder" in problem


@pytest.mark.parametrize("name", ["5", "true", "[a]", "null", "2020-01-01"])
def test_a_name_is_text(problems: Problems, name: str) -> None:
    (problem,) = problems(f"variant: nn\nname: {name}\n")
    assert problem.startswith("study.yaml:2: name = ")


def test_a_files_stem_that_cannot_be_a_name_is_named(tmp_path: Path) -> None:
    (tmp_path / "-x.yaml").write_text("variant: nn\n")
    with pytest.raises(ConfigError, match=r"name = '-x' cannot name a folder"):
        load_config(tmp_path / "-x.yaml")
    assert load_config(tmp_path / "-x.yaml", ["name=x"]).name == "x"


# Published figures


def test_published_figures_come_with_the_study(load: Load) -> None:
    text = "variant: nn\npublished: {arm: nn, source: a book, loss: [1], loss_scale: 256, test_acc: [0.5, 0.6]}\n"
    figures = {"arm": "nn", "source": "a book", "loss": [1.0], "loss_scale": 256.0, "test_acc": [0.5, 0.6]}
    assert load(text).published == figures


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
        ("los: [1]", "unknown key 'los'; the keys of published are arm, source, loss, loss_scale, train_acc, test_acc"),
    ],
)
def test_a_wrong_published_figure_is_named(problems: Problems, line: str, problem: str) -> None:
    text = f"variant: nn\narms: {{wide: {{lr: 1}}, narrow: {{lr: 2}}}}\npublished:\n  {line}\n"
    assert problems(text) == [f"study.yaml:4: {problem}"]


@pytest.mark.parametrize(("value", "shown"), [("5", "5"), ("[]", "[]"), ("x", "'x'")])
def test_published_holds_keys(problems: Problems, value: str, shown: str) -> None:
    problem = f"study.yaml:2: published = {shown} is not a list of 'key: …' lines"
    assert problems(f"variant: nn\npublished: {value}\n") == [problem]


@pytest.mark.parametrize(
    "text", ["variant: none\n", "matrix: {variant: [nn, none]}\n", "variant: nn\narms: {none: {}, b: {lr: 1}}\n"]
)
def test_published_figures_may_name_each_arm_that_is_there(load: Load, text: str) -> None:
    assert load(f"{text}published: {{arm: none}}\n").published == {"arm": "none"}


# Options of the command


STUDY = """\
variant: nn
lr: 2
matrix: {seed: [7, 8], momentum: [0, 0.5]}
arms: {a: {epochs: 1}, b: {epochs: 2}}
"""


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("lr=1e-2", "lr", 0.01),
        ("lr = 3", "lr", 3.0),
        ("epochs=9", "epochs", 9),
        ("momentum=0.9", "momentum", 0.9),
        ("seed=5", "seed", 5),
        ("hidden=[8, 4]", "hidden", [8, 4]),
        ("output_relu=true", "output_relu", True),
        ("train_size=100", "train_size", 100),
        ("train_size=", "train_size", None),
        ("variant=none", "variant", "none"),
    ],
)
def test_a_setting_replaces_a_key_in_every_run_wherever_the_file_has_it(
    load: Load, setting: str, key: str, value: object
) -> None:
    runs = load(STUDY, setting).runs
    assert len(runs) >= 4
    assert [getattr(run.config, key) for run in runs] == [value] * len(runs)


@pytest.mark.parametrize(("value", "seeds"), [("0..3", [0, 1, 2, 3]), ("[4, 2]", [4, 2]), ("6", [6])])
def test_seeds_can_be_set(load: Load, value: str, seeds: list[int]) -> None:
    assert seeds_of(load("variant: nn\nseed: 1\n", f"seed={value}")) == seeds
    assert seeds_of(load("variant: nn\nmatrix: {seed: 0..9}\n", f"seed={value}")) == seeds


def test_the_last_setting_of_a_key_holds(load: Load) -> None:
    study = load(STUDY, "lr=1", "lr=3", "name=other", "seed=0..1", "seed=5")
    assert {run.config.lr for run in study.runs} == {3.0}
    assert {run.config.seed for run in study.runs} == {5}
    assert study.name == "other"


def test_a_setting_mends_what_is_wrong_in_the_file(load: Load) -> None:
    assert load("variant: x\nlr: 0\n", "variant=nn", "lr=1").runs[0].config.lr == 1.0


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("lr", "is not of the form key=value"),
        ("lr=", "lr = nothing is not a number greater than 0"),
        ("lr=0", "lr = 0 is not a number greater than 0"),
        ("lrr=1", "unknown key 'lrr'; did you mean 'lr'?"),
        ("seed=x", "seed = 'x' is not a whole number, 0 or more"),
        ("seed=[1, x]", "matrix.seed[1] = 'x' is not a whole number, 0 or more"),
        ("matrix={}", "matrix can be given in the file only"),
        ("arms=a", "arms can be given in the file only"),
        ("published=1", "published can be given in the file only"),
        ("drop_probs=[0.5]", "drop_probs = [0.5] has 1 entries for 2 hidden layers; give one per layer"),
    ],
)
def test_a_wrong_setting_is_named_as_it_was_typed(problems: Problems, setting: str, problem: str) -> None:
    assert problems(STUDY, setting) == [f"--set {setting}: {problem}"]


def test_a_setting_is_to_blame_for_what_it_makes_wrong(problems: Problems) -> None:
    (problem,) = problems("variant: nn\ndrop_probs: [0.1, 0.2]\n", "hidden=[8]")
    assert problem.startswith("--set hidden=[8]: drop_probs = ")


def test_an_arm_that_bears_the_name_of_a_set_key_keeps_its_line(problems: Problems) -> None:
    text = "variant: nn\narms:\n  lr: {momentum: 3}\n"
    assert problems(text, "lr=1") == ["study.yaml:3: arms.lr.momentum = 3 is not a number from 0 to under 1"]


def test_a_setting_that_is_no_yaml_does_not_hide_what_else_is_wrong(problems: Problems) -> None:
    found = problems("variant: nn\nlr: 0\n", "epochs=[", "momentum=1")
    assert found[0].startswith("--set epochs=[:1: not YAML: ")
    assert found[1:] == [
        "study.yaml:2: lr = 0 is not a number greater than 0",
        "--set momentum=1: momentum = 1 is not a number from 0 to under 1",
    ]


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ("0..9", list(range(10))),
        ("0,3,5", [0, 3, 5]),
        ("7", [7]),
        ("0..2,7", [0, 1, 2, 7]),
        (" 3 , 1..2 ", [3, 1, 2]),
        ("1,1", [1]),
    ],
)
def test_seeds_are_ranges_and_lists(load: Load, seeds: str, expected: list[int]) -> None:
    assert seeds_of(load("variant: nn\nseed: 4\n", seeds=seeds)) == expected
    assert seeds_of(load("variant: nn\nmatrix: {seed: 0..3}\n", seeds=seeds)) == expected


@pytest.mark.parametrize("seeds", ["x", "", "3..1", "-1", "1.5", "true", "0,", "0..99999999", "9" * 30, "9" * 5000])
def test_what_are_no_seeds_is_named(problems: Problems, seeds: str) -> None:
    (problem,) = problems("variant: nn\n", seeds=seeds)
    assert problem.startswith(f"--seeds {seeds}: matrix.seed[")
    assert problem.endswith("is not a whole number, 0 or more")


# What identifies a run


def only_run(study: Study) -> PlannedRun:
    (run,) = study.runs
    return run


@pytest.mark.parametrize(
    "text",
    [
        "variant: scratch\nname: other\n",
        "variant: scratch\npublished: {loss: [1]}\n",
        "variant: scratch\nlr: 0.5\nseed: 0\nhidden: [256, 256]\ninit_bias: zeros\n",
        "arms: {a: {variant: scratch}}\n",
        "matrix: {variant: [scratch], lr: [0.5]}\n",
    ],
)
def test_a_run_is_the_same_however_it_is_asked_for(load: Load, text: str) -> None:
    assert only_run(load(text)).digest("cpu") == only_run(load("variant: scratch\n")).digest("cpu")
