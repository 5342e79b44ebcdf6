"""Checks of claims, and fake accuracies for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dropexp.claims import catalogue
from dropexp.claims.catalogue import CLAIMS
from dropexp.claims.claim import ClaimVerdict, Evidence, Finding

HOLDS, FAILS, OPEN, NOT_TRAINED = ClaimVerdict.HOLDS, ClaimVerdict.FAILS, ClaimVerdict.OPEN, ClaimVerdict.NOT_TRAINED
BY_NAME = {claim.name: claim for claim in CLAIMS}
ACCS = [0.8 + 0.001 * i for i in range(10)]


def shifted(by: float) -> list[float]:
    """Return `ACCS` plus a difference that varies a little."""
    return [acc + by + 0.0005 * (-1) ** i for i, acc in enumerate(ACCS)]


def verdicts(findings: Iterable[Finding]) -> dict[str, ClaimVerdict]:
    """Return the verdicts by subject."""
    return {finding.subject: finding.verdict for finding in findings}


def trained(evidence: Evidence) -> list[Finding]:
    """Return the findings that rest on runs."""
    return [finding for finding in evidence.findings if finding.verdict is not NOT_TRAINED]


def check(name: str, runs_dir: Path) -> Evidence:
    """Check a claim on runs alone."""
    return catalogue.check(replace(BY_NAME[name], proof=None), runs_dir)
