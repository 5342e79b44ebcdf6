"""`make audit` fails on a vulnerability, and if pip-audit fails for another reason than a missing network."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

AUDIT = Path(__file__).parents[2] / ".ci" / "audit"
SAFE = '{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}'
VULNERABLE = '{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}]}'
UNKNOWN = '{"dependencies": [{"name": "a", "skip_reason": "not on PyPI"}]}'
UNRESOLVED = "raise ConnectionError('[Errno -2] Name or service not known')"


@pytest.mark.parametrize(
    ("pip_audit", "code", "message"),
    [
        (f"print('{SAFE}')", 0, "audited 1 of 1 packages: 0 with"),
        (f"print('{VULNERABLE}')\nraise SystemExit(1)", 1, "a 1: CVE-1, fixed in ['2']"),
        (f"print('{UNKNOWN}')", 0, "not audited: the service knows none"),
        (UNRESOLVED, 0, "not audited: no vulnerability service can be reached (ConnectionError"),
        ("raise SystemExit('no such option: --format')", 1, "pip-audit failed: no such option"),
        ("raise ImportError('No module named rich')", 1, "No module named rich"),
        ("", 1, "pip-audit failed: no message"),
    ],
)
def test_exit_code_and_message_for_each_result_of_pip_audit(
    pip_audit: str, code: int, message: str, tmp_path: Path
) -> None:
    (tmp_path / "pip_audit.py").write_text(pip_audit)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, AUDIT], env=environment, capture_output=True, text=True)
    assert done.returncode == code
    assert message in done.stdout + done.stderr


def test_a_service_that_does_not_respond_is_reported_as_not_audited(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def wait(*command: Any, timeout: float, **options: Any) -> None:
        raise subprocess.TimeoutExpired("pip-audit", timeout)

    audit = runpy.run_path(str(AUDIT))
    monkeypatch.setattr(subprocess, "run", wait)
    assert audit["main"]() == 0
    assert capsys.readouterr().out == "not audited: no vulnerability service responded within 60 s\n"
