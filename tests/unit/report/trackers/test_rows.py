"""Runs exported to TensorBoard and MLflow, read back with their own readers."""

import json
import math
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.fake_runs import change, epoch_row, write_run

from dropexp.errors import ExportError
from dropexp.report.trackers.mlflow import to_mlflow
from dropexp.report.trackers.rows import Exported
from dropexp.report.trackers.tensorboard import EVENTS, to_tensorboard
from dropexp.runs.epochs_table import Columns, Row, add_row, rows_of
from dropexp.runs.folder import EPOCHS, RUN, RunFolder
from dropexp.runs.record import read_runs

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")  # MLflow's own
BEGAN = "2026-01-02T03:04:05+00:00"
BEGAN_AT = 1767323045.0
COLUMNS = set(epoch_row(1, 0.8)) - {"epoch"}


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def table_of(run: RunFolder) -> list[Row]:
    return rows_of(run.read_table(run.read_info()))


def grow(run: RunFolder, *test_accs: float) -> None:
    """Add epochs to a run, as further training does."""
    retrain(run, *[row["test_acc"] for row in table_of(run)], *test_accs)


def retrain(run: RunFolder, *test_accs: float) -> None:
    """Replace the epochs of a run."""
    columns: Columns = {}
    for epoch, acc in enumerate(test_accs, start=1):
        add_row(columns, epoch_row(epoch, acc))
    change(run, table=columns, epoch=len(test_accs))


def printed_by(script: str, *arguments: object) -> str:
    """Return what a script prints in a process whose environment shows neither tests nor CI."""
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()


@pytest.fixture
def mixed(tmp_path: Path, runs_dir: Path) -> list[Any]:
    """Return one run to export, and one of each kind that cannot be exported."""
    write_run(runs_dir, "none")
    write_run(runs_dir, "nn", 1, [], status="interrupted")
    (write_run(runs_dir, "nn", 2, status="failed").path / EPOCHS).write_text("test_acc\n0.5\n")
    (write_run(runs_dir, "nn", 3, status="failed").path / EPOCHS).write_text("epoch,test_acc\n1,oops\n")
    (write_run(runs_dir, "nn", 4).path / RUN).write_text("{")
    shutil.copytree(runs_dir, tmp_path / "copy", ignore=shutil.ignore_patterns("variant=nn*"))
    return read_runs([str(runs_dir), str(tmp_path / "copy")], runs_dir)


def assert_one_exported(exported: Exported) -> None:
    assert exported.runs == 1
    for kind in ("seed=1", "seed=2", "seed=3", "seed=4", "is the same run as"):
        assert [kind in why for why in exported.skipped].count(True) == 1
    assert len(exported.skipped) == 5


# TensorBoard


def export_events(out: Path, runs_dir: Path) -> Exported:
    return to_tensorboard(read_runs((), runs_dir), out)


def reader(folder: Path) -> Any:
    accumulator = import_module("tensorboard.backend.event_processing.event_accumulator").EventAccumulator(str(folder))
    return accumulator.Reload()


def accuracies(folder: Path) -> list[tuple[int, float]]:
    return [(event.step, round(event.value, 6)) for event in reader(folder).Scalars("test_acc")]


def test_tensorboard_reads_back_every_column_by_epoch(tmp_path: Path, runs_dir: Path) -> None:
    run = write_run(runs_dir, "nn", test_acc=[0.1, 0.7, 0.8], seconds=[2.0, 3.0, 4.0])
    change(run, provenance={"began": BEGAN})
    other = write_run(runs_dir, "none", name="another")
    out = tmp_path / "out"
    assert export_events(out, runs_dir) == Exported(2, str(out), [], [])
    events = reader(out / "dropout" / run.path.name)
    assert set(events.Tags()["scalars"]) == COLUMNS | {"gap"}
    for name in COLUMNS:
        scalars = events.Scalars(name)
        assert [event.step for event in scalars] == [1, 2, 3]
        assert [event.value for event in scalars] == [float(np.float32(row[name])) for row in table_of(run)]
        assert [event.wall_time - BEGAN_AT for event in scalars] == [2.0, 5.0, 9.0]
    assert accuracies(out / "another" / other.path.name) == [(1, 0.7), (2, 0.8)]


