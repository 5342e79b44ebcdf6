"""Keep probabilities: what other programs call them, and the drop probabilities that they are here."""

from __future__ import annotations

import re
from typing import Any

from dropexp.config.mistyped_values import is_percentage, meant

MAX_LENGTH = 200  # of a converted value in a message
_WORDS = (
    "p|probs?|probability|probabilities|rates?|ratios?|fractions?|dropout|drop|inputs?|hiddens?|units?|layers?|outputs?"
)
_KEEP = re.compile(rf"kp|(?:{_WORDS})*(?:keep|kept|retain|retained|retention|survival)(?:{_WORDS})*")


def drop_probs_instead(key: str, value: Any = None, layers: int | None = None, *, several: bool = False) -> str | None:
    """Return the remedy for a key of keep probabilities, such as keep_prob; None for any other key.

    `value` has the keep probabilities, which are converted if they are numbers from 0 to 1 or percentages; with
    `several` it is a list of values, as in a matrix. A single number is repeated for each of `layers` hidden layers,
    unless that is None.
    """
    name = re.sub(r"[^a-z]", "", key.lower())
    if not _KEEP.fullmatch(name):
        return None
    if "input" in name:
        here, rule, layers = "input_drop_prob", "is the probability to DROP, 1 − keep", None
    else:
        here, rule = "drop_probs", "are probabilities to DROP, 1 − keep"
    if isinstance(value, dict):
        return f"{here} {rule}{_space(here, value)}"
    values = value if several and isinstance(value, list) else [value]
    converted = [None if "input" in name and isinstance(one, list) else _drop_probs(one, layers) for one in values]
    text = str(converted if several else converted[0])
    return f"{here} {rule}" + (f": {here} = {text}" if None not in converted and len(text) <= MAX_LENGTH else "")


def _space(here: str, given: dict[str, Any]) -> str:
    """Return ": drop_probs: {each: [0.1, 0.5]}" for a range of keep probabilities to search; "" for anything else."""
    ends = _drop_probs(next(iter(given.values())), None) if given.keys() <= {"uniform", "each"} and given else None
    kind = "each" if here == "drop_probs" else "uniform"
    return f": {here}: {{{kind}: {sorted(ends)}}}" if isinstance(ends, list) and len(ends) == 2 else ""


def _drop_probs(keep: Any, layers: int | None) -> float | list[float] | None:
    """Return 1 − keep of a number or of each number of a list; None if there is anything but probabilities."""
    numbers = [_probability(one) for one in (keep if isinstance(keep, list) else [keep])]
    drop = [round(1 - p, 12) for p in numbers if p is not None]  # 1 - 0.8 is 0.19999999999999996
    if not drop or len(drop) < len(numbers):
        return None
    if isinstance(keep, list):
        return drop
    return drop[0] if layers is None else drop * layers


def _probability(value: Any) -> float | None:
    """Return the probability that a number, a percentage or a text means; None if it means none."""
    if isinstance(value, str):
        value = meant(value, lambda one: type(one) in (int, float))
    if type(value) not in (int, float):
        return None
    value = value / 100 if is_percentage(value) else value
    return value if 0 <= value <= 1 else None
