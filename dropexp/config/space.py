"""The space of a search: where the value of each key is drawn from, and quasi-random points in it.

Scrambled Sobol points cover a space more evenly than independent ones (Bousquet et al., 2017, arXiv 1706.03200).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from dropexp.config.digests import canonical

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


def draw_points(
    space: Mapping[str, Dimension], num_layers: int, num_points: int, stream: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return points, each with a value for every key. If more are drawn, the first ones stay the same.

    `stream` identifies the random stream; it must be serialisable as JSON.
    """
    if not space:
        return [{}] * num_points
    dimensions = dict(sorted(space.items()))  # the order in which a config lists them does not matter
    sizes = [num_layers if dimension.kind == "each" else 1 for dimension in dimensions.values()]
    from scipy.stats import qmc

    seed = int.from_bytes(sha256(canonical(stream).encode()).digest()[:8], "big")
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # a number of points that is not a power of 2
        cube = qmc.Sobol(sum(sizes), rng=seed).random(num_points).tolist()
    points = []
    for coordinates in cube:
        rest = iter(coordinates)
        values = [one.value([next(rest) for _ in range(n)]) for one, n in zip(dimensions.values(), sizes, strict=True)]
        points.append(dict(zip(dimensions, values, strict=True)))
    return points
