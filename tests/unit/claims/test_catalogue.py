"""The list of claims, and what checks them."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.claims import BY_NAME, HOLDS

from dropexp.claims.catalogue import CLAIMS, check, select, unknown_names
from dropexp.claims.trained_studies import CONFIGS
from dropexp.config.study import load_config

ROOT = Path(__file__).parents[3]


def test_every_claim_has_a_check_and_a_unique_number_and_name() -> None:
    assert [claim.number for claim in CLAIMS] == [*map(str, range(1, 23)), "A9"]
    assert len({claim.name for claim in CLAIMS} | {claim.number for claim in CLAIMS}) == 2 * len(CLAIMS)
    assert all(claim.proof or claim.studies for claim in CLAIMS)
    assert {study for claim in CLAIMS for study in claim.studies} == set(CONFIGS)
    assert [claim.number for claim in select([], quick=True)] == [*"123456789", "12", "13", "22", "A9"]


def test_claims_are_selected_by_number_or_name() -> None:
    assert [claim.name for claim in select(["gap", "12"])] == ["l2", "gap"]
    assert select(["gap", "16"], quick=True) == []
    assert unknown_names(["12", "99", "l3", "gap"]) == ["99", "l3"]


@pytest.mark.parametrize("study", CONFIGS)
def test_the_config_of_a_claim_trains_its_study_and_is_in_the_makefile(study: str) -> None:
    file = CONFIGS[study].split()[0]
    assert load_config(ROOT / file).name == study
    assert file in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_a_claim_without_runs_names_the_command_that_trains_them(tmp_path: Path) -> None:
    for claim in CLAIMS:
        if not claim.proof:
            evidence = check(claim, tmp_path / "nowhere")
            assert evidence.summary == "not trained"
            for finding, study in zip(evidence.findings, claim.studies, strict=True):
                assert finding.evidence == f"dropexp train -c {CONFIGS[study]}"


def test_a_proof_counts_without_the_runs_of_the_claim(tmp_path: Path) -> None:
    evidence = check(BY_NAME["scratch"], tmp_path)
    assert evidence.verdict is HOLDS
    assert evidence.summary.startswith("holds for a step (reference), a step (fused), mean of their masks, ")
    assert evidence.summary.endswith("; not trained for study exercise-7-other-noise")
    alone = check(BY_NAME["scratch"], None)
    assert alone.summary.startswith("holds for a step") and "trained" not in alone.summary
