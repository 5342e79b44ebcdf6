"""A comparison with other names of its arms, for people: the titles of its config, or short ones in charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from dropexp.analysis.comparison import Comparison
from dropexp.report.shorten import short_names

FRAMES = ("arms", "differences", "interactions", "best_val", "published", "fits", "runs", "curves")  # that name arms


def for_charts(comparison: Comparison) -> Comparison:
    """Return the comparison with short titles, without what all arms share."""
    named = titled(comparison)
    return renamed(named, short_names(named.arms["arm"]), short_names(named.arms["series"]))


def titled(comparison: Comparison) -> Comparison:
    """Return the comparison with the titles of its arms; the settings have both."""
    if not comparison.titles:
        return comparison
    settings = comparison.settings.copy()
    settings.insert(1, "label", settings["arm"].map(lambda name: comparison.titles.get(name, name)))
    return replace(renamed(comparison, comparison.titles, comparison.titles), settings=settings, titles={})


def renamed(comparison: Comparison, arms: Mapping[str, str], series: Mapping[str, str]) -> Comparison:
    """Return the comparison with other names of arms and series in all of its frames; its sentences stay."""

    def of(frame: pd.DataFrame) -> pd.DataFrame:
        names = {"arm": arms, "baseline": arms, "series": series}
        return frame.assign(
            **{
                key: frame[key].map(lambda name, own=own: own.get(name, name))
                for key, own in names.items()
                if key in frame
            }
        )

    frames: Any = {name: of(getattr(comparison, name)) for name in FRAMES}
    tuning = replace(
        comparison.tuning,
        selected=of(comparison.tuning.selected),
        budget=of(comparison.tuning.budget),
        trials=of(comparison.tuning.trials),
    )
    return replace(comparison, tuning=tuning, **frames)
