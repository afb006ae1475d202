"""A perp venue on the in-process EVM: the smallest world in which orders, funding and liquidations happen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from keeper.chain.abi import Revert
from keeper.chain.contract import Contract, Receipt
from keeper.chain.deploy_config import price_limits, price_sources
from keeper.chain.evm import Evm
from keeper.units import WAD, to_gwei, to_usdc, to_wad

POOL_CASH = 10_000_000
INSURANCE_CASH = 100_000
START_PRICE = 2_000.0

PARAMETERS: dict[str, int] = {
    "skewScale": to_wad(350_000),
    "makerFee": to_wad(0.0002),
    "takerFee": to_wad(0.0005),
    "maxFundingVelocity": to_wad(9),
    "fundingRateCap": to_wad(0.096),
    "fundingDeadBand": to_wad(0.00001),
    "initialMarginScalar": to_wad(1),
    "minInitialMarginRatio": to_wad(0.04),
    "maxInitialMarginRatio": to_wad(0.9),
    "maintenanceScalar": to_wad(0.5),
    "minMargin": to_wad(200),
    "liquidationFee": to_wad(0.0003),
    "insuranceShare": to_wad(0.2),
    "maxOpenInterest": to_wad(20_000),
    "maxOpenInterestValue": to_wad(1_000_000_000),
    "maxOrderSize": to_wad(10_000),
    "settlementDelay": 2,
    "settlementWindow": 60,
    "settlementGas": 350_000,
    "liquidationGas": 500_000,
    "maxBaseFee": to_gwei(50),
}
AUCTION: dict[str, int] = {
    "fastTime": 900,
    "slowTime": 7_200,
    "insolventTime": 3_600,
    "startGas": 300_000,
    "start": to_wad(0.98),
    "fastEnd": to_wad(0.75),
    "buffer": to_wad(0.1),
}
"""`DutchAuctionLiquidation.Settings`: what the price falls by and when, in the struct's order."""
SHOCKS: dict[str, int] = {
    "spotRange": to_wad(0.15),
    "spotTail": to_wad(0.4),
    "tailWeight": to_wad(0.4),
    "volUp": to_wad(0.4),
    "volDown": to_wad(0.25),
    "initialFactor": to_wad(1.25),
}
"""`PortfolioMargin.Shocks`, in the struct's order."""
LIQUIDATION_WINDOW = 30
LIQUIDATION_CAP = 50.0
LIQUIDATION_BUFFER = 0.1
ADL_WINDOW = 600
ADL_TRIGGER, ADL_TARGET = 0.85, 0.77
PRICE_BAND = 0.005
NO_ADDRESS = "0x" + "00" * 20
BUY_AT_ANY_PRICE = to_wad(10**9)
SELL_AT_ANY_PRICE = 0


def parameters(**changes: int) -> tuple[int, ...]:
    """The test venue's parameters in the struct's order, with some changed."""
    return tuple((PARAMETERS | changes).values())


