"""Characters that no installed font has."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.fake_runs import write_arm

from dropexp.analysis.comparison import compare
from dropexp.report.charts.by_name import save, single
from dropexp.report.charts.glyphs import UNASSIGNED, missing_glyphs, note_on_glyphs


def test_common_characters_are_in_some_font() -> None:
    assert missing_glyphs({"title": "a − b ± c é →"}) == []


@pytest.mark.parametrize(("suffix", "noted"), [(".png", True), (".svg", False)])
def test_a_picture_drawn_with_missing_glyphs_has_a_note(
    suffix: str, noted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "dropexp.report.charts.glyphs._drawn", lambda one: b"box" if one in (UNASSIGNED, "数") else b"glyph"
    )
    write_arm(tmp_path / "runs", "none", [0.8, 0.81])
    write_arm(tmp_path / "runs", "nn", [0.8, 0.81], arm="数 é")
    note = save(single(compare((), tmp_path / "runs"), "arms"), tmp_path / f"chart{suffix}")
    assert bool(note) is noted
    assert not note or note.startswith(f"no installed font has 数: boxes in {tmp_path / 'chart.png'}; install a font")


def test_many_missing_characters_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropexp.report.charts.glyphs._drawn", lambda one: b"box")
    note = note_on_glyphs({"title": "".join(chr(0x4E00 + i) for i in range(13))}, Path("c.pdf"))
    assert note and " and 3 more: boxes in c.pdf" in note
