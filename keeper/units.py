"""The one place where the chain's integers become floats and back.

A float means the decimal number that Python prints for it: `to_wad(0.1)` is 10**17, not the 100000000000000005.55...
of its binary expansion. That number is scaled exactly and rounded once, to the nearest integer with ties to even
unless the caller asks for a direction. The way back, integer to float, is one correctly rounded division. So

    to_wad(from_wad(n)) == n       while n has at most 15 significant digits,
    from_wad(to_wad(x)) == x       while |x| has at most 18 decimals.

Nothing here is silent: NaN and infinity raise `InputError`.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Final, Literal

from keeper.errors import InputError

WAD: Final = 10**18
"""Scale of every price, size, vol and Greek on the chain."""
USDC: Final = 10**6
"""Scale of a USDC amount at the token's edge."""
GWEI: Final = 10**9
"""Wei in a gwei."""
BPS: Final = 10_000
"""Basis points in one."""

SECONDS_PER_HOUR: Final = 3_600
SECONDS_PER_DAY: Final = 86_400
SECONDS_PER_YEAR: Final = 365 * SECONDS_PER_DAY
"""Vols and rates are annualised on 365 days."""

Rounding = Literal["nearest", "down", "up"]
"""`down` is toward minus infinity, `up` toward plus infinity, `nearest` breaks ties to even."""

_MODES: Final = {"nearest": ROUND_HALF_EVEN, "down": ROUND_FLOOR, "up": ROUND_CEILING}
_EXACT: Final = Context(prec=400)  # any double fits: 309 digits before the point, 18 decimals after the scaling


def to_fixed(value: float | int | Decimal, decimals: int, rounding: Rounding = "nearest") -> int:
    """The integer `value * 10**decimals`, rounded once. Raises `InputError` on NaN and infinity."""
    if isinstance(value, int):
        return value * int(10**decimals)
    number = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    if not number.is_finite():
        raise InputError(f"{value} cannot go on the chain: it is not a finite number")
    scaled: Decimal = _EXACT.scaleb(number, decimals)
    return int(scaled.quantize(Decimal(1), rounding=_MODES[rounding], context=_EXACT))


def from_fixed(value: int, decimals: int) -> float:
    """The float nearest to `value / 10**decimals`."""
    return float(value / 10**decimals)


def to_wad(value: float | int | Decimal, rounding: Rounding = "nearest") -> int:
    """A number as 1e18 fixed point."""
    return to_fixed(value, 18, rounding)


def from_wad(value: int) -> float:
    """A 1e18 fixed-point integer as a number."""
    return value / WAD


def to_usdc(value: float | int | Decimal, rounding: Rounding = "nearest") -> int:
    """Dollars as USDC's 6-decimal integer."""
    return to_fixed(value, 6, rounding)


def from_usdc(value: int) -> float:
    """USDC's 6-decimal integer as dollars."""
    return value / USDC


def to_gwei(value: float | int | Decimal, rounding: Rounding = "nearest") -> int:
    """Gwei as wei: gas prices on their way to the chain."""
    return to_fixed(value, 9, rounding)


def from_gwei(value: int) -> float:
    """Wei as gwei."""
    return value / GWEI


def to_bps(fraction: float) -> float:
    """A fraction as basis points: 0.0025 is 25."""
    return fraction * BPS


def from_bps(bps: float) -> float:
    """Basis points as a fraction: 25 is 0.0025."""
    return bps / BPS

