"""What a deployment may differ in: venue, margin, liquidation, vaults, a venue on another chain. Pure configuration.

Each settings class is one constructor argument or struct of a contract, in its order; `as_tuple` puts it on the chain.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, get_args

from keeper.chain.deployment import VAULT_CONTRACTS
from keeper.chain.dev_accounts import REPORTERS
from keeper.errors import InputError
from keeper.protocol.realized import RealizedSettings
from keeper.state.snapshot import MandateLimits, VenueParameters
from keeper.units import to_wad

Margin = Literal["isolated", "cross", "fragmented"]
"""`isolated`: options and perps on one clearinghouse, each position margined alone. `cross`: the same, but margined
together, by scenarios. `fragmented`: options on one clearinghouse, perps on another, each with cash of its own."""
Liquidation = Literal["full", "rate-limited", "auction"]
"""The engine of accounts without options; accounts with options are always auctioned."""

NO_ADDRESS: Final = "0x" + "0" * 40
ENGINES: Final = {
    "full": "FullLiquidation",
    "rate-limited": "RateLimitedLiquidation",
    "auction": "DutchAuctionLiquidation",
}


@dataclass(frozen=True, slots=True)
class Quoting:
    """How an underwriter quotes: half-spread in vol points, skew in vol per USD of vega sold, and its limits.

    ``max_vega`` USD per 1.00 vol, ``max_short`` options; ``min_spread`` is a fraction of the index per unit of |delta|,
    at least the move that the price feed waits for; ``margin_buffer`` is the equity over initial margin that no
    trade may take it below.
    """

    half_spread: float = 0.02
    vega_skew: float = 1e-8
    max_vega: float = 10_000_000.0
    max_short: float = 100_000.0
    min_spread: float = 0.001
    margin_buffer: float = 1.5


DEFAULT_LIMITS: Final = MandateLimits(
    delta_tolerance=1.0,
    max_order_size=10_000.0,
    min_order_size=0.1,
    max_slippage=0.05,
    margin_buffer=1.05,
    budget_per_day=250_000.0,
    cooldown=0,
    budget_left=0.0,
)
"""What a hedger may do unless a vault says otherwise; ``budget_left`` is the chain's to say."""


@dataclass(frozen=True, slots=True)
class VaultConfig:
    """One vault. ``deposit`` USD; ``quoting`` for an underwriter.

    For a scalper, ``maker`` is the name of the underwriter that it buys from, ``budget`` the share of NAV that
    rolls may cost in ``budget_period`` seconds, ``max_edge`` the share of mid that it may overpay.
    """

    name: str
    kind: str
    deposit: float
    limits: MandateLimits = DEFAULT_LIMITS
    quoting: Quoting | None = None
    maker: str | None = None
    budget: float = 0.05
    budget_period: int = 86_400
    max_edge: float = 0.10


DEFAULT_VENUE: Final = VenueParameters(
    skew_scale=350_000.0,
    maker_fee=0.0002,
    taker_fee=0.0005,
    max_funding_velocity=9.0,
    funding_rate_cap=0.096,
    funding_dead_band=1e-5,
    initial_margin_scalar=1.0,
    min_initial_margin_ratio=0.04,
    max_initial_margin_ratio=0.9,
    maintenance_scalar=0.5,
    min_margin=200.0,
    liquidation_fee=0.0003,
    insurance_share=0.2,
    max_open_interest=20_000.0,
    max_open_interest_value=1_000_000_000.0,
    max_order_size=10_000.0,
    settlement_delay=2,
    settlement_window=60,
    settlement_gas=350_000,
    liquidation_gas=500_000,
    max_base_fee=50e9,
)
"""A deep ETH perpetual."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`RateLimitedLiquidation`: at most ``cap`` coins in ``window`` seconds, down to ``buffer`` over maintenance."""

    window: int = 30
    cap: float = 50.0
    buffer: float = 0.1


@dataclass(frozen=True, slots=True)
class Auction:
    """`DutchAuctionLiquidation.Settings`: seconds, gas units, and fractions of equity (``buffer``: of maintenance)."""

    fast_time: int = 900
    slow_time: int = 7_200
    insolvent_time: int = 3_600
    start_gas: int = 300_000
    start: float = 0.98
    fast_end: float = 0.75
    buffer: float = 0.1


@dataclass(frozen=True, slots=True)
class Shocks:
    """`PortfolioMargin.Shocks`: spot moves and their tail, relative vol moves, initial over maintenance margin."""

    spot_range: float = 0.15
    spot_tail: float = 0.4
    tail_weight: float = 0.4
    vol_up: float = 0.4
    vol_down: float = 0.25
    initial_factor: float = 1.25


@dataclass(frozen=True, slots=True)
class SurfaceLimits:
    """`IVolatilityFeed.Limits`: what bounds the reporters.

    ``max_rise`` and ``max_fall`` of ln(ATM vol) per square root of a day; ``max_deviation`` from the median as a
    fraction of vol; ``max_misses`` of that exclude a reporter for ``exclusion`` seconds; ``max_realized_ratio`` of
    implied to realised vol.
    """

    max_rise: float = 10.0
    max_fall: float = 5.0
    max_deviation: float = 0.1
    max_misses: int = 3
    exclusion: int = 86_400
    max_realized_ratio: float = 3.0


