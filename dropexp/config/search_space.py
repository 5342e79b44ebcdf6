"""The space of a search: where the value of each key is drawn from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

DIGITS = 4  # significant ones of a drawn value
RANGES = ("uniform", "log", "each")
KINDS = (*RANGES, "choice")


@dataclass(frozen=True)
class Dimension:
    """Where the value of one key is drawn from.

    `uniform` and `log` (uniform in the logarithm) have two ends, `each` draws an entry per hidden layer uniformly, and
    `choice` has a list of values.
    """

    kind: str
    values: tuple[Any, ...]  # the ends, or the choices
    whole: bool = False  # whether only whole numbers are drawn

    def value(self, coordinates: Sequence[float]) -> Any:
        """Return the value at a point of the unit cube; `each` has as many coordinates as entries."""
        if self.kind == "each":
            return [self._number(u) for u in coordinates]
        if self.kind == "choice":
            return self.values[int(coordinates[0] * len(self.values))]
        return self._number(coordinates[0])

    def _number(self, u: float) -> float:
        low, high = self.values
        if self.kind == "log":
            number = math.exp(math.log(low) + u * (math.log(high) - math.log(low)))
        elif self.whole:  # each number equally often, also the ends
            number = min(math.floor(low + u * (high - low + 1)), high)
        else:
            number = low + u * (high - low)
        return round(number) if self.whole else min(max(float(f"{number:.{DIGITS}g}"), low), high)

    def position(self, value: float) -> float:
        """Return the position of a number in its range: 0 at the low end, 1 at the high end."""
        low, high = self.values
        if self.kind == "log":
            return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
        return float((value - low) / (high - low))

    @property
    def written(self) -> dict[str, list[Any]]:
        """The dimension as a config has it."""
        return {self.kind: list(self.values)}
