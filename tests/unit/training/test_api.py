"""Training from a notebook: `from dropexp import load_config, train, load_runs, compare`."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from helpers.command import Command
from helpers.in_process import InProcess
from helpers.weights import same, saved_below

import dropexp
from dropexp import compare, load_config, load_runs, train
from dropexp.config.study import Study
from dropexp.errors import TrainingError, UnfinishedRun
from dropexp.nets import matmul
from dropexp.runs.epochs_table import Row
from dropexp.runs.folder import RunFolder

TINY = "name: tiny\nhidden: [16, 16]\ntrain_size: 500\nepochs: 2\nmatrix: {variant: [none, nn], seed: 0..1}\n"


@pytest.fixture
def study(tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared_cache))
    (tmp_path / "tiny.yaml").write_text(TINY)
    return load_config(tmp_path / "tiny.yaml")


def assert_complete(rows: Iterable[tuple[str, int]], study: Study, tmp_path: Path, real_root: Path) -> None:
    """Check the names of the rows that a training of the study yielded, and that it finished all runs."""
    assert sorted(rows) == [
        (f"variant={variant},seed={seed}", epoch) for variant in ("nn", "none") for seed in (0, 1) for epoch in (1, 2)
    ]
    assert list(train(study, runs_dir=tmp_path / "runs", data_dir=real_root, device="cpu")) == []
    runs = load_runs(runs_dir=tmp_path / "runs")
    assert list(runs["status"]) == ["done"] * 4
    comparison = compare("tiny", runs_dir=tmp_path / "runs")
    assert list(comparison.arms["arm"]) == ["none", "nn"]
    assert list(comparison.differences["pairs"]) == [2]


def test_train_yields_every_new_row_once(study: Study, tmp_path: Path, real_root: Path) -> None:
    rows = list(train(study, runs_dir=tmp_path / "runs", data_dir=real_root, device="cpu", jobs=1))
    assert_complete([(row["run"], row["epoch"]) for row in rows], study, tmp_path, real_root)


def test_predictions_that_are_lost_are_rewritten_from_the_checkpoint(
    study: Study, tmp_path: Path, real_root: Path
) -> None:
    def train_all() -> list[Row]:
        return list(train(study, runs_dir=tmp_path / "runs", data_dir=real_root, device="cpu"))

    train_all()
    paths = sorted(tmp_path.glob("runs/tiny/*/predictions.npz"))
    before = [path.read_bytes() for path in paths]
    assert len(paths) == 4 and max(map(len, before)) < 50_000
    paths[0].unlink()
    paths[1].write_bytes(before[0])
    with pytest.warns(UserWarning, match=r"predictions\.npz was (missing|edited) and is rewritten from checkpoint\.pt"):
        assert train_all() == []
    assert [path.read_bytes() for path in paths] == before
    paths[2].unlink()
    paths[2].with_name("checkpoint.pt").unlink()
    with pytest.warns(
        UserWarning, match=r"predictions\.npz is missing and is not rewritten: .*checkpoint\.pt is missing"
    ):
        assert train_all() == []


def test_a_failed_run_raises_after_the_others_are_trained(study: Study, tmp_path: Path, real_root: Path) -> None:
    wild = load_config(tmp_path / "tiny.yaml", ["lr=1e30", "variant=none", "name=wild"], "0,1")
    with pytest.raises(RuntimeError, match="seed=0: diverged, the loss is not finite in epoch 1") as error:
        list(train(wild, runs_dir=tmp_path / "runs", data_dir=real_root, device="cpu"))
    assert isinstance(error.value, TrainingError)
    why = "the loss is not finite in epoch 1"
    assert error.value.runs == [UnfinishedRun(f"seed={seed}", "diverged", why) for seed in (0, 1)]
    assert list(load_runs(runs_dir=tmp_path / "runs")["status"]) == ["diverged"] * 2


SMALL_BATCHES = "lr: 0.5\n"
LARGE_BATCHES = "hidden: [32, 32]\ninit: torch\nbatch_size: 4000\nlr: 1\n"  # oneDNN would split its sums among threads
NARROW = LARGE_BATCHES.replace("32", "16")


def test_results_do_not_depend_on_the_number_of_threads(cli: InProcess) -> None:
    studies = {"small": SMALL_BATCHES, "large": LARGE_BATCHES}
    if matmul.best_backend() != matmul.PLAIN:
        studies["narrow"] = NARROW  # otherwise MKL sums layers of 12 to 16 units differently on two threads
    text = "train_size: 5000\nepochs: 1\nmatrix: {variant: [nn, scratch]}\n"
    configs = [cli.write(f"{name}.yaml", text + keys) for name, keys in studies.items()]
    options = [option for config in configs for option in ("-c", config)]
    tables, weights = [], []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            cli("train", *options, "--jobs", "1", "--force", "-q")
            infos = [RunFolder(path.parent).read_info() for path in cli.folder.glob("runs/*/*/run.json")]
            assert {info.provenance["threads"] for info in infos} == {threads}
            tables.append(cli.tables())
            weights.append(saved_below(cli.folder / "runs"))
    finally:
        torch.set_num_threads(before)
    assert len(tables[0]) == len(weights[0]) == 2 * len(studies)
    assert tables[0] == tables[1] and same(*weights)


@pytest.mark.parametrize("piped", [False, True])
def test_workers_run_under_a_script_without_a_main_guard_or_from_standard_input(
    piped: bool, command: Command, study: Study, tmp_path: Path, real_root: Path
) -> None:
    script = "from dropexp import train\nfor row in train('tiny.yaml', device='cpu', jobs=2):\n"
    script += "    print(row['run'], row['epoch'])\n\n"
    command.write("script.py", script)
    done = subprocess.run(
        [sys.executable] if piped else [sys.executable, "script.py"],
        input=script if piped else None,
        cwd=command.folder,
        env=command.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split() for line in done.stdout.splitlines()]
    assert_complete([(run, int(epoch)) for run, epoch in rows], study, tmp_path, real_root)
    assert "Traceback" not in done.stderr


def test_the_package_has_the_names_in_all_and_lists_them() -> None:
    for name in dropexp.__all__:
        assert getattr(dropexp, name)
    assert set(dropexp.__all__) <= set(dir(dropexp))
    assert dropexp.__version__ == importlib.metadata.version("dropexp")
    with pytest.raises(AttributeError, match="nothing"):
        dropexp.nothing  # noqa: B018 - looking it up is the test


def test_train_checks_its_arguments_when_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(dropexp.errors.ConfigError, match="no such file"):
        train("no-such-file.yaml")
    (tmp_path / "t.yaml").write_text("variant: nn\n", encoding="utf-8")
    with pytest.raises(dropexp.errors.DeviceError):
        train(tmp_path / "t.yaml", device="cuda:99")
    with pytest.raises(dropexp.errors.DataError):
        train(tmp_path / "t.yaml", device="cpu", data_dir=tmp_path, runs_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
