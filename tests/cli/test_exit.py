"""Messages and exit codes of a command whose output cannot be written or read."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from helpers.command import DROPEXP, TIMEOUT, Command
from helpers.fake_runs import write_arm
from helpers.in_process import InProcess

from dropexp.cli.output import Format
from dropexp.cli.progress import watching
from dropexp.config.planned_run import PlannedRun
from dropexp.config.schema import Config
from dropexp.runs.folder import RunFolder
from dropexp.runs.record import read_runs
from dropexp.runs.state_names import Status
from dropexp.training.events import Ended
from dropexp.training.jobs import Job
from dropexp.training.pipeline import Stage

FULL = Path("/dev/full")
full = pytest.mark.skipif(not FULL.exists(), reason="only Linux has /dev/full, a device that is always full")
SHORT_AND_LONG = [("data", "path"), ("compare", "--format", "csv"), ("runs", "--format", "json")]


@pytest.fixture
def study(command: Command) -> Command:
    write_arm(command.folder / "runs", "nn", [0.8 + i / 1000 for i in range(40)])  # more than a buffer holds
    command.environment.pop("PYTHONUNBUFFERED", None)  # users have it unset
    return command


def run_into(stdout: int, command: Command, words: Sequence[str]) -> tuple[int, str]:
    """Run the command with this file descriptor as its stdout; return the exit code and stderr."""
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


@full
@pytest.mark.parametrize("words", SHORT_AND_LONG)
def test_output_that_cannot_be_written_is_one_message_and_exit_1(words: Sequence[str], study: Command) -> None:
    with FULL.open("w") as nowhere:
        code, stderr = run_into(nowhere.fileno(), study, words)
    assert code == 1
    assert stderr == "dropexp: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("words", [*SHORT_AND_LONG, ("config", "keys"), *(("runs", "--format", one) for one in Format)])
def test_output_to_a_closed_pipe_is_exit_1_without_a_message(words: Sequence[str], study: Command) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        assert run_into(theirs, study, words) == (1, "")
    finally:
        os.close(theirs)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS and Windows have no local sockets that keep writes apart")
@pytest.mark.parametrize("output", Format)
def test_every_format_is_one_write(output: str, command: Command) -> None:
    write_arm(command.folder / "runs", "nn", [0.8, 0.81])
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # a second write could meet a closed pipe
    with ours:
        with theirs:
            assert run_into(theirs.fileno(), command, ("runs", "--format", output)) == (0, "")
        writes = list(iter(lambda: ours.recv(1 << 20), b""))
    assert len(writes) == 1 and writes[0].endswith(b"\n")


def test_a_reader_of_one_byte_gets_it(command: Command) -> None:
    write_arm(command.folder / "runs", "nn", [0.8, 0.81])
    lines = 'set -o pipefail; "$@" | head -c 1'
    done = command.run("runs", "--format", "json", prefix=["bash", "-c", lines, "bash"])
    assert (done.returncode, done.stdout, done.stderr) == (0, "[", "")


def test_messages_to_a_closed_stderr_are_not_written_to_stdout(command: Command) -> None:
    done = command.run("runs", prefix=["sh", "-c", '"$@" 2>&-', "sh"])
    assert (done.returncode, done.stdout) == (5, "")


def test_no_file_gets_the_descriptor_of_a_closed_stream(command: Command) -> None:
    script = (
        "import os, sys\n"
        "from dropexp.cli.main import main\n"
        "sys.argv = ['dropexp', 'runs']\n"
        "try: main()\n"
        "finally: print(os.open('file', os.O_CREAT | os.O_WRONLY))\n"
    )
    command.write("script.py", script)
    line = f"{sys.executable} script.py 2>&- <&-"
    done = subprocess.run(
        ["sh", "-c", line], cwd=command.folder, env=command.environment, capture_output=True, text=True
    )
    assert int(done.stdout) > 2


REGRESSION = "task: linear-regression\nbatch_size: 1\nepochs: 3\n"
WILD, SANE = "wild: {variant: nn, lr: 1.0e+30}", "sane: {variant: scratch, lr: 0.003}"


def listed(command: Command) -> list[tuple[str, int | None]]:
    """Return the status and last epoch of each run in the command's folder."""
    return [(str(run.status), run.epoch) for run in read_runs([], command.folder / "runs")]


