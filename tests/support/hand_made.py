"""Snapshots written by hand: one call struck at 100 with 30 days to go, one venue, any price and NAV."""

from __future__ import annotations

from dataclasses import replace

from keeper.pricing.black76 import spot_greeks
from keeper.protocol.options import variance_seconds
from keeper.state.snapshot import (
    YEAR_SECONDS,
    Account,
    Block,
    Holding,
    MandateLimits,
    PendingOrder,
    PriceView,
    Snapshot,
    VaultView,
    Venue,
    VenueParameters,
)

DAY = 86_400
START = 1_600_000_000
EXPIRY = START + 30 * DAY
PARAMETERS = VenueParameters(
    1_000.0, 0.0002, 0.0005, 9.0, 0.096, 1e-5, 1.0, 0.04, 0.9, 0.5, 200.0, 0.0003, 0.2, 20_000.0, 1e9, 10_000.0, 2, 60,
    350_000, 500_000, 5e10,
)  # fmt: skip


def holding(size: float, vol: float, settlement: float = 0.0, is_call: bool = True, expiry: int = EXPIRY) -> Holding:
    return Holding(7, expiry, 100.0, is_call, size, vol, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, settlement)


def venue(size: float, accrued: float = 0.0, pending: PendingOrder | None = None, skew: float = 0.0) -> Venue:
    return Venue("0xVenue", PARAMETERS, size, 100.0, pending, skew, 0.0, 0.0, 0.0, 0.0, accrued, 0, 3.0)


def snapshot(
    number: int, time: int, price: float, nav: float, holdings: tuple[Holding, ...], venues: tuple[Venue, ...] = ()
) -> Snapshot:
    return Snapshot(
        "scalper",
        Block(number, time, 10**9, "0x00", 1),
        PriceView(price, time, number, 300),
        (),
        tuple(_seen(held, time, price) for held in holdings),
        venues,
        Account(0.0, nav, 0.0, 0.0, 0.0),
        VaultView(nav, nav, nav, 1.0, nav, 0.0, 0.0, 0.0),
        MandateLimits(1.0, 1.0, 0.0, 0.05, 1.0, 1.0, 0, 1.0),
    )


def _seen(held: Holding, time: int, price: float) -> Holding:
    """A holding as a snapshot shows it: outside the averaging window the index is the forward."""
    if held.settlement_price > 0.0:
        return replace(held, forward=held.settlement_price, variance_time=0.0)
    return replace(held, forward=price, variance_time=variance_seconds(float(held.expiry - time)) / YEAR_SECONDS)


def value(spot: float, time: int, vol: float, is_call: bool = True) -> float:
    return spot_greeks(spot, 100.0, variance_seconds(float(EXPIRY - time)) / YEAR_SECONDS, vol, 0.0, is_call)[0]
