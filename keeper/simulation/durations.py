"""Durations as users write them: a number and one of the units s, m, h, d."""

from __future__ import annotations

import re
from typing import Final

from keeper.errors import InputError

_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([smhd])")


def parse_duration(text: str) -> float:
    """Seconds in a duration such as ``30s``, ``5m``, ``1.5h`` or ``7d``. Raises ``InputError`` on anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise InputError(f"'{text}' is not a duration: write a number and a unit, such as 30s, 5m, 1.5h or 7d")
    return float(match[1]) * _SECONDS[match[2]]


def format_duration(seconds: float) -> str:
    """A duration in the largest unit that divides it: 604800 is ``7d``, 90 is ``90s``."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0.0:
            return f"{seconds / _SECONDS[unit]:g}{unit}"
    return f"{seconds:g}s"
