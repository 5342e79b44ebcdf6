"""The README says what is there."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path

import pytest
import yaml

from dropexp.claims.catalogue import CLAIMS
from dropexp.config.published import Published
from dropexp.config.schema import Config

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_quick_start_is_two_commands() -> None:
    block = README.split("<!-- quickstart -->")[1].split("<!-- /quickstart -->")[0]
    commands = [line.split("#")[0].strip() for line in block.splitlines() if line and not line.startswith(("```", "<"))]
    assert commands == ["make study", "make test"]


@pytest.mark.parametrize(
    "command", ["train", "compare", "report", "evaluate", "export", "runs", "bench", "claims", "data fetch"]
)
def test_every_command_is_shown(command: str) -> None:
    assert re.search(rf"^dropexp {command}", README, re.MULTILINE)


@pytest.mark.parametrize("key", [*Config.model_fields, *Published.model_fields, "name", "matrix", "arms"])
def test_every_key_of_a_config_is_explained(key: str) -> None:
    assert f"`{key}`" in README or f"\n{key}:" in README


SPEEDS = {  # the README's rows, and their names among the results
    "the book's loop (DataLoader, `ToTensor`, no workers)": "the book's loop, 0 workers",
    "torch eager, tensors in memory": "torch eager",
    "`nn`": "dropexp nn",
    "JAX, `jit` and `scan`": "JAX, jit + scan",
    "`scratch`": "dropexp scratch",
    "the matrix products of `scratch` alone": "matrix products alone",
}


def test_the_table_of_speeds_is_that_of_the_results() -> None:
    rows = json.loads((ROOT / "docs/performance-peers.json").read_text(encoding="utf-8"))["epochs"]["rows"]
    epochs = {row["name"]: [epoch["train_seconds"] + epoch["test_seconds"] for epoch in row["epochs"]] for row in rows}
    seconds = [statistics.median(epochs[name]) for name in SPEEDS.values()]
    shown = [(f"{took:.2f}", f"{seconds[0] / took:.1f}", f"{took / seconds[-1]:.1f}") for took in seconds]
    heads = "| | s/epoch | times the book's speed | times the matrix products' time |\n|---|---:|---:|---:|\n"
    assert (
        heads + "".join(f"| {row} | {' | '.join(cells)} |\n" for row, cells in zip(SPEEDS, shown, strict=True))
        in README
    )


def test_the_shown_config_is_the_shipped_one() -> None:
    shown = README.split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(shown) == yaml.safe_load((ROOT / "configs/dropout.yaml").read_text(encoding="utf-8"))


def test_defaults_in_the_table_are_the_configs() -> None:
    for key, default in (("lr", 0.5), ("epochs", 5), ("batch_size", 256), ("init_std", 0.01), ("seed", 0)):
        assert Config.model_fields[key].default == default
    assert "| `lr`, `epochs`, `batch_size` | 0.5, 5, 256 |" in README


def test_the_verdicts_on_claims_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    words = "holds", "fails", "depends", "open"
    verdicts = dict(re.findall(rf"^\| \w+ ([\w-]+) \| .*? \| ({'|'.join(words)})\b", page, re.MULTILINE))
    assert verdicts.keys() == {claim.name for claim in CLAIMS}
    for word in words:
        (told,) = re.findall(rf"^\| {word} \| (.*) \|$", README, re.MULTILINE)
        names = verdicts.keys() & set(re.findall(r"`([\w-]+)`", told))
        assert names == {name for name, verdict in verdicts.items() if verdict == word}


def test_the_makefile_has_every_verb_and_lists_them() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    verbs = (
        "study install test test-browser lint check train compare report bench bench-peers claims findings clean help"
    )
    for verb in verbs.split():
        assert re.search(rf"^{verb}:.*##", makefile, re.MULTILINE)


def test_constraints_are_names_and_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert all(re.fullmatch(r"[\w.-]+==[\w.+]+", line) for line in lines)
    pinned = {line.partition("==")[0].lower() for line in lines}
    assert {"torch", "torchvision", "typer", "pydantic", "pyyaml", "pandas", "scipy", "rich", "filelock"} <= pinned


@pytest.mark.parametrize("table", ["peers", "noises", "gpu", "growth"])
def test_the_page_on_performance_has_a_place_for_every_benchmark(table: str) -> None:
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    assert page.count(f"<!-- {table}:begin -->") == page.count(f"<!-- {table}:end -->") == 1
