"""Labels of arms, and their order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.comparisons import mentions
from helpers.fake_runs import write_arm, write_run

from dropexp.analysis.comparison import compare
from dropexp.errors import NoRuns


def labels(runs_dir: Path, *names: str) -> list[str]:
    return list(compare(names, runs_dir).arms["arm"])


def test_an_arm_with_a_unique_variant_is_labelled_by_it(shared_study: Path) -> None:
    assert labels(shared_study) == ["none", "nn", "scratch"]


def test_arms_of_one_variant_are_labelled_by_what_differs_in_numeric_order(tmp_path: Path) -> None:
    write_run(tmp_path, "none")
    for lr in (10.0, 0.5, 2.0):
        write_run(tmp_path, "nn", lr=lr)
    assert labels(tmp_path) == ["none", "nn,lr=0.5", "nn,lr=2.0", "nn,lr=10.0"]


def test_a_label_shows_the_value_of_a_default(tmp_path: Path) -> None:
    write_run(tmp_path, "scratch")
    write_run(tmp_path, "scratch", mask="randn-2019")
    assert labels(tmp_path) == ["scratch,mask=rand", "scratch,mask=randn-2019"]


def test_a_label_has_each_key_that_differs(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", drop_probs=[0.2, 0.5], lr=0.1)
    write_run(tmp_path, "nn", drop_probs=[0.5, 0.5], lr=0.1)
    write_run(tmp_path, "nn", drop_probs=[0.5, 0.5], device="cuda", lr=0.1)
    assert labels(tmp_path) == [
        "nn,device=cpu,drop_probs=[0.2, 0.5]",
        "nn,device=cpu,drop_probs=[0.5, 0.5]",
        "nn,device=cuda,drop_probs=[0.5, 0.5]",
    ]


def test_a_label_has_each_key_that_the_run_uses_and_no_other(tmp_path: Path) -> None:
    write_run(tmp_path, "none", input_noise_std=0.5, noise_at_eval=False)
    write_run(tmp_path, "none", input_noise_std=0.5, noise_at_eval=True)
    assert labels(tmp_path) == ["none,noise_at_eval=false", "none,noise_at_eval=true"]
    for lr in (0.5, 0.1):
        write_run(tmp_path, "nn", name="init", init="torch", init_bias="torch", init_std=0.01, lr=lr)
    (note,) = [note for note in compare("init", tmp_path, by="init_std").notes if "does not vary" in note]
    assert note == "init_std does not vary: no arm uses it"


def test_arms_with_one_label_are_numbered(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", arm="nn,lr=0.1")
    for lr in (0.1, 0.5):
        write_run(tmp_path, "nn", lr=lr)
    assert labels(tmp_path) == ["nn,lr=0.1", "nn,lr=0.1#2", "nn,lr=0.5"]


def test_a_declared_arm_is_the_label(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", arm="narrow", hidden=[64, 64])
    write_run(tmp_path, "nn", arm="wide", hidden=[512, 512], lr=0.1)
    write_run(tmp_path, "none", arm="wide", hidden=[512, 512], lr=0.1)
    assert sorted(labels(tmp_path)) == ["narrow", "wide,variant=nn", "wide,variant=none"]


def test_arms_without_a_finished_run_do_not_change_other_labels(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.8])
    write_run(tmp_path, "none", 0, status="interrupted", lr=0.1)
    write_run(tmp_path, "none", 0, status="interrupted", name="other", lr=0.2)
    comparison = compare(runs_dir=tmp_path)
    assert list(comparison.arms["arm"]) == ["none"]
    assert mentions(comparison.notes, "dropout/none,lr=0.1: seed 0 interrupted, left out")
    assert mentions(comparison.notes, "other/none: seed 0 interrupted, left out")
    write_arm(tmp_path, "none", [0.8], lr=0.1)
    assert labels(tmp_path) == ["none,lr=0.1", "none,lr=0.5"]
    write_arm(tmp_path, "none", [0.8], name="other", lr=0.2)
    assert labels(tmp_path) == ["dropout/none,lr=0.1", "dropout/none,lr=0.5", "other/none"]


def test_labels_of_several_studies_include_the_study(tmp_path: Path) -> None:
    for name in ("a1", "a2"):
        write_arm(tmp_path, "none", [0.8, 0.8], name=name)
        write_arm(tmp_path, "nn", [0.8, 0.9], name=name)
    assert labels(tmp_path) == ["a1/none", "a1/nn", "a2/none", "a2/nn"]
    assert labels(tmp_path, "a2") == ["none", "nn"]
    assert list(compare(runs_dir=tmp_path).differences["baseline"]) == ["a1/none", "a2/none"]


# arms by a swept parameter


def test_arms_are_ordered_by_a_swept_parameter(tmp_path: Path) -> None:
    for p in ([0.5, 0.5], [0.2, 0.2]):
        write_arm(tmp_path, "nn", [0.8, 0.8], drop_probs=p)
    write_arm(tmp_path, "none", [0.7, 0.7])
    compared = compare(runs_dir=tmp_path, by="drop_probs")
    arms = compared.arms
    assert list(arms["arm"]) == ["none", "nn,drop_probs=[0.2, 0.2]", "nn,drop_probs=[0.5, 0.5]"]
    assert list(arms["series"]) == ["none", "nn", "nn"]
    assert list(arms["by"]) == [None, (0.2, 0.2), (0.5, 0.5)]  # none does not use it
    for frame in (arms, compared.runs, compared.curves):
        assert [by for by, _ in frame.groupby("by")] == [(0.2, 0.2), (0.5, 0.5)]
    assert '"[0.2, 0.2]"' in compared.to_csv() and json.loads(compared.to_json())["arms"][1]["by"] == [0.2, 0.2]


def test_arms_are_ordered_by_the_number_of_images_that_all_means(tmp_path: Path) -> None:
    for held_out in (0, 10_000, 30_000):
        write_arm(tmp_path, "nn", [0.8], train_size=None, validation_size=held_out)
    assert list(compare(runs_dir=tmp_path, by="train_size").arms["by"]) == [30_000, 50_000, 60_000]


def test_a_key_that_does_not_vary_is_noted(tmp_path: Path) -> None:
    def note(key: str) -> list[str]:
        return [note for note in compare(runs_dir=tmp_path, by=key).notes if "does not vary" in note]

    every: dict[str, Any] = {"train_size": None, "validation_size": 0}
    write_arm(tmp_path, "none", [0.8], **every)
    assert note("drop_probs") == ["drop_probs does not vary: no arm uses it"]
    write_arm(tmp_path, "nn", [0.8], **every)
    for key, value in (("lr", "0.5"), ("drop_probs", "[0.2, 0.5]"), ("train_size", "60000")):
        assert note(key) == [f"{key} does not vary: it is {value} in every arm that uses it"]
    write_arm(tmp_path, "nn", [0.8], **every | {"lr": 0.1, "validation_size": 1000, "drop_probs": [0.2, 0.2]})
    assert note("lr") == note("drop_probs") == note("train_size") == []


def test_an_unfinished_study_has_no_note_on_a_key_that_does_not_vary(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", status="interrupted")
    with pytest.raises(NoRuns, match="no run is finished") as error:
        compare(runs_dir=tmp_path, by="lr")
    assert "does not vary" not in str(error.value)
