"""Rate-limited liquidation: no more than is needed, no faster than the cap, and never a revert."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from venue_world import LIQUIDATION_BUFFER, LIQUIDATION_CAP, LIQUIDATION_WINDOW, VenueWorld, refusal

from keeper.chain.contract import Contract, Receipt
from keeper.chain.evm import Evm
from keeper.protocol import liquidation
from keeper.units import WAD, from_wad, to_gwei, to_wad

UNLIMITED = 17_500.0  # the largest cap for a skew scale of 350,000
ROLES = ("trader", "other", "keeper", "liquidator", "provider", "spare")


def rate_limited(cap: float = LIQUIDATION_CAP, **settings: object) -> VenueWorld:
    return VenueWorld(engine_kind="RateLimitedLiquidation", liquidation_cap=cap, **settings)  # type: ignore[arg-type]


def holding(world: VenueWorld, role: str, size: float, a_coin: float = 250) -> None:
    """An account with a position and more than the initial margin for it."""
    world.deposit(role, 1_000 + abs(size) * a_coin)
    world.trade(role, size)


def sink(world: VenueWorld, role: str, wad: int = 1) -> None:
    """Take cash away until the account is `wad` below maintenance."""
    equity, _, maintenance = world.margin(role)
    world.hand_over(role, "spare", equity - maintenance + wad)


def buffered(maintenance: int) -> int:
    return maintenance + maintenance * to_wad(LIQUIDATION_BUFFER) // WAD


def closed(receipt: Receipt) -> int:
    return sum(abs(event["sizeDelta"]) for event in receipt.events("PositionClosed"))


def capacity(world: VenueWorld) -> int:
    return int(world.engine.call("capacity", world.perp.address))


# -- how much ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wide() -> VenueWorld:
    """A cap that does not bind, and somebody long already."""
    world = rate_limited(UNLIMITED, pool_cash=100_000_000)
    holding(world, "other", 3_000)
    return world


@given(
    size=st.one_of(st.floats(1, 50), st.floats(50, 9_000)).map(lambda size: round(size, 6)),
    long=st.booleans(),
    missing=st.floats(0, 0.95),
    base_fee=st.floats(0, 50),
)
def test_partial_liquidation_ends_at_the_buffer_or_a_little_above_and_never_turns_round(
    wide: VenueWorld, size: float, long: bool, missing: float, base_fee: float
) -> None:
    """Short of maintenance by a part of it. A little is 1% of what it had to meet before, and up to 9% more
    for 9,000 coins, a fortieth of the skew scale."""
    with wide.evm.rolled_back():
        holding(wide, "trader", size if long else -size)
        before = wide.size("trader")
        required = wide.margin("trader")[2]
        sink(wide, "trader", 1 + int(missing * required))
        wide.evm.base_fee = to_gwei(base_fee)
        _, next_at = wide.liquidate("trader").result
        after = wide.size("trader")
        assert next_at == 0
        assert 0 <= after < before if long else before < after <= 0
        if after == 0:
            return
        equity, _, maintenance = wide.margin("trader")
        assert buffered(maintenance) - 10 <= equity
        assert equity <= buffered(maintenance) + required * (0.01 + size / 100_000)
        assert refusal(wide.liquidate, "trader").name == "NotLiquidatable"


def test_slightest_shortage_closes_a_small_part(wide: VenueWorld) -> None:
    with wide.evm.rolled_back():
        holding(wide, "trader", 100)
        sink(wide, "trader")
        wide.liquidate("trader")
        equity, _, maintenance = wide.margin("trader")
        assert to_wad(75) < wide.size("trader") < to_wad(95)
        assert equity == pytest.approx(buffered(maintenance), rel=1e-3)


def test_size_closed_is_that_of_the_float_twin(wide: VenueWorld) -> None:
    with wide.evm.rolled_back():
        holding(wide, "trader", -700)
        sink(wide, "trader", to_wad(500))
        equity, _, maintenance = (from_wad(amount) for amount in wide.margin("trader"))
        price, ask = wide.price(), wide.perp.call
        gas = from_wad(ask("liquidationReward", 0, price))
        always = from_wad(ask("liquidationCost", -1, price))

        def freed(closed: float) -> float:
            left = ask("requirements", to_wad(closed - 700), price)[1]
            fill = ask("fillPrice", to_wad(closed), price)
            fees = ask("orderFee", to_wad(closed), fill) + ask("liquidationReward", to_wad(closed), price)
            margin = maintenance - (from_wad(left) if closed < 700 else always)
            return (1 + LIQUIDATION_BUFFER) * margin - from_wad(fees) + gas - closed * from_wad(fill - price)

        shortage = (1 + LIQUIDATION_BUFFER) * maintenance + gas - equity
        first = liquidation.partial_size(700, shortage, freed(700))
        expected = liquidation.partial_size(first, shortage, freed(first))
        assert from_wad(closed(wide.liquidate("trader"))) == pytest.approx(expected, rel=1e-9)


def test_account_without_equity_is_closed_whole_and_its_deficit_paid(wide: VenueWorld) -> None:
    with wide.evm.rolled_back():
        holding(wide, "trader", 100)
        equity, _, _ = wide.margin("trader")
        wide.hand_over("trader", "spare", equity + to_wad(5_000))
        (liquidated,) = wide.liquidate("trader").events("Liquidated")
        assert (wide.size("trader"), wide.cash("trader")) == (0, 0)
        assert liquidated["badDebt"] > to_wad(3_000)  # selling into the skew earned some
        assert wide.house.call("badDebt") == 0


def test_buffer_keeps_an_account_from_being_liquidated_again_at_the_next_small_move(wide: VenueWorld) -> None:
    with wide.evm.rolled_back():
        holding(wide, "trader", 100)
        sink(wide, "trader")
        wide.liquidate("trader")
        room = 0.09 * wide.margin("trader")[2] / wide.size("trader")
        for step in (-0.3, 0.2, -0.6, -0.9):
            wide.move(2_000 + step * room)
            assert refusal(wide.liquidate, "trader").name == "NotLiquidatable"
        wide.move(2_000 - 1.5 * room)
        wide.liquidate("trader")


def test_portfolio_margin_is_restored_to_the_buffer_too() -> None:
    world = rate_limited(UNLIMITED, margin_kind="PortfolioMargin")
    world.deposit("trader", 200_000)
    world.trade("trader", 300)
    sink(world, "trader")
    _, next_at = world.liquidate("trader").result
    equity, _, maintenance = world.margin("trader")
    assert next_at == 0
    assert 0 < world.size("trader") < to_wad(300)
    assert buffered(maintenance) - 10 <= equity <= 1.15 * maintenance


# -- how fast ----------------------------------------------------------------------------------------------------------


def test_what_the_cap_does_not_allow_is_closed_when_it_says() -> None:
    world = rate_limited()
    holding(world, "trader", 120)
    equity, _, _ = world.margin("trader")
    world.hand_over("trader", "spare", equity)
    start = world.evm.timestamp
    receipt = world.liquidate("trader")
    assert (closed(receipt), receipt.result[1]) == (to_wad(50), start + LIQUIDATION_WINDOW)
    waiting = world.liquidate("trader")
    assert (waiting.result, waiting.events("Liquidated"), capacity(world)) == ((0, start + LIQUIDATION_WINDOW), [], 0)
    world.move(2_000, seconds=LIQUIDATION_WINDOW - 1)
    assert closed(world.liquidate("trader")) == 0
    world.move(2_000, seconds=1)
    assert closed(world.liquidate("trader")) == to_wad(50)
    world.move(2_000, seconds=LIQUIDATION_WINDOW)
    last = world.liquidate("trader")
    assert (closed(last), last.result[1], world.size("trader")) == (to_wad(20), 0, 0)
    assert [last.events("Liquidated")[0]["badDebt"] > 0, waiting.events("BadDebtRecorded")] == [True, []]


def test_crumbs_of_capacity_are_not_worth_a_reward_each() -> None:
    """Capacity comes back second by second; an account that needs more waits until a quarter of the cap is free."""
    world = rate_limited()
    for number in range(10):
        holding(world, f"small {number}", 5)
    holding(world, "trader", 100)
    for number in range(10):
        world.move(2_000)
        world.hand_over(f"small {number}", "spare", world.margin(f"small {number}")[0])
        assert closed(world.liquidate(f"small {number}")) == to_wad(5)
    start = world.evm.timestamp
    world.hand_over("trader", "spare", world.margin("trader")[0])
    _, next_at = world.liquidate("trader").result
    assert next_at == start - 9 + 2 + LIQUIDATION_WINDOW  # when the third of them has left the window: 15 of 50 coins
    for _ in range(next_at - start - 1):
        world.move(2_000)
        assert world.liquidate("trader").result == (0, next_at)
    world.move(2_000)
    assert closed(world.liquidate("trader")) == to_wad(15)


def test_account_that_a_part_has_healed_already_is_told_of_no_further_call() -> None:
    """Capacity for a part of what the buffer needs, which lifts it above maintenance."""
    world = rate_limited(12)
    holding(world, "trader", 200)
    sink(world, "trader")
    receipt = world.liquidate("trader")
    equity, _, maintenance = world.margin("trader")
    assert (closed(receipt), receipt.result[1]) == (to_wad(12), 0)
    assert maintenance <= equity < buffered(maintenance)
    assert refusal(world.liquidate, "trader").name == "NotLiquidatable"


@given(size=st.floats(10, 600), cap=st.floats(20, 200), patience=st.integers(0, 5))
def test_account_is_done_with_after_a_bounded_number_of_calls_at_the_times_it_is_told(
    size: float, cap: float, patience: int
) -> None:
    world = rate_limited(cap)
    holding(world, "trader", size)
    world.hand_over("trader", "spare", world.margin("trader")[0])
    calls, next_at = 0, world.evm.timestamp
    while next_at:
        world.move(2_000, seconds=max(next_at - world.evm.timestamp, 0) + patience + 1)
        before = world.size("trader")
        _, next_at = world.liquidate("trader").result
        assert world.size("trader") < before
        calls += 1
    equity, _, maintenance = world.margin("trader")
    assert equity >= maintenance
    assert calls <= ceil(4 * size / cap) + 1


@pytest.fixture(scope="module")
def crowd() -> VenueWorld:
    """Accounts on both sides, all of them far below maintenance, behind a cap of 50 coins in 30 seconds."""
    world = rate_limited(pool_cash=100_000_000)
    for number, size in enumerate((3, 120, -80, 15, -0.5, 400, 1, -33)):
        holding(world, f"trader {number}", size)
        world.hand_over(f"trader {number}", "spare", world.margin(f"trader {number}")[0])
    return world


@given(calls=st.lists(st.tuples(st.integers(0, 7), st.sampled_from([0, 0, 0, 1, 2, 7, 15, 29, 30, 31])), max_size=60))
def test_no_window_however_placed_sees_more_closed_than_the_cap(
    crowd: VenueWorld, calls: list[tuple[int, int]]
) -> None:
    events: list[tuple[int, int]] = []
    with crowd.evm.rolled_back():
        for number, seconds in calls:
            if seconds:
                crowd.move(2_000, seconds=seconds)
            if not crowd.house.call("isLiquidatable", crowd.account(f"trader {number}"), crowd.price()):
                continue
            events.append((crowd.evm.timestamp, closed(crowd.liquidate(f"trader {number}"))))
            inside = sum(size for time, size in events if time > crowd.evm.timestamp - LIQUIDATION_WINDOW)
            assert capacity(crowd) == to_wad(LIQUIDATION_CAP) - inside >= 0


def test_all_that_one_block_liquidates_moves_the_skew_price_by_no_more_than_the_cap(crowd: VenueWorld) -> None:
    """A liquidator cannot use one liquidation to push the price down on the next beyond what the cap allows."""
    with crowd.evm.rolled_back():
        skew, index = crowd.perp.call("skew"), crowd.price()
        receipts = [crowd.liquidate(f"trader {number}") for number in (0, 1, 3, 5, 6)]
        fills = [event["fill"] for receipt in receipts for event in receipt.events("PositionClosed")]
        last = receipts[-1]
        assert last.result == (0, crowd.evm.timestamp + LIQUIDATION_WINDOW)
        assert skew - crowd.perp.call("skew") == to_wad(LIQUIDATION_CAP)
        marginal = index + index * skew // to_wad(350_000)
        assert min(fills) >= marginal - index * to_wad(LIQUIDATION_CAP) // to_wad(350_000)


# -- liveness ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["IsolatedMargin", "PortfolioMargin"])
def hard(request: pytest.FixtureRequest) -> VenueWorld:
    world = rate_limited(margin_kind=request.param)
    for role, size in (("other", 500), ("trader", 200), ("short", -150)):
        holding(world, role, size, 900)
    return world


@given(
    role=st.sampled_from(["trader", "short"]),
    change=st.floats(-0.9, 2.0),
    order=st.sampled_from([0.0, 0.0, 40.0, -40.0, 130.0, -130.0]),
    benchmark=st.booleans(),
    funded=st.booleans(),
    used=st.booleans(),
    wait=st.integers(1, 3_000),
)
def test_liquidation_never_reverts_and_always_ends(
    hard: VenueWorld,
    role: str,
    change: float,
    order: float,
    benchmark: bool,
    funded: bool,
    used: bool,
    wait: int,
) -> None:
    """Fund and pool may be empty, an order in flight, the capacity gone."""
    world = hard
    roles = (*ROLES, "short")
    with world.evm.rolled_back():
        for account in () if funded else (world.fund.address, world.pool.address):
            world.hand_over(account, "spare", max(world.cash(account), 0))
        if order and funded:
            world.commit(role, order)
        if benchmark:
            world.move(2_000, seconds=2)
        world.move(2_000 * (1 + change), seconds=wait)
        if used and world.house.call("isLiquidatable", world.account("other"), world.price()):
            world.liquidate("other")
        assume(world.house.call("isLiquidatable", world.account(role), world.price()))
        before = abs(world.size(role))
        for _ in range(25):
            receipt = world.liquidate(role)
            if not receipt.events("OrderSettled"):
                assert abs(world.size(role)) <= before
            before = abs(world.size(role))
            if receipt.result[1] == 0:
                break
            world.move(2_000 * (1 + change), seconds=max(receipt.result[1] - world.evm.timestamp, 1))
        else:
            raise AssertionError("never done")
        equity, _, maintenance = world.margin(role)
        assert equity >= maintenance
        assert world.total_cash(*roles) == world.custody()
        assert world.house.call("locked") is False


@pytest.mark.parametrize("base_fee", [0, 20, 50])
@pytest.mark.parametrize("size", [1e-18, 1e-6, 0.01, 1.0, 100.0])
def test_dust_is_closed_whole_and_every_size_pays_for_its_gas(size: float, base_fee: float) -> None:
    world = rate_limited()
    world.deposit("trader", 400 + 0.1 * size * 2_000)
    world.trade("trader", size)
    sink(world, "trader")
    world.evm.base_fee = to_gwei(base_fee)
    reward, next_at = world.liquidate("trader").result
    assert reward >= 300_000 * to_gwei(base_fee) * 2_000
    assert next_at == 0
    assert world.size("trader") == 0 or size > 0.01


def test_order_that_heals_the_account_is_settled_and_nothing_closed() -> None:
    world = rate_limited()
    holding(world, "trader", 300)
    world.commit("trader", -250)
    world.move(2_000, seconds=2)
    sink(world, "trader")
    receipt = world.liquidate("trader")
    assert (receipt.result, receipt.events("Liquidated"), capacity(world)) == ((0, 0), [], to_wad(50))
    assert world.cash("liquidator") == receipt.events("OrderSettled")[0]["reward"]
    assert world.size("trader") == to_wad(50)


# -- two markets -------------------------------------------------------------------------------------------------------


class TwoMarkets(VenueWorld):
    """A second, equal market in the same house."""

    def products(self) -> list[str]:
        arguments = (self.house.address, self.admin, self.perp.call("parameters"))
        self.second = self.evm.deploy("PerpMarket", *arguments)
        return [self.perp.address, self.second.address]

    def _engine(self, markets: list[str]) -> Contract:
        return super()._engine([*markets, self.second.address])

    def trade_second(self, role: str, size: float) -> None:
        account = self.account(role)
        self.second.send("commit", to_wad(size), 10**30 if size > 0 else 0, sender=account)
        self.second.send("settle", account, self.move(2_000, seconds=2), sender=self.account("keeper"))


def two_markets(cap: float) -> TwoMarkets:
    world = TwoMarkets(engine_kind="RateLimitedLiquidation", liquidation_cap=cap)
    world.deposit("trader", 100_000)
    world.trade("trader", 100)
    world.trade_second("trader", -60)
    return world


def test_account_is_reduced_market_by_market_only_until_it_is_restored() -> None:
    world = two_markets(UNLIMITED)
    sink(world, "trader")
    assert world.liquidate("trader").result[1] == 0
    assert 0 < world.size("trader") < to_wad(100)
    assert world.second.call("netSize", world.account("trader")) == -to_wad(60)


def test_market_without_capacity_leaves_the_account_to_the_other() -> None:
    world = two_markets(50)
    world.hand_over("trader", "spare", world.margin("trader")[0])
    start = world.evm.timestamp
    receipt = world.liquidate("trader")
    deltas = [event["sizeDelta"] for event in receipt.events("PositionClosed")]
    assert deltas == [-to_wad(50), to_wad(50)]
    assert receipt.result[1] == start + LIQUIDATION_WINDOW
    (liquidated,) = receipt.events("Liquidated")
    assert (liquidated["sizeClosed"], liquidated["reward"]) == (0, receipt.result[0])


def test_second_market_is_closed_only_for_what_the_first_has_left_over() -> None:
    world = two_markets(50)
    sink(world, "trader", to_wad(2_300))
    assert world.liquidate("trader").result[1] == 0
    assert world.size("trader") == to_wad(50)
    assert -to_wad(59) < world.second.call("netSize", world.account("trader")) < -to_wad(30)
    equity, _, maintenance = world.margin("trader")
    assert equity == pytest.approx(buffered(maintenance), rel=0.01)


@pytest.mark.parametrize("engine_kind", ["FullLiquidation", "RateLimitedLiquidation"])
@pytest.mark.parametrize(("first", "second"), [(100, -60), (60, -100), (-100, -60)])
def test_deficit_is_laid_to_the_market_where_most_was_closed(engine_kind: str, first: float, second: float) -> None:
    world = TwoMarkets(engine_kind=engine_kind, liquidation_cap=UNLIMITED, insurance_cash=0)
    world.deposit("trader", 100_000)
    world.trade("trader", first)
    world.trade_second("trader", second)
    world.hand_over("trader", "spare", world.margin("trader")[0] + to_wad(5_000))
    (liquidated,) = world.liquidate("trader").events("Liquidated")
    assert liquidated["sizeClosed"] == -to_wad(first + second)
    sides = [world.waterfall.call("bankruptSide", market.address) for market in (world.perp, world.second)]
    side = 1 if (first if abs(first) > abs(second) else second) > 0 else -1
    assert sides == ([side, 0] if abs(first) > abs(second) else [0, side])


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "cap", "buffer", "name"),
    [
        (0, 50.0, 0.1, "window"),
        (61, 50.0, 0.1, "window"),
        (30, 0.0, 0.1, "cap"),
        (30, 17_500.1, 0.1, "cap"),
        (30, 50.0, 0.0, "buffer"),
        (30, 50.0, 1.01, "buffer"),
    ],
)
def test_settings_that_would_make_the_limit_meaningless_are_refused(
    wide: VenueWorld, window: int, cap: float, buffer: float, name: str
) -> None:
    arguments = (wide.house.address, [wide.perp.address], window, to_wad(cap), to_wad(buffer))
    revert = refusal(wide.evm.deploy, "RateLimitedLiquidation", *arguments)
    assert (revert.name, revert.args[0].rstrip(b"\0").decode()) == ("BadSetting", name)


def test_healthy_account_and_the_venues_own_are_refused(wide: VenueWorld) -> None:
    assert isinstance(wide.evm, Evm)
    for account in ("other", "stranger", wide.pool.address, wide.fund.address, wide.house.address):
        assert refusal(wide.liquidate, account).name == "NotLiquidatable"
