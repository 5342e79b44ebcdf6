"""The simulation of verdicts: its figures on studies with known results, its page, and the published error rates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import verdicts
from pages import verdicts as page
from rule import Values
from storage import RESULTS, load_results

from dropexp.analysis.power import min_detectable_difference
from dropexp.analysis.stats import sign_flip_p

TWO_STAGES = {
    "pilot": 5,
    "comparisons": 2,
    "low": 7.0,
    "median": 21.0,
    "high": 54.0,
    "power": 0.69,
    "false_difference": 0.048,
    "false_equivalence": 0.05,
    "either_difference": 0.091,
    "either_equivalence": 0.088,
}


def spread_out(mean: float) -> Values:
    """Return two studies of five comparisons and ten pairs, all with this mean difference and an SD near 1."""
    d = np.tile(np.array([-1.3, -1.1, -0.9, -0.7, -0.2, 0.1, 0.65, 0.95, 1.15, 1.35]), (2, 5, 1))
    return np.asarray(d - d.mean() + mean)


def test_studies_count_as_wrong_if_one_comparison_is() -> None:
    d = spread_out(0.0)
    d[0, 3] += 2
    p = np.array([[sign_flip_p(row) for row in study] for study in d])
    alone, two, five = verdicts.errors(d, p, skewed=False)
    assert (alone["studies"], two["studies"], five["studies"]) == (10, 4, 2)
    assert (alone["false_difference"], two["false_difference"], five["false_difference"]) == (0.1, 0.25, 0.5)
    assert alone["coverage"] == 0.9
    assert five["false_equivalence"] == 0.25  # on one of two sides, in one of two studies
    assert verdicts.errors(d, p, skewed=True)[2]["false_equivalence"] == 0.5


def test_power_is_the_share_of_studies_that_find_the_difference() -> None:
    d = spread_out(0.0)
    p = np.ones((2, 5))
    assert verdicts.power(d, p, 2.0) == 1.0
    assert verdicts.power(d, p, 0.2) == 0.0
    d[0, 0] += 1.8  # found on one side, and lost on the other
    assert verdicts.power(d, p, 2.0) == 0.75
    assert verdicts.power(d, p, 2.0, skewed=True) == 0.5


def test_a_quick_simulation_has_every_row_and_the_page_shows_it() -> None:
    results = {"about": {"date": "today"}, "needed": 24, "rows": verdicts.simulate(0.001)}
    results |= {"two_stages": [TWO_STAGES]}
    results |= {"looks": (8, 16), "false_after_looks": 0.081}
    sections = page.sections(results)
    lines = sections["verdicts"].splitlines()
    assert "Simulated on today: " in lines[0] and lines[0].endswith("Each cell: normal / skewed / heavy-tailed.")
    assert len(lines) == 4 + len(verdicts.PAIRS) * len(verdicts.COMPARISONS)
    assert all(line.split("|")[-2].strip() == "cannot be reached" for line in lines[4:7])
    assert f" {min_detectable_difference(8, 1):.2f} | " in lines[7]
    cells = sections["two-stages"].splitlines()[2].strip("|").split("|")
    assert [cell.strip() for cell in cells] == ["5", "2", "21", "7 to 54", ".690", ".048 / .091", ".050 / .088"]
    assert "8 % find one if they are judged after 8 and 16 seeds" in sections["looks"]


@pytest.mark.parametrize("row", load_results("verdicts", RESULTS)["rows"], ids=lambda row: str([*row.values()][:3]))
def test_published_rates_of_normal_differences_are_the_nominal_ones(row: dict[str, Any]) -> None:
    reached = math.isfinite(min_detectable_difference(row["pairs"], row["comparisons"]))
    assert (row["power"] is not None) == reached == (row["pairs"] != 5)
    if row["distribution"] == "normal":
        assert max(row["false_difference"], row["false_equivalence"]) <= 0.055
        assert row["coverage"] == pytest.approx(0.95, abs=0.01)
        assert not reached or 0.75 <= row["power"] <= 0.85


@pytest.mark.parametrize(
    "row", load_results("verdicts", RESULTS)["two_stages"], ids=lambda row: str([*row.values()][:2])
)
def test_published_error_rates_of_a_study_after_a_pilot_are_within_the_bounds(row: dict[str, Any]) -> None:
    assert max(row["false_difference"], row["false_equivalence"]) <= 0.055
    assert max(row["either_difference"], row["either_equivalence"]) <= 0.11


def test_either_counts_wrong_pilots_and_inconclusive_ones_before_a_wrong_study() -> None:
    d = spread_out(0.0)
    rate = np.array([0.04, 0.04])
    assert verdicts._either(d, 0.1, rate, wrong=0) == pytest.approx(0.04)  # both pilots are INCONCLUSIVE
    assert verdicts._either(d, 5.0, rate, wrong=0) == 0.0  # both are EQUIVALENT
    d[0, 3] += 2
    assert verdicts._either(d, 0.1, rate, wrong=0) == pytest.approx(0.52)  # one is wrong
    assert verdicts._either(d, 5.0, rate, wrong=1) == 1.0
