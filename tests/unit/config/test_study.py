"""Plan the runs of a config file, or report conflicts between its keys."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers.configs import Load, Problems

from dropexp.config.planned_run import PlannedRun
from dropexp.config.study import Study, load_config
from dropexp.config.variant_table import VARIANTS
from dropexp.errors import ConfigError

NAMES = ", ".join(VARIANTS)


def cells(study: Study) -> list[str]:
    return [run.cell for run in study.runs]


def seeds_of(study: Study) -> list[int]:
    return [run.config.seed for run in study.runs]


# Files


def test_the_smallest_config_is_one_run_with_the_books_defaults(load: Load) -> None:
    study = load("variant: nn\n")
    (run,) = study.runs
    assert study.name == run.name == "study"  # the file's stem
    assert (run.arm, run.cell) == (None, "seed=0")
    assert (run.config.lr, run.config.drop_probs, study.published) == (0.5, [0.2, 0.5], {})


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: no such file"):
        load_config(tmp_path / "absent.yaml")


def test_a_link_to_a_missing_file_is_reported_as_that(tmp_path: Path) -> None:
    (tmp_path / "l.yaml").symlink_to("absent.yaml")
    with pytest.raises(ConfigError, match=r"l\.yaml: a link to a file that does not exist"):
        load_config(tmp_path / "l.yaml")


def test_a_folder_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(tmp_path)
    why = "Permission denied" if os.name == "nt" else "Is a directory"
    assert str(error.value) == f"{tmp_path}: cannot be read: {why}"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("variant: nn\n".encode("utf-16"), ": is UTF-16; save it as UTF-8"),
        ("variant: nn\n".encode("utf-16-le"), ": is UTF-16; save it as UTF-8"),
        ("variant: nn\n".encode("utf-16-be"), ": is UTF-16; save it as UTF-8"),
        ("variant: nn\n".encode("utf-32"), ": is UTF-32; save it as UTF-8"),
        (
            "variant: nn\nname: é\n".encode("latin-1"),
            ":2: has the byte 0xe9, which is not UTF-8; save the file as UTF-8",
        ),
        (b"\x80\x04\x95\x00", ":1: has the byte 0x80, which is not UTF-8; is it a config?"),
        (b"variant: nn\nname: a\0\n", ":2: has a null character; remove it"),
        (b"variant\0\1\2\3\n", ":1: has a null character; is it a config?"),
    ],
)
def test_a_file_that_is_not_utf_8_is_rejected_with_its_encoding(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "study.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load_config(tmp_path / "study.yaml")
    assert str(error.value) == f"{tmp_path / 'study.yaml'}{problem}"


def test_a_byte_order_mark_of_utf_8_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_bytes(b"\xef\xbb\xbfvariant: nn\r\n")
    assert load_config(tmp_path / "study.yaml").runs[0].config.variant == "nn"


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "long.yaml"
    file.write_text("variant: nn\n" + "# a comment\n" * 50_000)
    with pytest.raises(ConfigError, match=r"long\.yaml: more than 500,000 bytes, too many for a config"):
        load_config(file)


def test_wrong_values_are_reported_before_conflicts_between_keys(problems: Problems) -> None:
    assert problems("drop_probs: [0.5]\nlr: 0\n") == ["study.yaml:2: lr = 0 is not a number greater than 0"]


@pytest.mark.parametrize(
    ("stem", "instead"), [("-x", "x"), ("dropout (1)", "dropout-1"), ("Kopie von: a", "Kopie-von-a"), ("#", "study")]
)
def test_a_file_that_cannot_name_its_study_is_reported_with_a_line_that_does(
    stem: str, instead: str, tmp_path: Path
) -> None:
    file = tmp_path / f"{stem}.yaml"
    file.write_text("variant: nn\n")
    with pytest.raises(ConfigError) as error:
        load_config(file)
    what = f"a study is named after its file, and {stem!r} cannot name a folder; add a line `name: …`, such as"
    assert str(error.value) == f"{file}: {what} `name: {instead}`"
    assert load_config(file, [f"name={instead}"]).name == instead
    file.write_text(f"name: {instead}\nvariant: nn\n")
    assert load_config(file).name == instead


def test_a_study_has_the_published_figures(load: Load) -> None:
    assert load("variant: nn\npublished: {arm: nn, loss: [1]}\n").published == {"arm": "nn", "loss": [1.0]}


# Conflicts between keys


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
def test_a_wrong_number_of_probabilities_is_reported_at_the_innermost_line(
    problems: Problems, text: str, line: int
) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"study.yaml:{line}: drop_probs = ")
    assert problem.endswith("give one per layer")


def test_too_many_images_are_reported_at_the_innermost_line(problems: Problems) -> None:
    assert problems("variant: nn\ntrain_size: 59999\narms:\n  a: {validation_size: 2}\n") == [
        "study.yaml:4: train_size = 59999 and validation_size = 2 are together more than the 60000 training images"
    ]


def test_a_mask_that_nn_does_not_support_is_reported_with_its_line(problems: Problems) -> None:
    assert problems("variant: nn\nmask: randn-2019\n") == [
        "study.yaml:2: mask = randn-2019 is not supported by nn, which samples its own mask; use scratch"
    ]


def test_conflicts_are_reported_together_in_the_order_of_lines(problems: Problems) -> None:
    text = "variant: nn\narms:\n  c: {train_size: 60000}\n  b: {mask: randn-2019}\n  a: {drop_probs: [0.1]}\n"
    assert [problem.partition(" = ")[0] for problem in problems(text, "validation_size=10")] == [
        "study.yaml:4: mask",
        "study.yaml:5: drop_probs",
        "--set validation_size=10: train_size",
    ]


def test_adam_without_lr_is_reported_where_it_is_chosen(problems: Problems) -> None:
    text = "variant: nn\narms:\n  sgd: {momentum: 0.9}\n  adam: {optimizer: adam}\n  book: {sgd: book}\n"
    needs_lr = "optimizer = adam needs lr, such as 0.001; its default is a rate for sgd"
    remedy = "is not supported by optimizer = adam; remove it, or use optimizer: sgd"
    assert problems(text) == [f"study.yaml:4: {needs_lr}"]
    assert problems(text, "optimizer=adam") == [
        f"--set optimizer=adam: {needs_lr}",
        f"--set optimizer=adam: momentum = 0.9 {remedy}",
        f"--set optimizer=adam: sgd = book {remedy}",
    ]


def test_every_conflict_of_a_run_is_reported(problems: Problems) -> None:
    text = "variant: nn\nmask: randn-2019\nnesterov: true\ndrop_probs: [0.1]\n"
    assert [problem.partition(" = ")[0] for problem in problems(text)] == [
        "study.yaml:2: mask",
        "study.yaml:3: nesterov",
        "study.yaml:4: drop_probs",
    ]


def test_a_conflict_of_many_runs_is_one_problem(problems: Problems) -> None:
    text = "variant: nn\nmask: randn-2019\nnesterov: true\nmatrix: {seed: 0..149}\n"
    assert [problem.partition(" = ")[0] for problem in problems(text)] == [
        "study.yaml:2: mask",
        "study.yaml:3: nesterov",
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


def test_a_matrix_that_is_too_large_is_rejected_before_it_is_built(problems: Problems) -> None:
    axes = "".join(f"  {key}: [{', '.join(map(str, range(1, 1001)))}]\n" for key in ("lr", "epochs", "batch_size"))
    assert problems(f"variant: nn\nmatrix:\n{axes}") == [
        "study.yaml:2: 1000000000 runs are too many; a config can have 100000"
    ]


def test_an_arm_overrides_keys_at_the_top(load: Load) -> None:
    study = load("variant: nn\nlr: 1\narms: {wide: {hidden: [512, 512]}, fast: {lr: 2}}\n")
    assert [(run.arm, run.config.hidden, run.config.lr) for run in study.runs] == [
        ("wide", [512, 512], 1.0),
        ("fast", [256, 256], 2.0),
    ]
    assert cells(study) == ["arm=wide,seed=0", "arm=fast,seed=0"]


def test_every_arm_is_combined_with_every_point_of_the_matrix(load: Load) -> None:
    study = load("matrix: {seed: 0..1}\narms: {a: {variant: none}, b: {variant: nn}}\n")
    assert cells(study) == ["arm=a,seed=0", "arm=a,seed=1", "arm=b,seed=0", "arm=b,seed=1"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lr: 1\n", f"study.yaml:1: this file has no variant; add one of {NAMES}"),
        ("matrix: {seed: 0..4}\n", f"study.yaml:1: this file has no variant; add one of {NAMES}"),
        (
            "arms:\n  a: {variant: nn}\n  b: {lr: 1}\n",
            f"study.yaml:3: arm 'b' has no variant; add one of {NAMES}",
        ),
    ],
)
def test_a_missing_variant_is_reported_once(problems: Problems, text: str, problem: str) -> None:
    assert problems(text) == [problem]


def test_runs_that_differ_only_in_unused_keys_are_one(load: Load) -> None:
    study = load("matrix:\n  variant: [none, nn]\n  drop_probs: [[0.1, 0.1], [0.2, 0.2]]\n  seed: 0..1\n")
    assert cells(study) == [
        "variant=none,seed=0",
        "variant=none,seed=1",
        "variant=nn,drop_probs=0.1+0.1,seed=0",
        "variant=nn,drop_probs=0.1+0.1,seed=1",
        "variant=nn,drop_probs=0.2+0.2,seed=0",
        "variant=nn,drop_probs=0.2+0.2,seed=1",
    ]


def test_different_runs_with_equal_hashes_are_both_planned(load: Load) -> None:
    study = load("variant: nn\nmatrix: {seed: [10875, 12313]}\n")
    assert len({run.digest("any") for run in study.runs}) == 1
    assert seeds_of(study) == [10875, 12313]


def test_equal_runs_of_one_arm_are_one(load: Load) -> None:
    study = load("matrix: {drop_probs: [[0.1, 0.1], [0.2, 0.2]]}\narms: {a: {variant: none}, b: {variant: nn}}\n")
    assert cells(study) == ["arm=a,seed=0", "arm=b,drop_probs=0.1+0.1,seed=0", "arm=b,drop_probs=0.2+0.2,seed=0"]


def test_runs_that_differ_only_in_an_unused_init_std_are_one(load: Load) -> None:
    assert cells(load("variant: nn\ninit: torch\nmatrix: {init_std: [0.1, 0.2]}\n")) == ["seed=0"]


@pytest.mark.parametrize("arms", ["arms:\n  a: {}\n  b: {}\n", "arms:\n  a: &a {lr: 1}\n  b: *a\n"])
@pytest.mark.parametrize("matrix", ["", "matrix: {seed: 0..4}\n"])
def test_two_arms_with_equal_keys_are_reported_once(problems: Problems, arms: str, matrix: str) -> None:
    same = "study.yaml:4: arm 'b' has the same runs as arm 'a'"
    assert problems(f"variant: none\n{arms}{matrix}") == [same]


@pytest.mark.parametrize("keys", ["{lr: 0.5}", "{drop_probs: [0.1, 0.1]}", "{mask: randn-2019, init_std: 0.01}"])
def test_two_arms_that_differ_only_in_unused_keys_are_reported(problems: Problems, keys: str) -> None:
    same = "study.yaml:4: arm 'b' has the same runs as arm 'a'"
    assert problems(f"variant: none\narms:\n  a: {{}}\n  b: {keys}\n") == [same]


def test_each_arm_that_repeats_another_is_reported(problems: Problems) -> None:
    text = "variant: nn\narms:\n  a: {}\n  b: {lr: 1}\n  c: {}\n  d: {lr: 1}\n  e: {}\n"
    assert problems(text) == [
        "study.yaml:5: arm 'c' has the same runs as arm 'a'",
        "study.yaml:6: arm 'd' has the same runs as arm 'b'",
        "study.yaml:7: arm 'e' has the same runs as arm 'a'",
    ]


def test_two_arms_that_a_setting_makes_equal_are_reported(load: Load, problems: Problems) -> None:
    text = "variant: nn\narms:\n  a: {lr: 1}\n  b: {lr: 2}\n"
    assert cells(load(text)) == ["arm=a,seed=0", "arm=b,seed=0"]
    (problem,) = problems(text, "lr=3")
    assert problem.endswith(": arm 'b' has the same runs as arm 'a', because of --set lr=3")


def test_a_cell_is_a_short_valid_file_name(load: Load) -> None:
    (run,) = load("variant: nn\narms: {with a space: {lr: 1e-5}}\n").runs
    assert run.cell == "arm=with-a-space,seed=0"
    (wide,) = load(f"variant: nn\nmatrix: {{hidden: [[{'256, ' * 80}]], drop_probs: [[{'0.5, ' * 80}]]}}\n").runs
    assert len(wide.cell) == 120


# Options of the command


STUDY = """\
variant: nn
lr: 2
matrix: {seed: [7, 8], momentum: [0, 0.5]}
arms: {a: {epochs: 1}, b: {epochs: 2, batch_size: 8}}
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
def test_a_setting_replaces_a_key_in_every_run(load: Load, setting: str, key: str, value: object) -> None:
    runs = load(STUDY, setting).runs
    assert len(runs) >= 4
    assert [getattr(run.config, key) for run in runs] == [value] * len(runs)


