"""The JSON Schema of a config, for editors: every key with its type, default, range and meaning.

It describes each key alone, and requires a variant. `config check` also checks which keys go together.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from dropexp.config.checks import ANCHORS, FIELDS, choices
from dropexp.config.fields import PROBES
from dropexp.config.file import MAX_LABEL
from dropexp.config.key_table import key_rows
from dropexp.config.overrides import MAX_RUNS
from dropexp.config.published_section import Published
from dropexp.config.schema import Config
from dropexp.config.search_space import KINDS, RANGES
from dropexp.config.tune_section import MAX_REPEATS, NOT_TUNED
from dropexp.config.values import DEFAULT_WORDS, NULLABLE

FILE = "dropexp.schema.json"  # as `config init` writes it
_LABEL = {
    "type": "string",
    "pattern": r"\S",
    "maxLength": MAX_LABEL,
    "not": {"pattern": r"[\u0000-\u001f\u007f-\u009f\u2028\u2029]"},
}
_WHOLE = r"(0x[0-9a-fA-F]+|0o[0-7]+|\+?\d+(\.\d*)?([eE]\+?\d+)?)"
_RANGE = {"type": "string", "pattern": rf"^\s*{_WHOLE} *\.\. *{_WHOLE}\s*$"}


def json_schema() -> dict[str, Any]:
    """Return the schema (draft 7, which editors support). Variants of loaded plugins are allowed too."""
    docs = {row.key: row for row in key_rows()}

    def documented(key: str, schema: dict[str, Any]) -> dict[str, Any]:
        row = docs[key]
        found = {"description": row.text, **schema}
        return found if row.value is None else {**found, "default": row.value}

    own = {key: documented(key, _value(key)) for key in Config.model_fields}
    arm = {"type": "object", "properties": own | _ANCHORED, "additionalProperties": False}
    matrix = {
        key: {"description": docs[key].text, "anyOf": [{"type": "array", "items": _value(key), "minItems": 1}, _RANGE]}
        for key in Config.model_fields
    }
    sections: dict[str, dict[str, Any]] = {
        "name": {"type": "string", "pattern": r"^[^\s/\\:*?\"<>|.\-][^/\\:*?\"<>|]*$"},
        "matrix": _mapping(matrix, nullable=True),
        "arms": {"type": ["object", "null"], "additionalProperties": arm},
        "tune": _mapping(
            {
                "trials": documented("tune.trials", {"type": "integer", "minimum": 1, "maximum": MAX_RUNS}),
                "repeats": documented(
                    "tune.repeats", {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_REPEATS}, _RANGE]}
                ),
                "space": documented(
                    "tune.space",
                    _mapping({key: _dimension(key) for key in Config.model_fields if key not in NOT_TUNED}),
                ),
            },
            nullable=True,
            required=["trials", "repeats", "space"],
        ),
        "labels": {"type": ["object", "null"], "additionalProperties": _LABEL},
        "published": _mapping(
            {key: documented(f"published.{key}", _published(key)) for key in Published.model_fields}, nullable=True
        ),
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A study of dropexp",
        "type": "object",
        "properties": own | {key: documented(key, one) for key, one in sections.items()} | _ANCHORED,
        "patternProperties": {f"^{ANCHORS}": True},
        "additionalProperties": False,
        "anyOf": [
            {"required": ["variant"]},
            {"required": ["matrix"], "properties": {"matrix": {"required": ["variant"]}}},
            {"required": ["arms"], "properties": {"arms": {"additionalProperties": {"required": ["variant"]}}}},
        ],
    }


def json_schema_text() -> str:
    """Return the schema as a text."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


_ANCHORED = {"<<": {"description": "The keys of other mappings, such as <<: *anchor."}}


def _mapping(
    properties: dict[str, Any], *, nullable: bool = False, required: list[str] | None = None
) -> dict[str, Any]:
    schema = {"properties": properties | _ANCHORED, "additionalProperties": False, "minProperties": 1}
    return {
        "type": ["object", "null"] if nullable else "object",
        **schema,
        **({"required": required} if required else {}),
    }


def _value(key: str) -> dict[str, Any]:
    """Return the schema of the values that a key of a run allows."""
    if words := choices(key):
        if key == "probes":
            passes = {"type": "object", "properties": {"mc": {"type": "integer", "minimum": 1}}, "required": ["mc"]}
            item = {"anyOf": [{"enum": list(PROBES)}, {**passes, "additionalProperties": False}]}
            return {"type": "array", "items": item, "uniqueItems": True}
        return {"type": "boolean"} if words == ("true", "false") else {"enum": list(words)}
    schema = _without_titles(FIELDS[key].json_schema())
    if key in NULLABLE:
        words = tuple(dict.fromkeys((DEFAULT_WORDS.get(key, "none"), "none")))
        number = next(one for one in schema.pop("anyOf") if one["type"] != "null")
        return {"anyOf": [number, {"enum": [*words, None]}]}
    return schema


def _published(key: str) -> dict[str, Any]:
    model: type[BaseModel] = Published
    return _without_titles(model.model_json_schema()["properties"][key])


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema from pydantic without its title and what the key table has: default, text, allowed values."""
    return {key: value for key, value in schema.items() if key not in ("title", "default", "description", *_OWN)}


_OWN = ("allowed", "item")


def _dimension(key: str) -> dict[str, Any]:
    """Return the schema of a key in tune.space."""
    ends = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    kinds = {kind: ends if kind in RANGES else {"type": "array", "items": _value(key), "minItems": 1} for kind in KINDS}
    return {
        "type": "object",
        "properties": kinds,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
