"""Evidence as tables, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from datetime import date
from typing import Any

from dropexp.claims.claim import ClaimVerdict, Evidence, Finding
from dropexp.claims.trained_studies import training_command
from dropexp.report.tables.table import Table
from dropexp.runs.provenance import provenance

LEGEND = (
    "depends: it holds in one setting and fails in another. open: these runs cannot decide it. Proofs: equal within "
    "1e-12, if not stated otherwise; a mean over samples holds if its 99.9 % interval is within the claimed value ± "
    "2 % of the samples' SD; otherwise it fails if the interval excludes that value. Runs get the verdicts of "
    "dropexp compare: a claimed difference holds if it is HIGHER or LOWER as claimed, and fails if it is the "
    "opposite, EQUIVALENT or NEGLIGIBLE; a claimed equality holds if it is EQUIVALENT or NEGLIGIBLE, and fails if "
    "it is HIGHER or LOWER; INCONCLUSIVE leaves both open. All comparisons of a check are one family, adjusted by "
    "Holm."
)
FIGURES = ("mean", "low", "high", "p", "n")  # of a finding, in csv; json has all
CLAIM_COLUMNS = ("number", "name", "claim", "source", "test", "verdict", "in_words")
FINDING_COLUMNS = ("study", "setting", "of", "finding", "evidence")


def overview(checked: Sequence[Evidence]) -> Table:
    """Return the claims with their verdicts."""
    rows = [[f"{e.claim.number} {e.claim.name}", e.claim.claim, e.summary] for e in checked]
    return Table("Claims", ["", "claim", "verdict"], rows, fold=(1, 2), left=range(3), about=LEGEND)


def details(checked: Sequence[Evidence]) -> list[Table]:
    """Return the findings: a table per claim, with its source and its test."""
    return [
        Table(
            f"{e.claim.number} {e.claim.name}: {e.claim.claim}",
            ["of", "verdict", "evidence"],
            [[f"{f.setting}: {f.subject}" if f.setting else f.subject, f.verdict, f.evidence] for f in e.findings],
            fold=(0, 2),
            left=range(3),
            about=f"Source: {e.claim.source}. Test: {e.claim.test}.",
        )
        for e in checked
    ]


def heading() -> str:
    """Return the title of the Markdown page, with what wrote it and when."""
    by = provenance()
    commit = f", commit {by['commit'][:10]}{' and later changes' if by['dirty'] else ''}" if by["commit"] else ""
    return (
        "# Claims of textbooks about dropout\n\n"
        f"Written by `dropexp claims --format md` on {date.today()}: dropexp {by['dropexp']}{commit}, "
        f"torch {by['torch']}, Python {by['python']}. `make claims` trains the runs and rewrites this page.\n"
    )


def missing(checked: Sequence[Evidence]) -> list[str]:
    """Return the commands that train the missing runs."""
    findings = [finding for evidence in checked for finding in evidence.findings]
    studies = [finding.study for finding in findings if finding.verdict is ClaimVerdict.NOT_TRAINED]
    return [training_command(study) for study in dict.fromkeys(studies)]


def notes(checked: Sequence[Evidence]) -> list[str]:
    """Return each note once, since claims share studies."""
    return list(dict.fromkeys(note for e in checked for note in e.notes))


def to_csv(checked: Sequence[Evidence]) -> str:
    """Return a row per finding."""
    rows = [
        _claim(evidence) | _finding(finding) | {name: _figures(finding).get(name) for name in FIGURES}
        for evidence in checked
        for finding in evidence.findings
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*CLAIM_COLUMNS, *FINDING_COLUMNS, *FIGURES], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_json(checked: Sequence[Evidence]) -> str:
    """Return an object per claim, with its findings and their figures in full precision; unknown figures are null."""
    claims = [
        {
            **_claim(evidence),
            "notes": evidence.notes,
            "findings": [{**_finding(finding), "figures": _figures(finding)} for finding in evidence.findings],
        }
        for evidence in checked
    ]
    return json.dumps({"schema": 1, "claims": claims}, indent=2, ensure_ascii=False, allow_nan=False)


def _claim(evidence: Evidence) -> dict[str, Any]:
    return {
        "number": evidence.claim.number,
        "name": evidence.claim.name,
        "claim": evidence.claim.claim,
        "source": evidence.claim.source,
        "test": evidence.claim.test,
        "verdict": evidence.verdict,
        "in_words": evidence.summary,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "study": finding.study,
        "setting": finding.setting,
        "of": finding.subject,
        "finding": finding.verdict,
        "evidence": finding.evidence,
    }


def _figures(finding: Finding) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in finding.figures.items()}
