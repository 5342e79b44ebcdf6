"""Names that are shortened to a width."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from dropexp.report.shorten import MAX_WIDTH, distinct, middle, short_names, without_shared


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["s/variant=nn,seed=0", "s/variant=nn,seed=1"], ["seed=0", "seed=1"]),
        (["a/variant=nn,seed=0", "b/variant=nn,seed=1"], ["a/seed=0", "b/seed=1"]),
        (["a/x", "b/x"], ["a", "b"]),
        (["s/arm=x", "s/arm=x,lr=1"], ["s/arm=x", "s/arm=x,lr=1"]),
        (["s/seed=0"], ["s/seed=0"]),
        (["s/p=[0.2, 0.5],seed=0", "s/p=[0.5, 0.5],seed=0"], ["p=[0.2, 0.5]", "p=[0.5, 0.5]"]),
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


def test_what_all_arms_share_is_left_out_in_charts() -> None:
    names = ["nn,drop_probs=[0.2, 0.5],lr=0.1", "nn,drop_probs=[0.5, 0.5],lr=0.1"]
    assert list(short_names(names).values()) == ["drop_probs=[0.2, 0.5]", "drop_probs=[0.5, 0.5]"]
    assert list(short_names(["nn,lr=0.1", "nn"]).values()) == ["nn,lr=0.1", "nn"]
    assert list(short_names(["nn"]).values()) == ["nn"]


def test_names_that_are_too_long_lose_the_keys_that_all_settings_share_before_they_are_cut() -> None:
    names = ["none", "scratch,drop_probs=[0.2, 0.5]", "scratch,drop_probs=[0.3, 0.3]"]
    assert list(short_names(names, 24).values()) == ["none", "scratch,[0.2, 0.5]", "scratch,[0.3, 0.3]"]
    assert list(short_names(names).values()) == names
    several = ["scratch,drop_probs=[0.2, 0.5]", "scratch,hidden=[0.2, 0.5]", "nn"]
    assert all("…" in name or name == "nn" for name in short_names(several, 20).values())


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    (short,) = short_names([f"begin-{'x' * 100}-end"]).values()
    assert short.startswith("begin-x") and short.endswith("x-end") and "…" in short and len(short) == MAX_WIDTH


@pytest.mark.parametrize(
    "names",
    [
        [f"a-long-common-beginning-of-every-name-{i:02d}-and-a-long-common-end-of-every-name" for i in range(40)],
        [f"{'x' * i}{'y' * (80 - i)}" for i in range(80)],
        ["网络" * 20 + f"{i}" + "网络" * 20 for i in range(16)],
        ["x" * 100, "x" * 101, "x" * 99 + "y"],
        [f"{'a' * 30}…{'b' * 30}", f"{'a' * 40}{'b' * 40}"],
    ],
)
@pytest.mark.parametrize("most", [12, MAX_WIDTH])
def test_different_names_of_arms_stay_different(names: list[str], most: int) -> None:
    short = short_names(names, most)
    assert list(short) == names and len(set(short.values())) == len(names)
    assert max(map(cell_len, short.values())) <= most


def test_names_that_differ_in_their_middle_keep_it_and_are_short() -> None:
    names = [f"a-long-common-beginning-of-every-name-{i:02d}-and-a-long-common-end-of-every-name" for i in range(40)]
    short = short_names(names)
    assert all(f"{i:02d}" in short[name] and cell_len(short[name]) <= MAX_WIDTH for i, name in enumerate(names))
