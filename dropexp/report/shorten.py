"""Shorten names of arms, runs and paths to a width, so that different names stay different."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from rich.cells import cell_len

from dropexp.errors import printable

ELLIPSIS = "…"
MAX_WIDTH = 36  # columns of a terminal that the name of an arm takes in a chart
_SPACE = re.compile(r"(?<!^[-−])(?<! [-−]) ")
_PART = re.compile(r"(?:\[[^\]]*\]|[^,/])+[,/]?")  # a list such as [0.2, 0.5] is within a part
_KEY = re.compile(r"^\w+=")  # of a part, such as drop_probs=


def short_names(names: Iterable[str], most: int = MAX_WIDTH) -> dict[str, str]:
    """Return names of arms as charts show them: without what all have, in at most so many columns."""
    full = list(dict.fromkeys(names))
    short = without_shared([*map(printable, full)])
    if any(cell_len(name) > most for name in short):
        short = without_shared_keys(short)
    return dict(zip(full, distinct(short, most), strict=True))


def without_shared(names: Sequence[str]) -> list[str]:
    """Return the names without the parts that all of them have; parts end at commas and slashes.

    Names are returned as they are if nothing would be left of one, or different names would be equal.
    """
    split = [_PART.findall(name) for name in names]
    counts = Counter(part for parts in split for part in {part.rstrip(",/") for part in parts})
    shared = {part for part, count in counts.items() if count == len(names)}
    own = ["".join(part for part in parts if part.rstrip(",/") not in shared).rstrip(",/") for parts in split]
    return own if all(own) and len(set(own)) == len(set(names)) else list(names)


def without_shared_keys(names: Sequence[str]) -> list[str]:
    """Return the names with only the values of their settings, if all names that have settings have the same keys."""
    split = [_PART.findall(name) for name in names]
    keys = {found for parts in split if (found := tuple(key for part in parts for key in _KEY.findall(part)))}
    values = ["".join(_KEY.sub("", part) for part in parts) for parts in split]
    return values if len(keys) == 1 and len(set(values)) == len(set(names)) else list(names)


def distinct(names: Sequence[str], width: int) -> list[str]:
    """Return the names cut to `width` columns; the cut moves until different names look different.

    It is in the middle, or else around the first character in which a name differs from the most similar one. Names
    that no cut distinguishes get their position in the list as an ending.
    """
    for head in (width // 2, width // 4, 3 * width // 4, 0, width - 1):
        cut = [middle(name, width, head) for name in names]
        if len(set(cut)) == len(set(names)):
            return cut
    known = _known_beginnings(names)
    cut = [_around(name, known[name], width) for name in names]
    if len(set(cut)) == len(set(names)):
        return cut
    return [middle(f"{name} #{i}", width, width // 2) for i, name in enumerate(names, 1)]


def middle(name: str, width: int, head: int | None = None) -> str:
    """Cut the middle out of a name wider than `width`; `head` columns before the cut are kept, or about half."""
    if cell_len(name) <= width:
        return name
    start = _start(name, min(max(width // 2 if head is None else head, 0), width - 1))
    return f"{start}{ELLIPSIS}{_start(name[::-1], width - 1 - cell_len(start))[::-1]}"


def words(line: str) -> list[str]:
    """Split at spaces; a minus sign between spaces belongs to what follows it."""
    return _SPACE.split(line)


def wrapped(text: str, width: int) -> str:
    """Return the text with line breaks instead of spaces, and within words wider than `width`."""
    lines = []
    for paragraph in text.split("\n"):
        lines.append("")
        for word in words(paragraph):
            line = f"{lines[-1]} {word}" if lines[-1] else word
            if cell_len(line) <= width:
                lines[-1] = line
                continue
            if lines[-1]:
                lines.append("")
            while cell_len(word) > width and (start := _start(word, width)):
                lines[-1:] = [start, ""]
                word = word[len(start) :]
            lines[-1] = word
    return "\n".join(lines)


def _known_beginnings(names: Iterable[str]) -> dict[str, int]:
    """Return how many characters each name has in common with the beginning of the most similar other name."""
    known = dict.fromkeys(names, 0)
    for one, other in pairwise(sorted(known)):  # in sorted order, the most similar name is a neighbour
        common = next(
            (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
        )
        known[one], known[other] = max(known[one], common), max(known[other], common)
    return known


def _around(name: str, known: int, width: int) -> str:
    """Cut to the beginning of a name and the part from shortly before the character at `known`."""
    if cell_len(name) <= width:
        return name
    start, rest = _start(name, width // 3), name[max(known - width // 6, 0) :]
    if len(name) - len(rest) <= len(start):
        return f"{_start(name, width - 1)}{ELLIPSIS}"
    room = width - 1 - cell_len(start)
    return f"{start}{ELLIPSIS}{rest if cell_len(rest) <= room else _start(rest, room - 1) + ELLIPSIS}"


def _start(name: str, width: int) -> str:
    """Return as many characters as fit into `width` columns."""
    if name.isascii():
        return name[: max(width, 0)]
    for end in range(min(len(name), max(width, 0)), 0, -1):
        if cell_len(name[:end]) <= width:
            return name[:end]
    return ""
