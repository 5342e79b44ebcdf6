"""Claims about the mean and variance of the noise, checked on many samples: a mean is equal within a tolerance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from statistics import NormalDist

from torch import Tensor, float64, nn, ones

from dropexp.analysis.sentences import p_in_words
from dropexp.claims import small_nets
from dropexp.claims.claim import ClaimVerdict, Finding
from dropexp.nets.from_scratch import MLP
from dropexp.nets.noise import Classic, Gaussian, Inverted, Noise, Randn2019, ThreePoint, Unscaled

MASKS = 100_000
LEVEL = 0.001  # at 5 %, one in twenty of these many intervals would miss by chance
TOLERANCE = 0.02  # SDs of the samples; in claim 1 it is 1 % of h
P = 0.2  # at 0.5, |h′ − h| of inverted dropout is constant, and a variance without spread cannot be tested
ACTIVATION = 1.5

NOISES: dict[str, Noise] = {
    "inverted": Inverted(P),
    "gaussian": Gaussian(P),
    "three-point": ThreePoint(P),
    "classic in training": Classic(P),  # it rescales at test time
    "unscaled": Unscaled(P),
    "randn-2019": Randn2019(P),
}


def expectation(noises: Mapping[str, Noise] = NOISES) -> Iterator[Finding]:
    """E[h′] = h, with h′ = ξ·h. (Dive into Deep Learning, 3.13.1)"""
    for name, noise in noises.items():
        yield mean_is(name, stochastic_activations(noise), ACTIVATION)


def variance(noises: Mapping[str, Noise] | None = None) -> Iterator[Finding]:
    """Var[h′ | h] = h²·p / (1 − p)."""
    for name, noise in (noises or {"inverted": Inverted(P), "gaussian": Gaussian(P)}).items():
        h = stochastic_activations(noise)
        squares = (h - h.mean()) ** 2  # their mean is the variance
        yield mean_is(name, squares, ACTIVATION**2 * noise.p / (1 - noise.p), of="variance")


def output_expectation(networks: Mapping[str, MLP] | None = None) -> Iterator[Finding]:
    """E[f(x, ξ)] = f(x): the same for the outputs of a network."""
    noise = Inverted(P)
    networks = networks or {
        "noise on the last hidden layer": small_nets.scratch_net([None, noise]),
        "noise with a ReLU after it": small_nets.scratch_net([None, noise, None], sizes=(20, 32, 32, 4)),
    }
    X, _ = small_nets.batch(1)
    for name, net in networks.items():
        stochastic = net.logits(X.expand(MASKS, -1), small_nets.generator())  # a mask for every row
        outputs = zip(stochastic.T, net.logits(X)[0], strict=True)
        tests = [mean_is(name, O, o.item(), of="mean output", tests=stochastic.shape[1]) for O, o in outputs]
        yield max(tests, key=lambda test: abs(test.figures["z"]))  # of the output that fits worst


def same_masks(noise: Noise | None = None) -> Iterator[Finding]:
    """ξ from scratch and ξ of `nn.Dropout` have the same mean and the same variance."""
    dropout = nn.Dropout(P)
    with small_nets.seeded_global_generator():
        xi = dropout(ones(MASKS, dtype=float64))
    from_scratch = stochastic_activations(noise or Inverted(P)) / ACTIVATION
    yield mean_is("mean of their masks", from_scratch - xi, 0.0, of="mean difference")
    squares = (from_scratch - from_scratch.mean()) ** 2 - (xi - xi.mean()) ** 2
    yield mean_is("variance of their masks", squares, 0.0, of="difference in variance")


def stochastic_activations(noise: Noise) -> Tensor:
    """Return h′ = ξ·h of one unit for many masks, shape (MASKS,)."""
    H = ones(MASKS, 1, dtype=float64) * ACTIVATION
    return (noise.draw(H, small_nets.generator()) * H)[:, 0]


def mean_is(subject: str, x: Tensor, expected: float, of: str = "mean h′", tests: int = 1) -> Finding:
    """Return whether the mean of samples x (n,) is `expected` ± `TOLERANCE` SDs, by its 99.9 % interval.

    HOLDS: the interval is within the tolerance. FAILS: it is not, and it excludes the expected value. OPEN: neither.
    The interval and the p of z = (x̄ − expected) / (SD / √n) are adjusted by Bonferroni for this number of `tests`.
    """
    mean, sd = x.mean().item(), x.std().item()
    off, error = mean - expected, sd / math.sqrt(len(x))
    z = off / error if error else math.copysign(math.inf, off) if off else 0.0
    p = min(1.0, tests * math.erfc(abs(z) / math.sqrt(2)))
    half, tolerance = NormalDist().inv_cdf(1 - LEVEL / tests / 2) * error, TOLERANCE * sd
    verdict, how = ClaimVerdict.OPEN, "is neither within this tolerance nor excludes the claimed value"
    if abs(off) + half <= tolerance:
        verdict, how = ClaimVerdict.HOLDS, "is within this tolerance"
    elif p < LEVEL:
        verdict, how = ClaimVerdict.FAILS, "excludes the claimed value, and is not within this tolerance"
    evidence = (
        f"claimed {expected:z.4f} ± {tolerance:.4f} ({TOLERANCE:.0%} of the SD); {of} {mean:z.4f}, whose "
        f"{1 - LEVEL:.1%} interval [{mean - half:z.4f}, {mean + half:z.4f}] {how}; z = {z:+z.1f}, {p_in_words(p)}, "
        f"n = {len(x):,}"
    )
    figures = {"mean": mean, "low": mean - half, "high": mean + half, "claimed": expected, "tolerance": tolerance}
    return Finding(subject, verdict, evidence, figures | {"z": z, "p": p, "n": len(x)})
