"""The example of docs/ci.md works: its steps train, report and pass their requirements."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import yaml
from helpers.in_process import InProcess

PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text(encoding="utf-8")


def test_the_steps_of_the_workflow_train_report_and_pass(cli: InProcess) -> None:
    study, workflow = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    cli.write("study.yaml", study)
    cli.environment |= {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(cli.folder / "summary.md")}
    (job,) = yaml.safe_load(workflow)["jobs"].values()
    commands = [shlex.split(step["run"], comments=True) for step in job["steps"] if "run" in step]
    programs = [words[0] for words in commands]
    assert programs == ["python", "dropexp", "dropexp", "dropexp"]
    for words in commands[1:]:
        cli(*[word for word in words[1:] if word.strip()])
    assert "<title>" in (cli.folder / "report.html").read_text(encoding="utf-8")
    summary = (cli.folder / "summary.md").read_text(encoding="utf-8")
    assert summary.count("| yes |") == 3
