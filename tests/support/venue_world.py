"""A perp venue on the in-process EVM: the smallest world in which orders, funding and liquidations happen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from keeper.chain.abi import Revert
from keeper.chain.contract import Contract, Receipt
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
    "maxOrderSize": to_wad(10_000),
    "settlementDelay": 2,
    "settlementWindow": 60,
    "settlementGas": 350_000,
    "liquidationGas": 500_000,
    "maxBaseFee": to_gwei(50),
}
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
    evm: Evm = field(default_factory=Evm)

    def __post_init__(self) -> None:
        evm, admin = self.evm, self.evm.account("admin")
        self.admin = admin
        self.token = evm.deploy("TestToken", "USD Coin", "USDC", 6)
        self.feed = evm.deploy("PriceFeed", admin, "0x" + "00" * 20, 3_600, 0)
        self.feed.send("grantRole", self.feed.call("REPORTER"), admin, sender=admin)
        self.publish(START_PRICE)
        self.house = evm.deploy("Clearinghouse", self.token.address, self.feed.address, admin)
        self.perp = evm.deploy("PerpMarket", self.house.address, admin, parameters(**self.settings))
        markets = [self.perp.address]
        self.pool = evm.deploy("LiquidityPool", self.house.address, markets, to_wad(self.locked_ratio))
        self.fund = evm.deploy("InsuranceFund", self.house.address, to_wad(self.max_per_event))
        self.model = evm.deploy("IsolatedMargin", self.house.address)
        self.module = evm.deploy("ModuleMock")
        products = self.products()
        self.engine = evm.deploy("FullLiquidation", self.house.address, markets, self.options())
        parts = [part.address for part in (self.model, self.engine, self.pool, self.fund)]
        self.house.send("setUp", *parts, [*products, self.module.address], sender=admin)
        if self.pool_cash:
            self.provide("provider", self.pool_cash)
        if self.insurance_cash:
            self.deposit(self.fund.address, self.insurance_cash)

    def products(self) -> list[str]:
        """What the clearinghouse margins; a world with more products deploys them here."""
        return [self.perp.address]

    def options(self) -> str:
        """The market whose options the engine hands over; none here."""
        return "0x" + "00" * 20

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

    def cool_down(self) -> None:
        """Wait until providers may leave, with a fresh price at the end."""
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
        delay = int(self.perp.call("parameters")[15])
        hint = self.move(self.price() / WAD if price is None else price, delay)
        return self.settle(role, hint)

    def liquidate(self, role: str, liquidator: str = "liquidator", max_paid: float = 1e9) -> Receipt:
        return self.engine.send("liquidate", self.account(role), to_wad(max_paid), sender=self.account(liquidator))

    def size(self, role: str) -> int:
        return int(self.perp.call("netSize", self.account(role)))

    def margin(self, role: str) -> tuple[int, int, int]:
        equity, initial, maintenance = self.house.call("margin", self.account(role), self.price())
        return int(equity), int(initial), int(maintenance)

    # -- laws ---------------------------------------------------------------------------------------------------------

    def holders(self, *roles: str) -> list[str]:
        """Every account that can hold cash: the given roles, the venue's own accounts and the clearinghouse."""
        own = [self.pool.address, self.fund.address, self.engine.address, self.house.address]
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
