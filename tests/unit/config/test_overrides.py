"""Options of the command that set keys: --set and --seeds."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.configs import WRONG_IN_EVERY_SECTION, parsed, problems


def test_a_setting_replaces_a_key_in_every_section() -> None:
    file = parsed("lr: 2\nmatrix: {momentum: [0, 0.5]}\narms: {a: {lr: 1, epochs: 2}}\n", "lr=3", "momentum=0.9")
    assert (file.base, file.axes, file.arms) == ({"lr": 3, "momentum": 0.9}, {}, {"a": {"epochs": 2}})


def test_a_setting_replaces_a_wrong_value_of_the_file() -> None:
    assert parsed("variant: x\nlr: 0\n", "variant=nn", "lr=1").base == {"variant": "nn", "lr": 1}


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("lr", "is not of the form key=value"),
        ("lr=", "lr = nothing is not a number greater than 0"),
        ("lr=0", "lr = 0 is not a number greater than 0"),
        ("lr=[1, 2]", "lr = [1, 2] is not a number greater than 0; for several values use --sweep lr=1,2"),
        ("lrr=1", "unknown key 'lrr' (did you mean 'lr'?)"),
        ("fused=no", "fused = 'no' is not true or false (did you mean false?)"),
        ("hidden=[8, x]", "hidden[1] = 'x' is not a whole number, 1 or more"),
        ("momentum=1", "momentum = 1 is not a number from 0 to under 1"),
        ("seed=x", "seed = 'x' is not a whole number, 0 or more, or a range like 0..4"),
        ("seed=[1, x]", "seed = 'x' is not a whole number, 0 or more"),
        (
            "seed=0,1",
            "seed = '0,1' is not a whole number, 0 or more, or a range like 0..4; for several values use --seeds 0,1",
        ),
        (
            "seed=0..4, 7",
            "seed = '0..4, 7' is not a whole number, 0 or more, or a range like 0..4; for several values use --seeds "
            "0..4,7",
        ),
        ("lr=range(0,1)", "lr = 'range(0,1)' is not a number greater than 0"),
        ("seed=[]", "seed = [] is not a list of values, or a range like 0..4"),
        ("matrix={}", "matrix cannot be set by an option; --sweep KEY=a,b adds an axis"),
        ("matrix.lr=[1, 2]", "matrix cannot be set by an option; --sweep lr=a,b adds an axis"),
        ("matrix.seed=0..4", "matrix cannot be set by an option; --seeds 0..9 replaces the seeds"),
        ("lr=0.1,0.5", "lr = '0.1,0.5' is not a number greater than 0; for several values use --sweep lr=0.1,0.5"),
        ("lr=0.1,epochs=2", "one key per --set: --set lr=0.1 --set epochs=2"),
        ("lr=0.1;epochs=2", "one key per --set: --set lr=0.1 --set epochs=2"),
        ("lr=0.1 epochs=2", "one key per --set: --set lr=0.1 --set epochs=2"),
        ("hidden=[8, 8], lr=1, epochs=2", "one key per --set: --set 'hidden=[8, 8]' --set lr=1 --set epochs=2"),
        ("lr:0.1", "is not of the form key=value (did you mean lr=0.1?)"),
        ("sgd.lr=0.1", "unknown key 'sgd.lr'; keys cannot be nested: it is 'lr' alone"),
        ("epochs=5..2", "epochs = '5..2' is not a whole number, 1 or more; for several values use --sweep epochs=2..5"),
        (
            "labels.a=x",
            "labels cannot be set by an option; edit labels.a in study.yaml, or in a copy of it with another `name`",
        ),
        ("arms=a", "arms cannot be set by an option; edit arms in study.yaml, or in a copy of it with another `name`"),
        (
            "tune.trials=4",
            "tune cannot be set by an option; edit tune.trials in study.yaml, or in a copy of it with another `name`",
        ),
    ],
)
def test_a_wrong_setting_is_reported_as_typed(setting: str, problem: str) -> None:
    text = "variant: nn\nmatrix: {seed: [7, 8], momentum: [0, 0.5]}\narms: {a: {epochs: 1}, b: {epochs: 2}}\n"
    assert problems(text, setting) == [f"--set {setting}: {problem}"]


def test_an_arm_with_the_name_of_a_set_key_keeps_its_line() -> None:
    text = "variant: nn\narms:\n  lr: {momentum: 3}\n"
    assert problems(text, "lr=1") == ["study.yaml:3: arms.lr.momentum = 3 is not a number from 0 to under 1"]


@pytest.mark.parametrize(
    "setting", ["epochs=[", "epochs={a: b: c}", "epochs='", "epochs=!!int x", "epochs={a: 1, a: 2}"]
)
def test_a_setting_that_is_not_yaml_hides_no_other_problems(setting: str) -> None:
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
        ("007..010", [7, 8, 9, 10]),
        ("1e1", [10]),
        ("8..1e1,0x10", [8, 9, 10, 16]),
        ("0x1..0x3", [1, 2, 3]),
        ("1.0 .. +2.0", [1, 2]),
    ],
)
@pytest.mark.parametrize("text", ["lr: 1\n", "seed: 4\n", "matrix: {seed: 0..3}\n", "arms: {a: {seed: 1}}\n"])
def test_seeds_are_ranges_and_lists(text: str, seeds: str, expected: list[int]) -> None:
    file = parsed(text, seeds=seeds)
    assert file.axes == {"seed": expected}
    assert "seed" not in {*file.base, *(key for keys in file.arms.values() for key in keys)}


@pytest.mark.parametrize(
    ("seeds", "twice"), [("1,1", "1 is"), ("0..2,1,2", "1, 2 are"), ("0..9,0..9", "0, 1, 2, … are")]
)
def test_a_seed_that_is_given_twice_is_reported(seeds: str, twice: str) -> None:
    what = f"seed: {twice} given twice; give each value once"
    assert problems("variant: nn\n", seeds=seeds) == [f"--seeds {seeds}: {what}"]


INVALID_SEEDS = ["x", "", "-1", "1.5", "true", "9" * 30, "9" * 5000]


@pytest.mark.parametrize("seeds", INVALID_SEEDS)
def test_invalid_seeds_are_reported(seeds: str) -> None:
    (problem,) = problems("variant: nn\n", seeds=seeds)
    assert problem.startswith(f"--seeds {seeds}: seed = ")
    largest = "; the largest is 9,223,372,036,854,775,807" if seeds == "9" * 30 else ""
    assert problem.endswith(f" is not a whole number, 0 or more, or a range like 0..4{largest}")


@pytest.mark.parametrize(("seeds", "part"), [("0,", "''"), ("0,x,2", "'x'")])
def test_only_the_invalid_part_of_seeds_is_reported(seeds: str, part: str) -> None:
    assert problems("variant: nn\n", seeds=seeds) == [
        f"--seeds {seeds}: seed = {part} is not a whole number, 0 or more, or a range like 0..4"
    ]


@pytest.mark.parametrize(
    ("part", "what"),
    [
        (
            "3..1",
            "is not a whole number, 0 or more, or a range like 0..4 (did you mean 1..3?)",
        ),
        ("0..99999999", "is not a range of 1 to 100,000 seeds"),
        ("0..1e8", "is not a range of 1 to 100,000 seeds"),
        ("1e1..0x8", "is not a whole number, 0 or more, or a range like 0..4 (did you mean 8..10?)"),
        ("0.5..2", "is not a whole number, 0 or more, or a range like 0..4"),
    ],
)
def test_a_backward_or_too_long_range_is_reported(part: str, what: str) -> None:
    assert problems("variant: nn\n", seeds=f"1..2,{part}") == [f"--seeds 1..2,{part}: seed = '{part}' {what}"]
    assert problems("variant: nn\n", f"seed={part}") == [f"--set seed={part}: seed = '{part}' {what}"]


@pytest.mark.parametrize("values", ["0..1e5", "0..1e9", "0..99999999"])
def test_a_range_in_the_matrix_that_is_too_long_is_reported_as_one(values: str) -> None:
    too_long = f"study.yaml:2: matrix.seed = '{values}' is not a range of 1 to 100,000 values"
    assert problems(f"matrix:\n  seed: {values}\n") == [too_long]
    assert problems(f"matrix:\n  variant: {values}\n")[0].endswith(" is not a list of values, or a range like 0..4")


@pytest.mark.parametrize("number", ["1e16", "9007199254740993.0", "1e17"])
def test_a_float_that_may_not_be_exact_is_refused_as_a_whole_number(number: str) -> None:
    exact = "; use digits only: with a point or an exponent, numbers are exact only up to 9,007,199,254,740,991"
    for key, allowed in (("seed", "0 or more"), ("epochs", "1 or more")):
        (problem,) = problems(f"variant: nn\n{key}: {number}\n")
        assert problem == f"study.yaml:2: {key} = {float(number)} is not a whole number, {allowed}{exact}"
    assert parsed("seed: 9007199254740991.0").base == {"seed": 9007199254740991}


def test_an_option_with_line_breaks_is_reported_on_one_line() -> None:
    assert problems("variant: nn", "variant=\r")[0].startswith(r"--set 'variant=\r': ")
    assert problems("variant: nn", seeds="1\n,x")[0].startswith(r"--seeds '1\n,x': ")


@pytest.mark.parametrize("comments", [0, 1, 100])
def test_problems_of_options_are_listed_last(comments: int) -> None:
    comment = "# a comment\n" * comments
    found = problems(f"{comment}{WRONG_IN_EVERY_SECTION}", "epochs=0", "momentun=1", seeds="x")
    assert [problem.startswith("study.yaml:") for problem in found] == [True] * 10 + [False] * 3
    assert set(found[10:]) == {
        "--set epochs=0: epochs = 0 is not a whole number, 1 or more",
        "--set momentun=1: unknown key 'momentun' (did you mean 'momentum'?)",
        "--seeds x: seed = 'x' is not a whole number, 0 or more, or a range like 0..4",
    }


# Sweeps


@pytest.mark.parametrize(
    ("sweep", "key", "values"),
    [
        ("lr=0.1,0.5", "lr", [0.1, 0.5]),
        ("lr = 0.1 , 0.5", "lr", [0.1, 0.5]),
        ("lr=[0.1, 0.5]", "lr", [0.1, 0.5]),
        ("lr=0.1", "lr", [0.1]),
        ("epochs=2..4", "epochs", [2, 3, 4]),
        ("epochs=0x2..4e0", "epochs", [2, 3, 4]),
        ("epochs=1e1,20", "epochs", [10, 20]),
        ("variant=none,nn", "variant", ["none", "nn"]),
        ("hidden=[8, 8],[16, 16]", "hidden", [[8, 8], [16, 16]]),
        ("hidden=[[8, 8], [16, 16]]", "hidden", [[8, 8], [16, 16]]),
        ("hidden=[8, 8]", "hidden", [[8, 8]]),
        ("train_size=1000,all", "train_size", [1000, None]),
        ("probes=[mc: 5],[]", "probes", [[{"mc": 5}], []]),
    ],
)
def test_a_sweep_replaces_a_key_by_an_axis(sweep: str, key: str, values: list[Any]) -> None:
    text = f"{key}: &v null\nmatrix: {{{key}: [1]}}\narms: {{a: {{{key}: 1}}, b: {{momentum: 0.5}}}}\n"
    file = parsed(text, sweeps=(sweep,))
    assert (file.base, file.axes, file.arms) == ({}, {key: values}, {"a": {}, "b": {"momentum": 0.5}})


@pytest.mark.parametrize(
    ("sweep", "problem"),
    [
        ("lr", "is not of the form key=a,b"),
        ("lr=1,2,epochs=2,3", "one key per --sweep: --sweep lr=1,2 --sweep epochs=2,3"),
        ("lr=", "lr = [] is not a list of values, or a range like 0..4"),
        ("lr=0.1,x", "lr = 'x' is not a number greater than 0"),
        ("lrr=1,2", "unknown key 'lrr' (did you mean 'lr'?)"),
        ("name=a,b", "name has no values to sweep; name a key of a run, such as lr=0.1,0.5"),
        ("lr=0.1,0.1", "lr: 0.1 is given twice; give each value once"),
        (
            "epochs=5..2",
            "epochs = '5..2' is not a list of values, or a range like 0..4 (did you mean 2..5?)",
        ),
        (
            "drop_probs=0.3,0.4",
            "drop_probs = 0.3 is not a list with the drop probability of each hidden layer, such as [0.2, 0.5]; "
            "the same for each layer: --sweep 'drop_probs=[0.3, 0.3],[0.4, 0.4]'",
        ),
        ("matrix.lr=1,2", "matrix.lr has no values to sweep; name a key of a run, such as lr=0.1,0.5"),
    ],
)
def test_a_wrong_sweep_is_reported_as_typed(sweep: str, problem: str) -> None:
    assert problems("variant: nn\n", sweeps=(sweep,)) == [f"--sweep {sweep}: {problem}"]


@pytest.mark.parametrize("text", ["variant: nn\n", "name: own\nvariant: nn\n"])
def test_an_empty_name_is_not_ignored(text: str) -> None:
    (problem,) = problems(text, "name=")
    assert problem.startswith("--set name=: name = nothing is not text")


def test_a_name_like_several_settings_is_a_name() -> None:
    assert parsed("variant: nn\n", "name=nn,lr=0.1").name == "nn,lr=0.1"


@pytest.mark.parametrize("setting", ["hidden=[8,", "hidden={"])
def test_the_message_for_an_unclosed_bracket_names_the_shell_as_the_cause(setting: str) -> None:
    (problem,) = problems("variant: nn\n", setting)
    assert problem.endswith("the shell splits a value at spaces: write it in quotes, such as 'hidden=[64, 64]'")
