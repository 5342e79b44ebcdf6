"""Check a requirement such as "nn.test_acc >= 0.83" against a comparison."""

from __future__ import annotations

import math
import operator
import re

from dropexp.analysis.comparison import Comparison
from dropexp.analysis.metric_choice import similar_metric
from dropexp.errors import ComparisonError
from dropexp.nearest import did_you_mean

_OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def require(comparison: Comparison, requirement: str) -> str | None:
    """Return None if `requirement`, such as "nn.test_acc >= 0.83", holds, or else a sentence on why it does not.

    Raises ComparisonError if it cannot be parsed or names no arm or metric.
    """
    arms = {arm["arm"]: arm for arm in comparison.arms.to_dict("records")}
    # A label may contain dots, so the metric is what follows the last one before the operator.
    # No part of the pattern can match in several ways, so a text of any length is parsed in linear time.
    number = r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?"
    parts = re.fullmatch(rf"(.+)\.(\w+)\s*(>=|<=|>|<)\s*({number})", requirement.strip())
    if parts is None:
        raise ComparisonError(
            f"{requirement!r} is not a requirement; write ARM.METRIC OP NUMBER, OP one of {' '.join(_OPERATORS)}, "
            f"such as '{next(iter(arms))}.{comparison.usual.name} >= 0.83', quoted: > and < redirect in a shell"
        )
    label, metric, sign, bound = parts.groups()
    for kind, name, allowed in (("arm", label, arms), ("metric", metric, comparison.metrics)):
        if name not in allowed:
            others = "; -c FILE compares only the arms of a config" if any(f"{name}," in one for one in allowed) else ""
            similar = similar_metric(name, allowed) if kind == "metric" else did_you_mean(name, allowed)
            what = f"unknown {kind} {name!r}{similar}; the {kind}s are: {', '.join(allowed)}{others}"
            raise ComparisonError(f"{requirement!r}: {what}")

    arm, holds, limit = arms[label], _OPERATORS[sign], float(bound)
    if arm["diverged"]:
        return f"{label} meets no requirement: {arm['diverged']} of its runs diverged ({arm['n']} are done)"
    value = arm[metric]
    if holds(value, limit):
        return None
    if math.isnan(value):
        return f"{label}.{metric} is unknown: no run has this figure"
    shown = f"{value:.4f}"
    if holds(float(shown), limit):  # rounding would contradict the sentence
        shown = repr(value)
    kind = "median" if metric == "seconds" else "mean"
    return f"{label}.{metric} is {shown} ({kind} of {arm['n']}), not {sign} {bound}"
