"""Check a requirement on an arm, "nn.test_acc >= 0.83", or on a difference, "nn - none.low >= -0.01"."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dropexp.analysis.comparison import Comparison
from dropexp.analysis.frames import records
from dropexp.analysis.metric_choice import similar_metric
from dropexp.analysis.verdicts import VerdictWord
from dropexp.config.names import normalised
from dropexp.errors import ComparisonError
from dropexp.nearest import did_you_mean
from dropexp.runs.metrics import POINTS

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_EQUALITY = ("==", "!=")  # of verdicts; figures are rarely equal to a number
_FIELDS = {  # of a difference, and the columns of `DifferenceRow`
    "difference": "difference",
    "low": "low",
    "high": "high",
    "images_low": "images_low",
    "images_high": "images_high",
    "p": "p_holm",
    "verdict": "verdict",
}
_SIGN = re.compile("|".join(_OPERATORS))
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE)
_PERCENT = re.compile(r"(?<![\d.])(-?\d{1,3}(?:\.\d{1,9})?)\s?%\s*\Z")
MINUS = "−"


@dataclass(frozen=True)
class Requirement:
    """A requirement as it was typed, and its parts: `subject` is an arm or a difference, `name` one of its figures."""

    text: str
    subject: str
    name: str
    sign: str
    bound: str

    def check_bound(self, what: str, low: int, hundredths: str = "") -> None:
        """Raise ComparisonError for a bound that is not from `low` to 1, where all figures are.

        `hundredths` is what people call them: "%" or "points".
        """
        bound = float(self.bound)
        if low <= bound <= 1:
            return
        meant = f": {bound:g} {hundredths} is {bound / 100:g}" if hundredths and low <= bound / 100 <= 1 else ""
        raise ComparisonError(f"{self.text!r}: {what} is a fraction from {low} to 1{meant}")

    def fails(self, value: float, origin: str) -> str | None:
        """Return why a figure does not meet the bound, or None if it does. `origin` says what the figure is."""
        holds, limit = _OPERATORS[self.sign], float(self.bound)
        title = f"{self.subject}.{self.name}"
        if math.isnan(value):
            return f"{title} is unknown: no run has this figure"
        if holds(value, limit):
            return None
        shown = f"{value:z.4f}"
        if holds(float(shown), limit):  # rounding would contradict the sentence
            shown = repr(value)
        return f"{title} is {shown} ({origin}), not {self.sign} {self.bound}"


def require(comparison: Comparison, requirement: str) -> str | None:
    """Return None if `requirement` holds, or else a sentence on why it does not.

    Figures of arms are means over their runs; figures of differences are those of `compare`: accuracies are fractions,
    and p is adjusted by Holm. A figure of an arm with a run that diverged or is at
    chance level meets no requirement.

    Raises ComparisonError if it cannot be parsed, or names no arm, difference or figure.
    """
    rows = {name: row for name, _, row in _subjects(comparison)}
    titles = {name: title for name, title, _ in _subjects(comparison)}
    names = {title: name for name, title in titles.items()} | {name: name for name in titles}
    arms = [name for name, row in rows.items() if "baseline" not in row]
    wanted = _parse(requirement, f"{arms[0]}.{comparison.usual.name} >= 0.83")
    if wanted.subject in names:
        name = names[wanted.subject]
        check = _require_figure if name in arms else _require_difference
        return check(replace(wanted, subject=titles[name]), rows[name], comparison)
    differences = [name for name in rows if name not in arms]
    raise ComparisonError(f"{requirement!r}: {_unknown_subject(wanted.subject, arms, differences)}")


def _subjects(comparison: Comparison) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield differences, then arms, which may be named like one: as typed, the same with labels, and the row."""
    for row in [*records(comparison.differences), *records(comparison.arms)]:
        arms = [row[side] for side in ("arm", "baseline") if side in row]
        yield _typed(" - ".join(arms)), _typed(" - ".join(comparison.titles.get(arm, arm) for arm in arms)), row


def _parse(text: str, example: str) -> Requirement:
    # A label may contain dots, commas and hyphens: the figure is what follows the last dot before the last operator.
    signs = list(_SIGN.finditer(text))
    left, bound = (text[: signs[-1].start()], text[signs[-1].end() :].strip()) if signs else (text, "")
    subject, dot, name = left.rpartition(".")
    bound = bound.replace(MINUS, "-")
    subject = _typed(" ".join(normalised(subject).split()))
    wanted = Requirement(text, subject, name.strip(), signs[-1].group() if signs else "", bound)
    is_equality = wanted.sign in _EQUALITY
    if not (wanted.subject and name and dot) or is_equality != (wanted.name == "verdict"):
        raise _not_a_requirement(text, example)
    if wanted.name == "verdict":
        if bound not in list(VerdictWord):
            what = f"unknown verdict {bound!r}{did_you_mean(bound, VerdictWord)}"
            raise ComparisonError(f"{text!r}: {what}; the verdicts are: {', '.join(VerdictWord)}")
    elif not _NUMBER.fullmatch(bound):
        raise _not_a_requirement(text, example)
    return wanted


