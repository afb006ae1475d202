"""A venue on the in-process EVM with two hundred leveraged traders on it, ready for a crash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from keeper.chain import accounts, reports
from keeper.chain.abi import Revert
from keeper.chain.contract import Contract, Receipt
from keeper.chain.deploy_config import DEFAULT_VENUE, Auction, DeployConfig, Liquidation, Margin, RateLimit
from keeper.chain.deployer import deploy
from keeper.chain.deployment import HOME, OPTIONS, Deployment
from keeper.chain.dev_accounts import REPORTERS, key_of_role
from keeper.chain.evm import Evm
from keeper.market.surface import AtmVol, slice_for
from keeper.pricing.black76 import spot_greeks
from keeper.risk.liquidation import LiquidatorConfig
from keeper.simulation.population import Style, Trader
from keeper.units import SECONDS_PER_DAY, SECONDS_PER_YEAR, WAD, to_usdc, to_wad

VENUE: Final = replace(
    DEFAULT_VENUE,
    skew_scale=1_000_000.0,
    max_open_interest=200_000.0,
    max_order_size=50_000.0,
    min_margin=100.0,
)
TENOR: Final = 7 * SECONDS_PER_DAY
MAKER: Final = "maker"
"""Whom writers sell their puts to, and who sells them back."""
SPREAD: Final = 0.05
"""The maker's, in vol, each way."""
_SHRINK: Final = 0.8
_TRIES: Final = 20
_ANY_PRICE: Final = 10**30
_REFUSALS: Final = ("InsufficientMargin", "AccountLiquidatable", "OpenInterestExceeded", "PoolTooSmall")


