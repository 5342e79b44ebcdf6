"""The rows of the key table."""

from __future__ import annotations

from helpers.configs import parsed

from dropexp.config import tune_section
from dropexp.config.key_table import key_rows
from dropexp.config.published_section import Published
from dropexp.config.schema import STUDY_KEYS, Config


def test_every_key_of_a_config_file_has_one_documented_row() -> None:
    keys = [row.key for row in key_rows()]
    sections = [*(f"tune.{key}" for key in tune_section.KEYS), *(f"published.{key}" for key in Published.model_fields)]
    assert keys == [*Config.model_fields, *STUDY_KEYS, *sections]
    assert all(row.allowed and row.doc.endswith(".") for row in key_rows())


def test_a_default_is_written_as_in_yaml() -> None:
    shown = {row.key: row.default for row in key_rows()}
    for key, field in Config.model_fields.items():
        if field.is_required():
            assert shown[key] == ""
        else:
            assert parsed(f"variant: nn\n{key}: {shown[key]}\n").base[key] == field.default
    assert (shown["hidden"], shown["lr"], shown["input_drop_prob"], shown["mask"]) == ("[256, 256]", "0.5", "0", "rand")
