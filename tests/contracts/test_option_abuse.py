"""What a stranger, a taker, a roller or a hedger with a bad intention cannot do to the options and the vaults."""

from __future__ import annotations

import pytest
from option_world import OptionWorld, straddle_world
from venue_world import parameters, refusal

from keeper.chain.abi import Revert
from keeper.protocol import nav, options, perp
from keeper.units import SECONDS_PER_DAY, WAD, from_wad, to_wad

WINDOW = 1_800
OVERFLOW = "0x35278d12"
"""Overflow() of the casting library, which no interface of ours names."""


def series_at(world: OptionWorld, is_call: bool, strike: float = 2_000.0) -> int:
    return int(world.market.call("seriesId", world.expiries[0], to_wad(strike), is_call))


def test_last_minute_move_does_not_pay_who_sells_at_the_spot() -> None:
    """A quarter of an hour before expiry the index jumps 4%: what settles is an average that moves half as far."""
    world = straddle_world(0)
    call, expiry = series_at(world, True), world.expiries[0]
    world.move(2_000.0, expiry - WINDOW - world.evm.timestamp)
    world.report()
    world.move(2_000.0, 800)
    world.report()
    world.move(2_080.0, 98)
    world.deposit("attacker", 500_000)
    before = world.cash("attacker")
    world.buy("attacker", world.underwriter.address, call, -1_000.0)
    world.evm.advance(expiry + 1 - world.evm.timestamp)
    world.publish(2_080.0)
    world.fix(expiry)
    world.settle_series("attacker", call)
    assert world.cash("attacker") <= before


def test_nothing_trades_once_the_average_has_less_variance_left_than_a_price_can_count() -> None:
    """A minute of variance is left with 14 minutes to go; with less, an option at the money would be sold too dear."""
    world = straddle_world(0)
    call, maker, expiry = series_at(world, True), world.underwriter.address, world.expiries[0]
    world.move(2_000.0, expiry - WINDOW - world.evm.timestamp)
    world.report()
    world.deposit("attacker", 5_000_000)
    world.evm.advance(expiry - 841 - world.evm.timestamp)
    world.buy("attacker", maker, call, -1.0)
    world.evm.advance(1)
    for size in (-1.0, 1.0):
        assert refusal(world.quote, maker, call, size).name == "TradingClosed"
        assert refusal(world.buy, "attacker", maker, call, size).name == "TradingClosed"


@pytest.mark.parametrize("left", [1_799, 900, 300, 30, 0])
def test_value_in_the_window_is_that_of_the_average(left: int) -> None:
    """The index rests at 2000 in the window; margin asks what the call is worth at another price."""
    world = straddle_world(0)
    expiry = world.expiries[0]
    world.move(2_000.0, expiry - WINDOW - 10 - world.evm.timestamp)
    world.report()
    world.evm.advance(expiry - left - world.evm.timestamp)
    greeks, vol = world.market.call("unitGreeks", series_at(world, True), to_wad(2_060))
    assert [from_wad(part) for part in greeks] == pytest.approx(
        options.unit_given(2_060.0, 2_000.0, 2_000.0, float(left), from_wad(vol), True), rel=1e-9, abs=1e-9
    )


def test_options_without_vega_cost_the_least_spread() -> None:
    world = straddle_world(40)
    world.later(6 * SECONDS_PER_DAY, price=1_200.0, vol=0.8)
    premium, mid, _ = world.quote(world.underwriter.address, series_at(world, True), 30_000.0)
    assert mid < to_wad(1)
    assert from_wad(premium - mid) >= 30_000 * 0.0005 * 1_200 * 0.1 * 0.999


def test_nobody_can_sell_the_maker_down_to_its_initial_margin() -> None:
    """Worthless calls by the ten thousand would take all of the maker's margin: it keeps its buffer and can hedge."""
    world = straddle_world(40)
    maker, call = world.underwriter.address, series_at(world, True)
    world.later(6 * SECONDS_PER_DAY, price=1_200.0, vol=0.8)
    world.deposit("attacker", 1_000_000)
    low, high = 1, 60_000
    while high - low > 100:
        middle = (low + high) // 2
        with world.evm.rolled_back():
            try:
                world.buy("attacker", maker, call, float(middle))
                low = middle
            except Revert:
                high = middle
    world.buy("attacker", maker, call, float(low))
    equity, initial, _ = world.margin(maker)
    assert equity >= 1.5 * initial > 0
    assert refusal(world.buy, "attacker", maker, call, 1_000.0).name == "MakerMargin"
    world.hedge(world.underwriter, -world.net_delta(world.underwriter))


