"""Check a requirement on an arm, "nn.test_acc >= 0.83", or on a difference, "nn - none.low >= -0.01"."""

from __future__ import annotations

import math
import operator
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from dropexp.analysis import two_way
from dropexp.analysis.comparison import Comparison
from dropexp.analysis.frames import records
from dropexp.analysis.metric_choice import similar_metric
from dropexp.analysis.verdicts import VerdictWord
from dropexp.config.names import normalised
from dropexp.did_you_mean import did_you_mean
from dropexp.errors import ComparisonError
from dropexp.plurals import counted
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
_SIGN = re.compile("[<>=!]+")
_INSTEAD = {"=>": ">=", "=<": "<="}
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?\s*%?", re.IGNORECASE)  # % for `check_bound`
MINUS = "−"


@dataclass(frozen=True)
class Requirement:
    """A requirement as it was typed, and its parts: `subject` is an arm or a difference, `name` one of its figures."""

    text: str
    subject: str
    name: str
    sign: str
    bound: str

    def check_bound(self, what: str, low: int | None, hundredths: str = "") -> None:
        """Raise ComparisonError for a bound with a percent sign or, if `low` is given, outside `low` to 1.

        `hundredths` is the unit in which the bound may have been typed: "%" or "points".
        """
        number, percent, _ = self.bound.partition("%")
        bound = float(number)
        if low is None:
            if percent:
                raise ComparisonError(f"{self.text!r}: a bound on {what} is a number without %, as in csv and json")
            return
        if low <= bound <= 1 and not percent:
            return
        hundredths = percent or hundredths
        meant = f": {bound:g} {hundredths} is {bound / 100:g}" if hundredths and low <= bound / 100 <= 1 else ""
        raise ComparisonError(f"{self.text!r}: {what} is a fraction from {low} to 1{meant}")

    def fails(self, value: float, origin: str, unknown: str) -> str | None:
        """Return why a figure does not meet the bound, or None if it does.

        `origin` describes the figure, and `unknown` why it would be NaN.
        """
        holds, limit = _OPERATORS[self.sign], float(self.bound)
        title = f"{self.subject}.{self.name}"
        if math.isnan(value):
            return f"{title} is unknown: {unknown}"
        if holds(value, limit):
            return None
        shown = f"{value:z.4f}"
        if holds(float(shown), limit):  # rounding would contradict the sentence
            shown = repr(value)
        return f"{title} is {shown} ({origin}), not {self.sign} {self.bound}"


@dataclass(frozen=True)
class _Subject:
    """An arm or a difference of the comparison: its name, the same with labels, and its row."""

    name: str
    title: str
    row: Mapping[str, Any]

    @property
    def is_difference(self) -> bool:
        return "baseline" in self.row

    @property
    def shown(self) -> str:
        return self.name if self.title == self.name else f"{self.name} ({self.title})"


def require(comparison: Comparison, requirement: str) -> str | None:
    """Return None if `requirement` holds, or else a sentence on why it does not.

    Figures of arms are means over their runs, `seconds` a median; figures of differences are those of `compare`:
    accuracies are fractions, and p is Holm-adjusted. If a run of an arm diverged or is at chance level, no requirement
    on figures of the arm can pass.

    Raises ComparisonError if it cannot be parsed, or names no arm, difference or figure.
    """
    subjects = _subjects(comparison)
    example = f"{comparison.arms['arm'].iloc[0]}.{comparison.usual.name} >= 0.83"
    wanted = _parse(requirement, example)
    if wanted.subject not in subjects:
        raise ComparisonError(f"{requirement!r}: {_unknown_subject(wanted, subjects)}")
    subject = subjects[wanted.subject]
    check = _require_difference if subject.is_difference else _require_figure
    return check(replace(wanted, subject=subject.title), subject.row, comparison)


