"""`dropexp claims`."""

from __future__ import annotations

import json

from helpers.in_process import InProcess


def test_claims_are_checked_without_data_and_runs(cli: InProcess) -> None:
    without_data = {name: value for name, value in cli.environment.items() if name != "DROPEXP_DATA"}
    done = InProcess(cli.folder, without_data)("claims", "extremes", "2", "gap", "--format", "json")
    verdicts = {claim["name"]: claim["verdict"] for claim in json.loads(done.stdout)["claims"]}
    assert verdicts == {"output": "depends", "extremes": "holds", "gap": "not trained"}
    assert done.stderr == "not trained: dropexp train -c configs/exercises/more-epochs.yaml\n"


def test_named_claims_are_shown_with_their_evidence(cli: InProcess) -> None:
    assert "Source: a blog on d2l-zh 4.6. Test: the same ξ before and after it" in cli("claims", "7").stdout
    page = cli("claims", "7", "--format", "md").stdout
    assert page.startswith("# Claims of textbooks about dropout\n\nWritten by `dropexp claims --format md` on ")
    assert "**7 before-relu: " in page


def test_unknown_claims_and_quick_without_a_proof_are_usage_errors(cli: InProcess) -> None:
    error = " ".join(cli("claims", "ga", code=2).stderr.replace("│", " ").split())
    assert (
        "Invalid value for NAME: no such claim: ga (did you mean 'gap'?); by number or name: 1 expectation, 2 output"
        in error
    )
    error = " ".join(cli("claims", "gap", "16", "--quick", code=2).stderr.replace("│", " ").split())
    assert "Invalid value for --quick: these claims need trained runs" in error
