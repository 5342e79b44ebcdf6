"""The page of findings: its chart in light and dark colours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.fake_runs import write_run
from pages import findings
from storage import DOCS

from dropexp.report.charts import save


def without_colours(svg: Path) -> str:
    return re.sub(r'"(white|#[0-9a-fA-F]{6})"', '""', svg.read_text(encoding="utf-8"))


def test_light_and_dark_chart_show_the_same_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPEXP_RUNS", str(tmp_path))
    for size in findings.SIZES:
        for i, kind in enumerate(("none", "dropout", "weight-decay", "both")):
            variant = "scratch" if kind in ("dropout", "both") else "none"
            for seed in range(2):
                arm, acc, decay = f"{size}-{kind}", 0.8 + 0.01 * i, 1e-3 * i
                write_run(
                    tmp_path, variant, seed, acc, name="does-dropout-help", arm=arm, train_size=size, weight_decay=decay
                )
    chart = findings.gains_chart(findings.sizes())
    light, dark = tmp_path / "light.svg", tmp_path / "dark.svg"
    save(chart, light)
    findings.save_dark(chart, dark)
    assert without_colours(light) == without_colours(dark)
    assert light.read_text(encoding="utf-8") != dark.read_text(encoding="utf-8")


def test_published_light_and_dark_chart_show_the_same_figures() -> None:
    light, dark = DOCS / "findings-sizes.svg", DOCS / "findings-sizes-dark.svg"
    assert findings.TITLE in light.read_text(encoding="utf-8")
    assert without_colours(light) == without_colours(dark)
