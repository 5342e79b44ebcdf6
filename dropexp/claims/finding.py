"""What a check found, in one setting."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Word(StrEnum):
    """What a check says of a claim."""

    HOLDS = "holds"
    FAILS = "fails"
    DEPENDS = "depends"
    OPEN = "open"
    NOT_TRAINED = "not trained"


@dataclass(frozen=True)
class Finding:
    """`what` was looked at, in which `setting` and `study` if runs were; `words` are the evidence.

    `figures` are its numbers in full precision. The word is never DEPENDS, which takes several findings.
    """

    what: str
    word: Word
    words: str
    figures: dict[str, float] = field(default_factory=dict)
    setting: str = ""
    study: str = ""


def word(holds: bool) -> Word:
    return Word.HOLDS if holds else Word.FAILS


EXACT = 1e-12  # two computations in float64 that agree so far are equal up to rounding


def equality(what: str, off: float, of: str) -> Finding:
    """Whether two computations of one thing agree up to rounding; `off` is how far apart they are, `of` in what."""
    return Finding(what, word(off < EXACT), f"{of} differ by {off:.2g}", {"off": off})
