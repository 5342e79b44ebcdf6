"""Evidence as tables of text, and as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from dropexp.claims.claim import ClaimVerdict, Evidence, Finding
from dropexp.claims.from_runs import training_command
from dropexp.report.table import Table
from dropexp.runs.provenance import provenance

LEGEND = (
    "depends: it holds in one setting and fails in another. open: these runs cannot tell. By computation: equal within "
    "1e-12, or a z-test at 0.1 %. From runs, by the verdicts of dropexp compare: a claimed difference holds where it "
    "is HIGHER, or LOWER, as claimed, and fails where it is the opposite or EQUIVALENT; a claimed equality holds where "
    "it is EQUIVALENT and fails where there is a difference; a DETECTABLE one below the margin leaves both open. All "
    "that a check asks of a study is one family, by Holm."
)
OF_CLAIM = ("number", "name", "claim", "source", "test", "verdict", "in_words")
OF_FINDING = ("study", "setting", "of", "finding", "evidence")
FIGURES = ("mean", "low", "high", "p", "n")


def overview(checked: Sequence[Evidence]) -> Table:
    """The claims with their verdicts."""
    rows = [[f"{e.claim.number} {e.claim.name}", e.claim.claim, e.summary] for e in checked]
    return Table("Claims", ["", "claim", "verdict"], rows, fold=(1, 2), left=range(3), legend=LEGEND)


def details(checked: Sequence[Evidence]) -> list[Table]:
    """What each claim rests on: a table per claim, with its source and its test."""
    return [
        Table(
            f"{e.claim.number} {e.claim.name}: {e.claim.claim}",
            ["of", "verdict", "evidence"],
            [[f"{f.setting}: {f.subject}" if f.setting else f.subject, f.verdict, f.evidence] for f in e.findings],
            fold=(0, 2),
            left=range(3),
            legend=f"Source: {e.claim.source}. Test: {e.claim.test}.",
        )
        for e in checked
    ]


def heading() -> str:
    """What made the page, and when."""
    by = provenance()
    commit = f", commit {by['commit'][:10]}{' and later changes' if by['dirty'] else ''}" if by["commit"] else ""
    return (
        "# Claims of teaching texts about dropout\n\n"
        f"By `dropexp claims --format md` on {date.today()}: dropexp {by['dropexp']}{commit}, torch {by['torch']}, "
        f"Python {by['python']}. `make claims` trains what it takes and writes it again.\n"
    )


def missing(checked: Sequence[Evidence]) -> list[str]:
    """The commands that train what is not trained."""
    findings = [finding for evidence in checked for finding in evidence.findings]
    studies = [finding.study for finding in findings if finding.verdict is ClaimVerdict.NOT_TRAINED]
    return [training_command(study) for study in dict.fromkeys(studies)]


def notes(checked: Sequence[Evidence]) -> list[str]:
    """What was left out; claims share studies, so each once."""
    return list(dict.fromkeys(note for e in checked for note in e.notes))


def to_csv(checked: Sequence[Evidence]) -> str:
    """A row per finding."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*OF_CLAIM, *OF_FINDING, *FIGURES], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_claim(e) | _finding(f) | _known(f.figures) for e in checked for f in e.findings)
    return text.getvalue()


def to_json(checked: Sequence[Evidence]) -> str:
    """A record per claim, with its findings and their figures in full precision; what is not known is null."""
    claims = [
        _claim(e) | {"notes": e.notes, "findings": [_finding(f) | {"figures": _known(f.figures)} for f in e.findings]}
        for e in checked
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


def _known(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}
