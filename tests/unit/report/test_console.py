"""Tables on a terminal and in a pipe."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.fake_runs import publish, write_arm, write_run
from helpers.printing import Terminal, printed
from rich.console import Console

from dropexp.analysis.comparison import compare
from dropexp.report import console
from dropexp.report.table import Table

MAIN = ("82.00 ± 2.00", "84.00 ± 3.00", "80.00 ± 1.00", "+2.00", "[-0.48, +4.48]", "INCONCLUSIVE")
SECONDARY = ("87.00", "+3.00", "0.4200", "1.00", "▁", "█", "100%")


@pytest.mark.parametrize(("width", "figures"), [(None, SECONDARY), (120, SECONDARY), (80, SECONDARY[:-1]), (60, ())])
def test_a_narrow_terminal_has_the_main_figures(study: Path, width: int | None, figures: tuple[str, ...]) -> None:
    publish(study, arm="nn", source="a book", loss=[0.002, 0.00125], loss_scale=256)
    text = printed(compare(runs_dir=study), width)
    for figure in (*MAIN, *figures):
        assert figure in text
    assert "…" not in text
    left_out = re.findall("A wider terminal also shows: (.*)", text)
    assert len(left_out) == {None: 0, 120: 0, 80: 1, 60: 3}[width]
    if width:
        lines = re.sub(r"\x1b\[\d*m", "", text).splitlines()
        assert max(len(line) for line in lines if not line.startswith("dropexp ")) <= width


def test_a_terminal_too_narrow_for_a_table_has_each_cell_on_a_line(study: Path) -> None:
    text = printed(compare(runs_dir=study), 20)
    for figure in (*MAIN, *SECONDARY):
        assert figure in text
    assert "wider terminal" not in text


PATHS = Table("", ["state", "path", "why"], [["done", f"runs/{'x' * 30}-{i}", ""] for i in range(9)], paths=(1,))


@pytest.mark.parametrize("width", [31, 35, 49])
def test_paths_are_cut_in_the_middle_and_stay_different(width: int) -> None:
    out = Terminal()
    console.show([replace(PATHS, secondary=("why",))], Console(file=out, width=width, color_system=None))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert [line.split()[1][-2:] for line in lines if "runs/" in line] == [f"-{i}" for i in range(9)]
    assert ("…" in out.getvalue()) == (width < 49)


def test_force_color_does_not_make_a_terminal_of_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = io.StringIO()
    console.show([PATHS], Console(file=out, width=30), notes=["word " * 20])
    assert max(map(len, out.getvalue().splitlines())) > 100
    assert out.getvalue().count(f"runs/{'x' * 30}-") == 9


def test_a_pipe_gets_lines_of_natural_width_without_colour(study: Path) -> None:
    write_arm(study, "nn", [0.8, 0.8], arm="an arm whose name is rather long and has many words " * 2, lr=0.1)
    text = printed(compare(runs_dir=study))
    assert "\x1b" not in text
    assert "an arm whose name is rather long and has many words an arm whose name" in text


def test_a_terminal_gets_bold_and_dim_text_without_colours(study: Path) -> None:
    codes = set(re.findall(r"\x1b\[([\d;]*)m", printed(compare(runs_dir=study), 80)))
    assert codes == {"0", "1", "2"}  # reset, bold, dim


def test_a_long_name_folds_on_a_terminal(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", arm="x" * 20)
    comparison = compare(runs_dir=tmp_path)
    natural = max(map(len, printed(comparison).split("n: runs")[0].splitlines()))
    for width in range(natural - 20 + console.MIN_FOLD, natural + 1):
        table = re.sub("\x1b.*?m", "", printed(comparison, width)).split("n: runs")[0]
        assert max(map(len, table.splitlines())) <= width
        assert table.count("x") == 20


def test_the_command_of_a_headline_is_one_line_at_any_width(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.80, 0.82, 0.84, 0.83, 0.82])
    write_arm(tmp_path, "nn", [0.82, 0.81, 0.87, 0.83, 0.80])
    comparison = compare(runs_dir=tmp_path)
    (headline,) = comparison.headlines
    sentence, command = headline.split(": dropexp ")
    for width in (40, 80, 300):
        text = printed(comparison, width)
        assert f"dropexp {command}" in text.splitlines()
        assert f"{sentence}:" in " ".join(text.split())
    assert headline in printed(comparison).splitlines()


def test_a_name_with_rich_markup_stays_text(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", arm="[red]:smile:[/red]")
    assert "[red]:smile:[/red]" in printed(compare(runs_dir=tmp_path)).split("n: runs")[0]


def test_control_characters_are_replaced_everywhere() -> None:
    evil = "a\x1b[2Jb"
    out = io.StringIO()
    table = Table(evil, ["arm"], [[evil]], legend=evil)
    console.show([table], Console(file=out), headlines=[evil], notes=[evil])
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().count("a\ufffd[2Jb") == 5
