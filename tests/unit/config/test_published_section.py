"""Published figures in a config: which are accepted, and all of their problems."""

from __future__ import annotations

import pytest
from helpers.configs import parsed, problems


def test_published_figures_are_parsed() -> None:
    text = "variant: nn\npublished: {arm: nn, source: a book, loss: [1], loss_scale: 256, test_acc: [0.5, 0.6]}\n"
    figures = {"arm": "nn", "source": "a book", "loss": [1.0], "loss_scale": 256.0, "test_acc": [0.5, 0.6]}
    assert parsed(text).published == figures
    assert parsed("variant: nn\npublished: {w_norm: {nn: 12.12}}\n").published == {"w_norm": {"nn": 12.12}}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("arm: x", "published.arm = 'x' is not an arm of this config, which has wide, narrow"),
        ("arm: [wide, y]", "published.arm = 'y' is not an arm of this config, which has wide, narrow"),
        ("arm: 5", "published.arm = 5 is not an arm's name, or a list of them"),
        ("source: 3", "published.source = 3 is not text"),
        ("loss: 3", "published.loss = 3 is not a list of numbers, one per epoch"),
        ("loss: [a]", "published.loss = ['a'] is not a list of numbers, one per epoch"),
        ("loss_scale: 0", "published.loss_scale = 0 is not a number greater than 0"),
        ("loss: [1, .nan]", "published.loss = [1, nan] is not a list of numbers, one per epoch"),
        ("train_acc: 0.8", "published.train_acc = 0.8 is not a list of fractions from 0 to 1, one per epoch"),
        ("train_acc: [.nan]", "published.train_acc[0] = nan is not a fraction from 0 to 1"),
        ("test_acc: [true]", "published.test_acc[0] = true is not a fraction from 0 to 1"),
        ("test_acc: [83.9]", "published.test_acc[0] = 83.9 is not a fraction from 0 to 1; write 0.839"),
        ("train_acc: [0.8, 85%]", "published.train_acc[1] = '85%' is not a fraction from 0 to 1; write 0.85"),
        ("train_acc: ['0.85']", "published.train_acc[0] = '0.85' is not a fraction from 0 to 1; write 0.85"),
        ("test_acc: [1.02]", "published.test_acc[0] = 1.02 is not a fraction from 0 to 1"),
        ("test_acc: [-0.1]", "published.test_acc[0] = -0.1 is not a fraction from 0 to 1"),
        (
            "w_norm: 1.5",
            "published.w_norm = 1.5 is not a mapping from arms to the norm of their weights after the last epoch",
        ),
        ("w_norm: {x: 1.5}", "published.w_norm = 'x' is not an arm of this config, which has wide, narrow"),
        (
            "los: [1]",
            "unknown key 'los' (did you mean 'loss'?); the keys of published are arm, source, loss, "
            "loss_scale, train_acc, test_acc, w_norm",
        ),
    ],
)
def test_a_wrong_published_figure_is_reported(line: str, problem: str) -> None:
    text = f"variant: nn\narms: {{wide: {{lr: 1}}, narrow: {{lr: 2}}}}\npublished:\n  {line}\n"
    assert problems(text) == [f"study.yaml:4: {problem}"]


@pytest.mark.parametrize(("value", "shown"), [("5", "5"), ("[]", "[]"), ("x", "'x'")])
def test_published_must_be_a_mapping(value: str, shown: str) -> None:
    problem = f"study.yaml:2: published = {shown} is not a mapping with a line 'key: …' for each key"
    assert problems(f"variant: nn\npublished: {value}\n") == [problem]


@pytest.mark.parametrize(
    "text", ["variant: none\n", "matrix: {variant: [nn, none]}\n", "variant: nn\narms: {none: {}, b: {lr: 1}}\n"]
)
def test_published_figures_can_name_every_arm_of_the_config(text: str) -> None:
    assert parsed(f"{text}published: {{arm: none}}\n").published == {"arm": "none"}


def test_every_accuracy_in_percent_is_reported_at_its_line() -> None:
    text = "variant: nn\npublished:\n  train_acc: [84.8, 0.9]\n  test_acc:\n    - 0.8\n    - 83.9\n    - 90\n"
    assert problems(text) == [
        "study.yaml:3: published.train_acc[0] = 84.8 is not a fraction from 0 to 1; write 0.848",
        "study.yaml:6: published.test_acc[1] = 83.9 is not a fraction from 0 to 1; write 0.839",
        "study.yaml:7: published.test_acc[2] = 90 is not a fraction from 0 to 1; write 0.9",
    ]
