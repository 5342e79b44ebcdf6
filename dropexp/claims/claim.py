"""A claim, and the evidence for and against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from dropexp.analysis.arms import Arm

EXACT = 1e-12  # float64 computations that differ by less are equal up to rounding


class ClaimVerdict(StrEnum):
    """The verdict that the evidence supports."""

    HOLDS = "holds"
    FAILS = "fails"
    DEPENDS = "depends"
    OPEN = "open"
    NOT_TRAINED = "not trained"


@dataclass(frozen=True)
class Finding:
    """What one check found out about a claim.

    subject   what was checked
    verdict   never DEPENDS, which takes several findings
    evidence  in a sentence
    figures   the numbers of the sentence, in full precision
    setting   how the runs were trained, if it rests on runs
    study     the study that they belong to
    """

    subject: str
    verdict: ClaimVerdict
    evidence: str
    figures: Mapping[str, float] = field(default_factory=dict)
    setting: str = ""
    study: str = ""


@dataclass(frozen=True)
class Claim:
    """What textbooks say, who says it, and how it is checked.

    `proof` takes seconds and needs neither data nor runs. `studies` maps the name of a study to the check of its runs.
    A claim has one of them or both.
    """

    number: str
    name: str
    claim: str
    source: str
    test: str
    proof: Callable[[], Iterable[Finding]] | None = None
    studies: Mapping[str, Callable[[Sequence[Arm]], Iterable[Finding]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """A claim and its findings; the notes name runs that were left out."""

    claim: Claim
    findings: list[Finding]
    notes: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> ClaimVerdict:
        """The verdict of all findings if they agree; DEPENDS if some hold and others fail; otherwise OPEN."""
        found = {finding.verdict for finding in self.findings} - {ClaimVerdict.NOT_TRAINED}
        if not found:
            return ClaimVerdict.NOT_TRAINED
        if len(found) == 1:
            return found.pop()
        return ClaimVerdict.DEPENDS if {ClaimVerdict.HOLDS, ClaimVerdict.FAILS} <= found else ClaimVerdict.OPEN

    @property
    def summary(self) -> str:
        """The verdict and what it applies to; if findings differ, the verdict on each."""
        if self.verdict is ClaimVerdict.NOT_TRAINED:
            return str(self.verdict)
        found = {finding.verdict for finding in self.findings}
        parts = [f"{verdict} for {self._subjects(verdict)}" for verdict in ClaimVerdict if verdict in found]
        text = "; ".join(parts)
        return f"{self.verdict}: {text}" if len(found - {ClaimVerdict.NOT_TRAINED}) > 1 else text

    def _subjects(self, verdict: ClaimVerdict) -> str:
        """What has this verdict, grouped by setting."""
        by_setting: dict[str, list[str]] = {}
        for finding in self.findings:
            if finding.verdict is verdict:
                by_setting.setdefault(finding.setting, []).append(finding.subject)
        groups = [
            f"{', '.join(subjects)} ({setting})" if setting else ", ".join(subjects)
            for setting, subjects in by_setting.items()
        ]
        return ", ".join(groups)


def holds_if(condition: bool) -> ClaimVerdict:
    """Return the verdict of a check that decides either way."""
    return ClaimVerdict.HOLDS if condition else ClaimVerdict.FAILS


def equality(subject: str, difference: float, of: str) -> Finding:
    """Return whether two computations of `of`, which differ by `difference`, agree up to rounding."""
    evidence = f"{of} differ by {difference:.2g}"
    return Finding(subject, holds_if(difference < EXACT), evidence, {"off": difference})
