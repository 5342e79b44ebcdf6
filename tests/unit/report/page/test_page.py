"""The page: complete, offline and escaped. `tests/browser` checks how it looks and behaves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_runs import publish, write_arm, write_regression, write_run
from helpers.studies import write_realistic_study

from dropexp.analysis.comparison import Comparison, compare
from dropexp.report.page.page import page, write
from dropexp.report.tables.comparison import comparison_tables

VOID = {"meta", "link", "br", "img", "input"}
EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Elements in order, each with its attributes and all text inside it; fails on an element that is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
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

    def texts(self, tag: str, **attributes: str) -> list[str]:
        """Return the text of each element with this tag and these attributes."""
        return ["".join(text) for name, own, text in self.elements if name == tag and attributes.items() <= own.items()]

    def attributes(self, **wanted: str) -> list[dict[str, str]]:
        """Return the attributes of each element that has these among them."""
        return [own for _, own, _ in self.elements if wanted.items() <= own.items()]

    @property
    def charts(self) -> dict[str, Any]:
        charts: dict[str, Any] = json.loads(self.texts("script", id="figures")[0])["charts"]
        return charts


def page_of(runs_dir: Path, **options: Any) -> Page:
    return Page(page(compare((), runs_dir, **options)))


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Four arms and published figures of one of them."""
    runs_dir = tmp_path_factory.mktemp("runs")
    write_realistic_study(runs_dir)
    write_arm(runs_dir, "nn", [0.8, 0.81], lr=0.1)
    publish(runs_dir, arm="nn,lr=0.5", source="a book", test_acc=[0.7, 0.8], loss=[0.9, 0.8])
    return compare((), runs_dir, published=True)


@pytest.fixture(scope="module")
def found(comparison: Comparison) -> Page:
    return Page(page(comparison))


def test_the_sections_are_in_order_below_one_heading(found: Page) -> None:
    ids = [own.get("id") for tag, own, _ in found.elements if tag == "h2"]
    main_part = ["arms", "notes", "differences", "published", "loss", "book"]
    assert ids == [
        *main_part,
        "appendix",
        "seeds",
        "learning",
        "gap",
        "more-notes",
        "runs",
        "configs",
        "origin",
        "reproduce",
    ]
    assert next(tag for tag, *_ in found.elements if re.fullmatch("h[1-3]", tag)) == "h1"
    assert len(found.texts("h1")) == len(found.texts("main")) == 1
    assert [own["lang"] for tag, own, _ in found.elements if tag == "html"] == ["en"]
    assert found.html.index('class="verdict"') < found.html.index("<h2")
    assert '<a class="skip" href="#content">' in found.html


def test_headlines_are_above_the_sections_and_every_difference_is_in_the_appendix(
    comparison: Comparison, found: Page
) -> None:
    (verdicts,) = found.texts("div", **{"class": "verdict"})
    assert comparison.headlines and all(str(headline) in verdicts for headline in comparison.headlines)
    assert len(comparison.findings) > 2 and set(comparison.findings) <= set(found.texts("li"))


def test_the_page_explains_every_column_as_a_terminal_does(comparison: Comparison, found: Page) -> None:
    tables = [table for table in comparison_tables(comparison) if table.title in found.texts("caption")]
    assert sum(bool(table.terms) for table in tables) >= 3
    assert {table.legend for table in tables if table.legend} <= set(found.texts("p", **{"class": "legend"}))


def test_without_a_baseline_the_notes_explain_the_missing_verdict(tmp_path: Path) -> None:
    write_arm(tmp_path, "nn", [0.8, 0.81])
    write_arm(tmp_path, "scratch", [0.82, 0.81])
    found = page_of(tmp_path)
    assert found.texts("p", **{"class": "verdict"}) == ["No verdict: no arm has a baseline; see the notes."]
    assert any("no arm without dropout" in note for note in found.texts("li"))
    assert "Differences" not in found.texts("h2")


def test_names_are_escaped(tmp_path: Path) -> None:
    write_realistic_study(tmp_path, seeds=2)
    for seed in (0, 1):
        write_run(tmp_path, "scratch", seed, 0.8, arm=EVIL, lr=0.1)
        write_run(tmp_path, "scratch", seed, 0.8, arm="\"><img src=x onerror='alert(1)'>", lr=0.2)
        write_run(tmp_path, "scratch", seed, 0.8, arm="{{ 7 * 7 }}", lr=0.3)
    publish(tmp_path, arm=EVIL, source=f"<b>{EVIL}\x1b", test_acc=[0.7])
    found = page_of(tmp_path)
    scripts = [own for tag, own, _ in found.elements if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "figures"}, {}, {}]
    assert not found.texts("img") and not found.texts("b")
    assert EVIL in found.texts("th") and "{{ 7 * 7 }}" in found.texts("th")
    assert EVIL in json.dumps(found.charts["chart-arms"])
    assert "\x1b" not in found.html


