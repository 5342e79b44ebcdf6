"""Squares: four arms that differ only in two config keys, of which interactions are computed.

                         second key: reference   second key: other
first key: reference     neither                 second
first key: other         first                   both
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from dropexp.analysis.arms import Arm
from dropexp.analysis.baselines import NOT_SETTINGS
from dropexp.analysis.notes import Noted
from dropexp.analysis.titles import named
from dropexp.config.other_libraries.keys import similar_key
from dropexp.errors import ComparisonError
from dropexp.runs.record import natural, text

Keys = tuple[str, str]
Cell = tuple[str, str]  # a value of each key, as labels show it

MAX_NAMED = 10  # combinations of values without a run


@dataclass(frozen=True)
class Square:
    """Four arms of one study; a field's name is the key, or keys, whose value differs from the reference value."""

    both: Arm
    second: Arm
    first: Arm
    neither: Arm

    @property
    def arms(self) -> tuple[Arm, Arm, Arm, Arm]:
        return self.both, self.second, self.first, self.neither


def check_keys(arms: Sequence[Arm], keys: Sequence[str]) -> Keys:
    """Return the two keys. Raises ComparisonError unless they are two different config keys, or "arm" and another."""
    if len(keys) != 2 or keys[0] == keys[1]:
        raise ComparisonError(
            f"{','.join(keys)!r}: an interaction needs two different keys, such as variant,train_size"
        )
    known = sorted({"arm"} | {key for arm in arms for key in arm.first.config} - NOT_SETTINGS)
    for key in keys:
        if key not in known:
            raise ComparisonError(f"unknown key {key!r} of an interaction{similar_key(key, known)}")
    return keys[0], keys[1]


def squares_of(
    arms: Sequence[Arm], keys: Keys, titles: Mapping[str, str], reference: Arm | None = None
) -> Noted[list[Square]]:
    """Return all squares of two keys; the notes name the cells without an arm, and the arms that are in no square.

    The reference values are those of the arm `reference`. By default they are `none`, or else the lowest value; for the
    key "arm", an arm without dropout. Each other value of the first key is combined with each one of the second.
    """
    notes, using = [], list(arms)
    for key in keys:
        if unused := [arm.label for arm in named(using, titles) if arm.value(key) is None]:
            notes.append(f"{', '.join(unused)}: in no interaction, since {key} is not used")
        using = [arm for arm in using if arm.value(key) is not None]
    firsts, seconds = (_levels(using, key, reference) for key in keys)
    if constant := [key for key, levels in zip(keys, (firsts, seconds), strict=True) if len(levels) < 2]:
        return Noted(
            [], [*notes, *(f"{key} does not vary between arms that use {' and '.join(keys)}" for key in constant)]
        )
    found: list[Square] = []
    studies: dict[str, list[Arm]] = defaultdict(list)
    for arm in using:
        studies[arm.study].append(arm)
    for study, members in studies.items():
        grid = _Grid(members, keys)
        if empty := [grid.describe(cell) for cell in product(firsts, seconds) if not grid.cells[cell]]:
            more = f", and {len(empty) - MAX_NAMED} combinations more" if len(empty) > MAX_NAMED else ""
            notes.append(f"{study}: no finished run has {', or '.join(empty[:MAX_NAMED])}{more}")
        for others in product(firsts[1:], seconds[1:]):
            found += grid.squares((firsts[0], seconds[0]), others)
    used = {arm.label for square in found for arm in square.arms}
    if alone := [arm for arm in using if arm.label not in used]:
        rule = f"in no interaction, since four arms that differ only in {' and '.join(keys)} are needed"
        notes.append(f"{', '.join(arm.label for arm in named(alone, titles))}: {rule}")
    return Noted(found, notes)


def _levels(arms: Sequence[Arm], key: str, reference: Arm | None) -> list[str]:
    """Return the values of a key, the reference value first."""
    wanted = reference.value(key) if reference else None

    def rank(arm: Arm) -> tuple[bool, bool, list[str | float]]:
        value = arm.value(key)
        off = arm.first.variant if key == "arm" else value
        return value != wanted, off != "none", natural(text(value))

    return list(dict.fromkeys(text(arm.value(key)) for arm in sorted(arms, key=rank)))


class _Grid:
    """The arms of a study by their values of two keys."""

    def __init__(self, arms: Sequence[Arm], keys: Keys) -> None:
        self.keys = keys
        self.settings = {arm.label: _settings(arm) for arm in arms}
        self.cells: dict[Cell, list[Arm]] = defaultdict(list)
        for arm in arms:
            self.cells[text(arm.value(keys[0])), text(arm.value(keys[1]))].append(arm)
        self.of_arms = self._keys_of_arms(arms) if "arm" in keys else set()

    def _keys_of_arms(self, arms: Sequence[Arm]) -> set[str]:
        """Return the keys that a declared arm stands for: all but those that vary between arms of one name."""
        varying: set[str] = set()
        named: dict[str, dict[str, str]] = {}
        for arm in arms:
            settings = self.settings[arm.label]
            first = named.setdefault(arm.first.base, settings)
            varying |= {key for key in first.keys() | settings.keys() if first.get(key) != settings.get(key)}
        return {key for settings in self.settings.values() for key in settings} - varying

    def describe(self, cell: Cell) -> str:
        return " and ".join(f"{key}={value}" for key, value in zip(self.keys, cell, strict=True))

    def squares(self, references: Cell, others: Cell) -> Iterator[Square]:
        """Yield the squares of the reference values and other values of the keys."""
        key_1, key_2 = self.keys
        for both in self.cells[others]:
            seconds = self._like(both, (references[0], others[1]), except_key=key_1)
            firsts = self._like(both, (others[0], references[1]), except_key=key_2)
            for second, first in product(seconds, firsts):
                for neither in self._like(second, references, except_key=key_2):
                    if self._agree(first, neither, except_key=key_1):
                        yield Square(both, second, first, neither)

    def _like(self, arm: Arm, cell: Cell, except_key: str) -> list[Arm]:
        return [other for other in self.cells[cell] if self._agree(arm, other, except_key)]

    def _agree(self, arm: Arm, other: Arm, except_key: str) -> bool:
        """Return whether two arms agree in every key that both use, except `except_key`.

        The key "arm" excepts all keys that the declared arms set.
        """
        ours, theirs = self.settings[arm.label], self.settings[other.label]
        excepted = self.of_arms if except_key == "arm" else {except_key}
        return all(value == theirs[key] for key, value in ours.items() if key in theirs and key not in excepted)


def _settings(arm: Arm) -> dict[str, str]:
    """Return the settings that the arm uses, as labels show them."""
    names = {*arm.first.config, *arm.first.settings} - NOT_SETTINGS
    return {name: text(value) for name in names if (value := arm.value(name)) is not None}
