"""What a shell completes."""

from __future__ import annotations

import pytest
from helpers.command import Command
from helpers.fake_runs import write_run
from helpers.in_process import InProcess

TINY = "variant: nn\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dropexp conf", {"config"}),
        ("dropexp config s", {"show", "schema"}),
        ("dropexp train --swe", {"--sweep"}),
        ("dropexp train dropo", {"dropout"}),
        ("dropexp train mi", {"mine.yaml"}),
        ("dropexp train x --set mask=ra", {"mask=rand", "mask=randn-2019"}),
        ("dropexp train x --set nest", {"nesterov="}),
        ("dropexp compare --metric val", {"val_acc", "val_loss"}),
        ("dropexp compare --by mom", {"momentum"}),
        ("dropexp config keys tune.", {"tune.trials", "tune.repeats", "tune.space"}),
        ("dropexp compare --table f", {"fits"}),
        ("dropexp compare --chart re", {"reliability"}),
        ("dropexp compare dropout --baseline no", {"none"}),
        ("dropexp compare --select-on val_l", {"val_loss"}),
        ("dropexp compare --filter status=d", {"status=done", "status=diverged", "status=duplicate"}),
        ("dropexp compare --format l", {"latex"}),
        ("dropexp runs --sort test_a", {"test_acc"}),
        ("dropexp runs --filter opt", {"optimizer="}),
        ("dropexp train --device c", {"cpu", "cuda"}),
        ("dropexp evaluate dropout/variant=none,seed=1", {"dropout/variant=none,seed=1"}),
        ("dropexp evaluate --at b", {"best-val"}),
        ("dropexp compare drop", {"dropout"}),
        ("dropexp compare dropout/variant=none,seed=1", {"dropout/variant=none,seed=1"}),
    ],
)
def test_a_shell_completes_names(line: str, expected: set[str], own_study: InProcess) -> None:
    own_study.write("mine.yaml", TINY)
    own_study.environment |= {
        "_DROPEXP_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }
    assert set(own_study().stdout.split()) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "x", "--set", "mask", "=", "ra"], ["rand", "randn-2019"]),
        (["compare", "--filter", "mask", "="], ["rand", "randn-2019", "per-batch"]),
        (["compare", "--filter", "seed", "=", "0", "--table", "f"], ["fits"]),
        (["compare", "--table", "=", "f"], ["fits"]),
        (["compare", "dropout/variant", "=", "nn,seed", "="], ["0"]),
        (["compare", "dropout", "--baseline", "nn,drop_probs", "=", "[0.2"], ["'[0.2, 0.5]'"]),
    ],
)
def test_bash_splits_words_at_equals_signs_and_gets_only_the_part_after_one(
    words: list[str], expected: list[str], command: Command
) -> None:
    for p in (0.2, 0.5):
        write_run(command.folder / "runs", drop_probs=[p, 0.5])
    command.environment |= {
        "_DROPEXP_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(["dropexp", *words]),
        "COMP_CWORD": str(len(words)),
    }
    assert command().stdout.splitlines() == expected


def test_a_quote_after_the_cursor_does_not_count(command: Command) -> None:
    write_run(command.folder / "runs", drop_probs=[0.2, 0.5])
    write_run(command.folder / "runs", drop_probs=[0.5, 0.5])
    words = ["dropexp", "compare", "dropout", "--baseline", "nn,drop_probs", "=", "[0.2", "--table", "'arms'"]
    command.environment |= {"_DROPEXP_COMPLETE": "complete_bash", "COMP_WORDS": "\n".join(words), "COMP_CWORD": "6"}
    assert command().stdout.splitlines() == ["'[0.2, 0.5]'"]


def test_a_shell_gets_its_completions_from_the_installed_command(command: Command) -> None:
    command.environment |= {"_DROPEXP_COMPLETE": "complete_bash", "COMP_WORDS": "dropexp tr", "COMP_CWORD": "1"}
    assert command("tr").stdout.split() == ["train"]
