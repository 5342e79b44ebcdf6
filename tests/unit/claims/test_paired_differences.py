"""From differences by seed to findings."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from helpers.claims import FAILS, HOLDS, OPEN, verdicts
from numpy.typing import NDArray

from dropexp.analysis.verdicts import Pair
from dropexp.claims.claim import ClaimVerdict
from dropexp.claims.paired_differences import Contrast, Expected, judge_contrasts, sd_ratio
from dropexp.runs.metrics import FRACTION

Values = NDArray[np.float64]


def differences(mean: float, sd: float = 0.002, n: int = 10) -> Values:
    return mean + sd * np.resize([1.0, -1.0], n).astype(float)


def contrast(values: Values, subject: str = "", caveat: str = "") -> Contrast:
    return Contrast(subject, "5 images", Pair("arm", "base", values, "test accuracy", None, FRACTION, caveat))


@pytest.mark.parametrize(
    ("values", "more", "equal", "no_less"),
    [
        (differences(0.01), HOLDS, FAILS, HOLDS),
        (differences(-0.01), FAILS, FAILS, FAILS),
        (differences(0.0), FAILS, HOLDS, HOLDS),  # equivalent within the margin
        (differences(0.001, 0.0005), FAILS, HOLDS, HOLDS),  # a difference, and negligible
        (differences(0.0025, 0.001), HOLDS, FAILS, HOLDS),  # a difference, and not shown to be negligible
        (differences(-0.0025, 0.001), FAILS, FAILS, FAILS),
        (differences(0.003, 0.01), OPEN, OPEN, OPEN),
        (differences(0.003, 0.005, 9), OPEN, OPEN, HOLDS),
        (differences(0.01, n=5), OPEN, OPEN, HOLDS),  # p cannot be below 0.0625, but the interval excludes −0.3 points
        (differences(0.01, n=1), OPEN, OPEN, OPEN),
        (differences(0.01, n=0), OPEN, OPEN, OPEN),
    ],
)
def test_a_verdict_follows_from_the_differences(
    values: Values, more: ClaimVerdict, equal: ClaimVerdict, no_less: ClaimVerdict
) -> None:
    opposites = {"more": "less", "equal": "equal", "no less": "no more"}
    claims: dict[Expected, ClaimVerdict] = {"more": more, "equal": equal, "no less": no_less}
    for expected, verdict in claims.items():
        opposite = cast("Expected", opposites[expected])
        for d, one in ((values, expected), (-values, opposite)):
            (finding,) = judge_contrasts([contrast(d)], one)
            assert finding.verdict is verdict


def test_the_evidence_is_the_sentence_of_compare() -> None:
    five = differences(0.01, n=5)
    (finding,) = judge_contrasts([contrast(five, caveat="One diverged.")], "more")
    assert finding.evidence.startswith(
        "arm against base in test accuracy is INCONCLUSIVE: +1.04 points, 95 % interval ["
    )
    assert "HIGHER and LOWER cannot be reached with 5 seeds" in finding.evidence
    assert finding.evidence.endswith("One diverged.")
    (finding,) = judge_contrasts([contrast(five)], "no less")
    assert finding.evidence.endswith("But the interval excludes a difference of -0.30 points.")


def test_a_claim_is_open_if_a_run_diverged_or_is_at_chance_level() -> None:
    broken = Pair("arm", "base", differences(0.01), "test accuracy", None, FRACTION, broken=["seed 3 of arm diverged"])
    everything: list[Expected] = ["more", "less", "equal", "no less", "no more"]
    for expected in everything:
        (finding,) = judge_contrasts([Contrast("", "", broken)], expected)
        assert finding.verdict is OPEN
        assert "is INCONCLUSIVE: seed 3 of arm diverged; a verdict never excludes such runs" in finding.evidence


def test_the_contrasts_of_a_check_are_one_family() -> None:
    six = differences(0.01, n=6)  # p = 0.031 alone, twice as much beside another
    assert verdicts(judge_contrasts([contrast(six, "a")], "more")) == {"a": HOLDS}
    assert verdicts(judge_contrasts([contrast(six, "a"), contrast(six, "b")], "more")) == {"a": OPEN, "b": OPEN}


def test_an_sd_ratio_needs_ten_seeds_and_an_interval_that_excludes_1() -> None:
    base = np.resize([1.0, -1.0, 2.0, -2.0], 12)
    other = np.resize([1.0, 1.0, -1.0, -1.0], 12)  # uncorrelated with it
    assert sd_ratio("", other * 0.1, base).verdict is HOLDS
    assert sd_ratio("", other * 10, base).verdict is FAILS
    assert sd_ratio("", other, base).verdict is OPEN
    assert sd_ratio("", base * 1.01, base).verdict is FAILS  # an equal spread, with certainty
    few = sd_ratio("", other[:8] * 0.1, base[:8])
    assert few.verdict == OPEN and few.evidence.startswith("n = 8: comparing SDs needs 10 seeds or more")
    assert sd_ratio("", np.zeros(12), base).verdict is OPEN


def test_the_interval_of_an_sd_ratio_has_95_percent_coverage() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        a, shared = rng.normal(size=(2, 10))
        ratio = sd_ratio("", 2 * (a + shared), rng.normal(size=10) + shared).figures
        covered += ratio["low"] < 2 < ratio["high"]
    assert 930 < covered < 970


def test_equal_sds_need_a_90_percent_interval_near_1() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 75))
    b *= a.std() / b.std()
    found = sd_ratio("", a, b)
    assert (found.verdict, found.figures["high"] > 5 / 4) == (FAILS, True)  # that of 95 % is too wide
