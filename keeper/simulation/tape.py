"""The tape of a run: one JSON line for everything that happened, in order, the same bytes for the same seed.

Every line has ``kind`` and, but for the header, ``t`` (unix seconds of the chain). Floats are written so that they read
back exactly. What may differ between two runs (the run's name, wall-clock seconds) stands only in ``summary.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TextIO

from keeper.errors import InputError

VERSION = 1


class Tape:
    """Writes the tape as the run goes, so that an interrupted run leaves what it has done."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("w", encoding="utf-8")

    def write(self, kind: str, t: int, record: Any) -> None:
        """One line: a dataclass or a mapping."""
        self._line({"kind": kind, "t": t, **plain(record)})

    def header(self, **facts: Any) -> None:
        """The first line: what this tape is of."""
        self._line({"kind": "header", "version": VERSION, **plain(facts)})

    def close(self) -> None:
        """Nothing more will be written."""
        self._file.close()

    def _line(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record, separators=(",", ":")) + "\n")


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a tape. Raises ``InputError`` for another version or a broken line."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                record: dict[str, Any] = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}:{number}: not a record of a tape: {error}") from None
            if number == 1 and record.get("version") != VERSION:
                raise InputError(f"{path} has version {record.get('version')}; this program reads version {VERSION}")
            yield record


def plain(value: Any) -> Any:
    """Dataclasses, enums and tuples as what JSON knows."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