@dataclass(frozen=True, slots=True)
class Deleveraging:
    """`Waterfall`: seconds for it once a deficit is open; traders' profit over pool cash that starts and ends it."""

    window: int = 600
    trigger: float = 0.85
    target: float = 0.77


@dataclass(frozen=True, slots=True)
class PriceChecks:
    """`IPriceFeed.Limits` besides the heartbeat and the largest move: seconds, USD, and a fraction.

    ``max_deviation`` and the times of the second source count where there is one, ``grace_period`` where there is a
    sequencer, ``jump_delay`` where an aggregator is wrapped and moves are bounded.
    """

    second_heartbeat: int = 3_600
    grace_period: int = 1_800
    jump_delay: int = 300
    dispute_delay: int = 86_400
    min_price: float = 0.0
    max_price: float = 1e10
    max_deviation: float = 0.03


@dataclass(frozen=True, slots=True)
class Remote:
    """`DelayedBridge.Settings` of a second venue: seconds each way, a message's life, how old a report may be."""

    min_delay: int = 60
    lifetime: int = 3_600
    max_age: int = 3_600


@dataclass(frozen=True, slots=True)
class DeployConfig:
    """Everything that a deployment may differ in. Amounts in USD, times in seconds.

    ``token`` and ``aggregator`` are addresses on a forked chain; None deploys a test dollar and a feed of our own,
    which starts at ``initial_price``. ``max_move`` bounds one step of the price (a fraction, 0 for no bound).
    ``second_aggregator`` is what prices are compared with, ``sequencer`` an uptime feed; None for neither.
    ``price_band`` is the fraction of price within which the pool's shares are valued pessimistically.
    """

    vaults: tuple[VaultConfig, ...]
    initial_price: float = 2_000.0
    venue: VenueParameters = DEFAULT_VENUE
    margin: Margin = "isolated"
    liquidation: Liquidation = "full"
    shocks: Shocks = field(default_factory=Shocks)
    rate_limit: RateLimit = field(default_factory=RateLimit)
    auction: Auction = field(default_factory=Auction)
    deleveraging: Deleveraging = field(default_factory=Deleveraging)
    price_heartbeat: int = 300
    max_move: float = 0.0
    price_checks: PriceChecks = field(default_factory=PriceChecks)
    realized: RealizedSettings = field(default_factory=RealizedSettings)
    vol_heartbeat: int = 3_600
    quorum: int = 3
    surface_limits: SurfaceLimits = field(default_factory=SurfaceLimits)
    closing_spread: float = 0.02
    pool_deposit: float = 50_000_000.0
    price_band: float = 0.005
    locked_ratio: float = 0.2
    insurance_deposit: float = 1_000_000.0
    insurance_per_event: float = 1_000_000.0
    remote: Remote | None = None
    token: str | None = None
    aggregator: str | None = None
    second_aggregator: str | None = None
    sequencer: str | None = None


def default_config() -> DeployConfig:
    """A scalper vault that buys from an underwriter vault."""
    return DeployConfig(
        vaults=(
            VaultConfig("underwriter", "underwriter", 5_000_000.0, quoting=Quoting()),
            VaultConfig("scalper", "scalper", 1_000_000.0, maker="underwriter"),
        )
    )


def as_tuple(settings: Any) -> tuple[int, ...]:
    """A settings class as the chain takes it: whole numbers as they are, the rest wad."""
    values = ((getattr(settings, each.name), each.type) for each in fields(settings))
    return tuple(int(value) if kind == "int" else to_wad(float(value)) for value, kind in values)


def venue_tuple(venue: VenueParameters) -> tuple[int, ...]:
    """`IPerpMarket.Parameters`, in its order: seconds, gas and wei as they are, the rest wad."""
    plain = {"settlement_delay", "settlement_window", "settlement_gas", "liquidation_gas", "max_base_fee"}
    values = []
    for name in VenueParameters.__slots__:
        value = getattr(venue, name)
        values.append(int(value) if name in plain else to_wad(value))
    return tuple(values)


def price_sources(
    source: str | None = None, second: str | None = None, sequencer: str | None = None
) -> tuple[str, str, str]:
    """`IPriceFeed.Sources`: addresses, zero where there is none."""
    return source or NO_ADDRESS, second or NO_ADDRESS, sequencer or NO_ADDRESS


def price_limits(heartbeat: int, max_move: float = 0.0, checks: PriceChecks | None = None) -> tuple[int, ...]:
    """`IPriceFeed.Limits`, in its order: seconds as they are, the rest wad."""
    *rest, max_deviation = as_tuple(checks or PriceChecks())
    return heartbeat, *rest, to_wad(max_move), max_deviation