def test_tensorboard_reads_back_columns_of_probes(tmp_path: Path, runs_dir: Path) -> None:
    run = write_run(runs_dir, "nn", test_acc=[0.7, 0.8], probed={"h1_zero": 0.25})
    export_events(tmp_path, runs_dir)
    scalars = reader(tmp_path / "dropout" / run.path.name).Scalars("h1_zero")
    assert [event.value for event in scalars] == [0.5, 0.25]


def test_tensorboard_reads_back_figures_of_epochs_with_an_evaluation(tmp_path: Path, runs_dir: Path) -> None:
    for status in ("done", "interrupted"):
        run = write_run(runs_dir, "nn", test_acc=[0.5, 0.6, 0.7], eval_every=2, status=status, name=status)
        export_events(tmp_path, runs_dir)
        events = reader(tmp_path / status / run.path.name)
        steps = [[event.step for event in events.Scalars(name)] for name in ("train_acc", "test_acc")]
        assert steps == [[1, 2, 3], [2, 3]]


def test_tensorboard_reads_back_the_config(tmp_path: Path, runs_dir: Path) -> None:
    run = write_run(runs_dir, "nn", 3, train_size=None)
    export_events(tmp_path, runs_dir)
    plugin = reader(tmp_path / "dropout" / run.path.name).PluginTagToContent("hparams")
    data = import_module("tensorboard.plugins.hparams.plugin_data_pb2").HParamsPluginData
    (content,) = plugin.values()
    known = dict(data.FromString(content).session_start_info.hparams.items())
    assert set(known) == set(run.read_info().config)
    assert (known["lr"].number_value, known["seed"].number_value) == (0.5, 3)
    assert known["eval_train"].bool_value is True
    assert known["hidden"].string_value == "[256, 256]"
    assert (known["variant"].string_value, known["train_size"].string_value) == ("nn", "null")


def test_tensorboard_shows_nan(tmp_path: Path, runs_dir: Path) -> None:
    run = write_run(runs_dir, status="diverged", test_acc=[0.5, math.nan])
    export_events(tmp_path, runs_dir)
    first, second = reader(tmp_path / "dropout" / run.path.name).Scalars("test_acc")
    assert first.value == 0.5 and np.isnan(second.value)


def test_exporting_again_changes_no_byte(tmp_path: Path, runs_dir: Path) -> None:
    run = write_run(runs_dir)
    export_events(tmp_path, runs_dir)
    file = tmp_path / "dropout" / run.path.name / EVENTS
    before = file.read_bytes()
    assert export_events(tmp_path, runs_dir).runs == 1
    assert file.read_bytes() == before
    assert accuracies(file.parent) == [(1, 0.7), (2, 0.8)]


@pytest.mark.parametrize("torn", [0, 7], ids=["whole", "killed while appending"])
def test_new_epochs_are_appended_to_the_file_that_a_reader_has_open(tmp_path: Path, runs_dir: Path, torn: int) -> None:
    run = write_run(runs_dir)
    change(run, provenance={"began": BEGAN})
    export_events(tmp_path, runs_dir)
    file = tmp_path / "dropout" / run.path.name / EVENTS
    before = file.stat()
    os.truncate(file, before.st_size - torn)
    events = reader(file.parent)
    assert len(events.Scalars("lr")) == (1 if torn else 2)
    grow(run, 0.9)
    export_events(tmp_path, runs_dir)
    assert file.stat().st_ino == before.st_ino
    assert [event.step for event in events.Reload().Scalars("lr")] == [1, 2, 3]


def test_a_run_that_was_trained_again_replaces_its_own_file_only(tmp_path: Path, runs_dir: Path) -> None:
    run = write_run(runs_dir, test_acc=[0.1, 0.2, 0.3])
    export_events(tmp_path, runs_dir)
    folder = tmp_path / "dropout" / run.path.name
    (folder / "notes.txt").write_text("mine")
    (folder / "events.out.tfevents.1.mine").write_bytes(b"")
    retrain(run, 0.4, 0.5)
    export_events(tmp_path, runs_dir)
    assert accuracies(folder) == [(1, 0.4), (2, 0.5)]
    assert sorted(path.name for path in folder.iterdir()) == [EVENTS, "events.out.tfevents.1.mine", "notes.txt"]