def test_the_page_loads_nothing_and_runs_only_its_own_scripts(found: Page) -> None:
    addresses = {own[key] for _, own, _ in found.elements for key in ("src", "href", "action", "data") if key in own}
    assert addresses == {"data:,", "#content", "#more-notes"}
    policy = next(own["content"] for tag, own, _ in found.elements if own.get("http-equiv"))
    assert policy.startswith("default-src 'none'; ") and "connect-src 'none'" in policy and "eval" not in policy
    scripts = [text for text in found.texts("script") if "vegaEmbed" in text]
    assert len(scripts) == 2
    for script in scripts:
        assert f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" in policy
    styles = found.texts("style")[0]
    assert "@import" not in styles and "url(" not in styles
    assert len(found.html.encode()) < 3_000_000


def test_every_chart_has_a_caption_and_a_description_in_words(found: Page) -> None:
    images = [own["aria-label"] for own in found.attributes(role="img")]
    assert [own["id"] for own in found.attributes(**{"class": "chart"})] == list(found.charts)
    assert len(images) == len(found.charts) and all(len(description) > 40 for description in images)
    assert len(found.texts("figcaption")) == len(images) and all(found.texts("figcaption"))
    assert all("title" not in spec and "description" not in spec for spec in found.charts.values())


def test_tables_have_captions_and_headers_with_a_scope(found: Page) -> None:
    captions = found.texts("caption")
    assert len(found.texts("table")) == len(captions) == 6  # arms, differences, published, runs, settings, origin
    assert all(own["scope"] in ("col", "row") for tag, own, _ in found.elements if tag == "th")
    assert {"none", "nn,lr=0.1", "scratch"} <= set(found.texts("th", scope="row"))
    regions = found.attributes(role="region")
    assert all(own["tabindex"] == "0" for own in regions)
    labels = [own["aria-label"] for own in regions]
    assert all(labels) and len(labels) == len(set(labels))


def test_the_recipe_is_on_the_page(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.81, 0.82])
    write_arm(tmp_path, "nn", [0.8, 0.81])
    write_run(tmp_path, "nn", 2, status="diverged", why="the loss is not finite in epoch 2")
    found = page_of(tmp_path)
    assert "matrix: {seed: 0..2}" in found.texts("pre", **{"aria-label": "dropout.yaml"})[0]
    more = "This config trains every arm with every seed, which is 1 run more than this comparison has."
    assert more in found.texts("p")
    assert "dropexp compare dropout" in found.texts("pre", **{"aria-label": "Commands"})[0].splitlines()
    assert "seed 2 diverged (the loss is not finite in epoch 2)" in "".join(found.texts("li"))


def test_a_single_run_has_no_verdict(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 0, 0.8)
    found = page_of(tmp_path)
    assert found.texts("p", **{"class": "verdict"}) == ["No verdict: there is only one arm."]
    assert any("n = 1, no spread can be estimated" in note for note in found.texts("li"))
    assert found.texts("p", **{"class": "summary"}) == ["1 arm, 1 run."]


def test_an_arm_whose_runs_all_diverged_is_in_the_table(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.81])
    write_run(tmp_path, "nn", 0, status="diverged", why="the loss is not finite in epoch 2")
    found = page_of(tmp_path)
    assert "0, 1 diverged" in found.texts("td")
    assert "Every setting of none" in found.texts("summary")
    assert "Every setting of nn" not in found.texts("summary")


def test_a_study_whose_runs_all_diverged_has_no_recipe(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 0, [0.1], status="diverged", why="the loss is not finite in epoch 1")
    found = page_of(tmp_path)
    assert "No arm has a finished run." in found.texts("p")
    assert not {"Provenance", "Reproduce"} & set(found.texts("h2"))


def test_the_generalisation_gap_is_a_section_only_where_it_was_measured(found: Page, tmp_path: Path) -> None:
    assert "Generalisation gap" in found.texts("h2")
    write_realistic_study(tmp_path, seeds=2, eval_train=False)
    assert "Generalisation gap" not in page_of(tmp_path).texts("h2")


