"""Laws of the option market and the vaults, and the contracts' formulas against their twins in floats.

Every example starts from the same world, on a snapshot that is undone afterwards.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from option_world import HALF_SPREAD, LIMITS, MIN_SPREAD, WEEK, OptionWorld, straddle_world
from venue_world import refusal

from keeper.chain.abi import Revert
from keeper.chain.contract import Receipt
from keeper.protocol import mandate, nav, options
from keeper.units import from_wad, to_usdc, to_wad

SERIES = ((2_000.0, True), (2_000.0, False), (2_200.0, True), (1_800.0, False))
TRADERS = ("trader", "second", "third")
MAKERS = ("maker", "rival")

trades = st.tuples(
    st.sampled_from(TRADERS),
    st.sampled_from(MAKERS),
    st.integers(0, len(SERIES) - 1),
    st.floats(-20, 20).filter(lambda size: abs(size) > 1e-6),
)


@cache
def market_world() -> OptionWorld:
    world = OptionWorld()
    for maker in MAKERS:
        world.make(maker)
        world.deposit(maker, 500_000)
    for trader in TRADERS:
        world.deposit(trader, 50_000)
    expiry = world.evm.timestamp + WEEK
    for strike, is_call in SERIES:
        world.list_series(strike, is_call, expiry)
    return world


@cache
def vault_world() -> OptionWorld:
    return straddle_world()


def series_ids(world: OptionWorld) -> list[int]:
    return [int(world.market.call("seriesId", world.expiries[0], to_wad(k), c)) for k, c in SERIES]


def accounts(world: OptionWorld) -> list[str]:
    return [*TRADERS, *MAKERS, world.market.address]


# -- the market -------------------------------------------------------------------------------------------------------


@given(st.lists(trades, min_size=1, max_size=12))
def test_positions_of_a_series_sum_to_zero_and_cash_is_conserved(sequence: list[tuple[str, str, int, float]]) -> None:
    world = market_world()
    with world.evm.rolled_back():
        ids = series_ids(world)
        cash = world.total_cash(*accounts(world))
        for taker, maker, which, size in sequence:
            try:
                world.buy(taker, maker, ids[which], size)
            except Revert as reason:
                if reason.name not in {"InsufficientMargin", "MakerLimit", "MakerMargin", "SizeTooSmall"}:
                    raise
                continue
            for role in (taker, maker):
                equity, initial, _ = world.margin(role)
                assert equity >= initial
        long = 0
        for series in ids:
            sizes = [world.position(role, series) for role in (*TRADERS, *MAKERS)]
            assert sum(sizes) == 0
            long += sum(size for size in sizes if size > 0)
        assert world.market.call("openShorts", world.expiries[0]) == long
        assert world.market.call("pot", world.expiries[0]) == (0, 0)
        assert world.total_cash(*accounts(world)) == cash
        for role in (*TRADERS, *MAKERS):
            held = world.market.call("seriesOf", world.account(role))
            assert set(held) == {series for series in ids if world.position(role, series) != 0}


@given(st.lists(trades, min_size=1, max_size=6), st.floats(1_000, 4_000), st.permutations(range(len(TRADERS + MAKERS))))
def test_settlement_conserves_cash_whatever_the_order(
    sequence: list[tuple[str, str, int, float]], price: float, order: list[int]
) -> None:
    world = market_world()
    with world.evm.rolled_back():
        ids = series_ids(world)
        for taker, maker, which, size in sequence:
            try:
                world.buy(taker, maker, ids[which], size)
            except Revert:
                continue
        cash = world.total_cash(*accounts(world))
        fixed = world.expire(world.expiries[0], price)
        roles = [(TRADERS + MAKERS)[each] for each in order]
        held = [(world.position(role, series), role, which) for which, series in enumerate(ids) for role in roles]
        for size, role, which in sorted((each for each in held if each[0]), key=lambda each: each[0] > 0):
            if world.position(role, ids[which]) == 0:
                continue  # netted against the account's own short
            amount = world.settle_series(role, ids[which])
            full = from_wad(size) * options.payoff(from_wad(fixed), *SERIES[which])
            if size > 0:
                assert from_wad(amount) <= full * (1 + 1e-12) + 1e-9
            else:
                assert from_wad(amount) >= full * (1 + 1e-12) - 1e-9
        assert all(world.position(role, series) == 0 for role in roles for series in ids)
        assert world.total_cash(*accounts(world)) == cash
        dust = world.cash(world.market.address)
        # Wei: each short's rounding, and for each netting one wei of size, which is worth its payoff.
        assert 0 <= dust <= 100 + len(held) * max(options.payoff(from_wad(fixed), *terms) for terms in SERIES)


@given(st.integers(0, 3), st.floats(0.01, 50), st.floats(0, 0.1), st.floats(0, 1e-4))
def test_round_trip_never_profits_the_taker(which: int, size: float, half_spread: float, skew: float) -> None:
    world = market_world()
    with world.evm.rolled_back():
        world.make("maker", halfSpread=to_wad(half_spread), vegaSkew=to_wad(skew))
        series = series_ids(world)[which]
        for first in (size, -size):
            try:
                out = world.buy("trader", "maker", series, first).result
                back = world.buy("trader", "maker", series, -first).result
            except Revert:
                continue
            assert out + back >= -2


@given(
    st.integers(0, 3),
    st.floats(-30, 30).filter(lambda size: abs(size) > 1e-3),
    st.floats(1_500, 2_600),
    st.floats(0.3, 1.5),
    st.floats(0, 1e-6),
)
def test_quote_equals_its_twin(which: int, size: float, price: float, vol: float, skew: float) -> None:
    world = market_world()
    before = world.vol
    with world.evm.rolled_back():
        world.make("maker", vegaSkew=to_wad(skew))
        ids = series_ids(world)
        world.buy("trader", "maker", ids[0], 5.0)
        world.later(3_600, price, vol)
        strike, is_call = SERIES[which]
        left = world.expiries[0] - world.evm.timestamp
        unit_greeks, mid_vol = world.market.call("unitGreeks", ids[which], world.price())
        expected = options.unit(from_wad(world.price()), strike, left, from_wad(mid_vol), is_call)
        for got, want, scale in zip(unit_greeks, expected, (price, 1.0, 1 / price, price, price * 100), strict=True):
            assert abs(from_wad(got) - want) <= 1e-9 * scale
        sold = -from_wad(world.market.call("greeksOf", world.account("maker"), world.price())[3])
        quoted = options.quote_vol(from_wad(mid_vol), HALF_SPREAD, from_wad(to_wad(skew)), sold, size, expected[3])
        premium, _, chosen = world.quote("maker", ids[which], size)
        assert from_wad(chosen) == pytest.approx(quoted, rel=1e-9)
        twin = options.premium(from_wad(world.price()), strike, left, quoted, is_call, size) + options.added_spread(
            from_wad(world.price()), expected[1], expected[3], HALF_SPREAD, MIN_SPREAD, size
        )
        assert abs(from_wad(premium) - twin) <= 1e-9 * price * abs(size)
    world.vol = before


@given(st.floats(500, 8_000), st.floats(500, 8_000), st.booleans(), st.floats(0, 1_000))
def test_margin_of_a_short_is_ordered_and_bounded(price: float, strike: float, is_call: bool, vega: float) -> None:
    initial, maintenance = options.short_margin(price, strike, is_call, vega, HALF_SPREAD)
    assert 0 < maintenance < initial
    share = (initial - vega * HALF_SPREAD) / price
    assert 0.10 - 1e-12 <= share <= 0.15 + 1e-12


# -- the auction ------------------------------------------------------------------------------------------------------


@cache
def auction_world() -> OptionWorld:
    """Two writers, of calls alone and of a hedged strangle, and two bidders of whom one is short of what it may get."""
    world = OptionWorld(insurance_cash=50_000, max_per_event=40_000)
    for role, dollars in (("maker", 2_000_000), ("bidder", 1_000_000), ("rival", 1_000_000)):
        world.deposit(role, dollars)
    world.make("maker", halfSpread=0, minSpread=0, vegaSkew=0)
    expiry = world.evm.timestamp + WEEK
    call, put = world.list_series(2_000.0, True, expiry), world.list_series(1_900.0, False, expiry)
    world.deposit("writer", 30_500)
    world.buy("writer", "maker", call, -100.0)
    world.deposit("hedger", 62_000)
    world.trade("hedger", 50.0)
    world.report()
    world.buy("hedger", "maker", call, -60.0)
    world.buy("hedger", "maker", put, -60.0)
    world.buy("rival", "maker", call, 70.0)
    world.trade("rival", -20.0)
    return world


AUCTION_ROLES = ("writer", "hedger", "bidder", "rival", "maker")

bids = st.tuples(
    st.sampled_from(("writer", "hedger")),
    st.sampled_from(("bidder", "rival")),
    st.floats(0.001, 1.0),
    st.integers(0, 800),
    st.floats(0.98, 1.03),
)
crashes = st.one_of(st.floats(2_170, 2_450), st.floats(1_250, 1_460))
"""Prices at which at least one of the writers is below maintenance, or insolvent."""


def worth(world: OptionWorld, role: str) -> int:
    account, price = world.account(role), world.price()
    options = world.market.call("greeksOf", account, price)[0]
    return int(world.cash(role) + sum(world.perp.call("accrued", account, price)) + options)


def offered(world: OptionWorld, role: str) -> tuple[int, int]:
    """Value and price of all that is for sale of an account, wad."""
    account, price = world.account(role), world.price()
    started, _, reserved = world.auction.call("auction", account)
    value = worth(world, role)
    kept = reserved if reserved < value else 0
    paid = world.auction.call("terms", account, price)[1]
    cash = world.cash(role) - kept + sum(world.perp.call("accrued", account, price))
    return value - kept, (paid + cash if started else 0)


def attempt(refused: set[str], action: Any, *args: Any, **kwargs: Any) -> Receipt | None:
    """What an action did, or None where it was refused for one of these reasons."""
    try:
        return action(*args, **kwargs)
    except Revert as reason:
        if reason.name not in refused:
            raise
        return None


@given(crashes, st.floats(0.6, 1.1), st.lists(bids, min_size=1, max_size=8))
def test_auction_conserves_everything_and_a_bidder_gains_its_discount_at_most(
    price: float, vol: float, sequence: list[tuple[str, str, float, int, float]]
) -> None:
    world = auction_world()
    before = world.vol
    refused = {"NoAuction", "NotLiquidatable", "WrongEngine", "InsufficientMargin", "DeficitTooLarge"}
    with world.evm.rolled_back():
        world.later(60, price, vol)
        books = [*(world.account(role) for role in AUCTION_ROLES), world.account("keeper"), world.account("liquidator")]
        total, skew = world.total_cash(*books), world.perp.call("skew")
        for role, bidder, fraction, seconds, move in sequence:
            world.later(1 + seconds, from_wad(world.price()) * move)
            attempt(refused, world.liquidate, role)
            (value, cost), had, left = offered(world, role), worth(world, bidder), worth(world, role)
            receipt = attempt(refused, world.bid, role, fraction, bidder=bidder)
            if receipt is not None:
                (told,) = receipt.events("AuctionBid")
                assert 100 * cost <= 98 * max(value, 0) + 1_000
                gained = (value - cost) * told["fraction"] // 10**18
                assert abs(worth(world, bidder) - had - gained) <= 10_000
                assert abs(worth(world, role) - left + gained - told["deficit"]) <= 10_000
            assert world.total_cash(*books) == total
            assert world.perp.call("skew") == skew
            for series in world.market.call("seriesOf", world.account("maker")):
                assert sum(world.position(each, series) for each in AUCTION_ROLES) == 0
            assert world.cash(world.auction.address) == 0
    world.vol = before


# -- the vaults -------------------------------------------------------------------------------------------------------


flows = st.tuples(st.sampled_from(("newcomer", "depositor")), st.booleans(), st.floats(0.01, 1.0))


@given(st.lists(flows, min_size=1, max_size=8), st.floats(1_700, 2_400), st.sampled_from(("scalper", "underwriter")))
def test_no_flow_lowers_the_share_price(sequence: list[tuple[str, bool, float]], price: float, name: str) -> None:
    world = vault_world()
    with world.evm.rolled_back():
        vault = getattr(world, name)
        world.later(3_600, price)
        for role, is_deposit, part in sequence:
            before = vault.call("sharePrice")
            mid, _, high = vault.call("nav")
            if is_deposit:
                dollars = part * 1_000_000
                world.invest(vault, role, dollars)
                gain = from_wad(vault.call("sharePrice") - before) * from_wad(vault.call("totalSupply"))
                assert gain <= dollars * (high / mid - 1) + 1e-3
            else:
                shares = int(vault.call("maxRedeem", world.account(role))) * int(part * 1_000_000) // 1_000_000
                if shares:
                    world.redeem(vault, role, shares)
            assert vault.call("sharePrice") >= before
            assert from_wad(vault.call("sharePrice")) == pytest.approx(
                nav.share_price(from_wad(vault.call("nav")[0]), from_wad(vault.call("totalSupply"))), rel=1e-12
            )


@given(st.floats(1e-6, 1e6), st.floats(0, 1e7), st.floats(1, 1e6))
def test_donating_to_an_empty_vault_never_profits_its_first_holder(stake: float, gift: float, victim: float) -> None:
    world = _empty_vault()
    with world.evm.rolled_back():
        vault = world.scalper
        world.invest(vault, "attacker", stake)
        if to_usdc(gift):
            world.deposit(vault.address, gift)
        world.invest(vault, "depositor", victim)
        world.unlock_shares()
        back = world.redeem(vault, "attacker", vault.call("balanceOf", world.account("attacker")))
        assert back <= to_usdc(stake) + to_usdc(gift)


@cache
def _empty_vault() -> OptionWorld:
    world = OptionWorld()
    world.open_vaults()
    return world


# -- the mandate ------------------------------------------------------------------------------------------------------


@given(st.floats(1_500, 2_700), st.floats(-60, 60).filter(lambda size: abs(size) > 1e-9))
def test_no_hedge_that_goes_raises_delta_beyond_the_tolerance(price: float, size: float) -> None:
    world = vault_world()
    with world.evm.rolled_back():
        vault = world.scalper
        world.later(600, price)
        before = world.net_delta(vault)
        allowed = mandate.reduces(before, before + from_wad(to_wad(size)), 0.5)
        if not allowed:
            assert refusal(world.hedge, vault, size).name == "DoesNotReduce"
            return
        if abs(to_wad(size)) < LIMITS["minOrderSize"]:
            assert refusal(world.hedge, vault, size).name == "SizeTooSmall"
            return
        world.hedge(vault, size)
        after = world.net_delta(vault)
        assert abs(after) <= max(abs(before), 0.5)
        assert after == pytest.approx(before + size, abs=1e-9)
        world.settle_hedge(vault)
        assert world.net_delta(vault) == pytest.approx(after, abs=0.01)


@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(0, 10))
def test_rule_of_reduction_is_symmetric_and_never_raises_delta(before: float, size: float, tolerance: float) -> None:
    after = before + size
    allowed = mandate.reduces(before, after, tolerance)
    assert allowed == mandate.reduces(-before, -after, tolerance)
    if allowed:
        assert abs(after) <= max(abs(before), tolerance)
        assert abs(after) <= tolerance or math.copysign(1, after) == math.copysign(1, before)