def test_selling_longs_to_the_maker_stops_at_its_buffer() -> None:
    world = OptionWorld()
    world.deposit("maker", 10_000)
    world.deposit("attacker", 3_000_000)
    world.make("maker")
    call = world.list_series(2_000.0, True)
    world.buy("attacker", "maker", call, 10.0)
    put = world.list_series(2_400.0, False, world.expiries[0])
    assert refusal(world.buy, "attacker", "maker", put, -15.0).name == "MakerMargin"
    world.buy("attacker", "maker", call, -10.0)  # back to flat: always


def test_units_short_are_bounded() -> None:
    world = straddle_world(0)
    world.deposit("maker", 1_000_000)
    world.deposit("trader", 100_000)
    world.make("maker", maxShort=to_wad(10))
    call = series_at(world, True)
    assert refusal(world.buy, "trader", "maker", call, 10.01).name == "MakerShortLimit"
    world.buy("trader", "maker", call, 10.0)
    world.buy("trader", "maker", call, -1.0)


def test_price_update_that_is_seen_coming_does_not_pay() -> None:
    """With a least spread of what the feed waits for, a round trip costs more than an update can move."""
    world = straddle_world(40)
    put, maker = series_at(world, False), "maker"
    world.deposit(maker, 20_000_000)
    world.make(maker, minSpread=to_wad(0.01), maxVega=to_wad(1e9))
    world.later(6 * SECONDS_PER_DAY, price=1_200.0, vol=0.8)
    world.deposit("attacker", 3_000_000)
    before = world.cash("attacker")
    world.buy("attacker", maker, put, 3_000.0)
    world.move(1_188.0, 1)
    world.buy("attacker", maker, put, -3_000.0)
    assert world.cash("attacker") <= before


def test_nobody_trades_in_the_block_of_a_report() -> None:
    world = straddle_world(40)
    call, maker = series_at(world, True), world.underwriter.address
    world.deposit("attacker", 3_000_000)
    world.evm.advance(60)
    world.buy("attacker", maker, call, 100.0)
    world.report(1.2)
    world.evm.timestamp -= 1
    assert refusal(world.buy, "attacker", maker, call, -100.0).name == "SurfaceJustMoved"


def test_shares_cannot_be_held_across_one_report_only() -> None:
    world = straddle_world(100)
    scalper = world.scalper
    shares = world.invest(scalper, "whale", 9_000_000)
    world.report(1.2)
    whale, friend = world.account("whale"), world.account("friend")
    assert scalper.call("maxRedeem", whale) == scalper.call("maxWithdraw", whale) == 0
    assert refusal(scalper.send, "transfer", friend, shares, sender=whale).name == "SharesLocked"
    world.unlock_shares()
    assert scalper.call("maxRedeem", whale) > 0
    scalper.send("transfer", friend, shares, sender=whale)


def test_owner_cannot_take_its_part_of_what_is_free_again_and_again() -> None:
    world = straddle_world(0)
    vault, second = world.underwriter, world.account("second")
    world.invest(vault, "second", 5_000_000)
    world.unlock_shares()
    world.deposit("taker", 4_000_000)
    world.buy("taker", vault.address, series_at(world, True), 9_000.0)
    part = vault.call("maxWithdraw", second)
    assert 0 < vault.call("maxRedeem", second) < vault.call("balanceOf", second)
    other = vault.call("maxWithdraw", world.account("depositor"))
    assert world.redeem(vault, "second", vault.call("maxRedeem", second)) == pytest.approx(part, abs=2)
    assert vault.call("maxRedeem", second) == vault.call("maxWithdraw", second) == 0
    assert vault.call("maxWithdraw", world.account("depositor")) >= other * 0.6


def test_nobody_locks_the_shares_of_another_by_redeeming_nothing_of_them() -> None:
    world = straddle_world(0)
    owner, stranger = world.account("depositor"), world.account("stranger")
    for function in ("redeem", "withdraw"):
        assert refusal(world.scalper.send, function, 0, stranger, owner, sender=stranger).name == "ZeroAmount"
    assert world.scalper.call("maxRedeem", owner) > 0


