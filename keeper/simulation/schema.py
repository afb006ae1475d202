"""Settings declared once: a dataclass field says how it is read, checked, written and shown to an editor.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Clock:
        duration: int = setting(seconds(minimum=1), about="how long the scenario runs")

`load` turns a tree into the dataclass and complains with file and line; `dump` gives plain values that `load` reads
back; `json_schema` is for editors.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from keeper.errors import InputError
from keeper.simulation.durations import format_duration, parse_duration
from keeper.simulation.yaml_tree import Node

T = TypeVar("T")


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Kind:
    """What a setting may be.

    ``read(node, path)`` gives the checked value or raises ``InputError`` with the place; ``write`` gives the plain
    value that ``read`` understands; ``schema`` is the JSON Schema of what ``read`` accepts.
    """

    read: Callable[[Node, str], Any]
    schema: Mapping[str, Any]
    write: Callable[[Any], Any] = _as_it_is


def setting(kind: Kind, default: Any = dataclasses.MISSING, about: str = "") -> Any:
    """A dataclass field of a kind; without a default it is required. Mappings and lists default to a fresh copy."""
    metadata = {"kind": kind, "about": about}
    if isinstance(default, dict | list):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def number(minimum: float = -math.inf, maximum: float = math.inf, above: float = -math.inf) -> Kind:
    """A finite number between two bounds; ``above`` is a lower bound that is itself too low."""
    bounds = {"minimum": minimum, "maximum": maximum, "exclusiveMinimum": above}
    words = (("above", above), ("at least", minimum), ("at most", maximum))
    wanted = " and ".join(f"{word} {bound:g}" for word, bound in words if math.isfinite(bound))

    def read(node: Node, path: str) -> float:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise node.error(path, f"{shown(value)} is not a number")
        if not minimum <= value <= maximum or not value > above:
            raise node.error(path, f"{shown(value)} is out of range: it must be {wanted}")
        return float(value)

    return Kind(read, {"type": "number", **{name: bound for name, bound in bounds.items() if math.isfinite(bound)}})


def integer(minimum: int, maximum: int) -> Kind:
    """A whole number between two bounds."""

    def read(node: Node, path: str) -> int:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise node.error(path, f"{shown(value)} is not a whole number from {minimum} to {maximum}")
        return int(value)

    return Kind(read, {"type": "integer", "minimum": minimum, "maximum": maximum})


def text() -> Kind:
    """A line of text."""

    def read(node: Node, path: str) -> str:
        if not isinstance(node.value, str) or not node.value.strip():
            raise node.error(path, f"{shown(node.value)} is not a text")
        return node.value.strip()

    return Kind(read, {"type": "string", "minLength": 1})


def boolean() -> Kind:
    """True or false."""

    def read(node: Node, path: str) -> bool:
        if not isinstance(node.value, bool):
            raise node.error(path, f"{shown(node.value)} is neither true nor false")
        return node.value

    return Kind(read, {"type": "boolean"})


def choice(*options: str) -> Kind:
    """One of some words."""

    def read(node: Node, path: str) -> str:
        if node.value not in options:
            raise node.error(path, f"{shown(node.value)} is not one of {', '.join(options)}")
        return str(node.value)

    return Kind(read, {"enum": list(options)})


def choice_or_number(word: str, otherwise: Kind) -> Kind:
    """One word, or else a number."""

    def read(node: Node, path: str) -> str | float:
        if isinstance(node.value, str) and node.value != word:
            raise node.error(path, f"{shown(node.value)} is neither '{word}' nor a number")
        return word if node.value == word else float(otherwise.read(node, path))

    return Kind(read, {"anyOf": [{"enum": [word]}, otherwise.schema]})


def anything() -> Kind:
    """Any value, as it is written; it is checked where it is used."""
    return Kind(lambda node, _: node.plain(), {})


def seconds(minimum: int = 0, maximum: int = 100 * 365 * 86_400) -> Kind:
    """A duration such as ``5m``, in whole seconds."""

    def read(node: Node, path: str) -> int:
        if not isinstance(node.value, str):
            raise node.error(path, f"{shown(node.value)} is not a duration: write it with a unit, such as 30s, 5m, 7d")
        try:
            duration = parse_duration(node.value)
        except InputError as error:
            raise node.error(path, str(error)) from None
        if not (minimum <= duration <= maximum and duration == int(duration)):
            raise node.error(path, f"{shown(node.value)} is not a whole number of seconds from {minimum} to {maximum}")
        return int(duration)

    return Kind(read, {"type": "string", "pattern": r"^(\d+(\.\d+)?|\.\d+)\s*[smhd]$"}, format_duration)


def moment() -> Kind:
    """A time in UTC, such as ``2020-03-12T00:00:00Z``, as unix seconds."""

    def read(node: Node, path: str) -> int:
        value = node.value
        try:
            parsed = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        except ValueError:
            raise node.error(path, f"{shown(value)} is not a time: write it like 2020-03-12T00:00:00Z") from None
        unix = parsed.replace(tzinfo=parsed.tzinfo or UTC).timestamp()
        if unix != int(unix) or unix <= 0:
            raise node.error(path, f"{shown(value)} is not a whole second after 1970")
        return int(unix)

    def write(unix: int) -> str:
        return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    return Kind(read, {"type": "string", "format": "date-time"}, write)


def section(kind: type[Any]) -> Kind:
    """A mapping with the keys of a dataclass."""
    return Kind(lambda node, path: load(kind, node, path), json_schema(kind), dump)


def named(kind: Kind) -> Kind:
    """A mapping of the user's own names to values of one kind."""
    return Kind(
        lambda node, path: {name: kind.read(item, f"{path}.{name}") for name, item in _items(node, path).items()},
        {"type": "object", "additionalProperties": kind.schema},
        lambda value: {name: kind.write(item) for name, item in value.items()},
    )


