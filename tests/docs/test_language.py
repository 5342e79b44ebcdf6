"""Texts and names avoid phrases that are wrong in every sense: metaphors, personifications, and old-fashioned words.

CONTRIBUTING.md has the rule. Names count too: in `test_a_run_goes_on`, underscores are spaces.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTEAD = {  # a phrase as a regular expression, and what to write
    r"anew": "again, restart",
    r"(goes?|going|gone|went) on": "resume, continue",
    r"(made|makes?|making) good": "repair",
    r"(sets?|setting) aside": "rename to",
    r"mend(s|ed|ing)?": "fix, repair",
    r"bears?|borne": "has",
    r"told|said": "reported, printed, given",
    r"(unless|if not) (said|told)": "by default, unless given",
    r"talks?|news": "messages, events",
    r"nobody|somebody|whoever": "a process, a user, stderr is closed",
    r"(goes|went) by": "ordered by",
    r"stands? (in|at|there|beside)|l(ie|ies|ay) (in|at)": "is in",
    r"textbook page": "reference implementation",
    r"noisy pass(es)?": "stochastic pass",
    r"(the|its|left) noise (on|off)": "dropout active, evaluation mode",
    r"twins?": "matched pair",
    r"doses?|swept keys?": "swept parameter",
    r"slips?": "bug",
    r"held against": "verified against, compared with",
    r"half a (cosine|wave)": "cosine annealing",
    r"both ends in": "inclusive",
    r"whole labels?": "hard (one-hot) labels",
    r"hand (has|may have) (changed|made)": "edited",
    r"is not a result": "no spread can be estimated",
    r"are written for": "should work, untested",
    r"trains? (what|everything that) is missing": "trains the missing runs",
}
SPACE = r"[\s_]+"
PATTERNS = {
    re.compile(f"(?<![A-Za-z])(?:{phrase.replace(' ', SPACE)})(?![A-Za-z])", re.IGNORECASE): phrase
    for phrase in INSTEAD
}
ALLOWED = {"  mended: {output_relu: false, noise_at_eval: false}"}  # the name of an arm, so of run folders
SUFFIXES = {".json", ".svg", ".gz", ".pt", ".png"}  # written by programs


def files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix not in SUFFIXES and path != Path(__file__)]


def offences(text: str) -> list[str]:
    """Return each line with a phrase to avoid, with its number and what to write instead."""
    return [
        f"{number}: {line.strip()!r} has {found[0]!r}; write {INSTEAD[phrase]!r}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, phrase in PATTERNS.items()
        if line not in ALLOWED and (found := pattern.search(line))
    ]


@pytest.mark.parametrize("line", ["a run begins anew", "def test_a_killed_run_goes_on():", "As I was told."])
def test_phrases_are_found_in_prose_and_in_names(line: str) -> None:
    assert len(offences(line)) == 1


def test_words_that_contain_a_phrase_are_not_found() -> None:
    assert not offences("amended; recommend; forbear; a renewed bearing; newsletter")


def test_no_file_has_a_phrase_to_avoid() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{offence}"
        for path in files()
        for offence in offences(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert not found, "\n".join(found)


def test_every_text_file_ends_with_a_line_break() -> None:
    contents = {path: path.read_bytes() for path in files()}
    assert [str(path.relative_to(ROOT)) for path, text in contents.items() if text and not text.endswith(b"\n")] == []