def limits_tuple(limits: MandateLimits) -> tuple[int, ...]:
    """`IHedgeMandate.Limits`, in its order."""
    wads = (
        limits.delta_tolerance, limits.max_order_size, limits.min_order_size, limits.max_slippage, limits.margin_buffer,
        limits.budget_per_day,
    )  # fmt: skip
    return (*(to_wad(value) for value in wads), limits.cooldown)


def check(config: DeployConfig) -> None:
    """Raise `InputError` unless everything can be deployed as it is configured."""
    _check_vaults(config)
    if not 1 <= config.quorum <= len(REPORTERS):
        raise InputError(f"the quorum is {config.quorum}: there are {len(REPORTERS)} reporters")
    _one_of("margin", config.margin, get_args(Margin))
    _one_of("liquidation", config.liquidation, get_args(Liquidation))
    _check_rate_limit(config)
    _check_auction(config.auction)
    _check_shocks(config.shocks)
    _check_deleveraging(config.deleveraging)
    if config.remote is not None:
        _check_remote(config.remote)
    _within("price_band", config.price_band, 0.0, 0.1)
    _within("locked_ratio", config.locked_ratio, 0.0, 1.0)
    for name in ("pool_deposit", "insurance_deposit", "insurance_per_event"):
        _within(name, getattr(config, name), 0.0, 1e15)


def _check_vaults(config: DeployConfig) -> None:
    names = [vault.name for vault in config.vaults]
    if len(set(names)) != len(names):
        raise InputError(f"two vaults have the same name: {', '.join(names)}")
    if config.margin == "fragmented" and config.vaults:
        raise InputError(
            f"margin is 'fragmented' and there are vaults ({', '.join(names)}): a vault has one account, and cannot "
            "hold options on one clearinghouse and its hedge on another. Choose margin isolated or cross, or no vaults"
        )
    makers = {vault.name for vault in config.vaults if vault.kind == "underwriter"}
    for vault in config.vaults:
        if vault.kind not in VAULT_CONTRACTS:
            raise InputError(f"vault {vault.name} is a '{vault.kind}': choose {' or '.join(VAULT_CONTRACTS)}")
        if vault.kind == "scalper" and vault.maker not in makers:
            raise InputError(f"vault {vault.name} buys from {vault.maker}, which is no underwriter of this deployment")


def _check_rate_limit(config: DeployConfig) -> None:
    limit, most = config.rate_limit, config.venue.skew_scale * 0.05
    _within("rate_limit.window", limit.window, 1, 60)
    _within("rate_limit.buffer", limit.buffer, 1e-6, 1.0)
    if config.liquidation == "rate-limited" and not 0.0 < limit.cap <= most:
        raise InputError(
            f"rate_limit.cap is {limit.cap:g} coins: it must be above 0 and at most {most:g}, 5% of the skew scale, so "
            "that what one window closes cannot move the fill far"
        )


def _check_auction(auction: Auction) -> None:
    for name in ("fast_time", "slow_time", "insolvent_time"):
        _within(f"auction.{name}", getattr(auction, name), 1, 7 * 86_400)
    _within("auction.start_gas", auction.start_gas, 0, 10_000_000)
    _within("auction.start", auction.start, 0.0, 1.0)
    if not 0.0 < auction.fast_end <= auction.start:
        raise InputError(
            f"auction.fast_end is {auction.fast_end:g}: it must be above 0 and at most auction.start, {auction.start:g}"
        )
    _within("auction.buffer", auction.buffer, 0.0, 1.0)


def _check_shocks(shocks: Shocks) -> None:
    _within("shocks.spot_range", shocks.spot_range, 0.01, 0.5)
    _within("shocks.spot_tail", shocks.spot_tail, shocks.spot_range, 0.9)
    _within("shocks.tail_weight", shocks.tail_weight, 0.0, 1.0)
    _within("shocks.vol_up", shocks.vol_up, 0.0, 2.0)
    _within("shocks.vol_down", shocks.vol_down, 0.0, 0.36)
    _within("shocks.initial_factor", shocks.initial_factor, 1.0, 10.0)


def _check_deleveraging(settings: Deleveraging) -> None:
    _within("deleveraging.window", settings.window, 1, 86_400)
    _within("deleveraging.trigger", settings.trigger, 0.0, 1.0)
    if not 0.0 < settings.target < settings.trigger:
        raise InputError(
            f"deleveraging.target is {settings.target:g}: it must be above 0 and below deleveraging.trigger, "
            f"{settings.trigger:g}"
        )


def _check_remote(remote: Remote) -> None:
    _within("remote.min_delay", remote.min_delay, 0, 7 * 86_400)
    for name in ("lifetime", "max_age"):
        value = getattr(remote, name)
        if not remote.min_delay < value <= 30 * 86_400:
            raise InputError(f"remote.{name} is {value}: it must be above remote.min_delay and at most {30 * 86_400}")


def _one_of(name: str, value: str, options: tuple[str, ...]) -> None:
    if value not in options:
        raise InputError(f"{name} is '{value}': choose {', '.join(options)}")


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise InputError(f"{name} is {value:g}: it must be between {least:g} and {most:g}")