def _subjects(comparison: Comparison) -> dict[str, _Subject]:
    """Return arms and differences by all names and labels that select them; if one selects both, it means the arm."""
    subjects: dict[str, _Subject] = {}
    for row in [*records(comparison.differences), *records(comparison.arms)]:
        arms = [row[side] for side in ("arm", "baseline") if side in row]
        titles = [comparison.titles.get(arm, arm) for arm in arms]
        subject = _Subject(_typed(" - ".join(arms)), _typed(" - ".join(titles)), row)
        typed = product(*zip(titles, arms, strict=True))  # a label and a name can be mixed
        subjects |= {_typed(" - ".join(sides)): subject for sides in typed}
    return subjects


def _parse(text: str, example: str) -> Requirement:
    # A label may contain dots, commas and hyphens: the figure is what follows the last dot before the last operator.
    signs = list(_SIGN.finditer(text))
    left, bound = (text[: signs[-1].start()], text[signs[-1].end() :].strip()) if signs else (text, "")
    subject, dot, name = left.rpartition(".")
    bound = bound.replace(MINUS, "-")
    subject = _typed(" ".join(normalised(subject).split()))
    wanted = Requirement(text, subject, name.strip(), signs[-1].group() if signs else "", bound)
    if subject and wanted.name and wanted.sign not in _OPERATORS and (bound in list(VerdictWord) or _is_number(bound)):
        meant = "==" if wanted.name == "verdict" else _INSTEAD.get(wanted.sign, ">=")
        raise ComparisonError(f"{text!r}: {wanted.sign!r} is not an operator; did you mean {meant!r}?")
    is_equality = wanted.sign in _EQUALITY
    if not (wanted.subject and name and dot) or is_equality != (wanted.name == "verdict"):
        raise _not_a_requirement(text, example)
    if wanted.name == "verdict":
        if bound not in list(VerdictWord):
            what = f"unknown verdict {bound!r}{did_you_mean(bound, VerdictWord)}"
            raise ComparisonError(f"{text!r}: {what}; the verdicts are: {', '.join(VerdictWord)}")
    elif not _is_number(bound):
        raise _not_a_requirement(text, example)
    return wanted


def _is_number(bound: str) -> bool:
    return _NUMBER.fullmatch(bound) is not None


def _typed(subject: str) -> str:
    """Return an arm or a difference with hyphens for minus signs, which text copied from headlines has."""
    return subject.replace(f" {MINUS} ", " - ")


def _not_a_requirement(text: str, example: str) -> ComparisonError:
    order = " ".join(sign for sign in _OPERATORS if sign not in _EQUALITY)
    return ComparisonError(
        f"{text!r} is not a requirement; write ARM.METRIC OP NUMBER, OP one of {order}, such as {example!r}, "
        "or 'ARM - BASELINE.FIGURE OP NUMBER', FIGURE one of "
        f"{', '.join(name for name in _FIELDS if name != 'verdict')}, or 'ARM - BASELINE.verdict == BETTER'; in "
        "quotes, since > and < redirect in a shell"
    )


def _require_figure(wanted: Requirement, arm: Mapping[str, Any], comparison: Comparison) -> str | None:
    if wanted.name not in comparison.metrics:
        of_difference = f"; {wanted.name} belongs to a difference: '{wanted.subject} - BASELINE.{wanted.name}'"
        remedy = of_difference if wanted.name in _FIELDS else ""
        raise _unknown_figure(wanted, "metric", comparison.metrics, remedy)
    metric = comparison.metrics[wanted.name]
    low = None if metric.unit.factor == 1 else -1 if metric.unit == POINTS else 0
    wanted.check_bound(f"the {metric.title}", low, metric.unit.figures)
    if broken := _broken(comparison, arm["arm"]):
        return broken
    kind = "median" if wanted.name == "seconds" else "mean"
    return wanted.fails(arm[wanted.name], f"{kind} of {arm['n']}", "no run has this figure")


