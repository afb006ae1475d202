"""Many accounts of one clearinghouse as one block shows them: what a liquidator may look at.

Floats (USD, coins); identifiers, block numbers and times (unix seconds) are exact integers. Read by
`keeper.chain.accounts_reader`, decided on by `keeper.risk.liquidation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class HouseView:
    """The clearinghouse and its waterfall. ``base_fee`` is wei per gas, ``price`` the index in USD.

    ``adl_until`` is 0 when no deficit is open; ``profit_ratio`` is traders' profit over the pool's cash.
    """

    block_number: int
    timestamp: int
    base_fee: int
    price: float
    price_updated_at: int
    price_heartbeat: int
    bad_debt: float
    recorded_bad_debt: float
    adl_until: int
    profit_ratio: float
    adl_trigger: float
    adl_target: float

    @property
    def is_fresh(self) -> bool:
        """Whether the price is young enough to liquidate at."""
        return self.timestamp - self.price_updated_at <= self.price_heartbeat


@dataclass(frozen=True, slots=True)
class MarketView:
    """A perp market. ``bankrupt_side`` is +1 where bad debt came from longs, -1 from shorts, 0 from nobody.

    ``gas_reward`` is USD that a liquidation earns for gas at the block's base fee, ``max_base_fee`` wei per gas.
    """

    address: str
    skew: float
    long_open_interest: float
    short_open_interest: float
    bankrupt_side: int
    gas_reward: float
    liquidation_fee: float
    taker_fee: float
    skew_scale: float
    funding_rate_cap: float
    max_base_fee: float


@dataclass(frozen=True, slots=True)
class PerpPosition:
    """One account's position in one market. ``pnl`` and ``funding`` USD at the index.

    ``score`` is the rank for deleveraging, exactly as the chain has it (wad), because order is all that counts;
    ``exact`` is the size as the chain has it, because only that closes the position without leaving dust.
    """

    size: float
    pending: float
    entry_price: float
    pnl: float
    funding: float
    score: int
    exact: int


@dataclass(frozen=True, slots=True)
class AuctionView:
    """A running auction: when it began and became insolvent (0: it is not), and what a bid would be now.

    ``max_fraction`` is 0 when there is nothing to bid for; ``paid_for_all`` USD for the whole account, net of its cash
    and of its perpetuals' profit.
    """

    started_at: int
    insolvent_at: int
    max_fraction: float
    paid_for_all: float


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account at one block, USD and coins. ``positions`` are in the order of the sight's markets.

    ``readable`` is false where the chain could not value it; everything else is then zero. ``holds_withdrawals`` says
    that it was insolvent when the waterfall last looked, and that withdrawals wait for it. Option numbers are sums over
    its series: units held either way, mid value, delta in coins, cost of closing.
    """

    address: str
    readable: bool
    holds_withdrawals: bool
    cash: float
    equity: float
    initial_margin: float
    maintenance_margin: float
    engine: str
    option_units: float
    option_value: float
    option_delta: float
    option_closing_cost: float
    positions: tuple[PerpPosition, ...]
    auction: AuctionView | None

    @property
    def is_liquidatable(self) -> bool:
        """Below maintenance margin."""
        return self.readable and self.equity < self.maintenance_margin

    @property
    def health(self) -> float:
        """Equity over maintenance margin: below 1 it is liquidatable; infinite without positions, -infinite in debt."""
        if self.maintenance_margin > 0.0:
            return self.equity / self.maintenance_margin
        return float("inf") if self.equity >= 0.0 else float("-inf")

    @property
    def perp_units(self) -> float:
        """Coins in all markets, each counted positive."""
        return sum(abs(position.size) for position in self.positions)

    @property
    def is_simple(self) -> bool:
        """No options and no order in flight: only the index and funding can change what it is worth."""
        return self.option_units == 0.0 and all(position.pending == 0.0 for position in self.positions)

    @property
    def position_value(self) -> float:
        """All positions at index and mid, USD."""
        return self.option_value + sum(position.pnl + position.funding for position in self.positions)


@dataclass(frozen=True, slots=True)
class Sight:
    """Some accounts at one block."""

    house: HouseView
    markets: tuple[MarketView, ...]
    accounts: tuple[AccountView, ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """What a transaction would return in the newest block, or the name of the error that it would end in."""

    result: tuple[Any, ...]
    error: str
