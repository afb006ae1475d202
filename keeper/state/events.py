"""What happened on chain, as the accounting needs it. Amounts in USD and coins; times in unix seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EVERYBODY: Final = ""
"""The account of an event that concerns every account."""


@dataclass(frozen=True, slots=True)
class Fill:
    """A hedge order settled, or a position closed, sold or deleveraged by a liquidation, on a perp venue.

    ``slippage`` is ``size * (fill - index)``, positive when it cost the account; ``funding`` is what the position
    received up to the fill; ``reward`` what the account paid the keeper who settled.
    """

    block_number: int
    timestamp: int
    account: str
    venue: str
    order_id: int
    size: float
    fill_price: float
    index_price: float
    fee: float
    reward: float
    pnl: float
    funding: float
    is_liquidation: bool = False
    liquidation_fee: float = 0.0

    @property
    def slippage(self) -> float:
        """USD lost to price impact against the index."""
        return self.size * (self.fill_price - self.index_price)


@dataclass(frozen=True, slots=True)
class OptionTrade:
    """An option trade seen from ``account``: ``size`` signed, ``premium`` and ``mid`` are what the account paid."""

    block_number: int
    timestamp: int
    account: str
    series_id: int
    size: float
    premium: float
    mid: float
    vol: float


@dataclass(frozen=True, slots=True)
class Expiry:
    """A settled series: ``amount`` is what the account received (negative: paid)."""

    block_number: int
    timestamp: int
    account: str
    series_id: int
    size: float
    settlement_price: float
    amount: float


@dataclass(frozen=True, slots=True)
class Flow:
    """Money that a depositor put in (positive) or took out (negative)."""

    block_number: int
    timestamp: int
    account: str
    amount: float


@dataclass(frozen=True, slots=True)
class Sale:
    """``fraction`` of all that an account holds, and of its cash, went in an auction at index ``price``.

    ``received`` is what that changed its cash by: what the bidder and the waterfall paid in, less the cash that went.
    The perpetuals that went are fills of their own.
    """

    block_number: int
    timestamp: int
    account: str
    fraction: float
    price: float
    received: float


@dataclass(frozen=True, slots=True)
class Charge:
    """Cash taken from an account for its liquidation, or as its part of somebody's bad debt."""

    block_number: int
    timestamp: int
    account: str
    amount: float


@dataclass(frozen=True, slots=True)
class Haircut:
    """Every account with cash was left the fraction ``kept`` of it."""

    block_number: int
    timestamp: int
    account: str
    kept: float


Event = Fill | OptionTrade | Expiry | Flow | Sale | Charge | Haircut