def test_empty_vault_has_nothing_to_take_out() -> None:
    world = OptionWorld()
    world.open_vaults()
    for function in ("maxRedeem", "maxWithdraw"):
        assert world.scalper.call(function, world.account("stranger")) == 0


def test_vault_closes_at_the_benchmark_its_order_was_given_whatever_the_parameters_are_now() -> None:
    world = straddle_world(40)
    vault, changes = world.scalper, {"settlementDelay": 600}
    world.perp.send("proposeParameters", parameters(**changes), sender=world.admin)
    world.later(SECONDS_PER_DAY, price=2_100.0)
    world.hedge(vault, -round(world.net_delta(vault), 2))
    world.perp.send("applyParameters", parameters(**changes), sender=world.admin)
    world.move(2_150.0, 2)
    assert world.perp.call("benchmarkTime", vault.address) <= world.evm.timestamp
    assert vault.call("maxDeposit", world.admin) == vault.call("maxRedeem", world.account("depositor")) == 0


def test_deposit_for_another_cannot_lock_its_shares() -> None:
    world = straddle_world(0)
    who = world.account("stranger")
    amount = world._mint(who, world.scalper, 1.0)
    error = refusal(world.scalper.send, "deposit", amount, world.account("depositor"), sender=who)
    assert error.name == "NotDepositor"


def test_roll_of_a_wrapped_size_is_refused() -> None:
    world = straddle_world(0)
    args = (world.expiries[0], to_wad(2_000), 2**256 - to_wad(500), 2**255 - 1)
    assert refusal(world.scalper.send, "roll", *args, sender=world.account("roller")).name == OVERFLOW


def test_rolls_of_one_day_spend_one_budget() -> None:
    world = straddle_world(0)
    before, done = int(world.scalper.call("nav")[0]), 0
    for _ in range(20):
        try:
            world.roll(2_000.0, 100.0, world.expiries[0])
            done += 1
        except Revert:
            break
    assert 0 < done < 20
    assert refusal(world.roll, 2_000.0, 100.0, world.expiries[0]).name == "BudgetExceeded"
    spent = before - world.cash(world.scalper.address)
    assert spent <= before // 10
    equity, initial, _ = world.margin(world.scalper.address)
    assert equity >= 1.2 * initial


def test_dust_orders_spend_the_least_size_of_the_budget() -> None:
    world = straddle_world(40)
    mandate, hedger = world.mandates[world.scalper.address], world.account("hedger")
    limits = list(mandate.call("limits"))
    limits[2], limits[5], limits[6] = to_wad(1), to_wad(2), 0
    mandate.send("setLimits", tuple(limits), sender=world.admin)
    side = -1.0 if world.net_delta(world.scalper) > 0 else 1.0
    assert refusal(world.hedge, world.scalper, side * 0.5).name == "SizeTooSmall"
    world.hedge(world.scalper, side * 1.0)
    world.settle_hedge(world.scalper)
    left = from_wad(mandate.call("budgetLeft", hedger))
    assert left == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("price", [490.0, 250_000.0])
def test_price_far_from_a_strike_is_valued_and_never_reverts(price: float) -> None:
    world = OptionWorld()
    strike = 9_900.0
    expiry = world.evm.timestamp + 300 * SECONDS_PER_DAY
    ids = [world.list_series(strike, side, expiry) for side in (True, False)]
    world.deposit("maker", 1_000_000)
    world.make("maker")
    world.deposit("taker", 100_000)
    for series in ids:
        world.buy("taker", "maker", series, 1.0)
    world.later(600, price=price)
    world.house.call("margin", world.account("maker"), world.price())
    for series, is_call in zip(ids, (True, False), strict=True):
        (value, delta, _, vega, _), vol = world.market.call("unitGreeks", series, world.price())
        payoff = options.payoff(price, strike, is_call)
        assert (from_wad(value), vega, vol) == (pytest.approx(payoff), 0, 0)
        assert delta == (0 if payoff == 0.0 else WAD if is_call else -WAD)
    assert world.quote("maker", ids[0], 1.0)[0] > world.quote("maker", ids[0], 1.0)[1]


def test_redemption_leaves_the_margin_buffer_to_the_hedger() -> None:
    world = straddle_world(0)
    vault = world.underwriter
    world.deposit("taker", 2_000_000)
    world.buy("taker", vault.address, series_at(world, True), 3_000.0)
    world.redeem(vault, "depositor", int(vault.call("maxRedeem", world.account("depositor"))))
    equity, initial, _ = world.margin(vault.address)
    assert equity >= 1.2 * initial > 0


