"""The simulation judges like `dropexp.analysis.verdicts`, and the package has the table that `power_table` writes."""

from __future__ import annotations

import json

import numpy as np
import power_table
import pytest
import rule
from helpers.verdicts import pair

from dropexp.analysis.power import MAX_COMPARISONS
from dropexp.analysis.stats import EXACT_PAIRS
from dropexp.analysis.verdicts import VerdictWord, judge


@pytest.mark.parametrize("pairs", [2, 5, 8, 10, 11, 15, 20, 21])
def test_simulated_studies_are_judged_as_by_the_program(pairs: int) -> None:
    drawn = np.random.default_rng(pairs).normal(0.4, 1.0, (30, 3, pairs))
    drawn[:, 0] *= 0.1  # so that every verdict occurs
    p, p_equivalent = rule.sign_flip_p(drawn), rule.tost_p(drawn, 0.7)
    differs, negligible = rule.rejected(p), rule.rejected(p_equivalent)
    words = {
        (False, False): {VerdictWord.INCONCLUSIVE},
        (False, True): {VerdictWord.EQUIVALENT},
        (True, False): {VerdictWord.BETTER, VerdictWord.WORSE},
        (True, True): {VerdictWord.NEGLIGIBLE},
    }
    for i, study in enumerate(drawn):
        verdicts = judge([pair(row) for row in study], 0.7)
        for verdict, simulated in zip(verdicts, p[i], strict=True):
            assert verdict.p == pytest.approx(simulated) or (pairs > EXACT_PAIRS and min(verdict.p, simulated) > 0.1)
        assert [v.p_equivalent for v in verdicts] == pytest.approx(p_equivalent[i])
        shown = zip(differs[i], negligible[i], strict=True)
        assert all(v.word in words[key] for v, key in zip(verdicts, shown, strict=True))


def test_the_table_in_the_package_is_the_one_that_power_table_writes() -> None:
    table = json.loads(power_table.TABLE.read_text(encoding="utf-8"))
    assert table["comparisons"] == list(power_table.COMPARISONS)
    assert table["comparisons"][-1] == MAX_COMPARISONS
    assert list(map(int, table["margins"])) == list(range(6, EXACT_PAIRS + 1))
    for pairs in (6, 8):
        assert table["margins"][str(pairs)] == power_table.margins(pairs)
