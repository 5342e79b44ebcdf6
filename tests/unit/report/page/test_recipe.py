"""The recipe of a report: its configs define the same runs, and its commands for the same comparison."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from helpers.fake_runs import change, publish, write_arm, write_regression, write_run
from helpers.studies import write_realistic_study, write_runs_of
from helpers.tuned import SHARED, write_tuned

from dropexp.analysis.comparison import Comparison, compare
from dropexp.config import yaml
from dropexp.config.study import load_config
from dropexp.report.origin_of_runs import compared_runs
from dropexp.report.page.page import page
from dropexp.report.page.recipe import Recipe, arm_configs, commands, recipes
from dropexp.runs.folder import RunFolder

ROOT = Path(__file__).parents[4]
SHIPPED = sorted((ROOT / "configs").rglob("*.yaml"))
TUNED = [path for path in SHIPPED if "\ntune:" in path.read_text(encoding="utf-8")]
CONFIGS = [path for path in SHIPPED if path not in TUNED]


def recipe_of(comparison: Comparison) -> Recipe:
    (recipe,) = recipes(comparison, compared_runs(comparison))
    return recipe


def named(labels: Iterable[str]) -> list[str]:
    """Return the labels with lists as in names of arms: joined by hyphens, without brackets."""
    return [re.sub(r"=\[([^]]*)\]", lambda found: "=" + found[1].replace(", ", "-"), label) for label in labels]


def assert_recipe_defines_the_same_runs(config: Path, folder: Path, seeds: str | None = None) -> None:
    """Compare the runs of a config with those of the recipe that they give."""
    write_runs_of(config, folder / "runs", seeds)
    first = compare((), folder / "runs")
    recipe = recipe_of(first)
    again = folder / "again.yaml"
    again.write_text(recipe.text, encoding="utf-8")
    study = load_config(again)
    assert f"{study.name}.yaml" == recipe.file
    assert recipe.more_runs == 0
    hashes = [RunFolder(Path(path)).read_info().hash for path in first.runs["path"]]
    assert sorted(run.digest("cpu") for run in study.runs) == sorted(hashes)
    write_runs_of(again, folder / "runs again")
    second = compare((), folder / "runs again")
    assert list(second.arms["arm"]) == named(first.arms["arm"])
    assert list(second.published["arm"]) == named(first.published["arm"])
    assert second.findings == named(first.findings)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_the_recipe_of_a_shipped_config_defines_the_same_runs(config: Path, tmp_path: Path) -> None:
    assert_recipe_defines_the_same_runs(config, tmp_path, seeds="0..1")


@pytest.mark.parametrize("config", TUNED, ids=lambda path: path.stem)
def test_the_recipe_of_a_study_with_searches_draws_the_same_points(config: Path, tmp_path: Path) -> None:
    write_tuned(tmp_path, config.read_text(encoding="utf-8"))
    recipe = recipe_of(compare(load_config(config).name, tmp_path / "runs"))
    (tmp_path / recipe.file).write_text(recipe.text, encoding="utf-8")
    first, second = load_config(config), load_config(tmp_path / recipe.file)
    assert {one.digest: one.points for one in second.searches} == {one.digest: one.points for one in first.searches}


def test_arms_that_share_a_tested_run_have_their_own_keys_in_the_recipe(tmp_path: Path) -> None:
    write_tuned(tmp_path, SHARED, acc=lambda planned: 1 - planned.config.lr)  # both select lr 0.1
    recipe = recipe_of(compare("tuned", tmp_path / "runs", "none"))
    (tmp_path / "again.yaml").write_text(recipe.text, encoding="utf-8")
    first, second = (load_config(tmp_path / name) for name in ("tuned.yaml", "again.yaml"))
    assert {one.digest for one in second.searches} == {one.digest for one in first.searches}


def test_tested_runs_whose_searches_are_not_known_have_no_recipe(tmp_path: Path) -> None:
    write_tuned(tmp_path)
    (tmp_path / "runs" / "tuned" / "study.json").unlink()
    comparison = compare("tuned", tmp_path / "runs")
    assert recipes(comparison, compared_runs(comparison)) == []
    assert "No config of tuned is known: study.json lacks the searches" in page(comparison)
    assert commands(comparison, compared_runs(comparison)) == ["dropexp compare tuned", "dropexp report tuned"]


def test_only_configs_on_the_page_are_trained(tmp_path: Path) -> None:
    write_tuned(tmp_path)
    (tmp_path / "runs" / "tuned" / "study.json").unlink()
    write_arm(tmp_path / "runs", "none", [0.8, 0.81])
    comparison = compare((), tmp_path / "runs")
    runs = compared_runs(comparison)
    assert [recipe.file for recipe in recipes(comparison, runs)] == ["dropout.yaml"]
    training, *_ = commands(comparison, runs)
    assert training == "dropexp train --config=dropout.yaml --device=cpu"


@pytest.mark.parametrize(
    "text",
    [
        "matrix: {variant: [none, scratch], drop_probs: [[0.1, 0.1], [0.5, 0.5]], seed: 0..2}",
        "arms: {wide: {hidden: [64, 64]}, deep: {hidden: [32, 32], lr: 1e-5}}\n"
        "matrix: {variant: [none, nn], seed: [3, 7]}\npublished: {arm: wide, source: 'no: 1', test_acc: [0.8]}",
        "variant: nn\ninit: torch\nname: 2026-11-21\nseed: 12\ntrain_size: 1000\nvalidation_size: 500",
        "arms: {'1e3': {variant: none, weight_decay: 0.001}, '08': {variant: scratch}, 'null': {variant: nn}}",
        "variant: none\nmatrix: {weight_decay: [0, 1e-4, 0.01], seed: 0..1}\npublished: {loss: [1.5, 1.25]}",
    ],
    ids=["matrix", "arms-and-published", "name-like-a-date", "arms-like-numbers", "published-without-arm"],
)
def test_the_recipe_of_any_config_defines_the_same_runs(text: str, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(text, encoding="utf-8")
    assert_recipe_defines_the_same_runs(config, tmp_path)


def test_published_figures_keep_their_arm_under_its_new_name(tmp_path: Path) -> None:
    for arm in ("a", "b"):
        write_run(tmp_path, "nn", 0, name="one", arm=arm, lr=0.1 if arm == "a" else 0.2)
    publish(tmp_path, "one", arm="b", source="a book", test_acc=[0.8])
    content = yaml.parse(recipe_of(compare((), tmp_path)).text, "recipe").content
    assert content["published"] == {"arm": ["b"], "source": "a book", "test_acc": [0.8]}


@pytest.mark.parametrize("declared", [None, "plain"])
def test_published_norms_belong_to_declared_arms_or_else_to_variants(declared: str | None, tmp_path: Path) -> None:
    write_regression(tmp_path, name="one")
    for run in compared_runs(compare((), tmp_path)):
        change(run.folder, arm=declared)
    norms = {declared or "scratch": 12.12}
    publish(tmp_path, "one", w_norm=norms, source="a blog")
    content = yaml.parse(recipe_of(compare((), tmp_path)).text, "recipe").content
    assert content["published"] == {"arm": [declared or "scratch"], "w_norm": norms, "source": "a blog"}


def test_a_seed_that_an_arm_lacks_is_one_more_run(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.81, 0.82])
    write_arm(tmp_path, "nn", [0.8, 0.81])
    recipe = recipe_of(compare((), tmp_path))
    assert recipe.more_runs == 1
    assert "matrix: {seed: 0..2}" in recipe.text


def test_the_commands_name_studies_devices_and_options(tmp_path: Path) -> None:
    write_realistic_study(tmp_path, name="my study", seeds=2)
    write_realistic_study(tmp_path, name="other", seeds=2, device="cuda")
    comparison = compare((), tmp_path, metric="test_loss", by="lr", margin=0.01)
    assert commands(comparison, compared_runs(comparison)) == [
        "dropexp train '--config=my study.yaml' --device=cpu",
        "dropexp train --config=other.yaml --device=cuda",
        "dropexp compare 'my study' other --by=lr --metric=test_loss --margin=0.01",
        "dropexp report 'my study' other --by=lr --metric=test_loss --margin=0.01",
    ]


def test_the_command_of_compare_has_the_interaction(tmp_path: Path) -> None:
    for lr in (0.1, 0.5):
        for variant in ("none", "nn"):
            write_arm(tmp_path, variant, [0.8, 0.81], lr=lr)
    comparison = compare((), tmp_path, interaction=("variant", "lr"))
    assert commands(comparison, compared_runs(comparison))[1:] == [
        "dropexp compare dropout --interaction=variant,lr",
        "dropexp report dropout",
    ]


def test_an_interaction_with_the_arms_cannot_be_reproduced_since_a_recipe_renames_them(tmp_path: Path) -> None:
    for arm, width in (("narrow", 64), ("wide", 128)):
        for lr in (0.1, 0.5):
            write_arm(tmp_path, "nn", [0.8, 0.81], arm=arm, lr=lr, hidden=[width, width])
    comparison = compare((), tmp_path, interaction=("arm", "lr"))
    assert "dropexp compare dropout" in commands(comparison, compared_runs(comparison))


def test_the_commands_of_a_regression_need_no_metric(tmp_path: Path) -> None:
    write_regression(tmp_path)
    comparison = compare((), tmp_path)
    assert "dropexp compare weight-decay" in commands(comparison, compared_runs(comparison))


def test_every_arm_has_its_whole_config_without_the_seed(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.81])
    write_arm(tmp_path, "nn", [0.8, 0.81])
    comparison = compare((), tmp_path)
    configs = arm_configs(comparison, compared_runs(comparison))
    assert list(configs) == ["none", "nn"]
    assert "name: dropout\nvariant: nn\n" in configs["nn"]
    assert "seed" not in configs["nn"]