@dataclass(frozen=True, slots=True)
class CascadeConfig:
    """What one run of the laboratory differs in, and what all have in common. USD, seconds, coins.

    ``leverage`` is what traders want, least and most; ``writers`` the share of them who sell puts. ``cap`` coins in
    ``window`` seconds is the rate-limited engine's, ``buffer`` (a fraction of maintenance margin) what that and the
    auction lift an account to. ``base_fee`` wei.
    """

    margin: Margin
    liquidation: Liquidation
    leverage: tuple[float, float] = (2.0, 20.0)
    writers: float = 0.25
    pool: float = 3_000_000.0
    insurance: float = 10_000.0
    insurance_per_event: float = 1_000.0
    cap: float = 400.0
    window: int = 30
    buffer: float = 0.25
    block_time: int = 12
    base_fee: int = 20 * 10**9
    keeper: LiquidatorConfig = field(
        default_factory=lambda: LiquidatorConfig(bid_capital=1_000_000.0, batch=64, min_trade=10.0)
    )


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the keeper and the pool are worth at index and mid, USD."""

    keeper: float
    pool: float


@dataclass
class CascadeWorld:
    """The deployed venue, its feeds, and what its traders have opened."""

    config: CascadeConfig
    spot: float
    start: int
    vol: AtmVol
    traders: tuple[Trader, ...]
    opened: dict[str, float] = field(default_factory=dict)  # name -> leverage that margin allowed

    def __post_init__(self) -> None:
        config = self.config
        self.evm = Evm(timestamp=self.start, base_fee=config.base_fee)
        self.deployment: Deployment = deploy(
            self.evm,
            DeployConfig(
                vaults=(),
                initial_price=self.spot,
                venue=VENUE,
                margin=config.margin,
                liquidation=config.liquidation,
                rate_limit=RateLimit(config.window, config.cap, config.buffer),
                auction=Auction(buffer=config.buffer),
                closing_spread=SPREAD,
                pool_deposit=config.pool,
                insurance_deposit=config.insurance,
                insurance_per_event=config.insurance_per_event,
                locked_ratio=0.05,
                price_heartbeat=900,
            ),
        )
        self.options_house = OPTIONS if config.margin == "fragmented" else HOME
        self.token, self.feed = self._contract("Token"), self._contract("PriceFeed")
        self.surface = self._contract("VolatilityFeed")
        self.perp, self.house = self._contract("PerpMarket"), self._contract("Clearinghouse")
        self.options = self._contract(self.options_house + "OptionMarket")
        self.expiry = self.start + TENOR
        self._open_everything()

    @property
    def houses(self) -> tuple[str, ...]:
        """Prefixes of the clearinghouses."""
        return tuple(dict.fromkeys((HOME, self.options_house)))

    @property
    def keeper(self) -> str:
        """Who liquidates."""
        return self.deployment.accounts["liquidator"]

    def index(self) -> int:
        """The newest price, wad."""
        return int(self.feed.call("peek")[0])

    def bad_debt(self) -> int:
        """What is open in all houses, wad."""
        return sum(int(self._contract(house + "Clearinghouse").call("badDebt")) for house in self.houses)

    def holdings(self) -> Holdings:
        """Of the keeper, all its accounts together, and of the pool."""
        price, owned = self.index(), 0
        for house in self.houses:
            owned += int(self._contract(house + "Clearinghouse").call("cash", self.keeper))
        owned += sum(self.perp.call("accrued", self.keeper, price))
        owned += int(self.options.call("greeksOf", self.keeper, price)[0])
        return Holdings(owned / WAD, int(self._contract("LiquidityPool").call("equity", price)) / WAD)

    def publish(self, price: float, seconds: int) -> None:
        """Time passes, then the index is published."""
        self.evm.advance(seconds)
        self.feed.send("publish", to_wad(price), sender=self.deployment.accounts["reporter-1"])

    def report_vol(self) -> None:
        """All reporters sign the surface as the market has it now."""
        now = self.evm.timestamp
        theta, rho, psi = slice_for(self.vol.at(now), (self.expiry - now) / SECONDS_PER_YEAR)
        report = reports.Report.of(self.expiry, now, theta, rho, psi)
        signed = [
            reports.sign(report, key_of_role(role), self.evm.chain_id, self.surface.address) for role in REPORTERS
        ]
        self.surface.send("submit", *reports.submission(signed), sender=self.deployment.accounts["reporter-1"])

    def deposit(self, owner: str, dollars: float, house: str = HOME) -> None:
        """New money for an account."""
        clearing, amount = self._contract(house + "Clearinghouse"), to_usdc(dollars)
        payer = self.evm.account("bank")
        self.token.send("mint", payer, amount)
        self.token.send("approve", clearing.address, amount, sender=payer)
        clearing.send("deposit", owner, amount, sender=payer)

    def settle_orders(self, accounts_: Sequence[str]) -> list[Receipt]:
        """Settle whichever of these orders have their benchmark."""
        receipts = []
        for account in accounts_:
            time = int(self.perp.call("benchmarkTime", account))
            _, updated_at, _ = self.feed.call("peek")
            if time and updated_at >= time:
                hint = int(self.feed.call("roundAt", time - 1)) + 1
                receipts.append(self.perp.send("settle", account, hint, sender=self.keeper))
        return receipts

    def is_awaited(self, account: str) -> bool:
        """Whether an order could be settled if somebody published a price."""
        time = int(self.perp.call("benchmarkTime", account))
        return 0 < time <= self.evm.timestamp and int(self.feed.call("peek")[1]) < time

    def buy_back(self) -> Receipt | None:
        """The keeper buys back at the maker's quote the puts that bids have brought it; None where there is nothing to
        do or the maker does not trade, as in a block in which the surface has moved."""
        size = int(self.options.call("positionOf", self.keeper, self.series))
        if size >= 0:
            return None
        try:
            maker = accounts.address_of(MAKER)
            return self.options.send("trade", maker, self.series, -size, _ANY_PRICE, sender=self.keeper)
        except Revert:
            return None

    # Opening

    def _contract(self, name: str) -> Contract:
        return self.deployment.contract(self.evm, name)

    def _open_everything(self) -> None:
        """Writers one after another, each hedge filled before the puts are sold; then every other perpetual at once."""
        for house in self.houses:
            self.deposit(self.keeper, self.config.keeper.bid_capital, house)
        self.report_vol()
        self._open_maker()
        self.publish(self.spot, 60)
        for trader in self.traders:
            if trader.style is Style.WRITER:
                self._enter(trader, self._write)
        others = [trader for trader in self.traders if trader.style is not Style.WRITER]
        for trader in others:
            self._enter(trader, self._commit)
        self.publish(self.spot, VENUE.settlement_delay)
        self.settle_orders([trader.address for trader in others])

    def _open_maker(self) -> None:
        maker = self.evm.account(MAKER)
        self.deposit(maker, 5_000_000.0, self.options_house)
        quoting = (True, to_wad(SPREAD), 0, to_wad(10**9), to_wad(10**9), to_wad(0.001), WAD)
        self.options.send("setQuoting", quoting, sender=maker)
        strike = to_wad(round(self.spot))
        roller = self.deployment.accounts["roller"]
        self.series = int(self.options.send("list", self.expiry, strike, False, sender=roller).result)

    def _enter(self, trader: Trader, open_: Callable[[str, Trader, float], None]) -> None:
        """Open what the trader wants, or as much of it as the venue's margin allows."""
        account = self.evm.account(trader.name)
        parts = len(self.houses) if trader.style is Style.WRITER else 1
        for house in self.houses[:parts]:
            self.deposit(account, trader.equity / parts, house)
        leverage = trader.leverage
        for _ in range(_TRIES):
            snapshot = self.evm.snapshot()
            try:
                open_(account, trader, leverage * trader.equity / self.spot)
            except Revert as refusal:
                self.evm.revert(snapshot)
                if refusal.name not in _REFUSALS:
                    raise
                leverage *= _SHRINK
                continue
            self.opened[trader.name] = leverage
            return

    def _commit(self, account: str, trader: Trader, coins: float) -> None:
        size = coins if trader.style is Style.LONG else -coins
        self.perp.send("commit", to_wad(round(size, 6)), _ANY_PRICE if size > 0 else 0, sender=account)

    def _write(self, account: str, trader: Trader, coins: float) -> None:
        """Sell as many puts at the money as ``coins``, after their delta has been sold as a perpetual."""
        years, strike = TENOR / SECONDS_PER_YEAR, float(round(self.spot))
        delta = spot_greeks(self.spot, strike, years, self.vol.at(self.start), 0.0, False)[1]
        self._commit(account, trader, -delta * coins)
        self.publish(self.spot, VENUE.settlement_delay)
        self.settle_orders([account])
        maker = accounts.address_of(MAKER)
        self.options.send("trade", maker, self.series, -to_wad(round(coins, 6)), _ANY_PRICE, sender=account)
