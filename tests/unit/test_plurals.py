"""Counts in messages."""

from __future__ import annotations

from dropexp.plurals import counted


def test_a_noun_is_in_the_plural_unless_the_count_is_one() -> None:
    assert [counted(count, "run") for count in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
    assert [counted(count, "entry") for count in (1, 2)] == ["1 entry", "2 entries"]
    assert counted(2, "key") == "2 keys"