def _typed(subject: str) -> str:
    """Return an arm or a difference as a keyboard types it: headlines have a true minus sign, and can be copied."""
    return subject.replace(f" {MINUS} ", " - ")


def _not_a_requirement(text: str, example: str) -> ComparisonError:
    if percent := _PERCENT.search(text.replace(MINUS, "-")):
        fraction = f"{text[: percent.start()]}{float(percent[1]) / 100:g}"
        return ComparisonError(f"{text!r}: a bound is a fraction, as figures in csv and json are; write {fraction!r}")
    order = " ".join(sign for sign in _OPERATORS if sign not in _EQUALITY)
    return ComparisonError(
        f"{text!r} is not a requirement; write ARM.METRIC OP NUMBER, OP one of {order}, such as {example!r}, "
        "or 'ARM - BASELINE.FIGURE OP NUMBER', FIGURE one of "
        f"{', '.join(name for name in _FIELDS if name != 'verdict')}, or 'ARM - BASELINE.verdict == BETTER'; in "
        "quotes, since > and < redirect in a shell"
    )


def _require_figure(wanted: Requirement, arm: Mapping[str, Any], comparison: Comparison) -> str | None:
    if wanted.name not in comparison.metrics:
        raise _unknown_figure(wanted, "metric", comparison.metrics)
    metric = comparison.metrics[wanted.name]
    if metric.unit.factor != 1:
        wanted.check_bound(f"the {metric.title}", -1 if metric.unit == POINTS else 0, metric.unit.figures)
    if broken := _broken(comparison, arm["arm"]):
        return broken
    kind = "median" if wanted.name == "seconds" else "mean"
    return wanted.fails(arm[wanted.name], f"{kind} of {arm['n']}")


def _require_difference(wanted: Requirement, row: Mapping[str, Any], comparison: Comparison) -> str | None:
    if wanted.name not in _FIELDS:
        raise _unknown_figure(wanted, "figure", _FIELDS)
    if wanted.name == "verdict":  # which takes broken runs into account
        holds = _OPERATORS[wanted.sign](row["verdict"], wanted.bound)
        return None if holds else f"{wanted.subject}.verdict is {row['verdict']}, not {wanted.sign} {wanted.bound}"
    metric = comparison.metric
    if wanted.name == "p":
        wanted.check_bound("p", 0)
    elif metric.unit.factor != 1:
        wanted.check_bound(f"a difference in {metric.title}", -1, metric.unit.differences)
    if broken := _broken(comparison, row["arm"], row["baseline"]):
        return broken
    return wanted.fails(row[_FIELDS[wanted.name]], f"{row['pairs']} pairs")


def _broken(comparison: Comparison, *labels: str) -> str | None:
    """Return why no figure of these arms meets a requirement, or None if all of their runs finished well."""
    broken = {label: comparison.broken[label] for label in labels if label in comparison.broken}
    return (
        "; ".join(
            f"{comparison.titles.get(label, label)} meets no requirement: {'; '.join(runs)}"
            for label, runs in broken.items()
        )
        or None
    )


def _unknown_figure(wanted: Requirement, kind: str, known: Mapping[str, object]) -> ComparisonError:
    similar = similar_metric(wanted.name, known)
    what = f"unknown {kind} {wanted.name!r}{similar}; the {kind}s are: {', '.join(known)}"
    return ComparisonError(f"{wanted.text!r}: {what}")


def _unknown_subject(subject: str, arms: Collection[str], differences: Collection[str]) -> str:
    """Say that there is no such arm or difference, and which there are."""
    sides = [(arm, base) for arm in arms for base in arms if subject == f"{arm} - {base}"]
    if sides or " - " in subject:
        remedy = f"; --baseline {sides[0][1]} compares with {sides[0][1]}" if sides else ""
        similar = "" if remedy else did_you_mean(subject, differences)
        listed = ", ".join(differences) or "none"
        return f"unknown difference {subject!r}{similar}; the differences are: {listed}{remedy}"
    others = (
        "; -c FILE compares only the arms of a config" if any(arm.startswith(f"{subject},") for arm in arms) else ""
    )
    return f"unknown arm {subject!r}{did_you_mean(subject, arms)}; the arms are: {', '.join(arms)}{others}"