def test_a_page_without_test_figures_has_those_of_validation_rows(tmp_path: Path) -> None:
    write_realistic_study(tmp_path, seeds=2, eval_test=False)
    found = page_of(tmp_path)
    assert found.texts("h1") == ["Validation accuracy after 5 epochs"]
    assert list(found.charts) == [f"chart-{name}" for name in ("differences", "loss", "book", "arms", "learning")]
    assert "dropexp compare dropout" in found.texts("pre")[-1].splitlines()  # no --metric: it is the default
    assert "test accuracy" not in found.texts("main")[0].replace("--require", "")


def test_a_swept_parameter_has_a_section(found: Page, tmp_path: Path) -> None:
    for lr in (0.1, 0.5):
        write_realistic_study(tmp_path, seeds=2, lr=lr)
    assert "Effect of lr" in page_of(tmp_path, by="lr").texts("h2")
    assert not any(heading.startswith("Effect of") for heading in found.texts("h2"))


def test_probes_have_a_table_and_a_compared_probe_has_charts(tmp_path: Path) -> None:
    for variant in ("none", "nn"):
        for seed in range(3):
            write_run(tmp_path, variant, seed, 0.8, probed={"h1_zero": 0.25 + seed / 100, "w1_norm": 12.0})
    plain = page_of(tmp_path)
    assert {"h1_zero", "w1_norm"} <= set(plain.texts("th", scope="col"))
    assert "Test accuracy" not in plain.texts("h2")
    found = page_of(tmp_path, metric="h1_zero")
    assert list(found.charts) == [
        f"chart-{name}" for name in ("differences", "loss", "book", "arms", "learning", "usual", "gap")
    ]
    assert "share of zeros in h1" in json.dumps(found.charts["chart-learning"])
    assert "Test accuracy" in found.texts("h2")


def test_long_tables_of_the_main_part_are_in_the_appendix(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.81], lr=0.5)
    for i in range(10):
        write_arm(tmp_path, "nn", [0.8, 0.82], lr=0.5, drop_probs=[0.1, round(0.1 + 0.05 * i, 2)])
    found = page_of(tmp_path)
    main_part, appendix = found.html.split('id="appendix"')
    assert "Arms: test accuracy after 2 epochs" in main_part and 'id="chart-differences"' in main_part
    table = "Differences: test accuracy after 2 epochs"
    assert table not in main_part and table in appendix
    assert 'href="#differences-tables"' in main_part and 'id="differences-tables"' in appendix


def test_a_regression_has_a_page(tmp_path: Path) -> None:
    for decay in (0.0, 4.0):
        for seed in range(3):
            write_regression(tmp_path, seed=seed, weight_decay=decay, test_loss=(5 - decay) * (1 + seed / 10))
    found = page_of(tmp_path)
    assert found.texts("h1") == ["Test loss after 3 epochs"]
    assert "Generalisation gap" not in found.texts("h2")


def test_the_same_runs_give_the_same_bytes(comparison: Comparison, found: Page) -> None:
    """In another process, with another hash seed and time zone, and after other pages in this process."""
    runs_dir = Path(comparison.runs["path"].iloc[0]).parents[1]
    script = (
        "import sys; from dropexp.analysis.comparison import compare; from dropexp.report.page.page import page\n"
        "sys.stdout.buffer.write(page(compare((), sys.argv[1], published=True)).encode())\n"
        "assert 'torch' not in sys.modules"
    )
    other = subprocess.run(
        [sys.executable, "-c", script, str(runs_dir)],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"},
    ).stdout
    assert other == found.html.encode()
    assert page(comparison).encode() == other


def test_the_page_is_written_atomically_into_a_new_folder(comparison: Comparison, found: Page, tmp_path: Path) -> None:
    out = tmp_path / "out" / "report.html"
    write(comparison, out)
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    assert out.read_text(encoding="utf-8") == found.html


def test_every_run_has_a_row_in_a_table_that_scripts_make_sortable(comparison: Comparison, found: Page) -> None:
    (region,) = found.attributes(**{"class": "scroll sortable"})
    assert region["aria-label"] == "Runs"
    rows = found.html.split('aria-label="Runs"')[1].split("</table>")[0].count("<tr>")
    assert rows == len(comparison.runs) + 1


def test_many_notes_are_in_the_appendix(tmp_path: Path) -> None:
    for i in range(9):
        write_run(tmp_path, "none" if i == 0 else "nn", 0, status="diverged", why="the loss is nan", lr=0.1 + i)
    found = page_of(tmp_path)
    main_part, appendix = found.html.split('id="appendix"')
    shown = [text for text in found.texts("li") if "diverged" in text and f"<li>{text}" in main_part]
    assert 3 <= len(shown) <= 5 and 'href="#more-notes"' in main_part and 'id="more-notes"' in appendix