def _require_difference(wanted: Requirement, row: Mapping[str, Any], comparison: Comparison) -> str | None:
    if wanted.name not in _FIELDS:
        remedy = f"; --metric {wanted.name} compares it" if wanted.name in comparison.metrics else ""
        raise _unknown_figure(wanted, "figure", _FIELDS, remedy)
    if wanted.name == "verdict":  # which takes broken runs into account
        holds = _OPERATORS[wanted.sign](row["verdict"], wanted.bound)
        return None if holds else f"{wanted.subject}.verdict is {row['verdict']}, not {wanted.sign} {wanted.bound}"
    metric = comparison.metric
    if wanted.name == "p":
        wanted.check_bound("p", 0)
    else:
        low = None if metric.unit.factor == 1 else -1
        wanted.check_bound(f"a difference in {metric.title}", low, metric.unit.differences)
    if broken := _broken(comparison, row["arm"], row["baseline"]):
        return broken
    value, pairs = row[_FIELDS[wanted.name]], counted(row["pairs"], "pair")
    return wanted.fails(value, pairs, _why_unknown(wanted.name, row, metric.name))


def _why_unknown(figure: str, row: Mapping[str, Any], metric: str) -> str:
    """Return why a difference would not have this figure."""
    pairs, least = row["pairs"], 1 if figure == "difference" else 2
    if pairs < least:
        found = "is 1" if pairs else "are none"
        return f"it needs at least {counted(least, 'pair')} of runs with {metric}, and there {found}"
    if metric not in two_way.METRICS:
        return f"it exists for {' and '.join(two_way.METRICS)} only, not for {metric}"
    return "it needs kept predictions of the same test images at this epoch, which some of these runs lack"


def _broken(comparison: Comparison, *labels: str) -> str | None:
    """Return why no figure of these arms meets a requirement, or None if all of their runs finished well."""
    broken = {label: comparison.broken[label] for label in labels if label in comparison.broken}
    return (
        "; ".join(
            f"no requirement on figures of {comparison.titles.get(label, label)} can pass: {'; '.join(runs)}"
            for label, runs in broken.items()
        )
        or None
    )


def _unknown_figure(wanted: Requirement, kind: str, known: Mapping[str, object], remedy: str) -> ComparisonError:
    similar = "" if remedy else similar_metric(wanted.name, known)
    what = f"unknown {kind} {wanted.name!r}{similar}; the {kind}s are: {', '.join(known)}{remedy}"
    return ComparisonError(f"{wanted.text!r}: {what}")


def _unknown_subject(wanted: Requirement, subjects: Mapping[str, _Subject]) -> str:
    """Return the message for an unknown arm or difference: it lists those that exist."""
    typed = wanted.subject
    is_difference = wanted.name in _FIELDS or " - " in typed
    arms = {name: subject for name, subject in subjects.items() if not subject.is_difference}
    same_kind = {name: subject for name, subject in subjects.items() if subject.is_difference == is_difference}
    listed = dict.fromkeys(subject.shown for subject in same_kind.values())
    kind, known, remedy = "difference" if is_difference else "arm", ", ".join(listed) or "none", ""
    for base in arms:
        arm = typed.removesuffix(f"-{base}")
        if arm != typed and arm in arms:
            written = f"{arm} - {base}.{wanted.name} {wanted.sign} {wanted.bound}"
            return f"unknown {kind} {typed!r}; write spaces around the minus: {written!r}"
    sides = [(arms.get(typed.removesuffix(f" - {name}")), base) for name, base in arms.items()]
    if bases := [base.name for arm, base in sides if arm not in (None, base)]:
        remedy = f"; --baseline {shlex.quote(bases[0])} compares with {bases[0]}"
    elif any(name.startswith(f"{typed},") for name in arms):
        remedy = "; -c FILE compares only the arms of a config"
    similar = "" if bases else did_you_mean(typed, same_kind)
    return f"unknown {kind} {typed!r}{similar}; the {kind}s are: {known}{remedy}"
