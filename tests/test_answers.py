"""What the command says where its output goes nowhere, and how it exits."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from command import DROPEXP, TIMEOUT, Command
from fake_runs import write_arm

FULL = Path("/dev/full")
SHORT_AND_LONG = [("data", "path"), ("compare", "--format", "csv"), ("runs", "--format", "json")]


@pytest.fixture
def study(command: Command) -> Command:
    write_arm(command.folder / "runs", "nn", [0.8 + i / 1000 for i in range(40)])  # more than a buffer holds
    command.environment.pop("PYTHONUNBUFFERED", None)  # which is not how users have it
    return command


def answer(command: Command, words: Sequence[str], stdout: int) -> tuple[int, str]:
    """The exit code, and what it said on stderr."""
    done = subprocess.run(
        [DROPEXP, *words],
        cwd=command.folder,
        env=command.environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT,
    )
    return done.returncode, done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="there is no device here that is always full, as Linux has it")
@pytest.mark.parametrize("words", SHORT_AND_LONG)
def test_an_output_that_cannot_be_written_is_one_sentence_and_exit_1(words: Sequence[str], study: Command) -> None:
    with FULL.open("w") as nowhere:
        code, said = answer(study, words, nowhere.fileno())
    assert code == 1
    assert said.startswith("dropexp: ") and said.endswith("No space left on device\n") and said.count("\n") == 1


@pytest.mark.parametrize("words", SHORT_AND_LONG)
def test_an_output_that_nobody_reads_any_more_is_exit_1_without_a_word(words: Sequence[str], study: Command) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        assert answer(study, words, theirs) == (1, "")
    finally:
        os.close(theirs)
