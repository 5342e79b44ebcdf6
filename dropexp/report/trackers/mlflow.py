"""Export runs to MLflow; exporting a run again updates what is there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dropexp.analysis.comparison import compare
from dropexp.errors import DropexpError, ExportError
from dropexp.files import why
from dropexp.home_folder import expanded
from dropexp.report.page.page import page
from dropexp.report.trackers.rows import Exported, TimedRun, figures, import_tool, text, with_epochs
from dropexp.runs.state_names import Status

if TYPE_CHECKING:
    from dropexp.runs.record import Run

DATABASE = "mlflow.db"  # the default of `mlflow ui`
SQLITE = "sqlite:///"
STATUSES = {
    Status.DONE: "FINISHED",
    Status.DIVERGED: "FAILED",
    Status.FAILED: "FAILED",
    Status.INTERRUPTED: "KILLED",
}
MAX_RESULTS = 50_000  # runs that MLflow returns at once


def default_uri() -> str:
    """Return where MLflow keeps runs by default: MLFLOW_TRACKING_URI, or a database in this folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{DATABASE}"


def to_mlflow(runs: Iterable[Run], uri: str, *, report: bool = False) -> Exported:
    """Log each run to the experiment named as its study: the config as params, the table as metrics.

    The metrics include the generalisation gap. The commit is a tag, config.yaml an artifact. With `report`, the report
    of each study is an artifact of a run named "report", and logged runs whose folders are gone are returned. A run
    that has more epochs than were logged gets the new ones; a run that was trained again is deleted there and logged
    again. Raises `ExportError`.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before the import, which starts it
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # by default it logs every table that it creates
    uri = _with_home(uri)
    (mlflow,) = import_tool("MLflow", "mlflow")
    errors: list[type[Exception]] = [mlflow.exceptions.MlflowException]
    if not uri.startswith("http"):
        sqlalchemy, _ = import_tool("MLflow", "sqlalchemy.exc", "alembic")
        errors.append(sqlalchemy.SQLAlchemyError)
    found, skipped = with_epochs(runs)
    if uri.startswith(SQLITE):
        _check_can_write(Path(uri.removeprefix(SQLITE)))
    try:
        tracker = _Tracker(mlflow.MlflowClient(tracking_uri=_absolute(uri)), mlflow.entities, _absolute(uri))
        for timed in found:
            tracker.log(timed)
        studies = sorted({timed.run.folder.path.parent for timed in found})
        for study in studies if report else ():
            tracker.log_report(study)
        gone = [run for study in studies if report for run in tracker.gone(study)]
    except tuple(errors) as error:
        raise ExportError(f"MLflow at {uri}: {str(error).strip().splitlines()[0]}") from None
    return Exported(len(found), uri, skipped, gone)


class _Tracker:
    """An MLflow tracking server or database."""

    def __init__(self, client: Any, entities: Any, uri: str) -> None:
        self.client, self.entities, self.uri = client, entities, uri

    def log(self, timed: TimedRun) -> None:
        """Log what MLflow does not have of a run."""
        run, study = timed.run, self._experiment(timed.run.study)
        before = self.client.search_runs([study], f"tags.`dropexp.hash` = '{run.hash}'")
        known = self._epochs(before[0], timed) if len(before) == 1 else None
        new = self._create(study, timed) if known is None else before[0].info.run_id
        times = [int(1000 * time) for time in timed.times[1:]]
        metrics = [
            self.entities.Metric(name, value, end, row["epoch"])
            for row, end in [*zip(timed.rows, times, strict=True)][known or 0 :]
            for name, value in figures(row).items()
        ]
        if metrics:
            self.client.log_batch(new, metrics)
        if known is None or metrics or before[0].data.tags.get("dropexp.status") != run.status:
            self.client.set_tag(new, "dropexp.status", run.status)
            if run.status in STATUSES:
                self.client.set_terminated(new, STATUSES[run.status], end_time=int(1000 * timed.times[-1]))
            else:
                self.client.update_run(new, status="RUNNING")
            self.client.set_tag(new, "dropexp.epochs", str(len(timed.rows)))
            self.client.set_tag(new, "dropexp.content", _digest(timed, len(timed.rows)))  # last: dropexp may be killed
        for old in before if known is None else ():
            self.client.delete_run(old.info.run_id)

    def _epochs(self, logged: Any, timed: TimedRun) -> int | None:
        """Return how many of the run's epochs are logged; None if what is logged is not the start of this run."""
        count = logged.data.tags.get("dropexp.epochs", "")
        same = count.isdecimal() and logged.data.tags.get("dropexp.content") == _digest(timed, int(count))
        return int(count) if same and int(count) <= len(timed.rows) else None

    def _create(self, study: str, timed: TimedRun) -> str:
        run = timed.run
        tags = {"dropexp.hash": run.hash, "dropexp.arm": run.arm or run.variant, "dropexp.study": run.study}
        if timed.commit:
            tags["mlflow.source.git.commit"] = timed.commit
        start = int(1000 * timed.times[0])
        created = self.client.create_run(study, start_time=start, tags=tags, run_name=run.folder.path.name)
        new = str(created.info.run_id)
        self.client.log_batch(new, params=[self.entities.Param(key, text(value)) for key, value in run.config.items()])
        if timed.config:
            self.client.log_text(new, timed.config, "config.yaml")
        return new

    def log_report(self, study: Path) -> None:
        """Log the report of a study, unless the same report is logged, or the study has no finished run."""
        with suppress(DropexpError):
            html = page(compare([str(study)], study.parent))
            experiment, digest = self._experiment(study.name), hashlib.sha256(html.encode()).hexdigest()
            before = self.client.search_runs([experiment], f"tags.`dropexp.report` = '{study.name}'")
            if [run.data.tags.get("dropexp.content") for run in before] == [digest]:
                return
            tags = {"dropexp.report": study.name}
            new = self.client.create_run(experiment, tags=tags, run_name="report").info.run_id
            self.client.log_text(new, html, "report.html")
            self.client.set_terminated(new)
            self.client.set_tag(new, "dropexp.content", digest)
            for old in before:
                self.client.delete_run(old.info.run_id)

    def gone(self, study: Path) -> list[str]:
        """Return the logged runs of a study that are no longer where they were trained."""
        logged = self.client.search_runs(
            [self._experiment(study.name)], "tags.`dropexp.hash` != ''", max_results=MAX_RESULTS
        )
        return sorted(run.info.run_name for run in logged if not (study / run.info.run_name).exists())

    def _experiment(self, name: str) -> str:
        """Return the id of the experiment; artifacts of a new one are beside the database."""
        if found := self.client.get_experiment_by_name(name):
            return str(found.experiment_id)
        location = None
        if self.uri.startswith(SQLITE):
            folder = Path(self.uri.removeprefix(SQLITE)).parent
            location = (folder / "mlartifacts" / name).as_uri()
        return str(self.client.create_experiment(name, artifact_location=location))


def _digest(timed: TimedRun, epochs: int) -> str:
    """Return a digest of the config and the first epochs of a run."""
    content: Sequence[Any] = [timed.run.config, timed.rows[:epochs]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _check_can_write(database: Path) -> None:
    """Create the folder of a database. Raises `ExportError` if it cannot be written; MLflow would retry for minutes."""
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with open(database, "ab"):
            pass
    except OSError as error:
        raise ExportError(f"{database} cannot be written: {why(error)}") from None


def _with_home(uri: str) -> str:
    """Return the URI with `~` at the beginning of its path replaced: MLflow would create a folder of that name."""
    scheme = next((one for one in (SQLITE, "file://", "file:") if uri.startswith(one)), "")
    path = uri.removeprefix(scheme)
    return f"{scheme}{expanded(path)}" if path.startswith("~") else uri


def _absolute(uri: str) -> str:
    """Return the URI of a database with an absolute path: MLflow keeps databases open by their URI."""
    return f"{SQLITE}{Path(uri.removeprefix(SQLITE)).resolve()}" if uri.startswith(SQLITE) else uri
