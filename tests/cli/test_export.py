"""`dropexp export`: runs reach TensorBoard and MLflow."""

from __future__ import annotations

import shutil
import sys
from importlib import import_module

import pytest
from helpers.fake_runs import write_arm, write_run
from helpers.in_process import InProcess

mlflow_warns = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")  # of itself


@mlflow_warns
@pytest.mark.parametrize(("target", "out"), [("tensorboard", "tensorboard"), ("mlflow", "sqlite:///mlflow.db")])
def test_runs_are_exported_and_those_left_out_are_named(target: str, out: str, own_study: InProcess) -> None:
    corrupted = write_run(own_study.folder / "runs", "none", 99)
    (corrupted.path / "run.json").write_text("{")
    done = own_study("export", "--to", target)
    assert done.stdout == f"{out}\n"
    assert "32 runs exported" in done.stderr
    assert corrupted.path.name in done.stderr
    assert (own_study.folder / out.removeprefix("sqlite:///")).exists()
    assert "no longer" not in done.stderr
    gone = next(own_study.folder.glob("runs/dropout/variant=none,seed=7-*"))
    shutil.rmtree(gone)
    again = own_study("export", "dropout", "--to", target).stderr
    (note,) = [line for line in again.splitlines() if line.startswith("note:")]
    assert "1 run in " in note and "no longer exists here: " in note and gone.name in note


@mlflow_warns
@pytest.mark.parametrize("target", ["tensorboard", "mlflow"])
def test_a_training_is_logged_to_its_last_epoch(target: str, cli: InProcess) -> None:
    cli.write("t.yaml", "task: linear-regression\nvariant: scratch\nepochs: 3\n")
    cli("train", "t.yaml", "--device", "cpu", "--jobs", "1", "--log-to", target)
    if target == "tensorboard":
        (folder,) = cli.folder.glob("tensorboard/t/*")
        reader = import_module("tensorboard.backend.event_processing.event_accumulator")
        steps = [event.step for event in reader.EventAccumulator(str(folder)).Reload().Scalars("test_loss")]
    else:
        client = import_module("mlflow").MlflowClient(tracking_uri=f"sqlite:///{cli.folder / 'mlflow.db'}")
        runs = client.search_runs([client.get_experiment_by_name("t").experiment_id], "tags.`dropexp.status` = 'done'")
        steps = sorted(metric.step for metric in client.get_metric_history(runs[0].info.run_id, "test_loss"))
        assert list(cli.folder.glob("mlartifacts/t/*/artifacts/report.html"))
    assert steps == [1, 2, 3]


@mlflow_warns
@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_database_of_mlflow_can_be_in_the_home_folder(
    how: str, cli: InProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    cli.environment |= {"HOME": str(home), "USERPROFILE": str(home)}
    write_arm(home / "runs", "none", [0.8, 0.81])
    if how == "variable":
        cli.environment["MLFLOW_TRACKING_URI"] = "sqlite:///~/z.db"
    option = ["--out=sqlite:///~/z.db"] if how == "option" else []
    assert cli("export", "--runs-dir", "~/runs", "--to", "mlflow", *option).stdout == f"sqlite:///{home / 'z.db'}\n"
    assert (home / "z.db").exists()
    assert list(cli.folder.iterdir()) == []


def test_a_tracker_that_is_not_installed_is_an_error_before_anything_trains(
    cli: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    cli.write("t.yaml", "task: linear-regression\nvariant: scratch\n")
    done = cli("train", "t.yaml", "--device", "cpu", "--log-to", "mlflow", code=1)
    assert "pip install 'dropexp[mlflow]'" in done.stderr
    assert not list(cli.folder.glob("runs/*/*"))


@pytest.mark.parametrize("name", ["x.csv", "x.YAML", "x.html", "x.db"])
def test_runs_are_not_exported_to_tensorboard_under_the_name_of_a_file(name: str, cli: InProcess) -> None:
    write_run(cli.folder / "runs", "none", 0)
    errors = cli("export", "--to", "tensorboard", "-o", name, code=2).stderr
    assert f"{name}: '{name[1:]}' is the ending of a file; runs are exported to a folder, such as x\n" in errors
    assert not (cli.folder / name).exists()
    cli("export", "--to", "tensorboard", "-o", "logs-0.5")
