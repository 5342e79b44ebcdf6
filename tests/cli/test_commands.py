"""The commands as users meet them: what they print, where, and how they exit. On the real data."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
from helpers.command import Command
from helpers.weights import same, saved_below

TINY = """\
name: tiny
hidden: [32, 16]
init: torch
train_size: 2000
epochs: 3
matrix:
  variant: [none, nn, scratch]
  seed: 0..1
"""
LONG = "name: long\ntrain_size: 6000\nepochs: 12\nmatrix:\n  variant: [nn, scratch]\n  seed: 0..0\n"


def test_train_and_compare(command: Command) -> None:
    config = command.write("tiny.yaml", TINY)
    trained = command("train", "--config", config)
    assert trained.stdout == ""
    assert "6 runs: 6 trained now, 0 before" in trained.stderr
    assert "next: dropexp compare tiny" in trained.stderr
    assert len([line for line in trained.stderr.splitlines() if "epoch 3/3" in line]) == 6  # a line per epoch
    again = command("train", "--config", config)
    assert "6 runs: 0 trained now, 6 before" in again.stderr

    table = command("compare", "tiny")
    for text in ("none", "nn - none", "scratch - none", "±"):
        assert text in table.stdout
    arms = {arm["arm"]: arm for arm in json.loads(command("compare", "tiny", "--format", "json").stdout)["arms"]}
    assert set(arms) == {"none", "nn", "scratch"} and arms["nn"]["n"] == 2
    assert len(pd.read_csv(io.StringIO(command("compare", "--format", "csv").stdout))) == 3
    assert "| none |" in command("compare", "--format", "md").stdout

    command("compare", "tiny", "--require", "nn.test_acc >= 0.01", "--require", "none.seconds < 1000")
    failed = command("compare", "tiny", "--require", "nn.test_acc >= 1.01", code=1)
    assert "nn.test_acc" in failed.stderr and ">= 1.01" in failed.stderr
    assert "test_acc" in command("compare", "tiny", "--require", "nn.accuracy >= 0.5", code=2).stderr

    runs = command("runs")
    assert runs.stdout.count("done") == 6


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Command:
    """Where LONG was trained by two workers."""
    command = Command(tmp_path_factory.mktemp("undisturbed"), environment)
    command("train", "-c", command.write("long.yaml", LONG), "--jobs", "2")
    assert len(command.tables()) == 2 and all(len(table) == 13 for table in command.tables().values())
    return command


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_killed_study_goes_on_to_the_same_tables(jobs: str, command: Command, undisturbed: Command) -> None:
    config = command.write("long.yaml", LONG)
    for rows in (2, 7, 12):
        process = command.start("train", "-c", config, "--jobs", jobs)
        command.wait_for_rows(rows, process)
        process.kill()  # SIGKILL: nothing is tidied up
        process.communicate()
        _until_nobody_trains(command)
    command("train", "-c", config, "--jobs", jobs)
    _are_same(command, undisturbed)


def test_a_study_has_the_same_tables_in_one_process(command: Command, undisturbed: Command) -> None:
    command("train", "-c", command.write("long.yaml", LONG), "--jobs", "1", "-q")
    _are_same(command, undisturbed)


def _are_same(one: Command, other: Command) -> None:
    assert one.tables() == other.tables()
    assert same(*(saved_below(command.folder / "runs") for command in (one, other)))


def _until_nobody_trains(command: Command) -> None:
    """Workers of a killed command end by themselves."""
    deadline = time.monotonic() + 30
    while True:
        states = json.loads(command("runs", "--format", "json").stdout)
        if all(run["status"] != "running" for run in states):
            return
        assert time.monotonic() < deadline, "workers outlived their parent"
        time.sleep(0.1)


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_marked_and_told_how_to_go_on(jobs: str, sent: signal.Signals, command: Command) -> None:
    config = command.write("long.yaml", LONG)
    process = command.start("train", "-c", config, "--jobs", jobs, "--force")
    command.wait_for_rows(3, process)
    process.send_signal(sent)
    _, talk = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in talk
    assert f"to go on: dropexp train -c {config} --jobs {jobs}\n" in talk  # without --force, which would begin anew
    states = [run["status"] for run in json.loads(command("runs", "--format", "json").stdout)]
    assert "interrupted" in states and "running" not in states


@pytest.mark.parametrize("module", ["typer", "dropexp.cli.main", "dropexp.training.execute", "filelock"])
def test_an_interrupt_while_it_still_imports_says_how_to_go_on(module: str, command: Command) -> None:
    command.write(
        "sitecustomize.py",  # which Python imports first
        "import os, signal, sys\n"
        f"interrupt = lambda event, about: event == 'import' and about[0] == {module!r} and "
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.addaudithook(interrupt)\n",
    )
    command.environment["PYTHONPATH"] = str(command.folder)
    talk = command("train", "-c", command.write("long.yaml", LONG), code=130).stderr
    assert talk == "dropexp: interrupted; to go on: dropexp train -c long.yaml\n"


def test_an_interrupt_while_workers_start_leaves_no_process(command: Command) -> None:
    process = command.start("train", "-c", command.write("long.yaml", LONG), "--jobs", "2")
    while not (workers := _children(process.pid)):
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # a terminal tells every process of the command
    _, talk = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in talk
    assert "to go on: dropexp train" in talk
    deadline = time.monotonic() + 10
    while set(workers) & set(_children(1)) | {pid for pid in workers if Path(f"/proc/{pid}").exists()}:
        assert time.monotonic() < deadline, "a worker was left"
        time.sleep(0.1)


def test_a_hang_up_that_nohup_ignores_is_ignored(command: Command) -> None:
    config = command.write("tiny.yaml", TINY)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = command.start("train", "-c", config, "--jobs", "1")
    finally:
        signal.signal(signal.SIGHUP, before)
    command.wait_for_rows(1, process)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=120)
    assert process.returncode == 0


def test_a_pipe_that_knows_only_ascii_gets_every_figure(command: Command) -> None:
    command("train", "-c", command.write("tiny.yaml", TINY), "-q")
    command.environment["PYTHONIOENCODING"] = "ascii"
    for output in ("table", "md"):
        assert "scratch - none" in command("compare", "--format", output).stdout


def test_published_figures_stay_whatever_config_trains_the_study_next(command: Command) -> None:
    published = "published: {test_acc: [0.5, 0.6, 0.7]}\n"
    command("train", "-c", command.write("tiny.yaml", TINY + published), "-q")
    assert json.loads(command("compare", "--format", "json").stdout)["published"]
    for config in (command.write("tiny.yaml", TINY), next(command.folder.glob("runs/tiny/*/config.yaml"))):
        command("train", "-c", str(config), "-q")  # which says nothing of what was published, and not that nothing was
        assert json.loads(command("compare", "--format", "json").stdout)["published"]


def test_everything_wrong_with_a_config_is_said_at_once(command: Command) -> None:
    config = command.write("bad.yaml", "variant: nn\nepoch: 3\ndrop_probs: [0.2, 1.5]\n")
    said = command("train", "-c", config, "--set", "lr=fast", code=2).stderr
    assert "bad.yaml:2: unknown key 'epoch' (did you mean 'epochs'?)" in said
    assert "bad.yaml:3: drop_probs[1] = 1.5 is not a probability (0 ≤ p ≤ 1)" in said
    assert "--set lr=fast: lr = 'fast' is not a number greater than 0" in said
    assert "nowhere.yaml: no such file" in command("train", "-c", "nowhere.yaml", code=2).stderr
    assert "cuda:9" in command("train", "-c", command.write("t.yaml", TINY), "--device", "cuda:9", code=2).stderr
    assert not (command.folder / "runs").exists()


def test_no_data_and_no_network_is_one_clear_message(command: Command, tmp_path: Path) -> None:
    config = command.write("tiny.yaml", TINY)
    command.environment |= {"XDG_CACHE_HOME": str(tmp_path / "empty"), "http_proxy": "http://127.0.0.1:9"}
    named = command("train", "-c", config, "--data-dir", str(tmp_path), code=3)
    assert str(tmp_path) in named.stderr
    del command.environment["DROPEXP_DATA"]
    nothing = command("train", "-c", config, code=3)
    for way_out in ("--data-dir", "--data-url", "dropexp data fetch"):
        assert way_out in nothing.stderr
    command("data", "path", code=3)


def test_data_says_where_it_is_and_that_it_is_right(command: Command, real_root: Path) -> None:
    assert command("data", "path").stdout.strip() == str(real_root.resolve())
    assert "all four files" in command("data", "verify").stdout


def test_nothing_to_compare_is_exit_5(command: Command) -> None:
    assert "dropexp train -c" in command("compare", code=5).stderr
    assert "nothing" in command("compare", "nothing", code=5).stderr
    command("runs", code=5)


def test_a_dry_run_trains_nothing(command: Command) -> None:
    config = command.write("tiny.yaml", TINY)
    listed = command("train", "-c", config, "--dry-run", "--seeds", "5..6").stdout.splitlines()
    assert len(listed) == 6 and all("missing" in line for line in listed)
    assert "seed=5" in listed[0]
    assert not (command.folder / "runs").exists()


def test_a_diverged_run_fails_the_command_and_the_rest_goes_on(command: Command) -> None:
    text = "name: mixed\ntrain_size: 2000\nepochs: 2\nvariant: none\narms: {sane: {lr: 0.1}, wild: {lr: 1.0e+30}}\n"
    config = command.write("mixed.yaml", text)
    said = command("train", "-c", config, code=1).stderr
    assert "diverged: runs/mixed/arm=wild" in said.replace("\\", "/")
    arms = {arm["arm"]: arm for arm in json.loads(command("compare", "mixed", "--format", "json").stdout)["arms"]}
    assert arms["wild"]["diverged"] == 1 and arms["sane"]["n"] == 1
    again = command("train", "-c", config, code=1).stderr
    assert "0 trained now" in again  # a diverged run is a result

    text = text.replace("sane", "zane")  # the wild arm now comes last, but fails first under --fail-fast
    config = command.write(
        "fast.yaml",
        "name: fast\n"
        + text.split("\n", 1)[1].replace("arms: {zane: {lr: 0.1}, ", "arms: {").replace("}}", "}, sane: {lr: 0.1}}"),
    )
    command("train", "-c", config, "--jobs", "1", "--fail-fast", code=1)
    assert not list(command.folder.glob("runs/fast/arm=sane*"))


def test_a_worker_that_is_killed_is_named_and_its_run_goes_on_after_the_others(command: Command) -> None:
    config = command.write("long.yaml", LONG.replace("0..0", "0..1"))
    process = command.start("train", "-c", config, "--jobs", "2")
    command.wait_for_rows(2, process)
    workers = _children(process.pid)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    _, talk = process.communicate(timeout=120)
    assert process.returncode == 0
    assert talk.count("its worker process ended (SIGKILL); it resumes after the others") == 1
    states = [run["status"] for run in json.loads(command("runs", "--format", "json").stdout)]
    assert states == ["done"] * 4
    assert all(len(table) == 13 for table in command.tables().values())


def test_runs_whose_workers_are_killed_go_on_in_one_worker_fewer(command: Command) -> None:
    config = command.write("long.yaml", LONG.replace("[nn, scratch]", "[none, nn, scratch]"))
    process = command.start("train", "-c", config, "--jobs", "3")
    command.wait_for_rows(3, process)
    killed = _children(process.pid)
    for worker in killed:
        os.kill(worker, signal.SIGKILL)
    most = 0
    while process.poll() is None:
        most = max(most, len({*_children(process.pid)} - {*killed}))
        time.sleep(0.1)
    assert (len(killed), most, process.returncode) == (3, 2, 0)
    assert all(len(table) == 13 for table in command.tables().values())


def test_a_run_whose_worker_is_killed_twice_has_failed_and_the_rest_goes_on(command: Command) -> None:
    config = command.write("long.yaml", LONG)
    process = command.start("train", "-c", config, "--jobs", "2")
    command.wait_for_rows(2, process)
    workers = _children(process.pid)
    os.kill(workers[0], signal.SIGKILL)
    deadline = time.monotonic() + 120
    while not (again := set(_children(process.pid)) - set(workers)):  # one, once the other worker has done its run
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    os.kill(again.pop(), signal.SIGKILL)
    _, talk = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "failed: its worker process ended (SIGKILL); the same command trains it again" in talk
    states = [run["status"] for run in json.loads(command("runs", "--format", "json").stdout)]
    assert states.count("done") == 1  # the other is failed, or not there if it was killed before it had an epoch
    command("train", "-c", config)


def _children(parent: int) -> list[int]:
    """Worker processes; the resource tracker of multiprocessing is none."""
    listing = subprocess.run(["ps", "-ewwo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()[1:]]
    return [int(pid) for pid, ppid, args in rows if int(ppid) == parent and "spawn_main" in args]


def test_a_quiet_training_says_nothing(command: Command) -> None:
    done = command("train", "-c", command.write("tiny.yaml", TINY), "--seeds", "0", "-q")
    assert done.stdout == done.stderr == ""


def test_two_commands_on_the_same_runs_do_not_write_one_run_twice(command: Command) -> None:
    config = command.write("long.yaml", LONG)
    first = command.start("train", "-c", config)
    command.wait_for_rows(1, first)
    second = command.start("train", "-c", config, "--jobs", "1")
    talk = second.communicate(timeout=120)[1]
    first.communicate(timeout=120)
    assert first.returncode == 0
    assert "another process is training it" in talk or second.returncode == 0
    assert all(len(table) == 13 for table in command.tables().values())


@pytest.mark.parametrize("variant", ["scratch", "nn"])
def test_the_study_learns_the_real_data(variant: str, command: Command) -> None:
    config = command.write("real.yaml", f"variant: {variant}\nepochs: 3\n")
    command("train", "-c", config)
    epochs = pd.read_csv(next(command.folder.glob("runs/real/*/epochs.csv")))
    assert epochs["test_acc"].iloc[-1] >= 0.75
    assert epochs["train_loss"].is_monotonic_decreasing
