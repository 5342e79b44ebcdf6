"""The valid name nearest to one that does not exist, for messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from itertools import islice

MAX_NAMES = 5000  # that are compared; a folder can have more runs
SIMILAR = 0.6  # the share of equal letters from which a name is suggested
HALF = 0.5  # the same for a name of up to three letters, of which one can be wrong
ALIKE = 0.8  # the share from which it is preferred to one that contains the letters


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name most similar to `name`, whatever the case, hyphens and underscores; None if none is similar."""
    known: dict[str, str] = {}
    for one in islice(names, MAX_NAMES):
        known.setdefault(letters(one), one)
    wanted = letters(name)[:200]
    if not wanted:
        return None
    longer = [one for one in known if len(wanted) > 2 and wanted in one]
    share = HALF if len(wanted) <= 3 else SIMILAR
    close = difflib.get_close_matches(wanted, known, n=1, cutoff=ALIKE if longer else share)
    return next((known[one] for one in (*close, *longer)), None)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" with the nearest name, or nothing if none is similar."""
    found = nearest(name, names)
    return "" if found is None else f" (did you mean {str(found)!r}?)"


def letters(name: str) -> str:
    """Return a name without case and punctuation."""
    return re.sub(r"[\W_]", "", name.casefold()) or name
