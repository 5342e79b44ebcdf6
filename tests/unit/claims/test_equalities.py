"""Proofs that two computations are equal: each holds, and fails for a network that is broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from helpers.claims import FAILS, HOLDS, verdicts
from torch import Tensor

from dropexp.claims import equalities, small_nets
from dropexp.nets import from_scratch
from dropexp.nets.from_scratch import ForwardPass
from dropexp.nets.noise import Classic, Inverted, Randn2019, Unscaled
from dropexp.nets.sgd import Layer

pytestmark = pytest.mark.usefixtures("one_thread")


def test_evaluation_mode_is_deterministic_unless_dropout_is_active_in_it() -> None:
    assert set(verdicts(equalities.eval_is_deterministic()).values()) == {HOLDS}
    stochastic = small_nets.implementations(noise_at_eval=True)
    assert set(verdicts(equalities.eval_is_deterministic(stochastic)).values()) == {FAILS}


def test_a_network_without_noise_is_not_stochastic_in_training() -> None:
    assert verdicts(equalities.eval_is_deterministic({"none": small_nets.scratch_net([])})) == {"none": FAILS}


def test_drop_probability_0_is_the_identity_and_1_gives_zeros() -> None:
    assert set(verdicts(equalities.extremes()).values()) == {HOLDS}

    def keeps_some(p: float) -> Callable[[Tensor], Tensor]:
        return lambda H: Randn2019(p).draw(H, small_nets.generator()) * H

    def never_drops(p: float) -> Callable[[Tensor], Tensor]:
        return lambda H: H

    broken = {"2019": keeps_some, "never": never_drops}  # the bug of 2019 drops some units even at p = 0
    assert verdicts(equalities.extremes(broken)) == {"2019": FAILS, "never": FAILS}


class Broken(from_scratch.MLP):
    """Ignores the mask in the backward pass."""

    def backward(self, y: Tensor, result: ForwardPass) -> list[Layer]:
        return super().backward(y, replace(result, xi=[1.0] * len(result.xi)))


def test_a_dropped_unit_gets_a_gradient_from_a_batch_and_none_from_one_example() -> None:
    assert verdicts(equalities.no_gradient()) == {"one example": HOLDS, "a batch of 64": FAILS}
    assert verdicts(equalities.no_gradient(Broken))["one example"] is FAILS


def test_noise_before_the_relu_equals_noise_after_it_if_it_is_not_negative() -> None:
    assert verdicts(equalities.before_is_after()) == {
        "ReLU": HOLDS,
        "ReLU under Gaussian noise": FAILS,
        "sigmoid": FAILS,
    }
    assert verdicts(equalities.before_is_after({"tanh": (torch.tanh, Inverted(0.5))})) == {"tanh": FAILS}


def test_inverted_and_classic_dropout_are_equal_as_functions_and_differ_in_training() -> None:
    assert [*verdicts(equalities.inverted_is_classic()).values()] == [HOLDS, HOLDS, FAILS]
    assert verdicts(equalities.inverted_is_classic(Unscaled(0.5)))["test passes"] is FAILS
    assert verdicts(equalities.inverted_is_classic(Classic(0.3)))["training passes"] is FAILS


def test_a_step_from_scratch_equals_a_step_of_torch_under_the_same_masks() -> None:
    assert set(verdicts(equalities.same_step()).values()) == {HOLDS}
    assert set(verdicts(equalities.same_step({"broken": Broken})).values()) == {FAILS}
