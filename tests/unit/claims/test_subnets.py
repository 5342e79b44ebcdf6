"""Proofs about all subnetworks."""

from __future__ import annotations

import pytest
from helpers.claims import FAILS, HOLDS, verdicts

from dropexp.claims import subnets
from dropexp.nets.noise import Classic, Inverted, Randn2019, Unscaled

pytestmark = pytest.mark.usefixtures("one_thread")


def test_weight_scaling_is_the_geometric_mean_of_all_subnetworks_only_before_a_softmax_layer() -> None:
    assert [*verdicts(subnets.weight_scaling()).values()] == [HOLDS, FAILS, FAILS]
    assert verdicts(subnets.weight_scaling(Classic(0.3), n=5))["noise before the softmax layer"] is HOLDS
    assert verdicts(subnets.weight_scaling(Unscaled(0.5)))["noise before the softmax layer"] is FAILS


def test_dropout_is_ridge_regression_only_with_a_penalty_by_feature() -> None:
    for scaled in (None, Inverted(0.2)):
        assert [*verdicts(subnets.dropout_is_ridge(scaled)).values()] == [HOLDS, FAILS]
    for noise in (Unscaled(0.5), Randn2019(0.5)):
        assert [*verdicts(subnets.dropout_is_ridge(noise)).values()] == [FAILS, FAILS]
