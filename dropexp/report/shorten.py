"""Shorten names to a width of the terminal, so that different names stay different."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from rich.cells import cell_len

ELLIPSIS = "…"


def without_shared(names: Sequence[str]) -> list[str]:
    """Return the names without the parts that all of them have; parts end at commas and slashes.

    Names are returned as they are if nothing would be left of one.
    """
    split = [re.findall(r"[^,/]+[,/]?", name) for name in names]
    counts = Counter(part.rstrip(",/") for parts in split for part in {part.rstrip(",/"): part for part in parts})
    shared = {part for part, count in counts.items() if count == len(names)}
    own = ["".join(part for part in parts if part.rstrip(",/") not in shared).rstrip(",/") for parts in split]
    return own if all(own) else list(names)


def distinct(names: Sequence[str], width: int) -> list[str]:
    """Return the names cut in the middle to `width` columns; the cut moves until different names look different.

    Names that no cut tells apart end in their position in the list.
    """
    for head in (width // 2, width // 4, 3 * width // 4, 0, width - 1):
        cut = [middle(name, width, head) for name in names]
        if len(set(cut)) == len(set(names)):
            return cut
    return [middle(f"{name} #{i}", width, width // 2) for i, name in enumerate(names, 1)]


def middle(name: str, width: int, head: int | None = None) -> str:
    """Cut the middle out of a name wider than `width`; `head` columns before the cut are kept, or about half."""
    if cell_len(name) <= width:
        return name
    start = _start(name, min(max(width // 2 if head is None else head, 0), width - 1))
    return f"{start}{ELLIPSIS}{_start(name[::-1], width - 1 - cell_len(start))[::-1]}"


def _start(name: str, width: int) -> str:
    """Return as many characters as fit into `width` columns."""
    if name.isascii():
        return name[:width]
    for end in range(min(len(name), max(width, 0)), 0, -1):
        if cell_len(name[:end]) <= width:
            return name[:end]
    return ""