def test_runs_without_epochs_are_skipped_and_named(tmp_path: Path, mixed: list[Any]) -> None:
    assert_one_exported(to_tensorboard(mixed, tmp_path / "out"))
    assert len(list((tmp_path / "out").rglob(EVENTS))) == 1


def test_exporting_to_tensorboard_loads_neither_torch_nor_tensorflow(tmp_path: Path, runs_dir: Path) -> None:
    write_run(runs_dir)
    script = (
        "import sys; from pathlib import Path; from dropexp.report.trackers import tensorboard as export\n"
        "from dropexp.runs.record import read_runs\n"
        "def heavy(*names): return [name for name in names if name in sys.modules]\n"
        "print(heavy('torch', 'tensorflow', 'tensorboard', 'mlflow'))\n"
        "print(export.to_tensorboard(read_runs((), sys.argv[1]), Path(sys.argv[2])).runs)\n"
        "print(heavy('torch', 'tensorflow', 'mlflow'))"
    )
    assert printed_by(script, runs_dir, tmp_path / "out").splitlines() == ["[]", "1", "[]"]


# MLflow


@pytest.fixture
def client(tmp_path: Path, empty_database: Path) -> Any:
    """MLflow with an empty database."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return import_module("mlflow").MlflowClient(tracking_uri=database(tmp_path))


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, which take seconds to create."""
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        import_module("mlflow").MlflowClient(tracking_uri=database(folder)).search_experiments()
    return folder / "mlflow.db"


