"""The schema of run.json: one class reads and writes it everywhere.

A run has a run.json from its start, which is rewritten with each checkpoint. When the run is finished, the table is
added, and the file is complete.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, ValidationError, model_validator
from typing_extensions import TypeAliasType

from dropexp.config.names import is_name
from dropexp.config.planned_run import SearchPart
from dropexp.errors import CorruptedFile
from dropexp.files import decode_json, encode_json, has_json_checksum
from dropexp.plurals import counted
from dropexp.runs.state_names import FINISHED, WRITTEN, Status

SCHEMA = 2  # of run.json, study.json and checkpoint.pt
_START = b'{"sha256": "'  # of a run.json since schema 2


def _check_status(status: Status) -> Status:
    if status not in WRITTEN:
        raise ValueError(f"no run.json has the status {status}")
    return status


def _check_name(name: str) -> str:
    if not is_name(name):
        raise ValueError("not the name of a study")
    return name


def _check_config(config: dict[str, Any]) -> dict[str, Any]:
    """Check the keys that readers rely on."""
    seed, rows = config.get("seed"), config.get("validation_size", 0)
    if not (type(seed) is int and type(rows) is int and seed >= 0 and rows >= 0):
        raise ValueError("seed or validation_size is not a whole number")
    if not (isinstance(config.get("variant"), str) and isinstance(config.get("task", ""), str)):
        raise ValueError("variant or task is not a text")
    return config


def _check_times(provenance: dict[str, Any]) -> dict[str, Any]:
    if not all(isinstance(provenance.get(time), str | None) for time in ("first_began", "began", "ended")):
        raise ValueError("first_began, began or ended is not a text")
    return provenance


def _encode(figure: float | None) -> float | str | None:
    """Return "nan", "inf" or "-inf" for a figure that JSON has no number for."""
    return figure if figure is None or math.isfinite(figure) else str(figure)


Figure = Annotated[float, Field(strict=False), PlainSerializer(_encode)]
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Value = TypeAliasType(  # of a config key; left to right is faster
    "Value",
    "Annotated[str | Whole | Finite | bool | list[Value] | dict[str, Value] | None, Field(union_mode='left_to_right')]",
)


class RunInfo(BaseModel):
    """The content of run.json. Files of schema 1 are read, but never written."""

    model_config = ConfigDict(strict=True, frozen=True, populate_by_name=True)

    version: Literal[1, 2] = Field(default=2, alias="schema")
    status: Annotated[Status, Field(strict=False), AfterValidator(_check_status)]
    why: str | None = None  # why it failed, diverged or was interrupted
    traceback: str | None = None  # of a failed run
    name: Annotated[str, AfterValidator(_check_name)]  # of the study
    arm: str | None  # as the config declares it
    cell: str  # the readable part of the folder's name
    hash: str = Field(pattern="^[0-9a-f]{8}$")
    config: Annotated[dict[str, Value], AfterValidator(_check_config)]
    settings: dict[str, Value]  # what the hash covers
    tune: SearchPart | None = None  # its part in a search
    epoch: int = Field(default=0, ge=0)  # of the last checkpoint, or of the end
    last: dict[str, Figure | None] = {}  # the figures of that epoch
    provenance: Annotated[dict[str, Any], AfterValidator(_check_times)] = {}
    table: dict[str, list[Figure | None]] | None = None  # of a finished run
    predictions_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")  # of predictions.npz; None: no file
    table_sha256: str | None = Field(default=None, exclude=True)  # of a finished run's epochs.csv, in schema 1

    @property
    def finished(self) -> bool:
        return self.status in FINISHED

    @model_validator(mode="after")
    def _check_table(self) -> Self:
        """Check that a finished run has its table, with every epoch, and that no other run has one."""
        table = self.table if self.version == SCHEMA else self.table_sha256
        if self.finished != (table is not None):
            raise ValueError(f"a run that is {self.status} {'lacks' if table is None else 'has'} a table")
        if self.table is not None and (not self.epoch or {*map(len, self.table.values())} != {self.epoch}):
            raise ValueError(f"the table does not have {counted(self.epoch, 'epoch')}")
        return self

    def to_bytes(self) -> bytes:
        return encode_json(self.model_dump(by_alias=True, mode="json"))

    @classmethod
    def from_bytes(cls, path: Path, content: bytes) -> Self:
        """Read the content of a run.json. Raises `CorruptedFile`, or `NewerRun` if a later version wrote it."""
        try:
            return cls._parse(path, content)
        except ValidationError as error:
            reason = ", ".join({".".join(map(str, one["loc"])) or str(one["msg"]): None for one in error.errors()})
        except (ValueError, AttributeError, LookupError) as error:
            reason = str(error)
        decode_json(path, content, SCHEMA)  # raises NewerRun, or CorruptedFile with a more basic reason
        raise CorruptedFile(path, f"invalid: {reason}")

    @classmethod
    def _parse(cls, path: Path, content: bytes) -> Self:
        if not content.startswith(_START):
            return cls.model_validate_json(json.dumps(_from_schema_1(decode_json(path, content, SCHEMA))))
        if not has_json_checksum(content):
            raise ValueError("no checksum")
        return cls.model_validate_json(content)


def _from_schema_1(content: dict[str, Any]) -> dict[str, Any]:
    """Return a run.json of schema 1, whose table is in epochs.csv, with the keys of schema 2."""
    if content["schema"] != 1:
        raise ValueError(f"its schema is {content['schema']}")
    last, files = content["last"] or {}, content["files"] or {}
    figures = {name: value for name, value in last.items() if name != "epoch"}
    return content | {"epoch": content["rows"], "last": figures, "table": None, "table_sha256": files.get("epochs.csv")}
