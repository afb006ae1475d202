"""Which options: the grid of expiries that the roller rolls along and the reporter reports on, and round strikes."""

from __future__ import annotations

import math

from keeper.errors import InputError
from keeper.units import to_wad


def expiries(start: int, now: int, tenor: int) -> tuple[int, int]:
    """The next two expiries after ``now`` on the grid start + k tenor (unix seconds; k = 1, 2, ...)."""
    if tenor <= 0:
        raise InputError(f"the tenor is {tenor} s: it must be positive, for example 7d")
    passed = max((now - start) // tenor, 0)
    following = start + (passed + 1) * tenor
    return following, following + tenor


def series_id(expiry: int, strike: float, is_call: bool) -> int:
    """The id that packs a series' terms: expiry, type, strike in wad."""
    return expiry << 136 | int(is_call) << 128 | to_wad(strike)


def round_strike(price: float, step: float) -> float:
    """The multiple of ``step`` nearest to ``price``; with step 0, of 1, 2 or 5 x 10^n nearest below 2.5% of it."""
    if step == 0.0:
        rough = price * 0.025
        decade = 10.0 ** math.floor(math.log10(rough))
        step = max(part * decade for part in (1.0, 2.0, 5.0) if part * decade <= rough)
    return max(round(price / step), 1) * step
