"""Any words and plugins; and the installed command in a process of its own, for a few inputs of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.command import Command
from helpers.fake_runs import write_arm, write_run
from hypothesis import given
from hypothesis import strategies as st

from fuzz.inputs import texts, words
from fuzz.sandbox import CODES, sandbox, tried

COMMANDS = ["train", "compare", "report", "runs", "export", "data", "x"]
options = st.sampled_from(["-c", "-o", "--set", "--seeds", "--device", "--jobs", "--runs-dir", "--plugin", "--by",
                           "--help", "--format", "--to", "--plot", "--margin", "--dry-run", "-q", "x"])  # fmt: skip


@given(st.sampled_from(COMMANDS), st.lists(options | words, max_size=5))
def test_any_words_for_any_command(command: str, rest: list[str]) -> None:
    """In this process; nothing is trained, because there is no config."""
    with sandbox() as box:
        box.run("words", command, *rest, may_write=tuple(word for word in rest if word and "/" not in word))


PLUGINS = [b"", b"1/0", b"import sys; sys.exit(0)", b"raise SystemExit(7)", b"raise GeneratorExit", b"def f(:", b"\0",
           b"\xff\xfe", b"x = " + b"(" * 1000, b"import dropexp; dropexp.register('nn', None)"]  # fmt: skip


@given(st.sampled_from(PLUGINS) | st.binary(max_size=60).map(lambda content: b"\x00" + content), texts)
def test_a_plugin_that_fails_or_is_missing_is_rejected(content: bytes, name: str) -> None:
    with sandbox() as box:
        config = box.write("x.yaml", "variant: nn")
        result = box.run("--plugin", "train", "-c", config, "--plugin", box.write("p.py", content), "--dry-run")
        assert result.code == 2 and "p.py" in result.err
        if "\0" not in name:
            missing = box.run("--plugin", "train", "-c", config, "--plugin", f"none/{name}", "--dry-run")
            assert missing.code == 2


def test_a_plugin_that_is_a_folder_or_a_cycle_of_links_is_rejected() -> None:
    with sandbox() as box:
        config = box.write("x.yaml", "variant: nn")
        (box.cwd / "p.py").symlink_to("p.py")
        for path in (".", "p.py"):
            assert box.run("--plugin", "train", "-c", config, "--plugin", path, "--dry-run").code == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("train", "-c", "bytes.yaml"), 2),
        (("train", "-c", "laughs.yaml"), 2),
        (("train", "-c", "/dev/zero"), 2),
        (("train", "-c", "evil.yaml"), 2),
        (("train", "-c", "bytes.yaml", "--set", b"lr=\xff\xfe"), 2),
        (("train", "-c", b"\xff.yaml"), 2),
        (("compare", "--require", "." * 100_000), 2),
        (("compare", "--at", "9" * 5000), 2),
        (("compare", "--filter", b"lr=\xff"), 2),
        (("compare", b"\xff"), 5),
        (("runs", "--filter", "lr=!!timestamp 2001-01-01"), 2),
        (("data", "verify", "--data-dir", "."), 3),
        (("train", "-c", "good.yaml", "--plugin", "exits.py"), 2),
    ],
)
def test_the_installed_command_rejects(command: Command, words: tuple[str, ...], code: int) -> None:
    tried["processes"] += 1
    folder: Path = command.folder
    (folder / "bytes.yaml").write_bytes(bytes(range(256)))
    command.write("laughs.yaml", "a: &a [x, x]\n" + "\n".join(f"b{i}: &b{i} [*a, *a, *a]" for i in range(99_999)))
    command.write("evil.yaml", "name: ../../evil\nvariant: !!python/name:os.system\n")
    command.write("good.yaml", "variant: nn\n")
    command.write("exits.py", "raise SystemExit(0)\n")
    write_run(folder / "runs", "nn", 0, 0.8)
    write_arm(folder / "runs", "none", [0.8, 0.81])
    assert code in CODES
    assert "internal error" not in command(*words, code=code).stderr
