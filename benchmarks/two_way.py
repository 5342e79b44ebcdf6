"""How often the interval over seeds and test images covers the true difference, in simulated comparisons.

    python benchmarks/two_way.py [--quick]

For 2 to 20 seeds and 10,000 test images, with a true difference of zero: how often 0 is in the t-interval over the
seeds, in the interval over seeds and images, and in that of a plain two-way bootstrap (percentiles; Owen and Eckles,
2012). Two kinds of values:

    normal      seed effects, whose SD is three times that of a seed's mean residual; image effects; residuals
    accuracies  1, 0 or -1: two networks differ on a tenth of the images, by chance; on others, the same one always errs

The effect of images is their standard error divided by that of the seeds. Seeded; about six minutes on one core.
--quick simulates a fiftieth of the comparisons, and writes nothing.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from machine import about
from numpy.typing import NDArray
from pages.two_way import sections
from storage import save_results

from dropexp.analysis.stats import LEVEL, paired_difference
from dropexp.analysis.two_way import half_width

Values = NDArray[Any]
Draw = Callable[[np.random.Generator, int, float], Values]

SEEDS, IMAGES = (2, 3, 5, 10, 20), 10_000
RATIOS = (0.0, 1.0, 3.0)  # standard error over images / standard error over seeds
STUDIES, RESAMPLES = 2_000, 500


def normal(rng: np.random.Generator, seeds: int, ratio: float) -> Values:
    """Return normal values (seeds, IMAGES). The residuals have an SD of 1."""
    by_seed = 3 / math.sqrt(IMAGES) * rng.standard_normal((seeds, 1), np.float32)
    by_image = ratio * math.sqrt(10 / seeds) * rng.standard_normal((1, IMAGES), np.float32)
    values: Values = by_seed + by_image + rng.standard_normal((seeds, IMAGES), np.float32)
    return values


def accuracies(rng: np.random.Generator, seeds: int, ratio: float) -> Values:
    """Return differences in accuracy (seeds, IMAGES): image effects are images on which all seeds differ alike."""
    by_chance, seed_sd = 0.1, 0.001
    always = ratio**2 * (by_chance + IMAGES * seed_sd**2) / (seeds + ratio**2 * by_chance)  # share of the images
    by_seed = seed_sd * rng.standard_normal((seeds, 1), np.float32)
    drawn = rng.random((seeds, IMAGES), np.float32)
    by_luck = (drawn < (by_chance + by_seed) / 2).astype(np.int8) - (drawn > 1 - (by_chance - by_seed) / 2)
    by_image = rng.choice([-1, 1], IMAGES).astype(np.int8)
    return np.where(rng.random(IMAGES) < always, by_image, by_luck)


def bootstrap_weights(rng: np.random.Generator, seeds: int) -> tuple[Values, Values]:
    """Return the share of each seed (RESAMPLES, seeds) and of each image (IMAGES, RESAMPLES) in each resample."""
    of_seeds = rng.multinomial(seeds, [1 / seeds] * seeds, RESAMPLES) / seeds
    of_images = rng.multinomial(IMAGES, [1 / IMAGES] * IMAGES, RESAMPLES).T / IMAGES
    return of_seeds.astype(np.float32), of_images.astype(np.float32)


def covers(d: Values, weights: tuple[Values, Values]) -> list[bool]:
    """Return whether 0 is in the interval over the seeds, over seeds and images, and of the bootstrap."""
    of_seeds, of_images = weights
    means = d.mean(axis=1, dtype=float)
    t = paired_difference(means, np.zeros(len(means)))
    resampled = np.einsum("rs,sr->r", of_seeds, d.astype(np.float32) @ of_images)
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [t.low <= 0 <= t.high, abs(means.mean()) <= half_width(d), bool(low <= 0 <= high)]


def simulate(share: float) -> list[dict[str, Any]]:
    """Return a row per kind of values, number of seeds and effect of the images."""
    draws: dict[str, Draw] = {"normal": normal, "accuracies": accuracies}
    rows = []
    for name, draw in draws.items():
        for seeds in SEEDS:
            for ratio in RATIOS:
                rng = np.random.default_rng([seeds, int(ratio), len(name)])
                weights = bootstrap_weights(rng, seeds)
                studies = int(share * STUDIES)
                found = np.mean([covers(draw(rng, seeds, ratio), weights) for _ in range(studies)], axis=0)
                shares = dict(zip(("over_seeds", "two_way", "bootstrap"), found.tolist(), strict=True))
                rows.append({"values": name, "seeds": seeds, "ratio": ratio, "studies": studies, **shares})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the comparisons; writes nothing")
    quick = parser.parse_args().quick
    started = time.perf_counter()
    results = {"about": about(), "images": IMAGES, "rows": simulate(0.02 if quick else 1.0)}
    results["minutes"] = (time.perf_counter() - started) / 60
    print("\n\n".join(sections(results).values()))
    if not quick:
        save_results("two_way", results)


if __name__ == "__main__":
    main()
