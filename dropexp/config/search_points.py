"""Quasi-random points in the space of a search.

Scrambled Sobol points cover a space more evenly than independent ones (Bousquet et al., 2017, arXiv 1706.03200).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from dropexp.config.digests import canonical
from dropexp.config.search_space import Dimension


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
