"""Runs -> TensorBoard's event files and MLflow's runs; exporting again brings up to date what is there already."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable
from datetime import datetime
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dropexp.errors import ExportError, RunError
from dropexp.files import write_whole
from dropexp.runs.folder import RUN
from dropexp.runs.record import DUPLICATE
from dropexp.runs.table import Row

if TYPE_CHECKING:
    from dropexp.runs.record import Run

EVENTS = "events.out.tfevents.0.dropexp"  # TensorBoard looks for "tfevents"; no other writer takes this name
MLFLOW_URI = "sqlite:///mlflow.db"  # where `mlflow ui` looks by itself
MLFLOW_STATUS = {"done": "FINISHED", "diverged": "FAILED", "failed": "FAILED", "interrupted": "KILLED"}


class Exported(NamedTuple):
    """How many runs are there now, where, and why others are not."""

    runs: int
    place: str
    skipped: list[str]


def to_tensorboard(runs: Iterable[Run], out: Path) -> Exported:
    """Write out/<study>/<run folder>/: every column of the table as a scalar, the config as hyperparameters.

    Scalars are float32: TensorBoard's default loader shows no others. Raises `ExportError`.
    """
    protos = ("compat.proto.event_pb2", "plugins.hparams.plugin_data_pb2")
    names = (*protos, "plugins.hparams.metadata", "summary.writer.record_writer")
    modules = _load("TensorBoard", *(f"tensorboard.{name}" for name in names))
    found, skipped = _with_epochs(runs)
    for run, rows, times in found:
        path, content = out / run.study / run.folder.path.name / EVENTS, _event_file(run, rows, times, *modules)
        path.parent.mkdir(parents=True, exist_ok=True)
        old = path.read_bytes() if path.exists() else b""
        if old and content.startswith(old):  # append, so that a TensorBoard that shows the file reads on
            with open(path, "ab") as file:
                file.write(content[len(old) :])
        else:
            write_whole(path, content)
    return Exported(len(found), str(out), skipped)


def _event_file(run: Run, rows: list[Row], times: list[float], event: Any, data: Any, hparams: Any, io_: Any) -> bytes:
    """The same bytes for the same run; for a run that grew, the same and more."""
    start = data.SessionStartInfo(start_time_secs=times[0])
    for key, value in run.config.items():
        kind = "bool" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "string"
        setattr(start.hparams[key], f"{kind}_value", _text(value) if kind == "string" else value)
    content = data.HParamsPluginData(session_start_info=start).SerializeToString(deterministic=True)
    metadata = {"plugin_data": {"plugin_name": hparams.PLUGIN_NAME, "content": content}}
    config = {"tag": hparams.SESSION_START_INFO_TAG, "metadata": metadata, "tensor": hparams.NULL_TENSOR}
    events: list[Row] = [{"file_version": "brain.Event:2"}, {"summary": {"value": [config]}}]
    for row in rows:
        scalars = [{"tag": name, "simple_value": value} for name, value in _figures(row)]
        events.append({"step": row["epoch"], "summary": {"value": scalars}})
    file = io.BytesIO()
    writer = io_.RecordWriter(file)  # EventFileWriter names its file after the time, and may load tensorflow
    for when, fields in zip([times[0], *times], events, strict=True):
        writer.write(event.Event(wall_time=when, **fields).SerializeToString(deterministic=True))
    return file.getvalue()


def to_mlflow(runs: Iterable[Run], uri: str = MLFLOW_URI) -> Exported:
    """Log each run to the experiment named as its study: the config as params, the table as metrics by epoch.

    A run that is another than when it was exported is deleted there and logged anew. Raises `ExportError`.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before the import, which starts it
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # else it tells of every table it creates
    mlflow, *database = _load("MLflow", "mlflow", *([] if uri.startswith("http") else ["sqlalchemy.exc", "alembic"]))
    errors = (mlflow.exceptions.MlflowException, *(module.SQLAlchemyError for module in database[:1]))
    found, skipped = _with_epochs(runs)
    try:
        client = mlflow.MlflowClient(tracking_uri=uri)
        for run, rows, times in found:
            _log(client, mlflow.entities, run, rows, [int(1000 * when) for when in times])
    except errors as error:
        raise ExportError(f"MLflow at {uri}: {str(error).strip().splitlines()[0]}") from None
    return Exported(len(found), uri, skipped)


def _log(client: Any, entities: Any, run: Run, rows: list[Row], times: list[int]) -> None:
    """Log one run, unless it is there as it is now."""
    digest = hashlib.sha256(json.dumps([run.config, run.status, rows]).encode()).hexdigest()[:8]
    experiment = client.get_experiment_by_name(run.study)
    study = experiment.experiment_id if experiment else client.create_experiment(run.study)
    before = client.search_runs([study], f"tags.`dropexp.hash` = '{run.hash}'")
    if [old.data.tags.get("dropexp.content") for old in before] == [digest]:
        return
    told = {"hash": run.hash, "arm": run.arm or run.variant, "status": run.status, "study": run.study}
    tags = {f"dropexp.{name}": value for name, value in told.items()}
    new = client.create_run(study, start_time=times[0], tags=tags, run_name=run.folder.path.name).info.run_id
    epochs = zip(rows, times[1:], strict=True)
    metrics = [entities.Metric(*figure, when, row["epoch"]) for row, when in epochs for figure in _figures(row)]
    client.log_batch(new, metrics, [entities.Param(key, _text(value)) for key, value in run.config.items()])
    if run.status in MLFLOW_STATUS:
        client.set_terminated(new, MLFLOW_STATUS[run.status], end_time=times[-1])
    client.set_tag(new, "dropexp.content", digest)  # last: a run whose export was killed lacks it
    for old in before:
        client.delete_run(old.info.run_id)


def _load(tool: str, *names: str) -> list[Any]:
    try:
        return [import_module(name) for name in names]
    except ImportError as error:
        raise ExportError(f"{tool} is not installed ({error}); pip install 'dropexp[{tool.lower()}]'") from None


def _with_epochs(runs: Iterable[Run]) -> tuple[list[tuple[Run, list[Row], list[float]]], list[str]]:
    """The runs that have epochs, their rows, when each began and its epochs ended; and why others are skipped."""
    found, skipped = [], []
    for run in runs:
        try:
            if run.info is None or run.status == DUPLICATE:
                raise RunError(run.why or f"{run.folder.path} is {run.status}")
            rows = run.rows()
            if not rows:
                raise RunError(f"{run.folder.path} has no epoch yet")
            began = run.info.provenance.get("began")
            start = datetime.fromisoformat(began).timestamp() if began else (run.folder.path / RUN).stat().st_mtime
            found.append((run, rows, list(accumulate((row.get("seconds") or 0.0 for row in rows), initial=start))))
        except (RunError, OSError, ValueError, TypeError) as error:
            skipped.append(str(error))
    return found, skipped


def _figures(row: Row) -> list[tuple[str, float]]:
    return [(name, float(value)) for name, value in row.items() if name != "epoch" and value is not None]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
