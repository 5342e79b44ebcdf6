"""Names that are shortened to a width."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from dropexp.report.shorten import distinct, middle, without_shared


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["s/variant=nn,seed=0", "s/variant=nn,seed=1"], ["seed=0", "seed=1"]),
        (["a/variant=nn,seed=0", "b/variant=nn,seed=1"], ["a/seed=0", "b/seed=1"]),
        (["a/x", "b/x"], ["a", "b"]),
        (["s/arm=x", "s/arm=x,lr=1"], ["s/arm=x", "s/arm=x,lr=1"]),
        (["s/seed=0"], ["s/seed=0"]),
        ([], []),
    ],
)
def test_parts_that_all_names_share_are_left_out(names: list[str], expected: list[str]) -> None:
    assert without_shared(names) == expected


def test_a_name_is_cut_in_the_middle() -> None:
    assert middle("runs/dropout/seed=0-12345678", 20) == "runs/dropo…-12345678"
    assert middle("short", 5) == "short"


@pytest.mark.parametrize("width", [4, 7, 12, 30])
@pytest.mark.parametrize(
    "names",
    [
        [f"variant=nn,lr={lr},hidden=256-256,seed=0" for lr in range(8)],
        [f"{i}-at-the-start-of-a-long-name" for i in range(8)],
        [f"at-the-end-of-a-long-name-{i}" for i in range(8)],
        [f"隠れ層のドロップアウト率{i}、種は零番" for i in range(8)],
        [f"{'x' * 40}{i}{'x' * 40}" for i in range(8)],
    ],
)
def test_different_names_look_different_at_every_width(names: list[str], width: int) -> None:
    cut = distinct(names, width)
    assert len(set(cut)) == 8
    assert max(map(cell_len, cut)) <= width
