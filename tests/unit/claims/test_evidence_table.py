"""Evidence as tables, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

from helpers.claims import check as check_runs
from helpers.fake_runs import write_run

from dropexp.claims import evidence_table
from dropexp.claims.catalogue import CLAIMS, check, select
from dropexp.report.formats.latex import latex


def test_tables_have_a_row_per_claim_and_per_finding(tmp_path: Path) -> None:
    checked = [check(claim, tmp_path) for claim in select(["expectation", "before-relu", "gap"])]
    claims, details = evidence_table.overview(checked), evidence_table.details(checked)
    assert [row[0] for row in claims.rows] == ["1 expectation", "7 before-relu", "15 gap"]
    assert [row[-1] for row in claims.rows] == [e.summary for e in checked]
    assert [len(one.rows) for one in details] == [6, 3, 1]
    assert [one.legend for one in details] == [f"Source: {e.claim.source}. Test: {e.claim.test}." for e in checked]
    rows = list(csv.DictReader(io.StringIO(evidence_table.to_csv(checked))))
    assert len(rows) == 10
    assert [rows[0][key] for key in ("verdict", "of", "finding", "n")] == ["depends", "inverted", "holds", "100000"]
    assert float(rows[0]["low"]) < float(rows[0]["mean"]) < float(rows[0]["high"])
    assert (rows[-1]["study"], rows[-1]["p"]) == ("exercise-2-more-epochs", "")
    assert rows[-1]["evidence"] == "dropexp train -c configs/exercises/more-epochs.yaml"
    assert evidence_table.missing(checked) == [rows[-1]["evidence"]]


def test_csv_without_findings_has_its_header() -> None:
    text = evidence_table.to_csv([])
    assert text.startswith("number,name,claim,") and text.count("\n") == 1
    assert evidence_table.to_csv([check(claim, None) for claim in select(["gap"])]) == text


def test_latex_has_a_command_for_every_symbol() -> None:
    checked = [check(claim, None) for claim in CLAIMS]
    text = latex([evidence_table.overview(checked), *evidence_table.details(checked)])
    assert text.isascii()
    assert re.search(r"\\begin{tabular}{@{}lp{0\.\d\d\\linewidth}p{0\.\d\d\\linewidth}@{}}", text)


def test_unknown_figures_are_null_in_json(tmp_path: Path) -> None:
    for variant in ("none", "scratch"):
        write_run(tmp_path, variant, 0, 0.8, name="exercise-2-more-epochs")
    claim = json.loads(evidence_table.to_json([check_runs("gap", tmp_path)]))["claims"][0]
    assert claim["verdict"] == "open"
    assert claim["findings"][0]["figures"]["low"] is None
    assert claim["findings"][0]["evidence"].endswith("with one seed; n = 1, no spread can be estimated.")
