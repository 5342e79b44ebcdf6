"""Keys of other programs for keep probabilities: a rate is never inverted silently."""

from __future__ import annotations

import pytest
from helpers.configs import parsed, problems

RULE = "drop_probs are probabilities to DROP, 1 − keep"
NAMES = [
    "keep_prob",
    "keep_probs",
    "keep",
    "keep_probability",
    "keep_probabilities",
    "keep_rate",
    "keep_rates",
    "retain_prob",
    "retain_probs",
    "p_keep",
    "pkeep",
    "keepProb",
    "keep-prob",
    "KEEP_PROB",
    "dropout_keep_prob",
    "retention_rate",
    "survival_prob",
    "hidden_keep_prob",
    "output_keep_prob",
    "kp",
]


@pytest.mark.parametrize("key", NAMES)
def test_a_keep_probability_is_reported_with_the_drop_probability(key: str) -> None:
    assert problems(f"variant: nn\n{key}: [0.8, 0.5]\n") == [
        f"study.yaml:2: unknown key {key!r}; {RULE}: drop_probs = [0.2, 0.5]"
    ]


def test_one_keep_probability_applies_to_every_hidden_layer() -> None:
    assert problems("variant: nn\nkeep_prob: 0.9\n") == [
        f"study.yaml:2: unknown key 'keep_prob'; {RULE}: drop_probs = [0.1, 0.1]"
    ]
    assert problems("variant: nn\nhidden: [8, 8, 8]\nkeep_prob: 1\n") == [
        f"study.yaml:3: unknown key 'keep_prob'; {RULE}: drop_probs = [0, 0, 0]"
    ]


def test_keep_probabilities_of_arms_and_of_the_matrix_are_converted_where_they_are() -> None:
    text = "variant: nn\narms:\n  a: {p_keep: [0.7, 1]}\nmatrix:\n  keep_prob: [0.8, [0.5, 0.4]]\n"
    assert problems(text) == [
        f"study.yaml:3: unknown key 'p_keep'; {RULE}: drop_probs = [0.3, 0]",
        f"study.yaml:5: unknown key 'keep_prob'; {RULE}: drop_probs = [[0.2, 0.2], [0.5, 0.6]]",
    ]


def test_a_keep_probability_of_the_option_set_is_converted() -> None:
    assert problems("variant: nn\n", "keep_rate=[0.8, 0.5]") == [
        f"--set keep_rate=[0.8, 0.5]: unknown key 'keep_rate'; {RULE}: drop_probs = [0.2, 0.5]"
    ]


def test_a_keep_probability_of_the_pixels_is_input_drop_prob() -> None:
    assert problems("variant: nn\ninput_keep_prob: 0.8\n") == [
        "study.yaml:2: unknown key 'input_keep_prob'; input_drop_prob is the probability to DROP, 1 − keep: "
        "input_drop_prob = 0.2"
    ]


@pytest.mark.parametrize(
    "value", ["true", "2", "[0.8, 2]", "[]", "101%", "null", "-0.1", "x", "{}", f"[{'0.5,' * 100}]"]
)
def test_a_value_that_is_not_a_probability_gets_the_rule_alone(value: str) -> None:
    (problem,) = problems(f"variant: nn\nkeep_prob: {value}\n")
    assert problem.startswith(f"study.yaml:2: unknown key 'keep_prob'; {RULE}")
    assert "drop_probs =" not in problem


@pytest.mark.parametrize(
    ("value", "drop_probs"),
    [
        ('"0.8"', [0.2, 0.2]),
        ("80%", [0.2, 0.2]),
        ("80", [0.2, 0.2]),
        ("[80%, 50%]", [0.2, 0.5]),
        ("0,75", [0.25, 0.25]),
    ],
)
def test_keep_probabilities_as_text_and_percentages_are_converted(value: str, drop_probs: list[float]) -> None:
    assert problems(f"variant: nn\nkeep_prob: {value}\n")[0].endswith(f"{RULE}: drop_probs = {drop_probs}")


@pytest.mark.parametrize(
    ("space", "ours"),
    [
        ("keep_prob: {each: [0.5, 0.9]}", "drop_probs: {each: [0.1, 0.5]}"),
        ("keep_prob: {uniform: [0.5, 0.9]}", "drop_probs: {each: [0.1, 0.5]}"),
        ("input_keep_prob: {uniform: [0.8, 1]}", "input_drop_prob: {uniform: [0, 0.2]}"),
    ],
)
def test_a_range_of_keep_probabilities_to_search_is_converted(space: str, ours: str) -> None:
    text = "variant: nn\ntune:\n  trials: 2\n  repeats: 1\n  space:\n    {}\n"
    (problem,) = problems(text.format(space))
    assert problem.endswith(f"DROP, 1 − keep: {ours}")
    assert parsed(text.format(ours)).tune is not None


@pytest.mark.parametrize("key", ["keep_going", "keepdim", "keep_checkpoints", "skip", "upkeep_costs"])
def test_other_keys_with_keep_in_their_name_suggest_no_drop_probability(key: str) -> None:
    problem, *_ = problems(f"variant: nn\n{key}: 1\n")
    assert "DROP" not in problem
