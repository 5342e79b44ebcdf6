"""A claim, and the evidence for and against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dropexp.arms import Arm
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

    def run(self, runs_dir: Path) -> Evidence:
        """Compute the proof, and judge the runs that are there."""
        findings = list(self.proof()) if self.proof else []
        for study, check in self.studies.items():
            findings += from_runs(study, check, runs_dir)
        return Evidence(self, findings)


@dataclass(frozen=True)
class Evidence:
    """A claim and what was found, setting by setting."""

    claim: Claim
    findings: list[Finding]

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
        """The word and, where settings do not agree or some are missing, what each says."""
        by_word = {w: [f.what for f in self.findings if f.word is w] for w in Word}
        missing = by_word.pop(Word.NOT_TRAINED)
        groups = [f"{w} for {', '.join(settings)}" for w, settings in by_word.items() if settings]
        said = f"{self.word}: {'; '.join(groups)}" if len(groups) > 1 else str(self.word)
        return f"{said}; not trained: {', '.join(missing)}" if groups and missing else said