def database(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def logged(client: Any, study: str = "dropout") -> dict[str, Any]:
    """Return the runs of an experiment by name, which is unique."""
    found = client.search_runs([client.get_experiment_by_name(study).experiment_id])
    runs = {run.info.run_name: run for run in found}
    assert len(runs) == len(found)
    return runs


def history(client: Any, run: Any, name: str = "test_acc") -> list[tuple[int, float]]:
    return sorted((metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name))


def test_mlflow_reads_back_the_config_and_every_column_exactly(tmp_path: Path, runs_dir: Path, client: Any) -> None:
    run = write_run(runs_dir, "nn", 3, [0.1, 0.7, 1 / 3], seconds=[2.0, 3.0, 4.0], train_size=None)
    change(run, provenance={"began": BEGAN})
    other = write_run(runs_dir, "none", name="another", arm="wide")
    assert to_mlflow(read_runs((), runs_dir), database(tmp_path)) == Exported(2, database(tmp_path), [], [])
    (ours,) = logged(client).values()
    info = run.read_info()
    assert ours.info.run_name == run.path.name
    assert set(ours.data.metrics) == COLUMNS | {"gap"}
    for name in COLUMNS:
        assert history(client, ours, name) == [(row["epoch"], row[name]) for row in table_of(run)]
    assert (ours.info.start_time, ours.info.end_time) == (1000 * BEGAN_AT, 1000 * (BEGAN_AT + 9))
    params = {key: value if key in ("variant", "mask") else json.dumps(value) for key, value in info.config.items()}
    assert ours.data.params == params
    assert params["train_size"] == "null"
    tags = {key: value for key, value in ours.data.tags.items() if key.startswith("dropexp.")}
    del tags["dropexp.content"], tags["dropexp.epochs"]
    assert tags == {
        "dropexp.hash": info.hash,
        "dropexp.arm": "nn",
        "dropexp.status": "done",
        "dropexp.study": "dropout",
    }
    assert logged(client, "another")[other.path.name].data.tags["dropexp.arm"] == "wide"


def test_mlflow_has_the_config_the_commit_and_the_report(tmp_path: Path, runs_dir: Path, client: Any) -> None:
    run = write_run(runs_dir, "nn", 3)
    change(run, provenance={"began": BEGAN, "commit": "abc123"})
    to_mlflow(read_runs((), runs_dir), database(tmp_path), report=True)
    before = logged(client)
    assert before[run.path.name].data.tags["mlflow.source.git.commit"] == "abc123"
    artifacts = tmp_path / "mlartifacts" / "dropout"
    assert "seed: 3" in (artifacts / before[run.path.name].info.run_id / "artifacts" / "config.yaml").read_text()
    page = artifacts / before["report"].info.run_id / "artifacts" / "report.html"
    assert "<title>" in page.read_text(encoding="utf-8")
    to_mlflow(read_runs((), runs_dir), database(tmp_path), report=True)
    assert {name: one.info.run_id for name, one in logged(client).items()} == {
        name: one.info.run_id for name, one in before.items()
    }


def test_a_run_that_resumes_continues_its_curve_in_mlflow(tmp_path: Path, runs_dir: Path, client: Any) -> None:
    write_run(runs_dir, "nn", status="interrupted", test_acc=[0.5, 0.6])
    to_mlflow(read_runs((), runs_dir), database(tmp_path))
    (before,) = logged(client).values()
    write_run(runs_dir, "nn", test_acc=[0.5, 0.6, 0.7])
    to_mlflow(read_runs((), runs_dir), database(tmp_path))
    (after,) = logged(client).values()
    assert (after.info.run_id, after.info.status) == (before.info.run_id, "FINISHED")
    assert history(client, after) == [(1, 0.5), (2, 0.6), (3, 0.7)]


def test_the_times_of_logged_epochs_do_not_move_when_a_run_resumes(tmp_path: Path, runs_dir: Path) -> None:
    run = write_run(runs_dir, "nn", test_acc=[0.5, 0.6])
    change(run, provenance={"began": BEGAN})
    export_events(tmp_path, runs_dir)
    file = tmp_path / "dropout" / run.path.name / EVENTS
    before = file.read_bytes()
    grow(run, 0.7)
    change(run, provenance={"first_began": BEGAN, "began": "2026-02-02T00:00:00+00:00"})
    export_events(tmp_path, runs_dir)
    assert file.read_bytes().startswith(before) and file.stat().st_size > len(before)


def test_exported_runs_that_are_gone_are_named(tmp_path: Path, runs_dir: Path, client: Any) -> None:
    kept, removed = write_run(runs_dir, "nn"), write_run(runs_dir, "none")
    export_events(tmp_path / "out", runs_dir)
    to_mlflow(read_runs((), runs_dir), database(tmp_path))
    shutil.rmtree(removed.path)
    assert export_events(tmp_path / "out", runs_dir).gone == [str(tmp_path / "out" / "dropout" / removed.path.name)]
    assert to_mlflow(read_runs((), runs_dir), database(tmp_path), report=True).gone == [removed.path.name]
    assert {kept.path.name, removed.path.name, "report"} == set(logged(client))


def test_mlflow_has_the_status_of_each_run(tmp_path: Path, runs_dir: Path, client: Any) -> None:
    statuses = {"done": "FINISHED", "diverged": "FAILED", "failed": "FAILED", "interrupted": "KILLED"}
    names = {
        write_run(runs_dir, "nn", seed, status=status).path.name: statuses[status]
        for seed, status in enumerate(statuses)
    }
    running = write_run(runs_dir, "none", status="running")
    with running.lock():
        to_mlflow(read_runs((), runs_dir), database(tmp_path))
    names[running.path.name] = "RUNNING"
    assert {name: run.info.status for name, run in logged(client).items()} == names
    assert logged(client)[running.path.name].info.end_time is None
    to_mlflow(read_runs((), runs_dir), database(tmp_path))  # its process has exited
    assert logged(client)[running.path.name].info.status == "KILLED"


def test_more_epochs_than_a_batch_of_mlflow_are_logged(tmp_path: Path, runs_dir: Path, client: Any) -> None:
    curve = [i / 200 for i in range(200)]
    run = write_run(runs_dir, test_acc=curve)
    to_mlflow(read_runs((), runs_dir), database(tmp_path))
    assert history(client, logged(client)[run.path.name]) == list(enumerate(curve, start=1))


def test_exporting_to_mlflow_again_logs_only_what_changed(tmp_path: Path, runs_dir: Path, client: Any) -> None:
    same, grown, retrained = (write_run(runs_dir, "nn", seed) for seed in range(3))
    to_mlflow(read_runs((), runs_dir), database(tmp_path))
    before = logged(client)
    study = client.get_experiment_by_name("dropout").experiment_id
    client.create_run(study, run_name="mine")
    grow(grown, 0.9)
    retrain(retrained, 0.4, 0.5)
    for _ in range(2):
        assert to_mlflow(read_runs((), runs_dir), database(tmp_path)).runs == 3
        after = logged(client)
        assert set(after) == {*before, "mine"}
        assert after[same.path.name].info.run_id == before[same.path.name].info.run_id
        for run in (same, grown, retrained):
            assert history(client, after[run.path.name]) == [(row["epoch"], row["test_acc"]) for row in table_of(run)]


def test_an_export_to_mlflow_that_was_killed_is_repeated(tmp_path: Path, runs_dir: Path, client: Any) -> None:
    run = write_run(runs_dir)
    study = client.create_experiment("dropout", artifact_location=(tmp_path / "artifacts").as_uri())
    client.create_run(study, run_name=run.path.name, tags={"dropexp.hash": run.read_info().hash})
    to_mlflow(read_runs((), runs_dir), database(tmp_path))
    assert [epoch for epoch, _ in history(client, logged(client)[run.path.name])] == [1, 2]


def test_mlflow_keeps_nan(tmp_path: Path, runs_dir: Path, client: Any) -> None:
    run = write_run(runs_dir, status="diverged", test_acc=[0.5, math.nan])
    to_mlflow(read_runs((), runs_dir), database(tmp_path))
    ours = logged(client)[run.path.name]
    assert history(client, ours)[0] == (1, 0.5) and np.isnan(history(client, ours)[1][1])


def test_runs_without_epochs_are_not_logged(tmp_path: Path, mixed: list[Any], client: Any) -> None:
    assert_one_exported(to_mlflow(mixed, database(tmp_path)))
    assert len(logged(client)) == 1


@pytest.mark.parametrize(
    ("destination", "message"), [("sqlite:///{}/notes.txt", "not a database"), ("{}/folder", "sqlite:///")]
)
def test_an_unusable_destination_is_named(tmp_path: Path, runs_dir: Path, destination: str, message: str) -> None:
    write_run(runs_dir)
    (tmp_path / "notes.txt").write_text("mine " * 1000)
    uri = destination.format(tmp_path)
    with pytest.raises(ExportError, match=message) as error:
        to_mlflow(read_runs((), runs_dir), uri)
    assert str(error.value).startswith(f"MLflow at {uri}: ")
    assert "\n" not in str(error.value)
    assert (tmp_path / "notes.txt").read_text().startswith("mine")


def test_exporting_to_mlflow_loads_no_torch_and_sends_no_telemetry(tmp_path: Path, runs_dir: Path) -> None:
    write_run(runs_dir)
    script = (
        "import sys, socket; from dropexp.report.trackers import mlflow as export\n"
        "from dropexp.runs.record import read_runs\n"
        "addresses = []\n"
        "socket.getaddrinfo = lambda *where, **more: addresses.append(where)\n"
        "socket.socket.connect = lambda self, where: addresses.append(where)\n"
        "print(export.to_mlflow(read_runs((), sys.argv[1]), sys.argv[2]).runs)\n"
        "from mlflow.telemetry import get_telemetry_client\n"
        "print(get_telemetry_client(), addresses, [name for name in ('torch', 'tensorflow') if name in sys.modules])"
    )
    assert printed_by(script, runs_dir, database(tmp_path)).splitlines() == ["1", "None [] []"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlartifacts", "mlflow.db", "runs"]


# extras


@pytest.mark.parametrize("missing", ["tensorboard", "mlflow", "sqlalchemy", "alembic"])
def test_a_missing_extra_is_named_with_its_install_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    extra = "tensorboard" if missing == "tensorboard" else "mlflow"
    with pytest.raises(ExportError, match=rf"not installed .*{missing}.*; pip install 'dropexp\[{extra}\]'$"):
        to_tensorboard([], tmp_path) if extra == "tensorboard" else to_mlflow([], database(tmp_path))
