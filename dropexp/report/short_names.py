"""Names of arms as charts show them: without what all share, and short; different names stay different."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size

from dropexp.errors import printable

MOST = 36  # columns of a terminal that a name takes at most, unless it is longer to differ from the others
_COMMA = re.compile(r",(?![^\[]*\])")  # not inside a list such as [0.2, 0.5]


def short_names(names: Iterable[str], most: int = MOST) -> dict[str, str]:
    """Return each name without the parts, between commas, that all have in common, and shortened in its middle."""
    full = list(dict.fromkeys(names))
    return dict(zip(full, _shortened(_without_shared([*map(printable, full)]), most), strict=True))


def _without_shared(names: list[str]) -> list[str]:
    parts = [_COMMA.split(name) for name in names]
    shared = set.intersection(*map(set, parts)) if len(parts) > 1 else set()
    kept = [",".join(part for part in own if part not in shared) for own in parts]
    return kept if all(kept) and len(set(kept)) == len(kept) else names


def _shortened(names: Sequence[str], most: int) -> list[str]:
    """Cut the middles. Names that are then equal keep the part in which they differ; if need be they are longer."""
    known = [_beginning_known_of(name, names) for name in names]
    short = [_cut(name, most) for name in names]
    for room in range(most, max(map(cell_len, names), default=0), 4):
        counts = Counter(short)
        equal = [i for i, text in enumerate(short) if counts[text] > 1]
        if not equal:
            break
        for i in equal:
            short[i] = _cut_to(names[i], known[i], room)
    return short if len(set(short)) == len(short) else list(names)


def _beginning_known_of(name: str, names: Iterable[str]) -> int:
    """Return how many characters a name has in common with the beginning of the most similar other name."""
    return max((_common(name, other) for other in names if other != name), default=0)


def _common(one: str, other: str) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _cut(name: str, room: int) -> str:
    if cell_len(name) <= room:
        return name
    head = room // 2
    return f"{_fitted(name, head)}…{_fitted(name[::-1], room - head - 1)[::-1]}"


def _cut_to(name: str, known: int, room: int) -> str:
    """Return the beginning of a name, and the part from shortly before the character at `known`."""
    head = room // 3
    start = max(head, known - room // 6)
    rest = name[start:]
    if cell_len(rest) > room - head - 1:
        rest = f"{_fitted(rest, room - head - 2)}…"
    return f"{_fitted(name, head)}…{rest}" if start > head else f"{name[:head]}{rest}"


def _fitted(text: str, room: int) -> str:
    return set_cell_size(text, min(room, cell_len(text))).strip()
