"""Names of arms in charts."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from dropexp.report.short_names import MOST, short_names


def test_what_all_names_share_is_left_out() -> None:
    names = ["nn,drop_probs=[0.2, 0.5],lr=0.1", "nn,drop_probs=[0.5, 0.5],lr=0.1"]
    assert list(short_names(names).values()) == ["drop_probs=[0.2, 0.5]", "drop_probs=[0.5, 0.5]"]
    assert list(short_names(["nn,lr=0.1", "nn"]).values()) == ["nn,lr=0.1", "nn"]
    assert list(short_names(["nn"]).values()) == ["nn"]


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    (short,) = short_names([f"begin-{'x' * 100}-end"]).values()
    assert short.startswith("begin-x") and short.endswith("x-end") and "…" in short and len(short) == MOST


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
@pytest.mark.parametrize("most", [12, MOST])
def test_different_names_stay_different(names: list[str], most: int) -> None:
    short = short_names(names, most)
    assert list(short) == names and len(set(short.values())) == len(names)


def test_names_that_differ_in_their_middle_keep_it_and_are_short() -> None:
    names = [f"a-long-common-beginning-of-every-name-{i:02d}-and-a-long-common-end-of-every-name" for i in range(40)]
    short = short_names(names)
    assert all(f"{i:02d}" in short[name] and cell_len(short[name]) <= MOST for i, name in enumerate(names))
