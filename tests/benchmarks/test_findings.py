"""The page of findings: its charts in light and dark colours, and its tables of kept results."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.fake_runs import write_run
from pages import book, ensembles, findings, images_and_updates, label_noise, tuned
from pages.dark import save_light_and_dark
from pages.markdown import replace_section
from storage import DOCS, ROOT
from studies import CHARTS

from dropexp import compare, load_config


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
    light, dark = tmp_path / "sizes.svg", tmp_path / "sizes-dark.svg"
    save_light_and_dark(findings.sizes_chart(findings.sizes()), light)
    assert without_colours(light) == without_colours(dark)
    assert light.read_text(encoding="utf-8") != dark.read_text(encoding="utf-8")


@pytest.mark.parametrize("study", tuned.STUDIES)
def test_published_charts_show_the_kept_results_in_light_and_dark_colours(study: str) -> None:
    rows = tuned.kept_rows(study, "test_acc")
    del rows[tuned.BASELINE]
    for chart in CHARTS[f"findings/{study}"]:
        light, dark = DOCS / f"findings-{study}-{chart}.svg", DOCS / f"findings-{study}-{chart}-dark.svg"
        assert without_colours(light) == without_colours(dark)
        for arm, row in rows.items():
            assert f">{arm}" in light.read_text(encoding="utf-8")
            if chart == "differences":
                mean, low, high = (f"{100 * row[name]:+.2f}" for name in ("difference", "low", "high"))
                assert f"{row['verdict']} {mean} [{low}, {high}]" in light.read_text(encoding="utf-8")


@pytest.mark.parametrize("study", tuned.STUDIES)
def test_the_page_shows_the_kept_results(study: str) -> None:
    text = (DOCS / "findings.md").read_text(encoding="utf-8")
    assert replace_section(text, study, tuned.table(study)) == text


def test_the_page_shows_the_kept_results_with_wrong_labels() -> None:
    text = (DOCS / "findings.md").read_text(encoding="utf-8")
    assert replace_section(text, label_noise.STUDY, label_noise.table()) == text


def test_the_page_and_its_chart_show_the_kept_results_by_number_of_images_and_updates() -> None:
    text = (DOCS / "findings.md").read_text(encoding="utf-8")
    assert replace_section(text, images_and_updates.STUDY, images_and_updates.table()) == text
    light, dark = (DOCS / f"findings-{images_and_updates.STUDY}{ending}.svg" for ending in ("", "-dark"))
    assert without_colours(light) == without_colours(dark)
    drawn = light.read_text(encoding="utf-8")
    for *_, row in images_and_updates.cells("test_acc"):
        gain = f"{100 * row['difference']:.6g}".replace("-", "\N{MINUS SIGN}")
        assert f"gain over none (points): {gain}; series" in drawn


def test_the_page_and_its_chart_show_the_kept_results_of_ensembles() -> None:
    text = (DOCS / "findings.md").read_text(encoding="utf-8")
    assert replace_section(text, ensembles.STUDY, ensembles.table()) == text
    assert replace_section(text, f"{ensembles.STUDY}-pairs", ensembles.pairs_table()) == text
    light, dark = (DOCS / f"findings-{ensembles.STUDY}{ending}.svg" for ending in ("", "-dark"))
    assert without_colours(light) == without_colours(dark)
    results = ensembles.Results()
    for images in results.sizes:
        gain = results.difference(images, ensembles.FIVE, ensembles.BASELINE, "acc")
        assert f"gain over none (points): {100 * gain.mean:.6g}; series" in light.read_text(encoding="utf-8")


def test_the_gains_in_the_readme_are_kept_results() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").partition("## Quick start")[0].split())
    number = r"[+-][\d.]+"
    shown = re.findall(rf"\(`([\w-]+)`\)[^`]*? ({number} \[{number}, {number}\])", text)
    rows = tuned.kept_rows("tuned-1000", "test_acc")
    assert len(shown) == len(re.findall(rf"{number} \[", text)) >= 3
    assert all(tuned.gain(rows[arm]) == gain for arm, gain in shown)


def test_the_readme_has_the_kept_figures_beside_those_of_the_book() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert replace_section(text, "book", book.table()) == text


QUESTIONS = {question.config: question for question in (*findings.EXERCISES, *findings.PAPER)}


@pytest.mark.parametrize("config", QUESTIONS)
def test_questions_are_about_arms_of_their_studies(config: str, tmp_path: Path) -> None:
    runs = load_config(ROOT / "configs" / f"{config}.yaml").runs
    probed = dict.fromkeys(("h1_var", "h1_mean", "h1_zero", "w1_norm", "noisy_acc"), 0.5)
    seeds = sorted({run.config.seed for run in runs})[:2]
    for run in runs:
        if run.config.seed in seeds:
            settings = run.config.model_dump(exclude_defaults=True) | {"epochs": 2}
            write_run(tmp_path, probed=probed, name=run.name, arm=run.arm, **settings)
    for question in (*findings.EXERCISES, *findings.PAPER):
        if question.config == config:
            found = compare(
                runs[0].name,
                runs_dir=tmp_path,
                baseline=question.baseline,
                metric=question.metric,
                filter=question.where,
            )
            assert question.arm in set(found.differences["arm"])
