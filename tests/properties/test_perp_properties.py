"""Laws of the perpetual: of its formulas (the library's bytecode), and of its books whatever happens."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from venue_world import BUY_AT_ANY_PRICE, SELL_AT_ANY_PRICE, VenueWorld

from keeper.chain.abi import Revert
from keeper.chain.contract import Contract
from keeper.chain.evm import Evm
from keeper.units import WAD, to_wad

K = to_wad(350_000)
DAY = 86_400
sizes = st.integers(-(10**22), 10**22).filter(bool)
skews = st.integers(-2 * 10**22, 2 * 10**22)
prices = st.integers(10**16, 10**23)
rates = st.integers(-WAD, WAD)
velocities = st.integers(-36 * WAD, 36 * WAD)


@pytest.fixture(scope="module")
def maths() -> Contract:
    return Evm().deploy("PerpMathHarness")


def impact(maths: Contract, size: int, skew: int, price: int) -> int:
    """Cost of an order above the index, at 1e36."""
    return size * (int(maths.call("fillPrice", size, skew, K, price)) - price)


# -- fills -------------------------------------------------------------------------------------------------------------


@given(size=sizes, skew=skews, price=prices)
def test_fill_is_the_exact_price_rounded_against_the_trader(maths: Contract, size: int, skew: int, price: int) -> None:
    fill = maths.call("fillPrice", size, skew, K, price)
    exact = price * (1 + (skew + Fraction(size, 2)) / K)
    assert 0 <= (fill - exact if size > 0 else exact - fill) < 1


@given(first=sizes, second=sizes, skew=skews, price=prices)
def test_splitting_an_order_costs_the_same(maths: Contract, first: int, second: int, skew: int, price: int) -> None:
    assume(first + second != 0)
    whole = impact(maths, first + second, skew, price)
    parts = impact(maths, first, skew, price) + impact(maths, second, skew + first, price)
    rounding = abs(first) + abs(second)  # one wei of price on every coin traded
    assert abs(parts - whole) <= rounding + abs(first + second)


@given(size=sizes, skew=skews, price=prices)
def test_round_trip_at_one_price_costs_no_impact_and_earns_none(
    maths: Contract, size: int, skew: int, price: int
) -> None:
    cost = impact(maths, size, skew, price) + impact(maths, -size, skew + size, price)
    assert 0 <= cost <= 2 * abs(size)


@given(size=sizes, more=st.integers(1, 10**22), skew=skews, price=prices)
def test_fill_rises_with_the_size(maths: Contract, size: int, more: int, skew: int, price: int) -> None:
    smaller, larger = (maths.call("fillPrice", order, skew, K, price) for order in (size, size + more or 1))
    assert smaller <= larger


@given(size=sizes, skew=skews, fill=prices, maker=st.integers(0, 10**16), extra=st.integers(0, 10**16))
def test_fee_lies_between_maker_and_taker_and_has_no_jump(
    maths: Contract, size: int, skew: int, fill: int, maker: int, extra: int
) -> None:
    taker = maker + extra
    fee = maths.call("orderFee", size, skew, fill, maker, taker)
    exact = abs(size) * fill
    assert Fraction(exact * maker, 10**36) <= fee < Fraction(exact * taker, 10**36) + 1
    one_more = maths.call("orderFee", size + (1 if size > 0 else -1), skew, fill, maker, taker)
    assert 0 <= one_more - fee <= fill * taker // 10**36 + 1


# -- funding -----------------------------------------------------------------------------------------------------------


@given(
    start=rates,
    velocity=velocities,
    cap=st.integers(1, WAD),
    cuts=st.lists(st.integers(0, 3 * DAY), min_size=1, max_size=6),
)
def test_funding_in_one_step_equals_many_steps_also_across_the_cap(
    maths: Contract, start: int, velocity: int, cap: int, cuts: list[int]
) -> None:
    rate = max(-cap, min(cap, start))
    end, whole = maths.call("accrueRate", rate, velocity, sum(cuts), cap)
    parts = 0
    for seconds in cuts:
        rate, part = maths.call("accrueRate", rate, velocity, seconds, cap)
        parts += part
    days = sum(cuts) // DAY + 1
    assert abs(rate - end) <= len(cuts)
    assert abs(parts - whole) <= 2 * len(cuts) * days + len(cuts)


@given(start=rates, velocity=velocities, cap=st.integers(1, WAD), seconds=st.integers(0, 30 * DAY))
def test_funding_integral_is_the_area_under_the_capped_rate(
    maths: Contract, start: int, velocity: int, cap: int, seconds: int
) -> None:
    rate = max(-cap, min(cap, start))
    end, integral = maths.call("accrueRate", rate, velocity, seconds, cap)
    days = Fraction(seconds, DAY)
    bound = cap if velocity > 0 else -cap
    ramp = min(days, Fraction(bound - rate, velocity)) if velocity else days
    exact_end = rate + velocity * ramp
    area = (rate + exact_end) / 2 * ramp + exact_end * (days - ramp)
    assert abs(end - exact_end) <= 1
    assert abs(end) <= cap
    assert abs(integral - area) <= days + 2


@given(velocity=st.integers(1, 36 * WAD), cap=st.integers(10**15, WAD), seconds=st.integers(0, 300 * DAY))
def test_rate_does_not_wind_up_behind_its_cap(maths: Contract, velocity: int, cap: int, seconds: int) -> None:
    """However long it was pushed against the cap, it leaves it at once when the skew turns."""
    rate, _ = maths.call("accrueRate", 0, velocity, seconds, cap)
    back, _ = maths.call("accrueRate", rate, -velocity, DAY, cap)
    assert back == max(-cap, rate - velocity)


@given(skew=skews, band=st.integers(0, WAD - 1))
def test_skew_inside_the_dead_band_does_not_move_the_rate(maths: Contract, skew: int, band: int) -> None:
    velocity = maths.call("fundingVelocity", skew, K, 9 * WAD, band)
    if abs(skew) * WAD < (band - 1) * K:
        assert velocity == 0
    if abs(skew) * WAD > (band + 1) * K:
        assert velocity * skew >= 0
        assert abs(velocity * K - 9 * skew * WAD) <= 10 * K


# -- margin ------------------------------------------------------------------------------------------------------------


@given(size=sizes, more=st.integers(0, 10**22), low=st.integers(1, WAD // 2), most=st.integers(WAD // 2, WAD))
def test_margin_ratio_rises_with_size_between_its_bounds(
    maths: Contract, size: int, more: int, low: int, most: int
) -> None:
    grown = size + (more if size > 0 else -more)
    ratio, larger = (maths.call("initialMarginRatio", q, K, WAD, low, most) for q in (size, grown))
    assert low <= ratio <= larger <= most


# -- the books, whatever happens ---------------------------------------------------------------------------------------

ROLES = ("trader", "other", "small")
CALLERS = (*ROLES, "keeper", "liquidator", "provider")
roles = st.sampled_from(ROLES)
coins = st.integers(-(10**20), 10**20).filter(bool)
leverages = st.sampled_from([-16, -8, -2, 2, 8, 16])
delays = st.sampled_from([2, 2, 5, 62, 63])
moves = st.floats(-0.01, 0.01) | st.floats(-0.06, 0.06) | st.floats(-0.4, 0.6)


class Books(RuleBasedStateMachine):
    """Random deposits, withdrawals, orders, prices, liquidations; the laws of the books hold after each."""

    @initialize()
    def start(self) -> None:
        self.world = VenueWorld(pool_cash=300_000, insurance_cash=2_000, max_per_event=1_000, locked_ratio=0.05)
        self.world.cool_down()
        self.paid_in = to_wad(302_000)
        for role, dollars in zip(ROLES, (100_000, 50_000, 5_000), strict=True):
            self.deposit(role, dollars)

    def attempt(self, allowed: set[str], action: Any, *args: Any) -> bool:
        """Whether the action went through; a refusal must be one that the situation can explain."""
        try:
            action(*args)
        except Revert as revert:
            if revert.name not in allowed:
                raise
            return False
        return True

    @rule(role=roles, dollars=st.integers(1, 20_000))
    def deposit(self, role: str, dollars: int) -> None:
        self.world.deposit(role, dollars)
        self.paid_in += to_wad(dollars)

    @rule(role=roles, dollars=st.integers(1, 200_000))
    def withdraw(self, role: str, dollars: int) -> None:
        refusals = {"InsufficientCash", "InsufficientMargin", "WithdrawalsBlocked"}
        if self.attempt(refusals, self.world.withdraw, role, dollars):
            self.paid_in -= to_wad(dollars)

    @rule(dollars=st.integers(1, 100_000))
    def leave_pool(self, dollars: int) -> None:
        provider = self.world.account("provider")
        arguments = (dollars * 10**6, provider, provider)
        refusals = {"WithdrawMoreThanMax", "WithdrawalsBlocked"}
        if self.attempt(refusals, lambda: self.world.pool.send("withdraw", *arguments, sender=provider)):
            self.paid_in -= to_wad(dollars)

    def order(self, role: str, size: int) -> bool:
        limit = BUY_AT_ANY_PRICE if size > 0 else SELL_AT_ANY_PRICE
        refusals = {"OrderPending", "InsufficientMargin", "AccountLiquidatable", "PriceTooOld"}
        refusals |= {"OrderTooLarge", "OpenInterestExceeded", "PoolTooSmall"}
        account = self.world.account(role)
        return self.attempt(refusals, lambda: self.world.perp.send("commit", size, limit, sender=account))

    @rule(role=roles, size=coins)
    def commit(self, role: str, size: int) -> None:
        self.order(role, size)

    @rule(role=roles, leverage=leverages, change=st.floats(-0.01, 0.01), seconds=delays)
    def trade(self, role: str, leverage: float, change: float, seconds: int) -> None:
        """An order sized to the equity, its benchmark (or a price that comes too late), and settlement."""
        equity = self.world.margin(role)[0]
        size = to_wad(round(leverage * equity / self.world.price(), 3))
        self.resolve(role)
        if size == 0 or not self.order(role, size):
            return
        self.publish(change, seconds)
        filled = self.world.settle(role, self.world.feed.call("latestRound"))
        assert seconds <= 62 or not filled.result

    @rule(role=roles)
    def flatten(self, role: str) -> None:
        if self.world.size(role) and self.order(role, -self.world.size(role)):
            self.publish(0.0, 2)
            assert self.world.settle(role, self.world.feed.call("latestRound")).result is True
            assert self.world.size(role) == 0

    @rule(change=moves, seconds=st.integers(1, 30) | st.integers(1, 86_400))
    def publish(self, change: float, seconds: int) -> None:
        price = self.world.price() * (1 + change) / WAD
        self.world.move(round(min(max(price, 1.0), 1e5), 6), seconds)

    @rule(seconds=st.integers(1, 90))
    def wait(self, seconds: int) -> None:
        self.world.evm.advance(seconds)

    @rule(role=roles)
    def resolve(self, role: str) -> None:
        """Settle an order in flight, or cancel it, if either can be done."""
        account = self.world.account(role)
        committed = self.world.perp.call("order", account)[2]
        hint = self.world.feed.call("roundAt", committed + 1) + 1
        if not self.attempt({"NoOrder", "TooEarly", "UnknownRound"}, self.world.settle, role, hint):
            refusals = {"NoOrder", "CannotCancelYet"}
            self.attempt(refusals, self.world.perp.send, "cancel", account)

    @rule(change=st.sampled_from([-0.5, -0.12, -0.06, -0.04, -0.02, 0.0, 0.02, 0.04, 0.06, 0.12, 0.8]), pause=delays)
    def shock(self, change: float, pause: int) -> None:
        """The price jumps, and whoever can be liquidated is, and nobody else."""
        self.publish(change, pause)
        for role in ROLES:
            account = self.world.account(role)
            liquidatable = self.world.house.call("isLiquidatable", account, self.world.price())
            assert self.attempt({"NotLiquidatable"}, self.world.liquidate, role) == liquidatable
            assert not self.world.house.call("isLiquidatable", account, self.world.price())

    @invariant()
    def cash_equals_custody(self) -> None:
        total = self.world.total_cash(*CALLERS)
        assert total == self.world.custody() == self.paid_in

    @invariant()
    def pool_owes_what_positions_are_worth(self) -> None:
        price, perp = self.world.price(), self.world.perp
        worth = sum(sum(perp.call("accrued", self.world.account(role), price)) for role in ROLES)
        assert 0 <= perp.call("marketDebt", price) - worth <= 2 * len(ROLES) + 1

    @invariant()
    def skew_and_open_interest_are_the_sums_of_positions(self) -> None:
        held = [self.world.size(role) for role in ROLES]
        assert self.world.perp.call("skew") == sum(held)
        expected = (sum(q for q in held if q > 0), -sum(q for q in held if q < 0))
        assert self.world.perp.call("openInterest") == expected
        assert max(expected) <= to_wad(20_000)

    @invariant()
    def all_equity_sums_to_what_was_paid_in(self) -> None:
        price = self.world.price()
        equity = sum(self.world.margin(role)[0] for role in ROLES)
        others = sum(self.world.cash(holder) for holder in ("keeper", "liquidator", self.world.fund.address))
        pool = self.world.pool.call("equity", price)
        gap = self.paid_in - (equity + others + pool + self.world.cash(self.world.house.address))
        assert 0 <= gap <= 2 * len(ROLES) + 1

    @invariant()
    def maintenance_is_never_above_initial_margin_and_nobody_holds_the_lock(self) -> None:
        for role in ROLES:
            _, initial, maintenance = self.world.margin(role)
            assert maintenance <= initial
        assert self.world.house.call("locked") is False
        assert self.world.cash(self.world.engine.address) == 0


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=settings.default.max_examples // 3, stateful_step_count=40)
