"""The benchmark of many runs without its timings: it fails if a command does not report the corrupted run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import many_runs
import pytest


@pytest.mark.parametrize("reporting", [True, False])
def test_both_commands_must_report_the_corrupted_run(
    reporting: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def timed(*arguments: str) -> tuple[float, float, subprocess.CompletedProcess[str]]:
        names = [path.name for path in tmp_path.glob("many/*")] if reporting or arguments[0] == "runs" else []
        return 1.0, 300.0, subprocess.CompletedProcess(arguments, 0, json.dumps(names), "")

    monkeypatch.setattr(many_runs, "timed", timed)
    assert many_runs.measure(tmp_path, 10, 5, 1) == reporting
    printed = capsys.readouterr().out
    assert printed.count("the corrupted run is reported") == (4 if reporting else 2)
    assert printed.count("the corrupted run is NOT reported") == (0 if reporting else 2)


def test_a_command_that_does_not_report_it_is_exit_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["many_runs.py"])
    reported = iter([True, False, True, True])
    monkeypatch.setattr(many_runs, "measure", lambda *arguments: next(reported))
    with pytest.raises(SystemExit, match="a command did not report the corrupted run"):
        many_runs.main()
    assert [*reported] == []  # every size is measured