@dataclass
class VenueWorld:
    """The deployed contracts, and the moves that tests make. Sizes and prices are given as plain numbers."""

    settings: dict[str, int] = field(default_factory=dict)
    pool_cash: float = POOL_CASH
    insurance_cash: float = INSURANCE_CASH
    max_per_event: float = 1_000_000
    locked_ratio: float = 0.2
    engine_kind: str = "FullLiquidation"
    margin_kind: str = "IsolatedMargin"
    token_kind: str = "TestToken"
    liquidation_cap: float = LIQUIDATION_CAP
    evm: Evm = field(default_factory=Evm)

    def __post_init__(self) -> None:
        evm, admin = self.evm, self.evm.account("admin")
        self.admin = admin
        named = ("USD Coin", "USDC", 6) if self.token_kind == "TestToken" else ()
        self.token = evm.deploy(self.token_kind, *named)
        self.feed = evm.deploy("PriceFeed", admin, price_sources(), price_limits(3_600))
        self.feed.send("grantRole", self.feed.call("REPORTER"), admin, sender=admin)
        self.publish(START_PRICE)
        self.house = evm.deploy("Clearinghouse", self.token.address, self.feed.address, admin)
        self.perp = evm.deploy("PerpMarket", self.house.address, admin, parameters(**self.settings))
        markets = self.markets()
        house = self.house.address
        self.pool = evm.deploy("LiquidityPool", house, markets, to_wad(self.locked_ratio), to_wad(PRICE_BAND))
        self.fund = evm.deploy("InsuranceFund", house, to_wad(self.max_per_event))
        self.module = evm.deploy("ModuleMock")
        products = [*self.products(), self.module.address]
        self.waterfall = self._waterfall(markets)
        self.model = self._model(markets)
        self.auction = self._auction(markets)
        self.engine = self._engine(markets)
        auction = self.auction.address if self.auction is not None else NO_ADDRESS
        parts = (self.model, self.engine, auction, self.pool, self.fund, self.waterfall)
        addresses = tuple(part if isinstance(part, str) else part.address for part in parts)
        self.house.send("setUp", addresses, products, sender=admin)
        if self.pool_cash:
            self.provide("provider", self.pool_cash)
        if self.insurance_cash:
            self.deposit(self.fund.address, self.insurance_cash)

    def markets(self) -> list[str]:
        """The perpetual markets; a world with more deploys them here."""
        return [self.perp.address]

    def products(self) -> list[str]:
        """What the clearinghouse margins; a world with more products deploys them here."""
        return [self.perp.address]

    def options(self) -> str:
        """The option market, where there is one; none here."""
        return NO_ADDRESS

    def _waterfall(self, markets: list[str]) -> Contract:
        limits = (ADL_WINDOW, to_wad(ADL_TRIGGER), to_wad(ADL_TARGET))
        return self.evm.deploy("Waterfall", self.house.address, markets, *limits)

    def _model(self, markets: list[str]) -> Contract:
        if self.margin_kind == "PortfolioMargin":
            shocks = tuple(SHOCKS.values())
            return self.evm.deploy("PortfolioMargin", self.house.address, markets, self.options(), shocks)
        return self.evm.deploy(self.margin_kind, self.house.address)

    def _auction(self, markets: list[str]) -> Contract | None:
        """Where there are options, or where everything is auctioned."""
        if self.options() == NO_ADDRESS and self.engine_kind != "DutchAuctionLiquidation":
            return None
        settings = tuple(AUCTION.values())
        return self.evm.deploy("DutchAuctionLiquidation", self.house.address, markets, self.options(), settings)

    def _engine(self, markets: list[str]) -> Contract:
        """The engine of accounts without options."""
        if self.engine_kind == "DutchAuctionLiquidation":
            assert self.auction is not None
            return self.auction
        if self.engine_kind == "RateLimitedLiquidation":
            limits = (LIQUIDATION_WINDOW, to_wad(self.liquidation_cap), to_wad(LIQUIDATION_BUFFER))
            return self.evm.deploy("RateLimitedLiquidation", self.house.address, markets, *limits)
        return self.evm.deploy(self.engine_kind, self.house.address, markets)

    def set_parameters(self, **changes: int) -> Receipt:
        """Announce new parameters, wait until they may come into force, and put them there."""
        self.perp.send("proposeParameters", parameters(**changes), sender=self.admin)
        self.move(self.price() / WAD, int(self.perp.call("PARAMETER_DELAY")))
        return self.perp.send("applyParameters", parameters(**changes), sender=self.admin)

    # -- money --------------------------------------------------------------------------------------------------------

    def account(self, role: str) -> str:
        """An address by role; addresses pass through."""
        return role if role.startswith("0x") else self.evm.account(role)

    def _mint(self, holder: str, spender: Contract, dollars: float) -> int:
        amount = to_usdc(dollars)
        self.token.send("mint", holder, amount)
        self.token.send("approve", spender.address, amount, sender=holder)
        return amount

    def deposit(self, role: str, dollars: float) -> Receipt:
        payer = self.evm.account("bank")
        return self.house.send("deposit", self.account(role), self._mint(payer, self.house, dollars), sender=payer)

    def withdraw(self, role: str, dollars: float) -> Receipt:
        account = self.account(role)
        return self.house.send("withdraw", to_usdc(dollars), account, sender=account)

    def provide(self, role: str, dollars: float) -> Receipt:
        account = self.account(role)
        return self.pool.send("deposit", self._mint(account, self.pool, dollars), account, sender=account)

    def leave(self, role: str = "provider", shares: int | None = None) -> Receipt:
        """Announce that shares (all, if not said) are to leave the pool."""
        account = self.account(role)
        leaving = int(self.pool.call("balanceOf", account)) if shares is None else shares
        return self.pool.send("requestExit", leaving, sender=account)

    def cool_down(self, role: str = "provider") -> None:
        """A provider announces that it leaves, and waits until it may; with a fresh price at the end."""
        self.leave(role)
        self.move(self.price() / WAD, int(self.pool.call("COOLDOWN")))

    def as_module(self, function: str, *args: Any) -> Receipt:
        """A module calls the clearinghouse."""
        return self.module.send("run", self.house.address, self.house.encode(function, *args))

    def hand_over(self, payer: str, receiver: str, wad: int) -> Receipt:
        """A module moves cash between two accounts."""
        return self.as_module("move", self.account(payer), self.account(receiver), wad, b"premium")

    def cash(self, role: str) -> int:
        return int(self.house.call("cash", self.account(role)))

    # -- prices and orders --------------------------------------------------------------------------------------------

    def publish(self, price: float) -> int:
        """A new price in the present second; returns its round."""
        (published,) = self.feed.send("publish", to_wad(price), sender=self.admin).events("PricePublished")
        return int(published["roundId"])

    def move(self, price: float, seconds: int = 1) -> int:
        """Let time pass, then publish a price; returns its round."""
        self.evm.advance(seconds)
        return self.publish(price)

    def price(self) -> int:
        return int(self.feed.call("peek")[0])

    def commit(self, role: str, size: float, limit: float | None = None) -> Receipt:
        anything = BUY_AT_ANY_PRICE if size > 0 else SELL_AT_ANY_PRICE
        acceptable = anything if limit is None else to_wad(limit)
        return self.perp.send("commit", to_wad(size), acceptable, sender=self.account(role))

    def settle(self, role: str, hint: int, keeper: str = "keeper") -> Receipt:
        return self.perp.send("settle", self.account(role), hint, sender=self.account(keeper))

    def trade(self, role: str, size: float, price: float | None = None) -> Receipt:
        """Commit, let the delay pass, publish the benchmark, settle."""
        self.commit(role, size)
        delay = int(self.perp.call("parameters")[16])
        hint = self.move(self.price() / WAD if price is None else price, delay)
        return self.settle(role, hint)

    def liquidate(self, role: str, liquidator: str = "liquidator") -> Receipt:
        """Liquidate by whichever engine the account's holdings call for."""
        engine = Contract.at(self.house.backend, "FullLiquidation", self.house.call("engineOf", self.account(role)))
        return engine.send("liquidate", self.account(role), sender=self.account(liquidator))

    def bid(self, role: str, fraction: float = 1.0, max_paid: float = 1e9, bidder: str = "bidder") -> Receipt:
        """Bid in the account's auction."""
        assert self.auction is not None
        arguments = (self.account(role), to_wad(fraction), to_wad(max_paid))
        return self.auction.send("bid", *arguments, sender=self.account(bidder))

    def adl(self, *candidates: str, keeper: str = "keeper") -> Receipt:
        """Deleverage the candidates, in the order given."""
        accounts = [self.account(role) for role in candidates]
        return self.waterfall.send("adl", self.perp.address, accounts, sender=self.account(keeper))

    def settle_deficit(self) -> Receipt:
        """What is still open once the window for deleveraging is over: the pool, then everybody."""
        return self.waterfall.send("settleDeficit", sender=self.account("keeper"))

    def size(self, role: str) -> int:
        return int(self.perp.call("netSize", self.account(role)))

    def margin(self, role: str) -> tuple[int, int, int]:
        equity, initial, maintenance = self.house.call("margin", self.account(role), self.price())
        return int(equity), int(initial), int(maintenance)

    # -- laws ---------------------------------------------------------------------------------------------------------

    def holders(self, *roles: str) -> list[str]:
        """Every account that can hold cash: the given roles, the venue's own accounts and the clearinghouse."""
        own = [self.pool.address, self.fund.address, self.engine.address, self.waterfall.address, self.house.address]
        own += [self.auction.address] if self.auction is not None and self.auction is not self.engine else []
        return [self.account(role) for role in roles] + own

    def total_cash(self, *roles: str) -> int:
        return sum(self.cash(holder) for holder in self.holders(*roles))

    def custody(self) -> int:
        """The clearinghouse's USDC in wad."""
        return int(self.token.call("balanceOf", self.house.address)) * 10**12


def refusal(action: Any, *args: Any, **kwargs: Any) -> Revert:
    """The custom error that an action ends in."""
    try:
        action(*args, **kwargs)
    except Revert as revert:
        return revert
    raise AssertionError("nothing was refused")
