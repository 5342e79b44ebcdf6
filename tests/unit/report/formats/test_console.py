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
from dropexp.analysis.headlines import Headline
from dropexp.report.formats import console
from dropexp.report.tables.table import Table
from dropexp.terminal_encoding import ERRORS

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


def test_columns_stay_aligned_beside_a_cell_with_a_tab() -> None:
    file = io.StringIO()
    console.show([Table("", ["a", "b"], [["x\ty", "1"], ["long", "2"]], left=(0,))], Console(file=file))
    assert file.getvalue().splitlines()[2:4] == ["x y   1", "long  2"]


def test_a_terminal_too_narrow_for_a_table_has_each_cell_on_a_line(study: Path) -> None:
    text = printed(compare(runs_dir=study), 20)
    for figure in (*MAIN, *SECONDARY):
        assert figure in text
    assert "wider terminal" not in text


PATHS = Table("", ["state", "path", "why"], [["done", f"runs/{'x' * 30}-{i}", ""] for i in range(9)], cut=(1,))


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


def test_a_terminal_leaves_out_columns_before_it_cuts_names() -> None:
    headers, name = ["arm", "accuracy", "loss", "seconds"], "long-name-of-an-arm"
    rows = [[f"{name}-{i}", "0.8", "0.4", "1.2"] for i in range(9)]
    terms = {"loss": "loss: nats.", "seconds": "seconds: median."}
    table = Table("", headers, rows, about="accuracy: of seeds.", terms=terms, secondary=("seconds", "loss"))
    for width in range(24, 60):
        out = Terminal()
        console.show([table], Console(file=out, width=width, color_system=None))
        text = " ".join(out.getvalue().split())
        assert max(map(len, out.getvalue().splitlines())) <= width
        for header in ("loss", "seconds"):
            left_out = f"{header}." in text or f"{header}," in text
            assert (terms[header] in text) != left_out
        assert "accuracy: of seeds." in text
        cut = "…" in text
        assert all(f"{name}-{i} " in text for i in range(9)) != cut
        assert not cut or "seconds, loss" in text
        assert len({line.split()[0] for line in out.getvalue().splitlines() if "0.8" in line}) == 9


def test_a_pair_of_names_folds_before_its_minus_sign() -> None:
    out = Terminal()
    table = Table("", ["arm - baseline", "p"], [["with-dropout - without-dropout", "0.01"]])
    console.show([table], Console(file=out, width=25, color_system=None))
    assert out.getvalue().splitlines()[2:4] == ["with-dropout       0.01", "- without-dropout"]


def test_a_text_that_would_be_narrow_is_below_its_name() -> None:
    table = Table("", ["study", "question"], [["a-study/of-a-long-name", "does it help? " * 4]], fold=(1,), cut=())
    for width, lines in ((40, ["a-study/of-a-long-name", "  does it help? does it help? does it"]), (60, ["study"])):
        out = Terminal()
        console.show([table], Console(file=out, width=width, color_system=None))
        shown = out.getvalue().splitlines()
        assert [line[: len(start)] for line, start in zip(shown, lines, strict=False)] == lines
        assert max(map(len, shown)) <= width


@pytest.mark.parametrize("width", [44, 60, 80])
def test_an_ascii_terminal_gets_substitutes_in_aligned_columns(width: int) -> None:
    rows = [[f"a-name-that-is-long-{i}-and-longer-{i}-still", "82.00 ± 2.00", "▁█", "−1"] for i in range(9)]
    table = Table("±", ["arm", "accuracy", "by epoch", "‖w‖"], rows, left=(0, 2), about="± × ≤ …", secondary=("‖w‖",))
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", errors=ERRORS)
    out.isatty = lambda: True  # type: ignore[method-assign]  # a terminal
    console.show([table], Console(file=out, width=width, color_system=None), notes=["ξ"])
    text = raw.getvalue().decode("ascii")
    lines = [line for line in text.splitlines() if "+- 2.00" in line]
    assert len(lines) == 9 and len({line.index("82.00") for line in lines}) == 1
    assert max(map(len, text.splitlines())) <= width
    assert "?" not in text and "\\u" not in text and "---" in text and "_#" in text and "+- x <= ..." in text


def test_the_command_of_a_headline_is_one_line_at_any_width(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.80, 0.82, 0.84, 0.83, 0.82])
    write_arm(tmp_path, "nn", [0.82, 0.81, 0.87, 0.83, 0.80])
    comparison = compare(runs_dir=tmp_path)
    (headline,) = comparison.headlines
    for width in (40, 80, 300):
        text = printed(comparison, width)
        assert headline.command in text.splitlines()
        assert f"{headline.sentence}:" in " ".join(text.split())
    assert str(headline) in printed(comparison).splitlines()


def test_a_name_with_rich_markup_stays_text(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", arm="[red]:smile:[/red]")
    assert "[red]:smile:[/red]" in printed(compare(runs_dir=tmp_path)).split("n: runs")[0]


def test_control_characters_are_replaced_everywhere() -> None:
    evil = "a\x1b[2Jb"
    out = io.StringIO()
    table = Table(evil, ["arm"], [[evil]], about=evil)
    console.show([table], Console(file=out), headlines=[Headline(evil, evil)], notes=[evil])
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().count("a\ufffd[2Jb") == 6
