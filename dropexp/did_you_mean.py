"""The valid name nearest to one that does not exist, for messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import PurePath

MAX_NAMES = 5000  # that are compared; a folder can have more runs
SIMILAR = 0.72  # the share of equal letters from which a name is suggested
ALIKE = 0.8  # the share from which a similar name is preferred to one that contains the word
SHORT = 3  # up to this many letters, one other letter makes the share of equal ones too small


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name most similar to `name`, ignoring case and punctuation; None if none is similar.

    A name of up to three letters is similar to names that start with it (if it has two or more), that differ by one
    edit after the first letter, or that contain it as a word: `acc` is similar to `test_acc`.
    """
    known: dict[str, str] = {}
    for one in islice(names, MAX_NAMES):
        known.setdefault(letters(one), one)
    wanted = letters(name)[:200]
    if not wanted:
        return None
    if wanted in known:
        return known[wanted]
    if len(wanted) <= SHORT:
        close = [one for one in known if len(wanted) > 1 and one.startswith(wanted)]
        close += [one for one in known if one[:1] == wanted[:1] and _is_one_edit(wanted, one)]
        longer = [one for one, full in known.items() if wanted in re.split(r"[\W_]+", full.casefold())]
    else:
        longer = [one for one in known if wanted in one]
        close = [one for one in known if _is_one_edit(wanted, one)]
        close = close or difflib.get_close_matches(wanted, known, n=1, cutoff=ALIKE if longer else SIMILAR)
    return next((known[one] for one in (*close, *longer)), None)


def nearest_file(word: str, files: Iterable[str]) -> str | None:
    """Return the path whose name, without its ending, is most similar to that of `word`; None if none is similar."""
    known: dict[str, str] = {}
    for one in files:
        known.setdefault(PurePath(one).stem, one)
    found = nearest(PurePath(word).stem, known)
    return None if found is None else known[found]


def _is_one_edit(word: str, other: str) -> bool:
    """Return whether one letter was added, left out or replaced, or two adjacent letters were swapped."""
    pairs = enumerate(zip(word, other, strict=False))
    start = next((i for i, (one, two) in pairs if one != two), min(len(word), len(other)))
    first, second = word[start:], other[start:]
    swapped = first[:2][::-1] == second[:2] and first[2:] == second[2:]
    return swapped or first[1:] == second[1:] or first[1:] == second or first == second[1:]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" with the nearest name, or nothing if none is similar."""
    found = nearest(name, names)
    return "" if found is None else f" (did you mean {str(found)!r}?)"


def letters(name: str) -> str:
    """Return a name without case and punctuation."""
    return re.sub(r"[\W_]", "", name.casefold()) or name
