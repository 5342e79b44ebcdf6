"""Charts for pages that are read on light and on dark backgrounds."""

from __future__ import annotations

from pathlib import Path

import vl_convert
from altair.typing import ChartType

from dropexp.report.charts.by_name import save
from dropexp.report.charts.style import theme

DARK_BACKGROUND = "#0d1117"  # GitHub's


def save_light_and_dark(chart: ChartType, path: Path) -> None:
    """Write a chart as NAME.svg, and as NAME-dark.svg with the colours of a dark page."""
    save(chart, path)
    config = theme(dark=True) | {"background": DARK_BACKGROUND}
    dark = path.with_stem(f"{path.stem}-dark")
    dark.write_text(vl_convert.vegalite_to_svg(chart.to_dict(), config=config), encoding="utf-8")
