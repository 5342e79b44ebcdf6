"""Counts in messages: "1 run", "2 runs"."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Return the count and the noun, in the plural unless the count is 1."""
    if count == 1:
        return f"1 {noun}"
    is_ies = noun.endswith("y") and not noun.endswith(("ay", "ey", "oy"))  # entries, but keys
    return f"{count} {noun.removesuffix('y')}ies" if is_ies else f"{count} {noun}s"
