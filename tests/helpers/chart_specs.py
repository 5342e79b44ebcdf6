"""What a chart draws, read from its Vega-Lite specification."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class Spec:
    """A chart's specification."""

    def __init__(self, chart: Any) -> None:
        assert chart is not None
        self.content: dict[str, Any] = chart.to_dict()  # slow: Altair validates it

    @property
    def subtitle(self) -> str:
        return str(self.content["title"]["subtitle"])

    @property
    def description(self) -> str:
        return str(self.content["description"])

    @property
    def layers(self) -> list[dict[str, Any]]:
        """Each part with a mark."""
        return [layer for layer, _ in _layers(self.content)]

    def rows(self, mark: str) -> list[dict[str, Any]]:
        """Return the rows of data of all layers with this mark."""
        names = [data for layer, data in _layers(self.content) if layer["mark"]["type"] == mark]
        return [row for name in names for row in self.content["datasets"][name]]

    def channels(self, name: str) -> list[dict[str, Any]]:
        """Return this channel of every layer that has it."""
        return [layer["encoding"][name] for layer in self.layers if name in layer["encoding"]]

    def titles(self, channel: str) -> set[str]:
        """Return the axis titles of a channel."""
        return {found["title"] for found in self.channels(channel) if "title" in found}


def _layers(content: Any, data: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each part with a mark, and the name of its data set, which Altair writes there or above."""
    if isinstance(content, list):
        for part in content:
            yield from _layers(part, data)
        return
    data = content.get("data", {}).get("name", data)
    if "mark" in content and "encoding" in content:
        yield content, data
    for key in ("layer", "concat"):
        yield from _layers(content.get(key, []), data)


def strings_under(content: Any, keys: set[str]) -> Iterator[str]:
    """Yield the strings under one of these keys, at any depth."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key in keys and isinstance(value, str):
                yield value
            else:
                yield from strings_under(value, keys)
    elif isinstance(content, list):
        for value in content:
            yield from strings_under(value, keys)
