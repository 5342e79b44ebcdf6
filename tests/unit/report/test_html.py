"""The page: whole, offline, escaped, and able to have its runs again. How it looks and moves: tests/browser."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_runs import epoch_row, publish, write_arm, write_regression, write_run

from dropexp.analysis.comparison import Comparison, compare
from dropexp.config.study import load_config
from dropexp.report.html import page, write
from dropexp.runs.folder import RunFolder
from dropexp.runs.study_file import write_study

ROOT = Path(__file__).parents[3]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
VOID = {"meta", "link", "br", "img", "input"}
EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Elements in order, each with its attributes and all text inside it; complains about what is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self.open: list[int] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}, []))
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self.open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        for i in self.open:
            self.elements[i][2].append(data)

    def texts(self, tag: str, **wanted: str) -> list[str]:
        """The text of each element with this tag and these attributes."""
        return ["".join(text) for name, own, text in self.elements if name == tag and wanted.items() <= own.items()]


def write_study_of(runs_dir: Path, name: str = "dropout", seeds: int = 5, epochs: int = 5, **more: Any) -> None:
    """Runs that look real: curves that rise and bend, seeds that scatter."""
    for i, variant in enumerate(("none", "nn", "scratch")):
        for seed in range(seeds):
            noise = random.Random(seed * 10 + i)
            accs = [0.86 - 0.12 / (e + 1) + 0.003 * i + noise.gauss(0, 0.006) for e in range(epochs)]
            write_run(runs_dir, variant, seed, accs, name=name, epochs=epochs, **more)


def page_of(runs_dir: Path, **options: Any) -> str:
    return page(compare((), runs_dir, **options))


def as_trained(runs_dir: Path, config: Path) -> Comparison:
    """The runs of a config, as training names and places them."""
    study = load_config(config)
    for run in study.runs:
        keys = run.config.model_dump()
        figures = [0.8 + 0.001 * run.config.seed] * run.config.epochs
        if run.config.task == "linear-regression":
            folder = write_regression(runs_dir, test_loss=figures, name=run.name, **keys)
        else:
            folder = write_run(runs_dir, test_acc=figures, name=run.name, **keys)
        true = {"arm": run.arm, "hash": run.digest("cpu"), "settings": run.config.settings("cpu"), "cell": run.cell}
        folder.write_info(folder.read_info() | true)
        folder.path.rename(folder.path.with_name(f"{run.cell}-{run.digest('cpu')}"))
    write_study(runs_dir, study.name, study.remarks)
    return compare((), runs_dir)


def test_what_there_is_in_its_order(tmp_path: Path) -> None:
    write_study_of(tmp_path)
    publish(tmp_path, arm="nn", source="a book", test_acc=[0.7, 0.8], loss=[0.9, 0.8])
    html = page_of(tmp_path, likelihood=True)
    found = Page(html)
    headings = [own.get("id") for tag, own, _ in found.elements if tag == "h2"]
    assert headings == ["notes", "learning", "arms", "differences", "gap", "published", "configs", "origin", "again"]
    assert next(tag for tag, *_ in found.elements if re.fullmatch("h[1-3]", tag)) == "h1"
    assert len(found.texts("h1")) == len(found.texts("main")) == 1
    assert [own["lang"] for tag, own, _ in found.elements if tag == "html"] == ["en"]
    assert html.index('class="verdict"') < html.index("<h2")
    assert '<a class="skip" href="#content">' in html


def test_the_verdicts_come_first_and_whole(tmp_path: Path) -> None:
    write_study_of(tmp_path)
    comparison = compare((), tmp_path)
    assert len(comparison.findings) == 2
    verdict = Page(page(comparison)).texts("ul", **{"class": "verdict"})
    assert all(finding in verdict[0] for finding in comparison.findings)
    one = compare((), tmp_path, where={"variant": "nn"})
    assert "one arm" in Page(page(one)).texts("p", **{"class": "verdict"})[0]


def test_without_a_baseline_the_notes_say_why_there_is_no_verdict(tmp_path: Path) -> None:
    write_arm(tmp_path, "nn", [0.8, 0.81])
    write_arm(tmp_path, "scratch", [0.82, 0.81])
    found = Page(page_of(tmp_path))
    assert found.texts("p", **{"class": "verdict"})[0].startswith("No verdict: no arm here has another")
    assert any("no arm without dropout" in note for note in found.texts("li"))
    assert "Differences" not in found.texts("h2")


def test_names_stay_text(tmp_path: Path) -> None:
    write_study_of(tmp_path, seeds=2)
    for seed in (0, 1):
        write_run(tmp_path, "scratch", seed, 0.8, arm=EVIL, lr=0.1)
        write_run(tmp_path, "scratch", seed, 0.8, arm="\"><img src=x onerror='alert(1)'>", lr=0.2)
        write_run(tmp_path, "scratch", seed, 0.8, arm="{{ 7 * 7 }}", lr=0.3)
    publish(tmp_path, arm=EVIL, source=f"<b>{EVIL}", test_acc=[0.7])
    found = Page(page_of(tmp_path))
    scripts = [own for tag, own, _ in found.elements if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "figures"}, {}, {}]
    assert not found.texts("img") and not found.texts("b")
    assert EVIL in found.texts("th") and "{{ 7 * 7 }}" in found.texts("th")
    figures = json.loads(found.texts("script", id="figures")[0])
    assert EVIL in json.dumps(figures["charts"]["chart-arms"])


def test_it_loads_nothing_and_runs_its_own_scripts_only(tmp_path: Path) -> None:
    write_study_of(tmp_path)
    html = page_of(tmp_path)
    found = Page(html)
    addresses = {own[key] for _, own, _ in found.elements for key in ("src", "href", "action", "data") if key in own}
    assert addresses == {"data:,", "#content"}
    policy = next(own["content"] for tag, own, _ in found.elements if own.get("http-equiv"))
    assert policy.startswith("default-src 'none'; ") and "connect-src 'none'" in policy and "eval" not in policy
    for script in [text for text in found.texts("script") if "vegaEmbed" in text]:
        assert f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" in policy
    styles = found.texts("style")[0]
    assert "@import" not in styles and "url(" not in styles
    assert len(html.encode()) < 3_000_000


def test_figures_say_in_words_what_they_draw(tmp_path: Path) -> None:
    write_study_of(tmp_path)
    found = Page(page_of(tmp_path))
    charts = json.loads(found.texts("script", id="figures")[0])["charts"]
    images = [own["aria-label"] for _, own, _ in found.elements if own.get("role") == "img"]
    assert [own["id"] for _, own, _ in found.elements if own.get("class") == "chart"] == list(charts)
    assert len(images) == len(charts) and all(len(alt) > 40 for alt in images)
    assert len(found.texts("figcaption")) == len(images) and all(found.texts("figcaption"))


def test_tables_are_tables(tmp_path: Path) -> None:
    write_study_of(tmp_path)
    write_arm(tmp_path, "nn", [0.8, 0.81], lr=0.1)
    found = Page(page_of(tmp_path))
    assert len(found.texts("table")) == len(found.texts("caption")) == 4  # arms, differences, settings, origin
    assert all(own["scope"] in ("col", "row") for tag, own, _ in found.elements if tag == "th")
    assert {"none", "nn,lr=0.1", "scratch"} <= set(found.texts("th", scope="row"))
    regions = [own for _, own, _ in found.elements if own.get("role") == "region"]
    assert all(own["tabindex"] == "0" and own["aria-label"] for own in regions)
    labels = [own["aria-label"] for own in regions]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_its_config_asks_for_the_same_runs(config: Path, tmp_path: Path) -> None:
    ask_again(as_trained(tmp_path / "runs", config), tmp_path)


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
)
def test_its_config_asks_for_the_same_runs_whatever_they_are(text: str, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(text, encoding="utf-8")
    ask_again(as_trained(tmp_path / "runs", config), tmp_path)


def ask_again(first: Comparison, tmp_path: Path) -> None:
    found = Page(page(first))
    (file,) = [text for text in found.texts("code") if text.endswith(".yaml")]
    config = tmp_path / "again.yaml"
    config.write_text(found.texts("pre", **{"aria-label": file})[0], encoding="utf-8")
    study = load_config(config)
    assert f"{study.name}.yaml" == file
    hashes = [RunFolder(Path(path)).read_info()["hash"] for path in first.runs["path"]]
    assert sorted(run.digest("cpu") for run in study.runs) == sorted(hashes)
    assert "asks for every arm with every seed" not in "".join(found.texts("p"))
    second = as_trained(tmp_path / "runs again", config)
    assert list(second.arms["arm"]) == list(first.arms["arm"])
    assert list(second.published["arm"]) == list(first.published["arm"])
    assert second.findings == first.findings


def test_a_seed_that_an_arm_lacks_is_asked_for_too_and_that_is_said(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.81, 0.82])
    write_arm(tmp_path, "nn", [0.8, 0.81])
    write_run(tmp_path, "nn", 2, status="diverged", why="the loss is not finite in epoch 2")
    html = page_of(tmp_path)
    assert "It asks for every arm with every seed, 1 run more than are counted here." in html
    assert "matrix: {seed: 0..2}" in html
    assert "seed 2 diverged (the loss is not finite in epoch 2)" in "".join(Page(html).texts("li"))


def test_the_commands_name_what_was_compared(tmp_path: Path) -> None:
    write_study_of(tmp_path / "runs", name="my study")
    write_study_of(tmp_path / "runs", name="other", device="cuda")
    found = Page(page(compare((), tmp_path / "runs", metric="test_loss", by="lr", margin=0.01)))
    assert found.texts("pre", **{"aria-label": "Commands"})[0].splitlines() == [
        "dropexp train '--config=my study.yaml' --device=cpu",
        "dropexp train --config=other.yaml --device=cuda",
        "dropexp compare 'my study' other --by=lr --metric=test_loss --margin=0.01",
        "dropexp report 'my study' other --by=lr --metric=test_loss --margin=0.01",
    ]


def test_runs_of_one_origin_stand_in_one_column(tmp_path: Path) -> None:
    for seed in range(4):
        run = write_run(tmp_path, "nn", seed)
        origin = {"commit": "c0ffee", "dirty": seed == 3, "threads": 1, "began": f"2026-11-0{seed + 1}T00:00:00+00:00"}
        run.write_info(run.read_info() | {"provenance": origin | {"ended": f"2026-11-0{seed + 1}T00:01:00+00:00"}})
    html = page_of(tmp_path)
    table = html[html.index('id="origin"') :]
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', table)
    cells = {name: re.findall(r"<td[^>]*>(.*?)</td>", rest) for name, rest in rows}
    assert cells["runs"] == ["nn: seed 0..2", "nn: seed 3"]
    assert cells["commit"] == ["c0ffee", "c0ffee, with changes since"]
    assert cells["trained"][0] == "2026-11-01 00:00:00 UTC to 2026-11-03 00:01:00 UTC"
    assert cells["torch"] == ["unknown", "unknown"]
    assert "4 runs, trained 2026-11-01 to 2026-11-04." in html


def test_one_run_alone(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 0, 0.8)
    found = Page(page_of(tmp_path))
    assert "one arm" in found.texts("p", **{"class": "verdict"})[0]
    assert any("one run is not a result" in note for note in found.texts("li"))
    assert "1 arm, 1 run." in found.texts("p", **{"class": "facts"})


def test_single_seeds(tmp_path: Path) -> None:
    write_run(tmp_path, "none", 0, 0.8)
    write_run(tmp_path, "nn", 0, 0.81)
    assert len(Page(page_of(tmp_path)).texts("table")) >= 3


def test_an_arm_that_only_diverged(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.81])
    write_run(tmp_path, "nn", 0, status="diverged", why="the loss is not finite in epoch 2")
    assert "0, 1 diverged" in Page(page_of(tmp_path)).texts("td")
    assert "Every setting of none" in page_of(tmp_path)


def test_nothing_but_a_diverged_run(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 0, [0.1], status="diverged", why="the loss is not finite in epoch 1")
    found = Page(page_of(tmp_path))
    assert "No arm has a finished run." in found.texts("p")
    assert "To run it again" not in found.texts("h2")


def test_runs_without_a_pass_over_the_training_set_have_no_gap(tmp_path: Path) -> None:
    write_study_of(tmp_path, eval_train=False)
    assert "From training to test" not in Page(page_of(tmp_path)).texts("h2")
    assert "clean_train_acc" not in epoch_row(1, 0.8, eval_train=False)


def test_what_a_swept_key_does(tmp_path: Path) -> None:
    for lr in (0.1, 0.5):
        write_study_of(tmp_path, lr=lr)
    assert "Along lr" in Page(page_of(tmp_path, by="lr")).texts("h2")
    assert not any(heading.startswith("Along") for heading in Page(page_of(tmp_path)).texts("h2"))


def test_what_probes_measured_is_a_table_and_the_one_that_is_asked_for_is_charted(tmp_path: Path) -> None:
    for variant in ("none", "nn"):
        for seed in range(3):
            write_run(tmp_path, variant, seed, 0.8, probed={"h1_zero": 0.25 + seed / 100, "w1_norm": 12.0})
    plain = Page(page_of(tmp_path))
    assert {"h1_zero", "w1_norm"} <= set(plain.texts("th", scope="col"))
    assert "Test accuracy" not in plain.texts("h2")
    found = Page(page_of(tmp_path, metric="h1_zero"))
    charts = json.loads(found.texts("script", id="figures")[0])["charts"]
    assert list(charts) == ["chart-learning", "chart-arms", "chart-differences", "chart-usual", "chart-gap"]
    assert "share of zeros in h1" in json.dumps(charts["chart-learning"])
    assert "Test accuracy" in found.texts("h2")


def test_a_regression_has_a_page_too(tmp_path: Path) -> None:
    for decay in (0.0, 4.0):
        for seed in range(3):
            write_regression(tmp_path, seed=seed, weight_decay=decay, test_loss=(5 - decay) * (1 + seed / 10))
    found = Page(page_of(tmp_path))
    assert found.texts("h1") == ["Test loss after 3 epochs"]
    assert "From training to test" not in found.texts("h2")
    assert "dropexp compare weight-decay" in found.texts("pre", **{"aria-label": "Commands"})[0].splitlines()


def test_the_same_runs_give_the_same_bytes(tmp_path: Path) -> None:
    write_study_of(tmp_path)
    script = (
        "import sys; from dropexp.analysis.comparison import compare; from dropexp.report.html import page\n"
        "sys.stdout.buffer.write(page(compare((), sys.argv[1])).encode()); assert 'torch' not in sys.modules"
    )
    first, second = (
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            capture_output=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "TZ": zone},
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    )
    assert first == second
    page_of(tmp_path)  # whatever is counted in this process is not counted into the page
    assert page_of(tmp_path).encode() == first


def test_it_is_written_whole_into_a_folder_that_need_not_be_there(tmp_path: Path) -> None:
    write_study_of(tmp_path / "runs", seeds=2)
    out = tmp_path / "out" / "report.html"
    write(compare((), tmp_path / "runs"), out)
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    assert out.read_text(encoding="utf-8") == page_of(tmp_path / "runs")
