"""Proofs about weight decay."""

from __future__ import annotations

from helpers.claims import FAILS, HOLDS, verdicts

from dropexp.claims import decay
from dropexp.nets import linreg


def test_the_printed_step_minimises_the_penalty_only_for_single_examples() -> None:
    assert verdicts(decay.printed_is_penalty()) == {"|B| = 1": HOLDS, "|B| = 8": FAILS}
    assert set(verdicts(decay.printed_is_penalty(linreg.decay)).values()) == {HOLDS}


def test_weight_decay_is_a_penalty_under_sgd_and_not_under_adam() -> None:
    assert verdicts(decay.decay_is_penalty()) == {"the factor 1 − ηλ": HOLDS, "torch's SGD": HOLDS, "Adam": FAILS}
    assert verdicts(decay.decay_is_penalty(decay.printed))["the factor 1 − ηλ"] is FAILS
