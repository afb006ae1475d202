"""The roles at work on a chain: roll, hedge, settle, expire, roll again; and each of them alone."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import hand_made
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_world import GWEI, Market, World, dev_signers

from keeper.chain.deployment import Deployment, VaultEntry
from keeper.chain.dev_accounts import REPORTERS, address_of_role, dev_addresses
from keeper.chain.node import Anvil
from keeper.errors import InputError
from keeper.hedging.decide import HedgeConfig
from keeper.roles.reporter import Reporter, ReporterConfig
from keeper.roles.roller import RETRY, Roller, RollerConfig
from keeper.roles.schedule import expiries, round_strike, series_id
from keeper.roles.settler import Settler
from keeper.roles.sources import BarMarket
from keeper.state.decision import Action, Call, Order, OrderResult, OrderStatus, Reason
from keeper.state.ports import Head
from keeper.state.snapshot import PendingOrder, Snapshot, SurfaceState, VolSlice

DAY = 86_400
FEED, SURFACE, VENUE = "0x" + "aa" * 20, "0x" + "bb" * 20, "0x" + "cc" * 20
DEPLOYMENT = Deployment(
    31_337, 0, {"PriceFeed": FEED, "VolatilityFeed": SURFACE, "PerpMarket": VENUE}, {}, dev_addresses(), {}
)


@dataclass
class Recorder:
    """An executor that keeps what it is asked for and says that it worked."""

    orders: list[Order] = field(default_factory=list)
    flying: tuple[Order, ...] = ()
    status: OrderStatus = OrderStatus.CONFIRMED
    error: str = ""

    async def submit(self, order: Order) -> OrderResult:
        self.orders.append(order)
        return OrderResult(order.key, self.status, "0x", 1, 1, 1, 1, self.error)

    def in_flight(self, prefix: str) -> tuple[Order, ...]:
        return tuple(order for order in self.flying if order.key.startswith(prefix))

    def functions(self) -> list[str]:
        return [order.function for order in self.orders]


# The whole cycle on a real node


@pytest.fixture(scope="module")
def lived() -> Iterator[World]:
    """Twenty-six hours in long bars: a straddle is bought, hedged, expires, is settled, and the next one is bought."""
    with Anvil() as chain:
        world = World(chain, HedgeConfig(policy="fixed-band", band=2.0, to_centre=True), tenor=DAY)
        for bar in range(78):
            world.market.spot = 2_000.0 * (1.03 if bar % 10 < 5 else 0.98)
            world.step(1_128)
            world.calm_down()
        yield world


def of(world: World, call: Call) -> list[OrderResult]:
    known = {order.transaction.order.key: order.transaction.order.call for order in world.journal.orders()}
    return [result for result in world.results if known[result.key] is call]


def test_nothing_that_the_roles_sent_failed(lived: World):
    failed = [(result.key, result.error) for result in lived.results if result.status is not OrderStatus.CONFIRMED]
    assert failed == []


def test_the_scalper_holds_an_at_the_money_straddle_bought_within_budget(lived: World):
    seen = lived.snapshot("scalper")
    assert sorted(held.is_call for held in seen.holdings) == [False, True]
    assert len({(held.expiry, held.strike, held.size) for held in seen.holdings}) == 1
    assert seen.holdings[0].expiry > lived.now


def test_the_first_straddle_expired_was_fixed_settled_and_rolled(lived: World):
    assert len(of(lived, Call.FIX_EXPIRY)) >= 1
    assert len(of(lived, Call.SETTLE_SERIES)) == 4 * len(of(lived, Call.FIX_EXPIRY))
    assert len(of(lived, Call.ROLL)) == len(of(lived, Call.FIX_EXPIRY)) + 1
    first = lived.start + DAY
    assert lived.deployment.contract(lived.chain.backend(), "OptionMarket").call("settlementPrice", first) > 0


def test_every_hedge_was_settled_and_left_the_delta_inside_the_band(lived: World):
    hedges, settled = of(lived, Call.HEDGE), of(lived, Call.SETTLE)
    assert len(hedges) > 10
    assert len(settled) >= len(hedges) - 2
    lived.market.spot = 2_000.0
    for _ in range(4):
        lived.step(12)
    for hedger in lived.hedgers.values():
        assert hedger.last is not None
        assert hedger.last.reason is Reason.INSIDE_BAND
        assert abs(hedger.last.facts["net_delta"]) <= 2.0 + 1e-9


def test_every_hedge_was_decided_before_and_its_decision_is_in_the_journal(lived: World):
    for order in lived.journal.orders():
        if order.transaction.order.call is Call.HEDGE:
            decision = lived.journal.decision(order.transaction.order.decision_id)
            assert decision.decision.action is Action.HEDGE
            assert decision.snapshot.vault == decision.decision.vault


def test_the_gas_limits_leave_room_above_the_most_that_was_used(lived: World):
    for order in lived.journal.orders():
        assert order.result.gas_used < 0.8 * order.transaction.gas, order.transaction.order.key


# Hedger


def test_a_hedger_whose_order_is_on_its_way_decides_nothing(lived: World):
    hedger = lived.hedgers["scalper"]
    before = len(lived.journal.decisions("scalper"))
    recorder = Recorder(flying=(Order("hedge:scalper:1", "hedger", Call.HEDGE, VENUE, "hedge", ()),))
    original, hedger._executor = hedger._executor, recorder
    asyncio.run(hedger.on_head(Head(lived.number, lived.now, GWEI)))
    hedger._executor = original
    assert len(lived.journal.decisions("scalper")) == before


# Settler


@dataclass
class Orders:
    pending: dict[str, PendingOrder]
    rounds: dict[int, int]

    async def pending_orders(self, head: Head) -> dict[str, PendingOrder]:
        return self.pending

    async def first_rounds_from(self, times: set[int]) -> dict[int, int]:
        found = {t: next((n for n, published in self.rounds.items() if published >= t), None) for t in times}
        return {time: number for time, number in found.items() if number is not None}


def settle(
    now: int, rounds: dict[int, int], flying: tuple[Order, ...] = (), accounts: list[str] | None = None
) -> Recorder:
    recorder = Recorder(flying=flying)
    book = Orders({"0xA": PendingOrder(4, 1.0, 1.0, 1_000)}, rounds)
    settler = Settler(book, recorder, DEPLOYMENT, delay=10, window=60, accounts=accounts)
    asyncio.run(settler.on_head(Head(9, now, GWEI)))
    return recorder


def test_an_order_is_settled_at_the_first_round_from_its_benchmark_time():
    (order,) = settle(1_030, {6: 1_009, 7: 1_012, 8: 1_030}).orders
    assert (order.function, order.arguments) == ("settle", ("0xA", 7))


@pytest.mark.parametrize(("now", "rounds"), [(1_009, {}), (1_009, {7: 1_009}), (1_070, {7: 1_009})])
def test_an_order_waits_for_its_benchmark(now: int, rounds: dict[int, int]):
    assert settle(now, rounds).orders == []


def test_an_order_without_a_price_is_cancelled_once_its_window_has_closed():
    assert settle(1_071, {7: 1_009}).functions() == ["cancel"]


def test_an_order_that_is_being_settled_is_left_alone():
    flying = (Order("settle:0xA:4@8", "settler", Call.SETTLE, VENUE, "settle", ()),)
    assert settle(1_030, {7: 1_012}, flying).orders == []


def test_an_order_that_was_settled_is_not_settled_again_at_a_head_from_before():
    recorder = Recorder()
    book = Orders({"0xA": PendingOrder(4, 1.0, 1.0, 1_000)}, {7: 1_012})
    settler = Settler(book, recorder, DEPLOYMENT, delay=10, window=60)
    for number in (9, 10):
        asyncio.run(settler.on_head(Head(number, 1_030, GWEI)))
    book.pending["0xA"] = PendingOrder(5, 1.0, 1.0, 1_001)
    asyncio.run(settler.on_head(Head(11, 1_030, GWEI)))
    assert [order.key for order in recorder.orders] == ["settle:0xA:4@9", "settle:0xA:5@11"]


def test_only_the_accounts_that_are_asked_for_are_settled():
    assert settle(1_030, {7: 1_012}, accounts=["0xB"]).orders == []


def many_orders(recorder: Recorder, count: int, batch: int = 8) -> tuple[Settler, Orders]:
    book = Orders({f"0x{n:02}": PendingOrder(n + 1, 1.0, 1.0, 1_000 + n) for n in reversed(range(count))}, {7: 1_200})
    return Settler(book, recorder, DEPLOYMENT, delay=10, window=60, batch=batch), book


def test_of_many_orders_the_oldest_are_settled_first_and_the_rest_at_the_next_heads():
    recorder = Recorder()
    settler, book = many_orders(recorder, 20)
    for number in range(3):
        asyncio.run(settler.on_head(Head(number, 1_300 + number, GWEI)))
        for order in recorder.orders:
            book.pending.pop(order.arguments[0], None)
    assert [order.arguments for order in recorder.orders] == [(f"0x{n:02}", 7) for n in range(20)]


def test_orders_whose_settlement_keeps_failing_are_tried_less_and_less_and_hold_up_nobody():
    recorder = Recorder(status=OrderStatus.REVERTED, error="OutOfSorts()")
    settler, _ = many_orders(recorder, 2, batch=1)
    seen: list[int] = []
    for second in range(0, 1_300, 2):
        asyncio.run(settler.on_head(Head(second, 1_300 + second, GWEI)))
        seen += [second for order in recorder.orders if order.arguments[0] == "0x00"]
        recorder.orders.clear()
    waits = [later - earlier for earlier, later in itertools.pairwise(seen)]
    assert waits[0] <= 4
    assert [round(wait / 12) for wait in waits[1:6]] == [1, 2, 4, 8, 16]
    assert len(seen) < 12


def test_losing_the_race_for_an_order_is_counted_and_not_tried_again(caplog: pytest.LogCaptureFixture):
    recorder = Recorder(status=OrderStatus.REVERTED, error="NoOrder(0x00)")
    settler, _ = many_orders(recorder, 2)
    for second in range(3):
        asyncio.run(settler.on_head(Head(second, 1_300 + second, GWEI)))
    assert len(recorder.orders) == settler.lost == 2
    assert caplog.records == []


# Reporter

CONFIG = ReporterConfig(price_heartbeat=60, price_deviation=0.01, vol_heartbeat=600, vol_deviation=0.05, tenor=DAY)


def reporter(recorder: Recorder, market: Market) -> Reporter:
    signers = dev_signers()
    return Reporter(market, recorder, DEPLOYMENT, [signers[role] for role in REPORTERS], CONFIG)


@pytest.mark.parametrize(
    ("seconds", "move", "due"),
    [(59, 1.0, False), (60, 1.0, True), (1, 1.0101, True), (1, 0.9899, True), (1, 1.009, False)],
)
def test_a_price_is_published_on_heartbeat_or_deviation(seconds: int, move: float, due: bool):
    recorder, market = Recorder(), Market()
    report = reporter(recorder, market)
    asyncio.run(report.on_time(10_000))
    recorder.orders.clear()
    market.spot *= move
    asyncio.run(report.on_time(10_000 + seconds))
    assert ("publish" in recorder.functions()) is due


@pytest.mark.parametrize(("seconds", "vol", "due"), [(599, 0.8, 0), (600, 0.8, 2), (1, 0.841, 2), (1, 0.839, 0)])
def test_the_next_two_expiries_are_reported_on_heartbeat_or_deviation(seconds: int, vol: float, due: int):
    recorder, market = Recorder(), Market()
    report = reporter(recorder, market)
    asyncio.run(report.on_time(10_000))
    assert recorder.functions().count("submit") == 2
    recorder.orders.clear()
    market.vol = vol
    asyncio.run(report.on_time(10_000 + seconds))
    assert recorder.functions().count("submit") == due


@pytest.mark.parametrize(("vol", "order"), [(0.9, [2 * DAY, DAY]), (0.7, [DAY, 2 * DAY])])
def test_rising_vol_is_reported_from_the_far_end_and_falling_from_the_near_one(vol: float, order: list[int]):
    recorder, market = Recorder(), Market()
    report = reporter(recorder, market)
    asyncio.run(report.on_time(10_000))
    recorder.orders.clear()
    market.vol = vol
    asyncio.run(report.on_time(10_100))
    expiry_of = [each.arguments[0][0][0] for each in recorder.orders if each.function == "submit"]  # type: ignore[index]
    assert expiry_of == order


def test_all_reporters_sign_the_same_report():
    recorder = Recorder()
    asyncio.run(reporter(recorder, Market()).on_time(10_000))
    reports, signatures = next(each.arguments for each in recorder.orders if each.function == "submit")
    assert (len(set(reports)), len(set(signatures))) == (1, len(REPORTERS))  # type: ignore[arg-type]


def test_a_refused_price_is_published_again_at_once():
    recorder = Recorder(status=OrderStatus.REFUSED)
    report = reporter(recorder, Market())
    for now in (10_000, 10_001):
        asyncio.run(report.on_time(now))
    assert recorder.functions().count("publish") == 2


@pytest.mark.parametrize("news", [True, False])
def test_a_wrapped_aggregator_is_copied_only_when_it_has_news(news: bool):
    class Wrapped:
        async def has_news(self) -> bool:
            return news

    recorder = Recorder()
    signers = [dev_signers()[role] for role in REPORTERS]
    report = Reporter(Market(), recorder, DEPLOYMENT, signers, CONFIG, wrapped=Wrapped())
    asyncio.run(report.on_time(10_000))
    assert ("pull" in recorder.functions()) is news
    assert "publish" not in recorder.functions()


def test_replayed_bars_stop_at_their_last_price():
    import numpy as np

    from keeper.market.crash import crash_bars

    bars = crash_bars(np.random.default_rng(1), 0, days=2.0)
    market = BarMarket(bars, start=5_000, speed=60.0)
    assert market.price(0) == market.price(5_000) == bars.open[0]
    assert market.price(10**9) == bars.close[-1]
    theta, _, _ = market.slice(6_000, 6_000 + DAY)
    assert 0.4**2 <= theta * 365 <= 3.0**2


# Roller and schedule


@given(start=st.integers(0, 10**9), elapsed=st.integers(0, 10**8), tenor=st.integers(1, 10**7))
def test_expiries_are_the_next_two_on_the_grid(start: int, elapsed: int, tenor: int):
    now = start + elapsed
    nearest, following = expiries(start, now, tenor)
    assert now < nearest <= now + tenor
    assert following - nearest == tenor
    assert (nearest - start) % tenor == 0


@pytest.mark.parametrize(
    ("price", "step", "strike"),
    [
        (2_013.0, 0.0, 2_000.0),
        (2_026.0, 0.0, 2_050.0),
        (212.0, 0.0, 210.0),
        (60_900.0, 0.0, 61_000.0),
        (2_013.0, 30.0, 2_010.0),
    ],
)
def test_strikes_are_round(price: float, step: float, strike: float):
    assert round_strike(price, step) == pytest.approx(strike, rel=1e-12)


@given(st.floats(1e-3, 1e7))
def test_a_strike_lies_within_an_eightieth_of_the_price(price: float):
    assert abs(round_strike(price, 0.0) / price - 1.0) <= 0.0125 + 1e-9


@given(st.integers(0, 2**40), st.floats(0.01, 1e6), st.booleans())
def test_a_series_id_packs_expiry_type_and_strike(expiry: int, strike: float, is_call: bool):
    packed = series_id(expiry, strike, is_call)
    assert packed >> 136 == expiry
    assert (packed >> 128 & 0xFF) == is_call
    assert (packed & (1 << 128) - 1) / 1e18 == pytest.approx(strike)


def test_a_tenor_within_the_averaging_is_refused():
    with pytest.raises(InputError, match="1800"):
        RollerConfig(tenor=1_800)


@dataclass
class Quiet:
    """A reader of a market in which everything is listed and nothing is held."""

    now: int = 1_000

    async def snapshot(self, vault: str) -> Snapshot:
        surface = VolSlice(100 * DAY, 0.01, 0.0, 0.1, self.now, SurfaceState.FRESH)
        return replace(hand_made.snapshot(self.now, self.now, 100.0, 1e6, ()), slices=(surface,))

    async def is_listed(self, series: int) -> bool:
        return True

    async def quote(self, maker: str, series: int, size: float) -> float:
        return 5.0 * size


def test_a_refused_roll_is_not_sent_again_in_the_next_block():
    entry = VaultEntry("0x" + "11" * 20, "scalper", "0x" + "22" * 20, "0x" + "33" * 20, 0.05)
    maker = replace(entry, address="0x" + "33" * 20, kind="underwriter", maker=None)
    contracts = {**DEPLOYMENT.contracts, "OptionMarket": "0x" + "dd" * 20}
    deployment = replace(DEPLOYMENT, contracts=contracts, vaults={"scalper": entry, "underwriter": maker})
    reader, executor = Quiet(), Recorder(status=OrderStatus.REVERTED)
    roller = Roller("scalper", reader, executor, deployment, RollerConfig())
    for block in range(3 * RETRY // 12):
        reader.now = 1_000 + 12 * block
        asyncio.run(roller.on_head(Head(reader.now, reader.now, 1)))
    assert executor.functions() == ["roll"] * 3


def test_the_settler_s_account_is_paid_its_reward(lived: World):
    house = lived.deployment.contract(lived.chain.backend(), "Clearinghouse")
    assert house.call("cash", address_of_role("settler")) > 0