def test_owner_redeems_at_most_its_part_of_what_is_free() -> None:
    world = straddle_world(0)
    vault = world.underwriter
    world.invest(vault, "second", 5_000_000)
    world.unlock_shares()
    world.deposit("taker", 4_000_000)
    world.buy("taker", vault.address, series_at(world, True), 9_000.0)
    equity, initial, _ = world.margin(vault.address)
    free = min(equity - initial * 12 // 10, world.cash(vault.address)) / 10**12
    for role in ("depositor", "second"):
        assert vault.call("maxWithdraw", world.account(role)) == pytest.approx(free / 2, rel=1e-2)


def test_redemption_on_an_old_surface_is_paid_at_the_worse_vol() -> None:
    world = straddle_world(300)
    vault, who = world.underwriter, world.account("depositor")
    fresh = vault.call("previewRedeem", to_wad(1_000))
    world.evm.advance(3 * 3_600)
    world.publish(2_000.0)
    value, worse = (
        world.market.call("greeksAt", vault.address, world.price(), to_wad(scale))[0] for scale in (1.0, 1.25)
    )
    stale = vault.call("previewRedeem", to_wad(1_000))
    supply = from_wad(vault.call("totalSupply"))
    assert stale / 1e6 <= fresh / 1e6 - 0.9 * 1_000 * from_wad(value - worse) / supply
    assert vault.call("maxWithdraw", who) > 0


def test_order_of_settlement_does_not_decide_who_is_paid() -> None:
    """One writer short of two series of an expiry: what it has is shared by claims, not by who settles first."""
    world = OptionWorld(insurance_cash=0)
    first = world.list_series(2_000.0, True)
    second = world.list_series(2_010.0, True, world.expiries[0])
    world.deposit("writer", 140_000)
    world.make("writer", halfSpread=0, minSpread=0, vegaSkew=0, marginBuffer=WAD)
    for role, series in (("one", first), ("two", second)):
        world.deposit(role, 50_000)
        world.buy(role, "writer", series, 150.0)
    world.later(SECONDS_PER_DAY, price=3_000.0)
    world.expire(world.expiries[0], 3_000.0)
    paid = -world.settle_series("writer", first)
    assert refusal(world.settle_series, "one", first).name == "ShortsOpen"
    paid -= world.settle_series("writer", second)
    got = [world.settle_series("one", first), world.settle_series("two", second)]
    assert got[0] / got[1] == pytest.approx(1_000 / 990, rel=1e-9)
    assert paid - 10 <= sum(got) <= paid


def test_holder_of_a_spread_settles_for_the_spread_whatever_the_gap() -> None:
    """Long 1000 calls at 2000, short 1000 at 2010, and 3000 at expiry: the long pays for the short."""
    world = OptionWorld(insurance_cash=100_000)
    low = world.list_series(2_000.0, True)
    high = world.list_series(2_010.0, True, world.expiries[0])
    for role, dollars in (("maker", 2_000_000), ("spreader", 500_000), ("holder", 200_000)):
        world.deposit(role, dollars)
        world.make(role, halfSpread=0, minSpread=0, vegaSkew=0, marginBuffer=WAD)
    world.buy("spreader", "maker", low, 1_000.0)
    world.buy("holder", "spreader", high, 1_000.0)
    fund = world.cash(world.fund.address)
    world.later(SECONDS_PER_DAY, price=3_000.0)
    world.expire(world.expiries[0], 3_000.0)
    before = {role: world.cash(role) for role in ("maker", "spreader", "holder")}
    receipt = world.market.send("settle", world.account("spreader"), high)
    assert receipt.result == -to_wad(990_000)
    settled = {event["seriesId"]: event["amount"] for event in receipt.events("SeriesSettled")}
    assert sum(settled.values()) == world.cash("spreader") - before["spreader"] == 0 < settled[low]
    for role, series in (("maker", low), ("spreader", low), ("holder", high)):
        world.settle_series(role, series)
    gained = {role: world.cash(role) - cash for role, cash in before.items()}
    assert gained == pytest.approx({"maker": -1e24, "spreader": 1e22, "holder": 9.9e23}, rel=1e-15)
    assert 0 <= world.cash(world.market.address) <= 10
    assert world.cash(world.fund.address) == fund
    assert world.market.call("debtOf", world.account("spreader")) == 0


def test_longs_of_another_expiry_or_worth_nothing_are_not_set_off() -> None:
    world = OptionWorld(insurance_cash=0)
    call = world.list_series(2_000.0, True)
    put = world.list_series(1_900.0, False, world.expiries[0])
    later = world.list_series(2_000.0, True, world.expiries[0] + SECONDS_PER_DAY)
    world.deposit("writer", 120_000)
    world.deposit("holder", 200_000)
    world.deposit("other", 1_000_000)
    world.make("writer", halfSpread=0, minSpread=0, vegaSkew=0, marginBuffer=WAD)
    world.make("other")
    for series in (put, later):
        world.buy("writer", "other", series, 10.0)
    world.buy("holder", "writer", call, 200.0)
    world.expire(world.expiries[0], 3_000.0)
    world.settle_series("writer", call)
    assert world.cash("writer") == 0
    assert world.position("writer", put) == world.position("writer", later) == to_wad(10)


@pytest.mark.parametrize("insurance", [4_000, 20_000])
def test_what_the_fund_paid_for_a_short_and_no_more_is_taken_from_its_later_claims(insurance: int) -> None:
    world = OptionWorld(insurance_cash=insurance)
    call = world.list_series(2_000.0, True)
    world.deposit("writer", 120_000)
    world.deposit("holder", 200_000)
    world.deposit("other", 1_000_000)
    world.make("writer", halfSpread=0, minSpread=0, vegaSkew=0, marginBuffer=WAD)
    world.make("other")
    later = world.list_series(2_000.0, True, world.expiries[0] + SECONDS_PER_DAY)
    world.buy("writer", "other", later, 10.0)
    world.buy("holder", "writer", call, 200.0)
    fund = world.fund.address
    world.expire(world.expiries[0], 3_000.0)
    world.settle_series("writer", call)
    debt = int(world.market.call("debtOf", world.account("writer")))
    assert debt == to_wad(insurance)
    world.report()
    world.expire(world.expiries[1], 3_000.0)
    world.settle_series("other", later)
    before = world.cash(fund)
    repaid = min(debt, to_wad(10_000))
    assert world.settle_series("writer", later) == to_wad(10_000) - repaid
    assert world.cash(fund) - before == repaid
    assert world.market.call("debtOf", world.account("writer")) == debt - repaid


def test_insurance_pays_once_per_expiry_up_to_its_cap() -> None:
    world = OptionWorld()
    cap = int(world.fund.call("maxPerEvent"))
    call = world.list_series(2_000.0, True)
    fund = world.cash(world.fund.address)
    world.deposit("holder", 9_000_000)
    for writer in ("one", "two", "three"):
        world.deposit(writer, 200_000)
        world.make(writer, halfSpread=0, minSpread=0, vegaSkew=0, marginBuffer=WAD)
        world.buy("holder", writer, call, 500.0)
    world.expire(world.expiries[0], 9_000.0)
    for writer in ("one", "two", "three"):
        world.settle_series(writer, call)
    assert fund - world.cash(world.fund.address) <= cap


def test_price_from_long_before_expiry_fixes_nothing_for_a_day() -> None:
    world = straddle_world(0)
    expiry = world.expiries[0]
    heartbeat = int(world.feed.call("heartbeat"))
    world.move(2_000.0, expiry - WINDOW - heartbeat - 60 - world.evm.timestamp)
    world.evm.advance(expiry + 1 - world.evm.timestamp)
    assert refusal(world.fix, expiry).name == "PriceSilent"
    world.evm.advance(SECONDS_PER_DAY)
    assert world.fix(expiry) == to_wad(2_000)


def test_dust_cannot_be_traded_or_left_behind() -> None:
    world = straddle_world(0)
    call, maker = series_at(world, True), world.underwriter.address
    world.deposit("taker", 10_000)
    assert refusal(world.buy, "taker", maker, call, -1e-18).name == "SizeTooSmall"
    world.buy("taker", maker, call, -0.02)
    assert refusal(world.buy, "taker", maker, call, 0.015).name == "SizeTooSmall"
    world.buy("taker", maker, call, 0.02)


def test_wild_surface_is_quoted_within_the_range_of_the_maths() -> None:
    world = straddle_world(0)
    put, maker = series_at(world, False), world.underwriter.address
    world.move(700.0, world.expiries[0] - 4_000 - world.evm.timestamp)
    world.report(3.0)
    premium, mid, vol = world.quote(maker, put, 1.0)
    assert premium > mid > 0
    assert vol <= 5 * WAD


def test_strike_of_too_many_bits_is_no_series() -> None:
    world = straddle_world(0)
    assert refusal(world.market.call, "seriesId", world.expiries[0], 2**128, False).name == OVERFLOW


def test_venue_named_twice_is_refused() -> None:
    world = straddle_world(0)
    venues = [world.perp.address] * 2
    args = (world.house.address, world.market.address, venues, "Twice", "TW", world.admin)
    assert refusal(world.evm.deploy, "UnderwriterVault", *args).name == "DuplicateVenue"


def test_deposit_pays_for_an_exit_that_earns() -> None:
    """A hedge against the venue's skew can be closed at a gain: who buys in pays for it, who leaves does not get it."""
    world = straddle_world(100)
    vault = world.scalper
    world.later(600, price=2_100.0)
    size = round(world.net_delta(vault), 3)
    world.hedge(vault, -size)
    world.settle_hedge(vault)
    world.deposit("whale", 5_000_000)
    world.trade("whale", -2_000.0)
    mid, low, high = (int(part) for part in vault.call("nav"))
    skew, scale, price = from_wad(world.perp.call("skew")), 350_000.0, from_wad(world.price())
    gain = nav.exit_gain(size, price, perp.fill_price(size, skew, scale, price))
    assert gain > 0
    assert from_wad(high - mid) == pytest.approx(from_wad(mid - low) + gain, rel=1e-9)


def test_positions_are_taken_over_by_the_engine_only() -> None:
    world = straddle_world(0)
    world.deposit("taker", 100_000)
    call = series_at(world, True)
    world.buy("taker", world.underwriter.address, call, 5.0)
    taker, heir = world.account("taker"), world.account("heir")
    assert refusal(world.market.send, "takeOver", taker, heir, to_wad(1), sender=heir).name == "NotEngine"
    assert world.market.call("isFlat", heir) is True
    assert world.market.call("isFlat", taker) is False


# -- while a deficit is open ------------------------------------------------------------------------------------------


def world_with_deficit() -> tuple[OptionWorld, int]:
    """Somebody left with a profit at a gap and somebody else cannot pay it: cash is worth less than it says. Trader and
    maker hold 10 of a deep call between them since before."""
    world = OptionWorld(insurance_cash=0, pool_cash=10_000, locked_ratio=0.01)
    for role, dollars in {"trader": 100_000, "maker": 300_000, "loser": 20_000, "winner": 20_000}.items():
        world.deposit(role, dollars)
    world.make("maker")
    deep = world.list_series(500.0, True)
    world.buy("trader", "maker", deep, 10.0)
    world.trade("winner", -200.0)
    world.trade("loser", 200.0)
    world.move(1_900.0)
    world.report()
    world.trade("winner", 200.0, 1_000.0)
    world.liquidate("loser")
    world.report()
    assert not world.house.call("withdrawalsOpen")
    return world, deep


def test_nobody_turns_cash_into_options_while_a_deficit_is_open() -> None:
    """Who could would be spared, and the maker be cut in its place."""
    world, deep = world_with_deficit()
    other = world.list_series(1_000.0, True, world.expiries[0])
    revert = refusal(world.buy, "trader", "maker", deep, 50.0)
    assert (revert.name, revert.args) == ("ClosingOnly", (to_wad(10), to_wad(50)))
    for series, size in ((deep, 0.01), (deep, -10.01), (other, 1.0), (other, -1.0)):
        assert refusal(world.buy, "trader", "maker", series, size).name == "ClosingOnly"
    world.buy("trader", "maker", deep, -4.0)
    before = {role: world.cash(role) for role in ("trader", "maker")}
    world.later(601)
    world.settle_deficit()
    index = int(world.house.call("haircutIndex"))
    assert index < 10**27
    for role, cash in before.items():
        assert world.cash(role) == pytest.approx(cash * index // 10**27, rel=1e-12)
    world.report()
    world.buy("trader", "maker", deep, 1.0)


def test_positions_can_always_be_closed_while_a_deficit_is_open() -> None:
    world, deep = world_with_deficit()
    world.buy("trader", "maker", deep, -10.0)
    assert world.position("trader", deep) == world.position("maker", deep) == 0
