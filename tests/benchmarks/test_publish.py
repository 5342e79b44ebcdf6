"""Publishing: results are merged, pages rewritten between markers, and docs/ shows the published results."""

from __future__ import annotations

from pathlib import Path

import publish
import pytest
from pages import markdown
from publish import PAGES
from storage import DOCS, OUT, RESULTS, ROOT, load_results, save_results

GPU = {"device": "a GPU", "torch": "2", "cuda": "13", "date": "today"}


@pytest.mark.parametrize("name", sorted(path.stem for path in RESULTS.glob("*.json")))
def test_docs_show_the_published_results(name: str) -> None:
    page = PAGES[name]
    text = (DOCS / page.file).read_text(encoding="utf-8")
    sections = page.sections(load_results(name, RESULTS)) if page.sections else {}
    for marker, content in sections.items():
        assert markdown.replace_section(text, marker, content) == text, f"publish.py {name} would change {page.file}"


def test_publishing_writes_results_and_the_section_between_the_markers(tmp_path: Path) -> None:
    out, published = tmp_path / "out", tmp_path / "results"
    row = {"what": "an epoch", "value": 20.0, "unit": "ms", "bound": 20, "passed": None}
    save_results("gpu", GPU | {"rows": [row]}, out)
    save_results("gpu", GPU | {"date": "yesterday", "rows": [], "kept": 1}, published)
    (tmp_path / "performance.md").write_text("above\n<!-- gpu:begin -->\nold\n<!-- gpu:end -->\nbelow\n")
    publish.publish("gpu", out, published, tmp_path)
    text = (tmp_path / "performance.md").read_text()
    assert text.startswith("above\n<!-- gpu:begin -->\na GPU, torch 2") and text.endswith("<!-- gpu:end -->\nbelow\n")
    assert "old" not in text and "| an epoch | 20 ms | ≤ 20 ms |  |" in text
    assert load_results("gpu", published) == GPU | {"rows": [row], "kept": 1}  # parts that were not measured are kept


def test_a_page_without_markers_is_rejected() -> None:
    with pytest.raises(markdown.MissingMarkers, match="gpu:begin"):
        markdown.replace_section("no markers", "gpu", "text")


def test_a_benchmark_without_results_exits_with_a_message(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="noises has no results"):
        publish.publish("noises", tmp_path, tmp_path, tmp_path)


def test_measured_results_are_ignored_by_git() -> None:
    assert f"/{OUT.relative_to(ROOT).as_posix()}/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