def list_of(kind: Kind) -> Kind:
    """A list of values of one kind."""

    def read(node: Node, path: str) -> list[Any]:
        if not isinstance(node.value, list):
            raise node.error(path, f"{shown(node.value)} is not a list")
        return [kind.read(item, f"{path}[{i}]") for i, item in enumerate(node.value)]

    return Kind(read, {"type": "array", "items": kind.schema}, lambda value: [kind.write(item) for item in value])


def load(kind: type[T], node: Node, path: str = "") -> T:
    """The dataclass that a tree describes. Unknown keys, missing keys and bad values raise ``InputError``.

    A dataclass may have a method ``problem()``: None, or the key that is wrong in view of the others and why.
    """
    items = _items(node, path)
    known = {_key(field): field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key, item in items.items():
        if key not in known:
            raise item.error(_join(path, key), f"unknown key{_suggest(key, list(known))}")
    values: dict[str, Any] = {}
    for key, field in known.items():
        if key in items:
            values[field.name] = field.metadata["kind"].read(items[key], _join(path, key))
        elif not _has_default(field):
            raise node.error(path, f"'{key}' is missing: {field.metadata['about']}")
    loaded = kind(**values)
    problem = loaded.problem() if hasattr(loaded, "problem") else None
    if problem is not None:
        key, complaint = problem
        raise node.at(key).error(_join(path, key), complaint)
    return loaded


def dump(value: Any) -> dict[str, Any]:
    """Plain values that `load` reads back; settings that are None are left out."""
    return {
        _key(field): field.metadata["kind"].write(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if getattr(value, field.name) is not None
    }


def json_schema(kind: type[Any]) -> dict[str, Any]:
    """The JSON Schema of a dataclass."""
    fields = dataclasses.fields(kind)
    properties = {_key(f): {**f.metadata["kind"].schema, "description": f.metadata["about"]} for f in fields}
    required = [_key(field) for field in fields if not _has_default(field)]
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def shown(value: Any) -> str:
    """A value as complaints show it: never a page long."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None:
        return "nothing"
    return f"'{value}'" if isinstance(value, str) else str(value)


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _key(field: dataclasses.Field[Any]) -> str:
    """A field's key in files: Python's reserved words carry an underscore that files do not."""
    return field.name.rstrip("_")


def _items(node: Node, path: str) -> dict[str, Node]:
    if not node.is_mapping:
        raise node.error(path, f"{shown(node.value)} is not a mapping of keys to values")
    items: dict[str, Node] = node.value
    return items


def _join(path: str, key: str) -> str:
    return ".".join(part for part in (path, key) if part)


def _suggest(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known here: {', '.join(known)}"
