"""The section `tune` of a config: a search for the settings of each arm, with the same budget for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dropexp.config.checks import Checks
from dropexp.config.other_libraries import searches
from dropexp.config.overrides import MAX_RUNS, whole_range
from dropexp.config.problems import dotted, shown
from dropexp.config.schema import Config, allowed
from dropexp.config.search_space import KINDS, RANGES, Dimension
from dropexp.config.values import whole
from dropexp.config.yaml import KeyPath, dump_line
from dropexp.did_you_mean import did_you_mean, letters, nearest

KEYS = ("trials", "repeats", "space")
MAX_REPEATS = 1000  # repeat r trains its trials with seed r, and its tested run with seed 1000 + r
# Keys of the question that the arms are compared for, not of the training of one arm.
NOT_TUNED = {
    *("variant", "task", "seed", "epochs", "train_size", "validation_size", "label_noise", "probes"),
    *("eval_train", "eval_every", "eval_test"),
}


@dataclass(frozen=True)
class Tune:
    """What the section defines."""

    trials: int  # per arm and repeat
    repeats: list[int]  # independent searches, the unit of comparison
    space: dict[str, Dimension]


def parse_tune(given: Any, fixed: Iterable[str], checks: Checks) -> Tune | None:
    """Return the section, as far as it is valid; None if there is none.

    Keys in `fixed`, which an option sets, are not searched.
    """
    problems = checks.problems
    if not isinstance(given, dict):
        if given is not None:
            problems.add(("tune",), f"tune = {shown(given)} is not a mapping with the keys {', '.join(KEYS)}")
        return None
    for key in given:
        if key not in KEYS:
            instead = did_you_mean(searches.KEYS.get(letters(str(key)), str(key)), KEYS)
            problems.add(("tune", key), f"unknown key {key!r}{instead}; the keys of tune are {', '.join(KEYS)}")
    trials, repeats = whole(given.get("trials")), _repeats(whole(given.get("repeats")))
    if type(trials) is not int or not 1 <= trials <= MAX_RUNS:
        problems.add(("tune", "trials"), f"tune.trials = {shown(trials)} is not a whole number, 1 to {MAX_RUNS:,}")
    if repeats is None:
        what = f"a whole number, 1 to {MAX_REPEATS:,}, or a range within 0..{MAX_REPEATS - 1}"
        problems.add(("tune", "repeats"), f"tune.repeats = {shown(given.get('repeats'))} is not {what}")
    space = given.get("space")
    if not isinstance(space, dict) or not space:
        example = "lr: {log: [0.01, 0.5]}"
        problems.add(("tune", "space"), f"tune.space = {shown(space)} is not a mapping of keys, such as {example}")
        space = {}
    dimensions = _dimensions({key: value for key, value in space.items() if key not in fixed}, checks)
    return Tune(trials if type(trials) is int else 1, repeats or [0], dimensions)


def _repeats(given: Any) -> list[int] | None:
    """Return the repeats that a number of them, or a range like 8..15, defines; None if it is neither."""
    repeats = list(range(given)) if type(given) is int and 1 <= given <= MAX_REPEATS else whole_range(given)
    return repeats if repeats and repeats[-1] < MAX_REPEATS else None


def _dimensions(space: Mapping[str, Any], checks: Checks) -> dict[str, Dimension]:
    found = {}
    for key, given in space.items():
        path: KeyPath = ("tune", "space", key)
        if not checks.is_known(key, given, path):
            continue
        if key in NOT_TUNED:
            checks.problems.add(path, f"{key!r} cannot be searched: it belongs to the question, not to the settings")
        elif (dimension := _dimension(key, given, path, checks)) is not None:
            found[key] = dimension
    return found


def _dimension(key: str, given: Any, path: KeyPath, checks: Checks) -> Dimension | None:
    """Return the dimension; if it is invalid, add the problem and return None."""
    kind, values = next(iter(given.items())) if isinstance(given, dict) and len(given) == 1 else (None, None)
    if kind not in KINDS or not isinstance(values, list) or not values:
        forms = "{uniform: [low, high]}, {log: [low, high]}, {each: [low, high]} or {choice: [values]}"
        meant = f" (did you mean {text}?)" if (text := _meant(given)) else ""
        checks.problems.add(path, f"{dotted(path)} = {shown(given)} is not of the form {forms}{meant}")
        return None
    path = (*path, kind)
    values = [checks.normal(key, value) for value in values]
    if kind in RANGES:
        return _range(key, kind, values, path, checks)
    valid = [checks.is_valid(key, value, (*path, index)) for index, value in enumerate(values)]
    return Dimension(kind, tuple(values)) if all(valid) else None


def _meant(given: Any) -> str:
    """Return the dimension that is meant by a value of another form, such as {loguniform: [0.1, 1]}; "" if unknown."""
    if isinstance(given, list) and given:
        return dump_line({"choice": given})
    if not isinstance(given, dict):
        return ""
    words = {letters(str(key)): value for key, value in given.items()}
    kind = letters(str(words.get("distribution", "uniform")))
    low, high = (
        next((words[name] for name in names if name in words), None) for names in (searches.LOW, searches.HIGH)
    )
    if low is not None and high is not None:
        return dump_line({searches.KINDS.get(kind, "uniform"): [low, high]})
    if len(given) != 1:
        return ""
    (name, values) = next(iter(given.items()))
    known = searches.KINDS.get(letters(str(name))) or nearest(str(name), KINDS)
    example = ["a", "b"] if known == "choice" else ["low", "high"]
    return dump_line({known: values if isinstance(values, list) and values else example}) if known else ""


def _range(key: str, kind: str, ends: list[Any], path: KeyPath, checks: Checks) -> Dimension | None:
    if len(ends) != 2 or not all(type(end) in (int, float) for end in ends) or not ends[0] < ends[1]:
        checks.problems.add(path, f"{dotted(path)} = {shown(ends)} is not [low, high], two numbers with low < high")
        return None
    if kind == "log" and ends[0] <= 0:
        what = f"starts at {shown(ends[0])}, which has no logarithm; use a low end above 0, or uniform"
        checks.problems.add(path, f"{dotted(path)} {what}")
        return None
    in_list = kind == "each"
    if in_list != bool(allowed(Config, key, item=True)):
        what = "has one value; use uniform, log or choice" if in_list else "has an entry per hidden layer; use each"
        checks.problems.add(path, f"{dotted(path)}: {key} {what}")
        return None
    valid = [checks.is_valid(key, [end] if in_list else end, (*path, index)) for index, end in enumerate(ends)]
    whole = all(type(end) is int for end in ends) and not checks.takes(key, [0.5] if in_list else 0.5)
    return Dimension(kind, tuple(ends), whole) if all(valid) else None
