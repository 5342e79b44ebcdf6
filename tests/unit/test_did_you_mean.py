"""Suggestions for names that do not exist."""

from __future__ import annotations

import time

import pytest

from dropexp.did_you_mean import did_you_mean, nearest, nearest_file


@pytest.mark.parametrize(
    ("name", "names", "expected"),
    [
        ("tset_acc", ["test_loss", "test_acc"], "test_acc"),
        ("dropprobs", ["drop_epochs", "drop_probs"], "drop_probs"),
        ("TEST-ACC", ["test_acc"], "test_acc"),
        ("regg", ["dropout", "regularisers-2"], None),
        ("regul", ["dropout", "table-9-regularisers"], "table-9-regularisers"),
        ("acc", ["seconds", "test_acc", "val_acc"], "test_acc"),
        ("xyzzy", ["lr", "epochs"], None),
        ("हिन्दि", ["हिन्दी"], "हिन्दी"),
        ("nm", ["none", "nn"], "nn"),
        ("nm", ["mn", "mm"], None),
        ("no", ["nn", "none"], "none"),
        ("n", ["name", "x"], None),
        ("time", ["optimizer"], None),
        ("lrr", ["lr", "l1"], "lr"),
        ("rl", ["lr"], None),
        ("sdg", ["sgd", "adam"], "sgd"),
        ("adm", ["sgd", "adam"], "adam"),
        ("sed", ["seed", "sgd"], "seed"),
        ("edned", ["epoch", "ended"], "ended"),
        ("abc", ["adam", "axy"], None),
        ("ers", ["layers"], None),
        ("f1", ["test_acc", "gap", "w1_norm"], None),
        ("", ["a"], None),
        ("---", ["a"], None),
        ("lr", [], None),
    ],
)
def test_the_nearest_name_is_found_whatever_its_case_and_punctuation(
    name: str, names: list[str], expected: str | None
) -> None:
    assert nearest(name, names) == expected
    assert did_you_mean(name, names) == ("" if expected is None else f" (did you mean {expected!r}?)")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("x.yaml", None),
        ("foo.yaml", None),
        ("tin.yaml", "tiny.yaml"),
        ("configs/tiny.yml", "tiny.yaml"),
        ("widht.yaml", "studies/width.yaml"),
    ],
)
def test_files_are_compared_without_folder_and_ending(word: str, expected: str | None) -> None:
    assert nearest_file(word, ["u.yaml", "tiny.yaml", "studies/width.yaml"]) == expected


def test_many_and_long_names_take_no_time() -> None:
    start = time.perf_counter()
    nearest("variant=nn,seed=3" * 1000, (f"variant=nn,seed={i}" for i in range(100_000)))
    assert time.perf_counter() - start < 5
