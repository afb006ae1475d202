"""Numbers as people read them."""

from __future__ import annotations

import math

MINUS = "−"


def money(value: float) -> str:
    """Signed whole dollars: +12,345 or −678."""
    return _signed(value, f"{abs(value):,.0f}")


def usd(value: float) -> str:
    """A price in dollars."""
    return f"{value:,.2f}"


def coins(value: float) -> str:
    """Signed coins with one decimal."""
    return _signed(value, f"{abs(value):,.1f}")


def ratio(value: float) -> str:
    """A fraction as percent."""
    return f"{value:.1%}" if math.isfinite(value) else "none"


def colour_of(value: float) -> str:
    """Green for a gain, red for a loss."""
    return "green" if value >= 0.0 else "red"


def _signed(value: float, digits: str) -> str:
    if not math.isfinite(value):
        return "none"
    if not digits.strip("0.,"):
        return digits
    return ("+" if value > 0.0 else MINUS) + digits
