"""Export runs to TensorBoard and to MLflow; exporting a run again updates what is there."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dropexp.errors import ExportError, RunError
from dropexp.files import write_whole
from dropexp.runs.find import by_hash
from dropexp.runs.folder import RUN
from dropexp.runs.status import Status
from dropexp.runs.table import Row

if TYPE_CHECKING:
    from dropexp.runs.record import Run

EVENTS = "events.out.tfevents.0.dropexp"  # TensorBoard looks for "tfevents"; no other writer uses this name
MLFLOW_URI = "sqlite:///mlflow.db"  # the default of `mlflow ui`
MLFLOW_STATUS = {
    Status.DONE: "FINISHED",
    Status.DIVERGED: "FAILED",
    Status.FAILED: "FAILED",
    Status.INTERRUPTED: "KILLED",
}


@dataclass(frozen=True)
class Exported:
    """How many runs are exported, where to, why others are not, and notes on runs there that no longer exist here."""

    runs: int
    destination: str
    skipped: list[str]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TimedRun:
    """A run with its rows, and the times of its start and of the end of each epoch, in seconds since 1970."""

    run: Run
    rows: list[Row]
    times: list[float]


def to_tensorboard(runs: Iterable[Run], out: Path) -> Exported:
    """Write out/<study>/<run folder>/: every column of the table as a scalar, the config as hyperparameters.

    Scalars are float32, because TensorBoard's default loader shows no others. Raises `ExportError`.
    """
    event, data, hparams, records = _import(
        "TensorBoard",
        "tensorboard.compat.proto.event_pb2",
        "tensorboard.plugins.hparams.plugin_data_pb2",
        "tensorboard.plugins.hparams.metadata",
        "tensorboard.summary.writer.record_writer",
    )
    found, skipped = _with_epochs(runs)
    for timed in found:
        file = io.BytesIO()
        writer = records.RecordWriter(file)  # EventFileWriter names its file after the time, and may load tensorflow
        for fields in _events(timed, data, hparams):
            writer.write(event.Event(**fields).SerializeToString(deterministic=True))
        _replace_or_append(out / timed.run.study / timed.run.folder.path.name / EVENTS, file.getvalue())
    notes = []
    for study, names in _existing(found).items():
        there = sorted(path.parent.name for path in (out / study).glob(f"*/{EVENTS}"))
        if gone := [name for name in there if name not in names]:
            notes.append(f"{_no_longer(gone, str(out / study))}; delete their folders to remove them")
    return Exported(len(found), str(out), skipped, notes)


def _existing(runs: Iterable[TimedRun]) -> dict[str, set[str]]:
    """Return the names of all folders of runs in the studies of these runs, by study."""
    names: dict[str, set[str]] = {}
    for study, folder in {(timed.run.study, timed.run.folder.path.parent) for timed in runs}:
        found = (run.path.name for runs_of_hash in by_hash(folder).values() for run in runs_of_hash)
        names.setdefault(study, set()).update(found)
    return names


def _no_longer(gone: Sequence[str], where: str) -> str:
    some = ", ".join(gone[:3]) + (", …" if len(gone) > 3 else "")
    return f"{len(gone)} runs in {where} no longer exist here: {some}"


def _events(timed: TimedRun, data: Any, hparams: Any) -> list[dict[str, Any]]:
    """Return the fields of every event. The same run has the same events, and a run that grew has more at the end."""
    start = timed.times[0]
    config = data.SessionStartInfo(start_time_secs=start)
    for key, value in timed.run.config.items():
        if isinstance(value, bool):
            config.hparams[key].bool_value = value
        elif isinstance(value, int | float):
            config.hparams[key].number_value = value
        else:
            config.hparams[key].string_value = _text(value)
    content = data.HParamsPluginData(session_start_info=config).SerializeToString(deterministic=True)
    metadata = {"plugin_data": {"plugin_name": hparams.PLUGIN_NAME, "content": content}}
    hyperparameters = {"tag": hparams.SESSION_START_INFO_TAG, "metadata": metadata, "tensor": hparams.NULL_TENSOR}
    events: list[dict[str, Any]] = [
        {"wall_time": start, "file_version": "brain.Event:2"},
        {"wall_time": start, "summary": {"value": [hyperparameters]}},
    ]
    for row, end in zip(timed.rows, timed.times[1:], strict=True):
        scalars = [{"tag": name, "simple_value": value} for name, value in _figures(row).items()]
        events.append({"wall_time": end, "step": row["epoch"], "summary": {"value": scalars}})
    return events


def _replace_or_append(path: Path, content: bytes) -> None:
    """Append to a file that `content` continues, so that a TensorBoard that has it open reads on; else replace it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    old = path.read_bytes() if path.exists() else b""
    if old and content.startswith(old):
        with open(path, "ab") as file:
            file.write(content[len(old) :])
    else:
        write_whole(path, content)


