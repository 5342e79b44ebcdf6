"""Proofs about the mean and variance of the noise."""

from __future__ import annotations

import pytest
import torch
from helpers.claims import FAILS, HOLDS, OPEN, verdicts

from dropexp.claims import moments, small_nets
from dropexp.claims.claim import ClaimVerdict
from dropexp.nets.noise import Gaussian, Noise, Randn2019, ThreePoint, Unscaled

pytestmark = pytest.mark.usefixtures("one_thread")


def test_only_scaled_noise_keeps_the_mean() -> None:
    assert verdicts(moments.expectation()) == {
        "inverted": HOLDS,
        "gaussian": HOLDS,
        "three-point": HOLDS,
        "classic in training": FAILS,
        "unscaled": FAILS,
        "randn-2019": FAILS,
    }


def test_the_output_keeps_its_mean_unless_a_nonlinearity_follows_the_noise() -> None:
    assert [*verdicts(moments.output_expectation()).values()] == [HOLDS, FAILS]
    unscaled = {"unscaled": small_nets.scratch_net([None, Unscaled(0.2)])}
    assert verdicts(moments.output_expectation(unscaled)) == {"unscaled": FAILS}


def test_inverted_and_gaussian_noise_have_the_claimed_variance_and_others_do_not() -> None:
    assert verdicts(moments.variance()) == {"inverted": HOLDS, "gaussian": HOLDS}
    others: dict[str, Noise] = {"three-point": ThreePoint(0.2), "randn-2019": Randn2019(0.2)}
    assert verdicts(moments.variance(others)) == {"three-point": FAILS, "randn-2019": FAILS}


def test_masks_from_scratch_have_the_moments_of_those_of_torch() -> None:
    assert set(verdicts(moments.same_masks()).values()) == {HOLDS}
    assert [*verdicts(moments.same_masks(Randn2019(0.2))).values()] == [FAILS, FAILS]
    assert [*verdicts(moments.same_masks(ThreePoint(0.2))).values()] == [HOLDS, FAILS]
    assert [*verdicts(moments.same_masks(Gaussian(0.2))).values()] == [HOLDS, HOLDS]  # two moments, not all


def test_a_mean_of_equal_values_is_exact() -> None:
    ones = torch.ones(100, dtype=torch.float64)
    assert moments.mean_is("", ones, 1.0).verdict is HOLDS
    assert moments.mean_is("", ones, 1.1).verdict is FAILS


@pytest.mark.parametrize(
    ("n", "off", "verdict"),
    [
        (100_000, 0.0, HOLDS),
        (100_000, 0.005, HOLDS),
        (100_000, 0.03, FAILS),
        (10_000, 0.0, OPEN),  # a test of so few samples would not reject either
        (1_000_000, 0.015, HOLDS),  # a difference that is shown, and is within the tolerance
    ],
)
def test_a_claim_about_a_mean_holds_only_if_its_interval_is_within_the_tolerance(
    n: int, off: float, verdict: ClaimVerdict
) -> None:
    x = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(n // 2)  # mean 0, SD 1
    finding = moments.mean_is("", x, off)
    assert finding.verdict is verdict
    assert f"claimed {off:.4f} ± 0.0200 (2% of the SD)" in finding.evidence