@pytest.mark.parametrize("line", ['"$@" 2>&-', '(sleep 1; exec "$@") 2>&1 | true'], ids=["closed", "without a reader"])
def test_a_training_without_a_reader_trains_to_its_end(line: str, command: Command) -> None:
    config = command.write("wd.yaml", f"{REGRESSION}arms: {{{SANE}}}\n")
    done = command.run("train", "-c", config, "--jobs", "1", prefix=["sh", "-c", line, "sh"])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert listed(command) == [("done", 3)]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_a_training_outlives_a_terminal_that_closes_without_sighup(command: Command) -> None:
    import pty

    ours, theirs = pty.openpty()
    config = command.write("wd.yaml", f"{REGRESSION}arms: {{{WILD}, {SANE}}}\n".replace("epochs: 3", "epochs: 40"))
    command.environment |= {"TERM": "xterm"}
    process = command.launch(DROPEXP, "train", "-c", config, "--jobs", "1", stderr=theirs)
    os.close(theirs)
    while b"/2 runs" not in os.read(ours, 1 << 16):
        pass
    os.close(ours)
    assert process.wait(TIMEOUT) == 1
    assert sorted(status for status, _ in listed(command)) == ["diverged", "done"]


def test_messages_of_a_training_are_printable(capsys: pytest.CaptureFixture[str]) -> None:
    job = Job(PlannedRun("study", None, "seed=0", Config(variant="nn")), RunFolder(Path("run")))
    with watching(Stage("run", [job], force=False), quiet=False) as watcher:
        watcher.show(Ended(0, Status.FAILED, "a plugin raised \x1b[31m"))
    assert capsys.readouterr().err == "[5/5 epochs] study/seed=0  failed: a plugin raised \ufffd[31m\n"


@full
def test_messages_that_cannot_be_written_are_dropped_if_stdout_is_none() -> None:
    script = (
        "from contextlib import redirect_stdout as to\n"
        "from dropexp.cli.output import print_message\n"
        "with to(None): print_message('x')\n"
    )
    with FULL.open("w") as nowhere:
        done = subprocess.run([sys.executable, "-c", script], stderr=nowhere)
    assert done.returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="no process can handle SIGTERM on Windows")
def test_one_sigterm_ends_a_command_whose_output_is_never_read(study: Command) -> None:
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with suppress(BlockingIOError):
        while os.write(theirs, b" " * (1 << 16)):
            pass
    os.set_blocking(theirs, True)
    process = study.launch(DROPEXP, "runs", stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    assert process.stderr is not None
    time.sleep(2)  # until it blocks on the full pipe; an earlier signal ends it too
    process.send_signal(signal.SIGTERM)
    assert "dropexp: interrupted" in process.communicate(timeout=TIMEOUT)[1]
    assert process.returncode == 130
    os.close(ours)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train dropout --lr 0.1", "No such option: --lr (did you mean --set lr=0.1?)"),
        ("train dropout --lr=0.1", "No such option: --lr (did you mean --set lr=0.1?)"),
        ("train --batch-size 64 dropout", "No such option: --batch-size (did you mean --set batch_size=64?)"),
        ("train dropout --learning-rate 0.1", "No such option: --learning-rate (did you mean --set lr=0.1?)"),
        ("train dropout --dropout 0.5", "No such option: --dropout (did you mean --set 'drop_probs=[0.5, 0.5]'?)"),
        ("train dropout --epoch --dry-run", "No such option: --epoch (did you mean --set epochs=…?)"),
        ("train dropout --keep-prob 0.8", "1 − keep: drop_probs = [0.2, 0.2]; --set KEY=VALUE sets a key"),
        ("compare -c dropout --epochs 2", "No such option: --epochs (did you mean --set epochs=2?)"),
        ("train dropout --seed 3", "No such option: --seed (did you mean '--seeds'?)"),
        ("train dropout --data x", "No such option: --data (did you mean '--data-dir'?)"),
        ("compare --metrics test_acc", "No such option: --metrics (did you mean '--metric'?)"),
        ("compare --formt json", "No such option: --formt (did you mean '--format'?)"),
        ("runs --lr 0.1", "No such option: --lr"),
        ("train dropout --xyzzy", "No such option: --xyzzy"),
    ],
)
def test_an_unknown_option_suggests_the_setting_of_a_key_or_a_similar_option(
    arguments: str, message: str, cli: InProcess
) -> None:
    assert cli(*arguments.split(), code=2).stderr.splitlines()[-1].endswith(message)
