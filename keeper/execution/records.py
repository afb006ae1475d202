"""Slotted dataclasses to JSON text and back, exactly: floats keep every bit, what comes back equals what went in.

Understands numbers, strings, booleans, None, bytes, enums, tuples, mappings with string keys, and dataclasses made of
them. Bytes travel as ``{"0x": "<hex>"}``.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar

Record = TypeVar("Record")


def to_json(value: Any) -> str:
    """The value as JSON text; the same value gives the same text."""
    return json.dumps(_plain(value), separators=(",", ":"))


def from_json(kind: type[Record], text: str) -> Record:
    """A dataclass of type ``kind`` from the text that ``to_json`` made."""
    return typing.cast(Record, _restore(kind, json.loads(text)))


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int, float, type(None))) and not isinstance(value, Enum):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return {"0x": value.hex()}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return {name: _plain(getattr(value, name)) for name in value.__slots__}


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _restore(kind: Any, value: Any) -> Any:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        inner = next(part for part in parts if part is not type(None))
        return None if value is None else _restore(inner, value)
    if origin is tuple:
        return tuple(_restore(parts[0], item) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        return {key: _restore(parts[1], item) for key, item in value.items()}
    if is_dataclass(kind):
        hints = _hints(typing.cast(type, kind))
        return typing.cast(type, kind)(**{name: _restore(hints[name], item) for name, item in value.items()})
    if kind is bytes:
        return bytes.fromhex(value["0x"])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    if kind is float:
        return float(value)
    return value
