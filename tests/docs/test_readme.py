"""The README and the tables of the documentation agree with the program and its results."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from dropexp.claims.catalogue import CLAIMS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def page(name: str) -> str:
    """Return the text of a page of docs/."""
    return (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")


def test_the_quick_start_is_two_commands() -> None:
    block = README.split("<!-- quickstart -->")[1].split("<!-- /quickstart -->")[0]
    commands = [line.split("#")[0].strip() for line in block.splitlines() if line and not line.startswith(("```", "<"))]
    assert commands == ["make study", "make test"]


def test_the_readme_is_short_and_narrow() -> None:
    lines = README.splitlines()
    code = False
    assert len(lines) <= 150
    for line in lines:
        code ^= line.startswith("```")
        assert code or line.startswith("|") or len(line) <= 120, line


def test_the_speed_in_the_readme_is_near_the_published_one() -> None:
    (ratio,) = re.findall(r"about (\d+) times the speed of the book's loop", " ".join(README.split()))
    (published,) = re.findall(r"^\| `scratch` *\| +[\d.]+ \| +([\d.]+) \|", page("performance"), re.MULTILINE)
    assert abs(float(published) / int(ratio) - 1) < 0.2


def test_the_config_in_the_readme_is_the_shipped_one() -> None:
    shown = README.split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(shown) == yaml.safe_load((ROOT / "configs/dropout.yaml").read_text(encoding="utf-8"))


def test_the_summary_of_claims_has_the_verdicts_of_their_page() -> None:
    words = "holds", "fails", "depends", "open"
    found = re.findall(rf"^\| \w+ ([\w-]+) \| .*? \| ({'|'.join(words)})\b", page("claims"), re.MULTILINE)
    verdicts = dict(found)
    assert verdicts.keys() == {claim.name for claim in CLAIMS}
    for word in words:
        (summary,) = re.findall(rf"^\| {word} \| (.*) \|$", page("findings"), re.MULTILINE)
        names = verdicts.keys() & set(re.findall(r"`([\w-]+)`", summary))
        assert names == {name for name, verdict in verdicts.items() if verdict == word}


def test_the_makefile_has_and_lists_its_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = "study install test test-browser lint check train compare report bench bench-peers docs claims findings"
    for target in [*targets.split(), "clean", "help"]:
        assert re.search(rf"^{target}:.*##", makefile, re.MULTILINE)


def test_constraints_are_names_and_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert all(re.fullmatch(r"[\w.-]+==[\w.+]+", line) for line in lines)
    pinned = {line.partition("==")[0].lower() for line in lines}
    assert {"torch", "torchvision", "typer", "pydantic", "pyyaml", "pandas", "scipy", "rich", "filelock"} <= pinned


@pytest.mark.parametrize("table", ["speeds", "peers", "noises", "gpu", "growth"])
def test_the_performance_page_has_a_section_for_every_benchmark(table: str) -> None:
    text = page("performance")
    assert text.count(f"<!-- {table}:begin -->") == text.count(f"<!-- {table}:end -->") == 1
