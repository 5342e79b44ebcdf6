"""A claim, and the evidence for and against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dropexp.analysis.arms import Arm
from dropexp.claims.finding import Finding, Word
from dropexp.claims.studies import from_runs


@dataclass(frozen=True)
class Claim:
    """What teaching texts say, who says it, and how it is checked.

    `proof` computes, in seconds and without data; `studies` has a check by the name of each study whose trained runs
    it needs. A claim has one of them or both.
    """

    number: str
    name: str
    claim: str
    source: str
    test: str
    proof: Callable[[], Iterable[Finding]] | None = None
    studies: Mapping[str, Callable[[Sequence[Arm]], Iterable[Finding]]] = field(default_factory=dict)

    def run(self, runs_dir: Path | None) -> Evidence:
        """Compute the proof, and judge the runs that are there; without a folder of runs the proof alone."""
        findings = list(self.proof()) if self.proof else []
        notes: list[str] = []
        for study, check in self.studies.items():
            findings += from_runs(study, check, runs_dir, notes) if runs_dir else []
        return Evidence(self, findings, notes)


@dataclass(frozen=True)
class Evidence:
    """A claim and what was found, setting by setting; the notes say what was left out."""

    claim: Claim
    findings: list[Finding]
    notes: list[str] = field(default_factory=list)

    @property
    def word(self) -> Word:
        """The findings' own word where they agree; DEPENDS where it holds in one setting and fails in another."""
        found = {finding.word for finding in self.findings} - {Word.NOT_TRAINED}
        if not found:
            return Word.NOT_TRAINED
        if len(found) == 1:
            return found.pop()
        return Word.DEPENDS if {Word.HOLDS, Word.FAILS} <= found else Word.OPEN

    @property
    def verdict(self) -> str:
        """The word, and what it is the word for; where they differ or some are missing, what each says."""
        if self.word is Word.NOT_TRAINED:
            return str(self.word)
        groups: dict[Word, dict[str, list[str]]] = {}  # by word and setting
        for found in sorted(self.findings, key=lambda finding: [*Word].index(finding.word)):
            groups.setdefault(found.word, {}).setdefault(found.setting, []).append(found.what)
        said = [
            f"{word} for "
            + ", ".join(", ".join(what) + f" ({where})" * bool(where) for where, what in settings.items())
            for word, settings in groups.items()
        ]
        several = len({*groups} - {Word.NOT_TRAINED}) > 1
        return f"{self.word}: " * several + "; ".join(said)
