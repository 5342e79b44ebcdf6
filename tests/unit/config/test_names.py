"""Names of studies and arms."""

from __future__ import annotations

import pytest

from dropexp.config.names import MAX_BYTES, is_name, safe


@pytest.mark.parametrize(
    "name",
    ["dropout", "a b", "lr=0.5,p+q", "d2l-en-1.0", "_x", "9", "данные", "データ", "console", "com", "com10", "x" * 100],
)
def test_valid_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\\b", "-x", ".x", "x.", "x ", "a\0b", "a\nb", "🎲", "\u202ex"]
)
def test_a_path_an_option_or_an_unprintable_text_is_not_a_name(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize(
    "name", ["con", "NUL", "nul.txt", "COM1", "lpt9.a.b", "com¹", "LPT³.txt", "con .txt", "aux  .a"]
)
def test_a_windows_device_is_not_a_name_with_any_ending(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize("letter", ["x", "é", "字"])
def test_a_name_has_at_most_a_hundred_bytes(letter: str) -> None:
    longest = MAX_BYTES // len(letter.encode())
    assert is_name(letter * longest)
    assert not is_name(letter * (longest + 1))


@pytest.mark.parametrize("value", [None, 5, True, ["a"], {"a": 1}])
def test_a_name_is_text(value: object) -> None:
    assert not is_name(value)


@pytest.mark.parametrize("name", ["a\u200db", "a\u200bb", "\u0301a", "a\u202eb", "😀"])
def test_a_name_has_no_invisible_characters(name: str) -> None:
    assert not is_name(name)
    assert is_name(safe(name))
