"""Under GitHub Actions failures are annotations, and a comparison is the summary of its step."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.fake_runs import write_arm
from helpers.in_process import InProcess

HOLDS, FAILS = "none.test_acc >= 0.8", "nn,drop_probs=[0.2, 0.2] - none.verdict == BETTER"


@pytest.fixture
def github(study: InProcess, tmp_path: Path) -> InProcess:
    """The command of `study` in a step of GitHub Actions, whose summary is `tmp_path`/summary.md."""
    step = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    return InProcess(study.folder, study.environment | step)


def test_the_summary_has_requirements_tables_and_verdicts(github: InProcess, tmp_path: Path) -> None:
    github("compare", "--require", HOLDS, "--require", FAILS, "--format", "csv", code=1)
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert f"| {HOLDS} | yes |  |" in summary
    assert f"| {FAILS} | no | nn,drop_probs=[0.2, 0.2] - none.verdict is WORSE, not == BETTER |" in summary
    assert "**Differences" in summary and "WORSE than none in test accuracy" in summary


def test_the_command_that_decides_is_code(cli: InProcess) -> None:
    write_arm(cli.folder / "runs", "none", [0.80, 0.82, 0.84, 0.83, 0.82])
    write_arm(cli.folder / "runs", "nn", [0.82, 0.81, 0.87, 0.83, 0.80])
    cli.environment["GITHUB_STEP_SUMMARY"] = str(cli.folder / "summary.md")
    cli("compare")
    assert re.search(r": `dropexp train [^`]*`\n", (cli.folder / "summary.md").read_text(encoding="utf-8"))


def test_each_comparison_of_a_step_is_appended(github: InProcess, tmp_path: Path) -> None:
    github("compare")
    once = (tmp_path / "summary.md").read_bytes()
    assert b"Requirements" not in once
    github("compare")
    assert (tmp_path / "summary.md").read_bytes() == once * 2


def test_a_failed_requirement_is_an_annotation_on_stderr(github: InProcess) -> None:
    done = github("compare", "--require", FAILS, code=1)
    assert "::error title=dropexp::requirement failed: nn,drop_probs=[0.2, 0.2] - none.verdict is WORSE" in done.stderr
    assert "::error" not in done.stdout


def test_an_error_of_several_lines_is_one_annotation(github: InProcess, tmp_path: Path) -> None:
    (tmp_path / "100%.yaml").write_text("name: a\nvariant: nn\n", encoding="utf-8")
    configs = ("-c", str(tmp_path / "100%.yaml"), "-c", "book/scratch")
    (line,) = github("compare", *configs, code=5).stderr.splitlines()
    assert line.startswith("::error title=dropexp::dropexp: a: 1 of 1 run is missing; ")
    assert "100%25.yaml" in line and "%0Adropexp: a1-scratch: " in line


def test_each_problem_of_a_config_annotates_its_line(github: InProcess, tmp_path: Path) -> None:
    (tmp_path / "100%,a:b.yaml").write_text("variant: nm\nepoch: 1\nname: a\n", encoding="utf-8")
    github.environment["GITHUB_WORKSPACE"] = str(tmp_path)
    second, first = github("train", "-c", str(tmp_path / "100%,a:b.yaml"), code=2).stderr.splitlines()
    assert first.startswith("::error file=100%25%2Ca%3Ab.yaml,line=2,title=dropexp::dropexp: ")
    assert second.startswith("::error file=100%25%2Ca%3Ab.yaml,line=1,title=dropexp::dropexp: ")
    assert "a:b.yaml:2: unknown key 'epoch'" in first
    (option,) = github("train", "-c", "dropout", "--set", "epochs=no", code=2).stderr.splitlines()
    assert option.startswith("::error title=dropexp::dropexp: --set epochs=no: ")


def test_elsewhere_failures_are_plain_messages(study: InProcess) -> None:
    done = study("compare", "--require", FAILS, code=1)
    assert done.stderr.startswith("requirement failed: ")


def test_a_summary_that_cannot_be_written_is_noted(github: InProcess, tmp_path: Path) -> None:
    (tmp_path / "summary.md").mkdir()
    done = github("compare")
    reason = "(Is a directory|Permission denied)"
    assert re.search(f"note: .*, which GITHUB_STEP_SUMMARY names, cannot be written: {reason}$", done.stderr)


def test_a_summary_without_room_is_left_as_it_is(github: InProcess, tmp_path: Path) -> None:
    before = b"x" * (1 << 20)
    (tmp_path / "summary.md").write_bytes(before)
    assert "has no room for this comparison" in github("compare").stderr
    assert (tmp_path / "summary.md").read_bytes() == before


def test_a_diverged_run_is_an_annotation(cli: InProcess) -> None:
    cli.write("t.yaml", "task: linear-regression\nvariant: scratch\nlr: 1.0e+30\n")
    cli.environment["GITHUB_ACTIONS"] = "true"
    done = cli("train", "-c", "t.yaml", "--device", "cpu", code=1)
    assert "::error title=dropexp::diverged: " in done.stderr
