"""One vault as one block shows it: the only thing a decision may look at.

Floats throughout (USD, coins, volatility per sqrt(year)); identifiers, block numbers and times (unix seconds) are exact
integers. Built at the chain's edge by ``keeper.chain.reader`` and never changed afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

YEAR_SECONDS = 365 * 24 * 3600


class SurfaceState(IntEnum):
    """What the age of the volatility surface allows; the same numbers as ``IVolatilityFeed.State``."""

    FRESH = 0
    DEGRADED = 1
    STALE = 2
    FROZEN = 3


@dataclass(frozen=True, slots=True)
class Block:
    """The block a snapshot was read at. ``base_fee`` is in wei per gas."""

    number: int
    timestamp: int
    base_fee: int
    parent_hash: str
    chain_id: int


@dataclass(frozen=True, slots=True)
class PriceView:
    """Index price in USD, its round and its greatest allowed age in seconds."""

    price: float
    updated_at: int
    round_id: int
    heartbeat: int

    def age(self, now: int) -> int:
        """Seconds since the price was published."""
        return now - self.updated_at


@dataclass(frozen=True, slots=True)
class VolSlice:
    """One eSSVI slice (theta, rho psi, psi), aged to the snapshot's block."""

    expiry: int
    theta: float
    rho_psi: float
    psi: float
    reported_at: int
    state: SurfaceState


@dataclass(frozen=True, slots=True)
class Holding:
    """One option series held by the vault; ``size`` is signed, value and Greeks are of one unit at mid volatility.

    It is worth Black-76 at ``forward`` over ``variance_time`` at ``vol``: the expected settlement price (USD; once
    fixed the settlement price itself), the years of diffusion that the settlement average has left (0 from expiry on),
    and the mid vol (0 where only intrinsic value is left). ``value`` USD, ``delta`` coins, ``gamma`` coins per USD,
    ``vega`` USD per 1.00 vol, ``theta`` USD per year; delta and gamma are those to the index, not to ``forward``.
    ``settlement_price`` is 0 until the expiry is fixed.
    """

    series_id: int
    expiry: int
    strike: float
    is_call: bool
    size: float
    vol: float
    forward: float
    variance_time: float
    value: float
    delta: float
    gamma: float
    vega: float
    theta: float
    settlement_price: float

    def time_to_expiry(self, now: int) -> float:
        """Years from ``now`` to expiry, never negative."""
        return max(self.expiry - now, 0) / YEAR_SECONDS


@dataclass(frozen=True, slots=True)
class PendingOrder:
    """A committed order that has not been settled. ``size`` is signed coins."""

    order_id: int
    size: float
    acceptable_price: float
    committed_at: int


@dataclass(frozen=True, slots=True)
class VenueParameters:
    """A perp venue's parameters; units as in ``IPerpMarket.Parameters`` with wad made float."""

    skew_scale: float
    maker_fee: float
    taker_fee: float
    max_funding_velocity: float
    funding_rate_cap: float
    funding_dead_band: float
    initial_margin_scalar: float
    min_initial_margin_ratio: float
    max_initial_margin_ratio: float
    maintenance_scalar: float
    min_margin: float
    liquidation_fee: float
    insurance_share: float
    max_open_interest: float
    max_open_interest_value: float
    max_order_size: float
    settlement_delay: int
    settlement_window: int
    settlement_gas: int
    liquidation_gas: int
    max_base_fee: float


@dataclass(frozen=True, slots=True)
class Venue:
    """A perp venue and the vault's position there. ``size`` coins, ``entry_price`` USD, funding rate per day."""

    address: str
    parameters: VenueParameters
    size: float
    entry_price: float
    pending: PendingOrder | None
    skew: float
    long_open_interest: float
    short_open_interest: float
    funding_rate_per_day: float
    unrealised_pnl: float
    accrued_funding: float
    last_fill_time: int
    settlement_reward: float

    @property
    def pending_size(self) -> float:
        """Signed coins in flight."""
        return self.pending.size if self.pending is not None else 0.0


@dataclass(frozen=True, slots=True)
class Account:
    """The vault's clearinghouse account, USD."""

    cash: float
    equity: float
    initial_margin: float
    maintenance_margin: float
    bad_debt: float


@dataclass(frozen=True, slots=True)
class VaultView:
    """NAV (USD), shares, and the vault's net delta (coins) and gamma (coins per USD) as the chain sees them."""

    nav_mid: float
    nav_low: float
    nav_high: float
    total_supply: float
    share_price: float
    net_delta: float
    net_gamma: float
    closing_cost: float


@dataclass(frozen=True, slots=True)
class MandateLimits:
    """What the mandate allows, in the units of ``IHedgeMandate.Limits`` made float; ``budget_left`` in coins."""

    delta_tolerance: float
    max_order_size: float
    min_order_size: float
    max_slippage: float
    margin_buffer: float
    budget_per_day: float
    cooldown: int
    budget_left: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a decision about one vault may use, at one block."""

    vault: str
    block: Block
    price: PriceView
    slices: tuple[VolSlice, ...]
    holdings: tuple[Holding, ...]
    venues: tuple[Venue, ...]
    account: Account
    state: VaultView
    limits: MandateLimits
