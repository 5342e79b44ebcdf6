"""Export runs to TensorBoard; exporting a run again updates what is there."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dropexp.errors import PathError
from dropexp.files import write_result
from dropexp.report.trackers.rows import Exported, TimedRun, figures, import_tool, with_epochs
from dropexp.report.trackers.rows import text as as_text

if TYPE_CHECKING:
    from dropexp.runs.record import Run

EVENTS = "events.out.tfevents.0.dropexp"  # TensorBoard looks for "tfevents"; no other writer uses this name
TEXTS = (".csv", ".json", ".txt", ".yaml", ".yml", ".md", ".tex", ".html", ".htm")  # endings of files
BINARIES = (".png", ".svg", ".pdf", ".db")
STRING = 7  # DT_STRING of TensorFlow


def to_tensorboard(runs: Iterable[Run], out: Path) -> Exported:
    """Write out/<study>/<run folder>/: every column of the table as scalars, the config and the commit.

    The scalars include the generalisation gap. Scalars are float32, because TensorBoard's default loader shows no
    others. The config is there as hyperparameters and as a text. Raises `ExportError`, and `PathError` if `out` names a
    file.
    """
    check_folder(out)
    event, tensor, text, data, hparams, records = import_tool(
        "TensorBoard",
        "tensorboard.compat.proto.event_pb2",
        "tensorboard.compat.proto.tensor_pb2",
        "tensorboard.plugins.text.metadata",
        "tensorboard.plugins.hparams.plugin_data_pb2",
        "tensorboard.plugins.hparams.metadata",
        "tensorboard.summary.writer.record_writer",
    )
    found, skipped = with_epochs(runs)
    for timed in found:
        file = io.BytesIO()
        writer = records.RecordWriter(file)  # EventFileWriter names its file after the time, and may load tensorflow
        for fields in [*_headers(timed, data, hparams, tensor, text), *_scalars(timed)]:
            writer.write(event.Event(**fields).SerializeToString(deterministic=True))
        _replace_or_append(out / timed.run.study / timed.run.folder.path.name / EVENTS, file.getvalue())
    return Exported(len(found), str(out), skipped, _gone(found, out))


def check_folder(path: Path) -> None:
    """Raise `PathError` for a path that names a file: a folder would be created with that name."""
    if path.suffix.lower() in (*TEXTS, *BINARIES) and not path.is_dir():
        what = f"{path.suffix!r} is the ending of a file; runs are exported to a folder, such as {path.with_suffix('')}"
        raise PathError(f"{path}: {what}")


def _headers(timed: TimedRun, data: Any, hparams: Any, tensor: Any, text: Any) -> list[dict[str, Any]]:
    """Return the fields of the events before the epochs. The same run has the same events."""
    start = timed.times[0]
    config = data.SessionStartInfo(start_time_secs=start)
    for key, value in timed.run.config.items():
        if isinstance(value, bool):
            config.hparams[key].bool_value = value
        elif isinstance(value, int | float):
            config.hparams[key].number_value = value
        else:
            config.hparams[key].string_value = as_text(value)
    content = data.HParamsPluginData(session_start_info=config).SerializeToString(deterministic=True)
    metadata = {"plugin_data": {"plugin_name": hparams.PLUGIN_NAME, "content": content}}
    values = [{"tag": hparams.SESSION_START_INFO_TAG, "metadata": metadata, "tensor": hparams.NULL_TENSOR}]
    for tag, written in {"config": timed.config, "commit": timed.commit}.items():
        if written:
            code = "".join(f"    {line}\n" for line in written.splitlines())  # TensorBoard reads Markdown
            value = tensor.TensorProto(dtype=STRING, string_val=[code.encode()])
            values.append({"tag": tag, "metadata": text.create_summary_metadata(tag, ""), "tensor": value})
    summaries = [{"wall_time": start, "summary": {"value": [value]}} for value in values]
    return [{"wall_time": start, "file_version": "brain.Event:2"}, *summaries]


def _scalars(timed: TimedRun) -> list[dict[str, Any]]:
    """Return the fields of an event per epoch: a run that grew has more at the end."""
    events = []
    for row, end in zip(timed.rows, timed.times[1:], strict=True):
        scalars = [{"tag": name, "simple_value": value} for name, value in figures(row).items()]
        events.append({"wall_time": end, "step": row["epoch"], "summary": {"value": scalars}})
    return events


def _gone(exported: Iterable[TimedRun], out: Path) -> list[str]:
    """Return the folders in `out` of runs of these studies that are no longer where they were trained."""
    studies = {timed.run.folder.path.parent for timed in exported}
    written = [(study, file.parent) for study in studies for file in (out / study.name).glob(f"*/{EVENTS}")]
    return sorted(str(folder) for study, folder in written if not (study / folder.name).exists())


def _replace_or_append(path: Path, content: bytes) -> None:
    """Append to a file that `content` continues, so that a TensorBoard that has it open reads on; else replace it."""
    old = path.read_bytes() if path.is_file() else b""
    if old and content.startswith(old):
        with open(path, "ab") as file:
            file.write(content[len(old) :])
    else:
        write_result(path, content)