def to_mlflow(runs: Iterable[Run], uri: str = MLFLOW_URI) -> Exported:
    """Log each run to the experiment named as its study: the config as params, the table as metrics by epoch.

    A run that has changed since it was exported is deleted there and logged again. Raises `ExportError`.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before the import, which starts it
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # by default it logs every table that it creates
    (mlflow,) = _import("MLflow", "mlflow")
    errors = [mlflow.exceptions.MlflowException]
    if not uri.startswith("http"):
        sqlalchemy, _ = _import("MLflow", "sqlalchemy.exc", "alembic")
        errors.append(sqlalchemy.SQLAlchemyError)
    found, skipped = _with_epochs(runs)
    try:
        client = mlflow.MlflowClient(tracking_uri=uri)
        for timed in found:
            _log(client, mlflow.entities, timed)
        notes = _gone_from_mlflow(client, found)
    except tuple(errors) as error:
        raise ExportError(f"MLflow at {uri}: {str(error).strip().splitlines()[0]}") from None
    return Exported(len(found), uri, skipped, notes)


def _gone_from_mlflow(client: Any, runs: Iterable[TimedRun]) -> list[str]:
    notes = []
    for study, names in _existing(runs).items():
        experiment, token, gone = client.get_experiment_by_name(study), None, []
        while token != "":
            page = client.search_runs([experiment.experiment_id], page_token=token)
            exported = (run for run in page if "dropexp.hash" in run.data.tags)
            gone += [run for run in exported if run.info.run_name not in names]
            token = page.token or ""
        if gone:
            named = _no_longer([run.info.run_name for run in gone], f"MLflow's experiment {study!r}")
            notes.append(f"{named}; `mlflow runs delete --run-id {gone[0].info.run_id}` removes the first")
    return notes


def _log(client: Any, entities: Any, timed: TimedRun) -> None:
    """Log one run, unless MLflow has it as it is now."""
    run, times = timed.run, [int(1000 * time) for time in timed.times]
    digest = hashlib.sha256(json.dumps([run.config, run.status, timed.rows]).encode()).hexdigest()[:8]
    experiment = client.get_experiment_by_name(run.study)
    study = experiment.experiment_id if experiment else client.create_experiment(run.study)
    before = client.search_runs([study], f"tags.`dropexp.hash` = '{run.hash}'")
    if [old.data.tags.get("dropexp.content") for old in before] == [digest]:
        return
    tags = {
        "dropexp.hash": run.hash,
        "dropexp.arm": run.arm or run.variant,
        "dropexp.status": run.status,
        "dropexp.study": run.study,
    }
    new = client.create_run(study, start_time=times[0], tags=tags, run_name=run.folder.path.name).info.run_id
    metrics = [
        entities.Metric(name, value, end, row["epoch"])
        for row, end in zip(timed.rows, times[1:], strict=True)
        for name, value in _figures(row).items()
    ]
    client.log_batch(new, metrics, [entities.Param(key, _text(value)) for key, value in run.config.items()])
    if run.status in MLFLOW_STATUS:
        client.set_terminated(new, MLFLOW_STATUS[run.status], end_time=times[-1])
    client.set_tag(new, "dropexp.content", digest)  # last: a run whose export was killed lacks it
    for old in before:
        client.delete_run(old.info.run_id)


def _import(tool: str, *names: str) -> list[Any]:
    try:
        return [import_module(name) for name in names]
    except ImportError as error:
        raise ExportError(f"{tool} is not installed ({error}); pip install 'dropexp[{tool.lower()}]'") from None


def _with_epochs(runs: Iterable[Run]) -> tuple[list[TimedRun], list[str]]:
    """Return the runs that have epochs, and why the others are skipped."""
    found, skipped = [], []
    for run in runs:
        try:
            found.append(_timed(run))
        except (RunError, OSError, ValueError) as error:
            skipped.append(str(error))
    return found, skipped


def _timed(run: Run) -> TimedRun:
    """Read the run's rows and times. Raises `RunError` if it has no epochs."""
    if run.info is None or run.status == Status.DUPLICATE:
        raise RunError(run.why or f"{run.folder.path} is {run.status}")
    rows = run.rows()
    if not rows:
        raise RunError(f"{run.folder.path} has no epoch yet")
    began = run.info.provenance.get("began")
    start = datetime.fromisoformat(began).timestamp() if began else (run.folder.path / RUN).stat().st_mtime
    return TimedRun(run, rows, list(accumulate((row.get("seconds") or 0.0 for row in rows), initial=start)))


def _figures(row: Row) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if name != "epoch" and value is not None}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
