"""The section `tune` of a config: what it searches for each arm, and what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.configs import Load, Problems

from dropexp.config.search import Search
from dropexp.config.study import Study

FAIR = """\
name: fair-5000
train_size: 5000
validation_size: 10000
epochs: 60
lr_schedule: cosine
arms:
  none:    {variant: none}
  pixels:  {variant: scratch, drop_probs: [0, 0]}
  hidden:  {variant: scratch}
tune:
  trials: 4                        # per arm, the same for all
  repeats: 2                       # independent searches; the unit of comparison
  space:
    lr: {log: [0.005, 0.5]}
    momentum: {choice: [0.0, 0.9]}
    weight_decay: {log: [1e-6, 1e-2]}
    drop_probs: {each: [0.0, 0.8]}          # per layer; only arms that leave it open
    input_drop_prob: {uniform: [0.0, 0.5]}
"""
HEAD = "variant: scratch\nvalidation_size: 100\n"
LR = "lr: {log: [0.1, 1]}"


def section(space: str = LR, trials: Any = 2, repeats: Any = 1) -> str:
    """Return the section tune; of a config that starts with HEAD, the space is in line 6."""
    return f"tune:\n  trials: {trials}\n  repeats: {repeats}\n  space: {{{space}}}\n"


def searches_of(study: Study, arm: str | None = None) -> list[Search]:
    return [search for search in study.searches if search.arm == arm]


def keys_of(study: Study, arm: str | None = None) -> list[str]:
    """Return the keys that each search of an arm draws."""
    (keys,) = {tuple(search.space) for search in searches_of(study, arm)}
    return list(keys)


# What is searched


def test_each_arm_searches_the_keys_that_it_uses_and_does_not_fix(load: Load) -> None:
    study = load(FAIR)
    assert keys_of(study, "none") == ["lr", "momentum", "weight_decay"]
    assert keys_of(study, "pixels") == ["lr", "momentum", "weight_decay", "input_drop_prob"]
    assert keys_of(study, "hidden") == ["lr", "momentum", "weight_decay", "drop_probs", "input_drop_prob"]
    assert all(run.config.drop_probs == [0, 0] for run in study.runs if run.arm == "pixels")


def test_every_arm_has_the_same_number_of_trials_in_each_repeat(load: Load) -> None:
    study = load(FAIR)
    assert [(search.arm, search.repeat) for search in study.searches] == [
        (arm, repeat) for arm in ("none", "pixels", "hidden") for repeat in (0, 1)
    ]
    assert {len(search.points) for search in study.searches} == {4} and len(study.runs) == 24
    assert [run.cell for run in study.runs[:5]] == [
        *(f"arm=none,trial={trial},seed=0" for trial in range(4)),
        "arm=none,trial=0,seed=1",
    ]


def test_trials_have_the_seed_of_their_repeat_and_the_values_of_their_point(load: Load) -> None:
    for search in load(FAIR).searches:
        for point, trial in zip(search.points, search.trials, strict=True):
            assert trial.config.seed == search.repeat
            assert {key: getattr(trial.config, key) for key in point} == point


def test_trials_have_neither_test_figures_nor_probes_and_tested_runs_have_both(load: Load) -> None:
    (search,) = load(f"{HEAD}probes: [calibration]\n{section()}").searches
    assert all((trial.config.eval_test, trial.config.probes) == (False, []) for trial in search.trials)
    tested = search.tested(1).config
    assert (tested.eval_test, tested.probes, tested.seed) == (True, ["calibration"], 1000)
    assert (tested.lr, tested.validation_size) == (search.points[1]["lr"], 100)


def test_tested_runs_of_a_repeat_have_the_same_seed_in_all_arms(load: Load) -> None:
    study = load(FAIR)
    assert {(search.repeat, search.seed) for search in study.searches} == {(0, 1000), (1, 1001)}
    assert len(study.seeds) == 3 and all(seeds == [1000, 1001] for seeds in study.seeds.values())


def test_a_run_has_its_part_in_the_search_and_the_hash_ignores_it(load: Load) -> None:
    search = load(FAIR).searches[1]
    trial, tested = search.trials[2], search.tested(2, {"val_acc": 0.8})
    assert trial.tuning and tested.tuning
    assert (trial.tuning.role, trial.tuning.repeat, trial.tuning.trial) == ("trial", 1, 2)
    assert (tested.tuning.role, tested.tuning.repeat, tested.tuning.trial) == ("tested", 1, 2)
    assert tested.tuning.selection == {"val_acc": 0.8} and trial.tuning.selection is None
    assert tested.cell == "arm=none,selected=2,seed=1001"
    assert tested.digest("cpu") == search.tested(2).digest("cpu")


def test_an_arm_fixes_a_key_for_itself(load: Load) -> None:
    study = load(FAIR.replace("{variant: none}", "{variant: none, lr: 0.3}"))
    assert "lr" not in keys_of(study, "none") and "lr" in keys_of(study, "hidden")
    assert {run.config.lr for run in study.runs if run.arm == "none"} == {0.3}


def test_an_option_fixes_a_key_for_all_arms(load: Load) -> None:
    study = load(FAIR, "lr=0.3", "train_size=200")
    assert all("lr" not in search.space for search in study.searches)
    assert {(run.config.lr, run.config.train_size) for run in study.runs} == {(0.3, 200)}


def test_a_search_without_open_keys_has_one_run_that_counts_as_every_trial(load: Load) -> None:
    study = load(HEAD + section(trials=5), "lr=0.3")
    assert len(study.searches[0].points) == 5 and len(study.runs) == 1


def test_choices_that_are_drawn_twice_train_once(load: Load) -> None:
    study = load(HEAD + section("lr: {choice: [0.1, 0.2]}", trials=8))
    assert len(study.searches[0].trials) == 8 and len(study.runs) == 2


def test_another_axis_of_the_matrix_gets_searches_of_its_own(load: Load) -> None:
    study = load(f"{HEAD}matrix: {{train_size: [500, 1000]}}\n{section(repeats=2)}")
    assert [(search.cell["train_size"], search.repeat) for search in study.searches] == [
        (500, 0),
        (500, 1),
        (1000, 0),
        (1000, 1),
    ]
    assert len({search.digest for search in study.searches}) == 4
    assert study.runs[0].cell == "train_size=500,trial=0,seed=0"


def test_drop_probs_have_an_entry_per_hidden_layer(load: Load) -> None:
    study = load(f"{HEAD}matrix: {{hidden: [[8], [8, 4]]}}\n{section('drop_probs: {each: [0, 0.8]}')}")
    assert [len(search.points[0]["drop_probs"]) for search in study.searches] == [1, 2]


def test_a_key_that_only_some_choices_use_is_searched_whatever_their_order(load: Load) -> None:
    for choices in ("[torch, normal]", "[normal, torch]"):
        study = load(HEAD + section(f"init: {{choice: {choices}}}, init_std: {{log: [0.01, 0.1]}}"))
        assert keys_of(study) == ["init", "init_std"]


def test_arms_and_repeats_draw_other_points_and_more_trials_keep_the_first(load: Load) -> None:
    few, many = load(FAIR), load(FAIR.replace("trials: 4", "trials: 9"))
    lrs = [point["lr"] for search in few.searches for point in search.points]
    assert len(set(lrs)) == len(lrs)
    for one, more in zip(few.searches, many.searches, strict=True):
        assert more.digest == one.digest and more.points[:4] == one.points


def test_repeats_can_be_a_range(load: Load) -> None:
    assert [search.repeat for search in load(HEAD + section(repeats="8..10")).searches] == [8, 9, 10]


def test_a_range_of_whole_numbers_draws_whole_numbers_if_the_key_takes_no_others(load: Load) -> None:
    study = load(HEAD + section("batch_size: {log: [8, 256]}, momentum: {uniform: [0, 0.9]}, lr: {log: [1, 9]}"))
    assert all(type(point["batch_size"]) is int for point in study.searches[0].points)
    assert any(point["lr"] % 1 for point in study.searches[0].points)


# What is wrong


@pytest.mark.parametrize(
    ("tune", "problem"),
    [
        ("tune: 3\n", "3: tune = 3 is not a mapping with the keys trials, repeats, space"),
        (section() + "  sampler: tpe\n", "7: unknown key 'sampler'; the keys of tune are trials, repeats, space"),
        (section("lrate: {log: [0.1, 1]}"), "6: unknown key 'lrate' (did you mean 'lr'?)"),
        (section("learning_rate: {log: [0.1, 1]}"), "6: unknown key 'learning_rate' ("),
        (section("keep_prob: {uniform: [0.1, 1]}"), "6: unknown key 'keep_prob'; drop_probs are probabilities to DROP"),
        *(
            (section(trials=trials), f"4: tune.trials = {shown} is not a whole number, 1 to 100,000")
            for trials, shown in ((0, "0"), (2.5, "2.5"), ("true", "true"), (100_001, "100001"), ("", "nothing"))
        ),
        *(
            (section(repeats=repeats), f"5: tune.repeats = {shown} is not a whole number, 1 to 1,000, or ")
            for repeats, shown in (
                (0, "0"),
                (1001, "1001"),
                ("3..1", "'3..1'"),
                ("0..1000", "'0..1000'"),
                ("", "nothing"),
            )
        ),
        (section(""), "6: tune.space = {} is not a mapping of keys, such as lr: {log: [0.01, 0.5]}"),
        *(
            (section(f"lr: {form}"), f"6: tune.space.lr = {shown} is not of the form {{uniform: [low, high]}}, ")
            for form, shown in (
                ("0.1", "0.1"),
                ("{log: [0.1, 1], choice: [1]}", "{'log': [0.1, 1], 'choice': [1]}"),
                ("{normal: [0, 1]}", "{'normal': [0, 1]}"),
                ("{log: 3}", "{'log': 3}"),
                ("{choice: []}", "{'choice': []}"),
            )
        ),
        *(
            (section(f"lr: {{uniform: {ends}}}"), f"6: tune.space.lr.uniform = {ends} is not [low, high], ")
            for ends in ("[0.1]", "[0.1, 0.2, 0.3]", "[0.5, 0.1]", "[0.1, 0.1]", "[0.1, True]")
        ),
        (section("lr: {log: [0, 1]}"), "6: tune.space.lr.log starts at 0, which has no logarithm; use "),
        (section("lr: {uniform: [0, 1]}"), "6: tune.space.lr.uniform[0] = 0 is not a number greater than 0"),
        (section("lr: {choice: [0.1, x]}"), "6: tune.space.lr.choice[1] = 'x' is not a number greater than 0"),
        (section("lr: {choice: [[1, 2]]}"), "6: tune.space.lr.choice[0] = [1, 2] is not a number greater than 0"),
        (section("lr: {each: [0.1, 1]}"), "6: tune.space.lr.each: lr has one value; use uniform, log or choice"),
        (section("drop_probs: {uniform: [0, 1]}"), "6: tune.space.drop_probs.uniform: drop_probs has an entry "),
        (section("drop_probs: {each: [0, 1.5]}"), "6: tune.space.drop_probs.each[1][0] = 1.5 is not a probability"),
        (section("batch_size: {uniform: [1.5, 4]}"), "6: tune.space.batch_size.uniform[0] = 1.5 is not a whole "),
        *(
            (section(f"{key}: {{choice: {values}}}"), f"6: '{key}' cannot be searched: it belongs to the question, ")
            for key, values in (("variant", "[nn]"), ("seed", "[1]"), ("epochs", "[1]"), ("eval_test", "[true]"))
        ),
        (section("momentum: {choice: [0, 0.9]}, nesterov: {choice: [true]}", 9), "6: nesterov = true needs a momentum"),
        (section("drop_probs: {choice: [[0.1]]}"), "6: drop_probs = [0.1] has 1 entry for 2 hidden layers"),
        (section(trials=100_000), "3: 100001 runs are too many; a config can have 100000"),
    ],
)
def test_each_problem_is_reported_with_its_line(tune: str, problem: str, problems: Problems) -> None:
    (found,) = problems(HEAD + tune)
    assert found.startswith(f"study.yaml:{problem}")


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        ("lr: 0.1\n", "7: 'lr' is in tune.space and at the top; keep one"),
        ("matrix: {lr: [0.1, 0.2]}\n", "7: 'lr' is in tune.space and in the matrix; keep one"),
        ("arms: {a: {lr: 0.1}}\n", "7: 'lr' is searched for no arm: each fixes or ignores it"),
        ("seed: 3\n", "3: seed: tune gives each repeat its own seeds; remove it"),
        ("matrix: {seed: 0..3}\n", "3: matrix.seed: tune gives each repeat its own seeds; remove it"),
        ("arms: {a: {seed: 3}}\n", "3: arms.a.seed: tune gives each repeat its own seeds; remove it"),
        ("eval_test: false\n", "3: eval_test: tune sets it: no trial sees the test images, and every "),
        ("arms: {a: {eval_test: true}}\n", "3: arms.a.eval_test: tune sets it: no trial sees the test images"),
        ("arms: {a: {}, b: {drop_probs: [0.2, 0.5]}}\n", "3: arm 'b' searches the same as arm 'a'"),
    ],
)
def test_keys_that_do_not_go_with_a_search_are_reported(head: str, problem: str, problems: Problems) -> None:
    (found,) = problems(HEAD + head + section())
    assert found.startswith(f"study.yaml:{problem}")


def test_options_that_do_not_go_with_a_search_are_reported(problems: Problems) -> None:
    text, why = HEAD + section(), "seed: tune gives each repeat its own seeds; remove it"
    assert problems(text, seeds="0..3") == [f"--seeds 0..3: {why}"]
    assert problems(text, "seed=3") == [f"--set seed=3: {why}"]
    (found,) = problems(text, "eval_test=false")
    assert found.startswith("--set eval_test=false: eval_test: tune sets it: ")
    (found,) = problems(text, "tune.trials=3")
    assert found.startswith("--set tune.trials=3: tune cannot be set by an option; edit tune.trials in ")


def test_a_search_needs_validation_images_and_an_accuracy(problems: Problems) -> None:
    why = "tune selects settings on validation images; set validation_size, such as 10000"
    assert problems("variant: scratch\n" + section()) == [f"study.yaml:2: {why}"]
    why = "tune is not supported by linear-regression, which has no accuracy to select by"
    assert problems("task: linear-regression\nvariant: scratch\n" + section()) == [f"study.yaml:3: {why}"]


def test_an_option_removes_a_conflict_with_the_space(load: Load, problems: Problems) -> None:
    text = f"{HEAD}lr: 0.1\n{section()}"
    assert len(problems(text)) == 1
    assert load(text, "lr=0.3").searches[0].space == {}


def test_several_problems_of_the_section_are_reported_together(problems: Problems) -> None:
    space = "{lr: 3, momentum: {uniform: [2, 1]}}"
    found = problems(f"{HEAD}tune: {{trials: 0, repeats: x, space: {space}}}\nseed: 1\n")
    assert [line.split(" = ")[0] for line in found] == [
        "study.yaml:3: tune.trials",
        "study.yaml:3: tune.repeats",
        "study.yaml:3: tune.space.lr",
        "study.yaml:3: tune.space.momentum.uniform",
        "study.yaml:4: seed: tune gives each repeat its own seeds; remove it",
    ]
