"""Proofs about weight decay."""

from __future__ import annotations

from pathlib import Path

from helpers.claims import FAILS, HOLDS, verdicts

from dropexp.claims import adam_weight_decay, weight_decay
from dropexp.data import fashion_mnist
from dropexp.nets import linreg
from dropexp.nets.adam import Adam


def test_the_printed_step_minimises_the_penalty_only_for_single_examples() -> None:
    assert verdicts(weight_decay.printed_is_penalty()) == {"|B| = 1": HOLDS, "|B| = 8": FAILS}
    assert set(verdicts(weight_decay.printed_is_penalty(linreg.decay)).values()) == {HOLDS}


def test_weight_decay_is_a_penalty_under_sgd_and_not_under_adam() -> None:
    assert verdicts(weight_decay.decay_is_penalty()) == {
        "the factor 1 − ηλ": HOLDS,
        "torch's SGD": HOLDS,
        "Adam": FAILS,
    }
    assert verdicts(weight_decay.decay_is_penalty(weight_decay.printed))["the factor 1 − ηλ"] is FAILS


def test_under_adam_the_penalty_shrinks_weights_with_small_gradients_most() -> None:
    (finding,) = adam_weight_decay.penalty_on_network()
    assert finding.verdict is FAILS
    assert 0.7 < finding.figures["small gradients"] < 0.95
    assert 0.05 < finding.figures["large gradients"] < 0.25
    assert finding.figures["ratio of gradients"] > 10
    assert (
        "smaller with the penalty than with AdamW: by 8" in finding.evidence and "by 0.02% in all" in finding.evidence
    )


def test_decays_that_differ_less_than_the_tolerance_count_as_equal() -> None:
    (finding,) = adam_weight_decay.penalty_on_network(penalty=Adam())  # AdamW shrinks by 0.02 % only
    assert finding.verdict is HOLDS
    assert 0 < abs(finding.figures["small gradients"]) < 0.001


def test_real_images_give_the_same_verdict(real_root: Path) -> None:
    data = fashion_mnist.load(real_root)
    (finding,) = adam_weight_decay.penalty_on_network(images=adam_weight_decay.Images(data.X_test, data.y_test))
    assert finding.verdict is FAILS
    assert finding.figures["small gradients"] > 2 * finding.figures["large gradients"] > 0.1