@pytest.mark.parametrize(("value", "seeds"), [("0..3", [0, 1, 2, 3]), ("[4, 2]", [4, 2]), ("6", [6])])
def test_seeds_can_be_set(load: Load, value: str, seeds: list[int]) -> None:
    assert seeds_of(load("variant: nn\nseed: 1\n", f"seed={value}")) == seeds
    assert seeds_of(load("variant: nn\nmatrix: {seed: 0..9}\n", f"seed={value}")) == seeds


@pytest.mark.parametrize("seeds", ["\x1c1", "1\x1f", "\u00a01"])
def test_blanks_around_a_seed_are_ignored(load: Load, seeds: str) -> None:
    assert seeds_of(load("variant: nn\n", seeds=seeds)) == [1]


def test_too_many_seeds_are_rejected_before_they_are_listed(problems: Problems) -> None:
    (problem,) = problems("variant: nn\n", seeds=",".join(["0..99999"] * 10_000))
    assert "100001 runs are too many; a config can have 100000" in problem


def test_the_last_setting_of_a_key_wins(load: Load) -> None:
    study = load(STUDY, "lr=1", "lr=3", "name=other", "seed=0..1", "seed=5")
    assert {run.config.lr for run in study.runs} == {3.0}
    assert {run.config.seed for run in study.runs} == {5}
    assert study.name == "other"


@pytest.mark.parametrize("setting", ["hidden=[8]", "drop_probs=[0.5]"])
@pytest.mark.parametrize("text", ["variant: nn\n", STUDY, "variant: nn\nhidden: [8, 8]\ndrop_probs: [0.1, 0.2]\n"])
def test_a_conflict_caused_by_a_setting_is_reported_with_the_option(
    problems: Problems, text: str, setting: str
) -> None:
    (problem,) = problems(text, setting)
    assert problem.startswith(f"--set {setting}: drop_probs = ")


# Hashes


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
def test_equivalent_configs_have_the_same_hash(load: Load, text: str) -> None:
    assert only_run(load(text)).digest("cpu") == only_run(load("variant: scratch\n")).digest("cpu")
