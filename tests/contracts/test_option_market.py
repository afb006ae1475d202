"""OptionMarket: series, quotes and trades against a maker, margin of shorts, settlement."""

from __future__ import annotations

import pytest
from option_world import ANY_PREMIUM, CLOSING_SPREAD, HALF_SPREAD, VOL_HEARTBEAT, WEEK, OptionWorld
from venue_world import refusal

from keeper.chain.contract import Contract
from keeper.pricing import essvi
from keeper.protocol import options
from keeper.units import SECONDS_PER_YEAR, WAD, from_wad, to_wad

CALL, PUT = True, False
TOLERANCE = 1e-9


def funded(world: OptionWorld) -> OptionWorld:
    world.make("maker")
    world.deposit("maker", 1_000_000)
    world.deposit("trader", 100_000)
    expiry = world.evm.timestamp + WEEK
    for strike, is_call in ((2_000.0, CALL), (2_000.0, PUT), (2_200.0, CALL), (1_800.0, PUT)):
        world.list_series(strike, is_call, expiry)
    return world


@pytest.fixture(scope="module")
def fresh() -> OptionWorld:
    return funded(OptionWorld())


@pytest.fixture
def world(fresh: OptionWorld):
    with fresh.evm.rolled_back():
        vol, expiries = fresh.vol, list(fresh.expiries)
        yield fresh
        fresh.vol, fresh.expiries = vol, expiries


def series_of(world: OptionWorld, strike: float, is_call: bool) -> int:
    return int(world.market.call("seriesId", world.expiries[0], to_wad(strike), is_call))


def mid_vol(world: OptionWorld, strike: float, price: float = 2_000.0) -> float:
    expiry = world.expiries[0]
    theta, rho_psi, psi = (from_wad(part) for part in world.slice_of(expiry))
    left = (expiry - world.evm.timestamp) / SECONDS_PER_YEAR
    return essvi.implied_vol(price, strike, left, theta, rho_psi, psi)


# -- series -----------------------------------------------------------------------------------------------------------


def test_series_id_packs_its_terms(world: OptionWorld) -> None:
    expiry = world.expiries[0]
    series = series_of(world, 2_200.0, CALL)
    assert series == expiry << 136 | 1 << 128 | to_wad(2_200)
    assert world.market.call("series", series) == (expiry, to_wad(2_200), True)


def test_list_by_a_stranger_is_refused(world: OptionWorld) -> None:
    args = (world.expiries[0], to_wad(2_000), True)
    assert refusal(world.market.send, "list", *args).name == "AccessControlUnauthorizedAccount"


@pytest.mark.parametrize(
    ("strike", "days"), [(0, 7), (10_001, 7), (399, 7), (2_000, 0), (2_000, 0.02), (2_000, -1), (2_000, 365 * 5)]
)
def test_list_of_bad_terms_is_refused(world: OptionWorld, strike: float, days: float) -> None:
    args = (world.evm.timestamp + int(days * 86_400), to_wad(strike), True)
    assert refusal(world.market.send, "list", *args, sender=world.admin).name == "BadSeries"


def test_trade_of_an_unlisted_series_is_refused(world: OptionWorld) -> None:
    assert refusal(world.buy, "trader", "maker", series_of(world, 2_001.0, CALL), 1.0).name == "UnknownSeries"


def test_trade_of_nothing_is_refused(world: OptionWorld) -> None:
    assert refusal(world.buy, "trader", "maker", series_of(world, 2_000.0, CALL), 0.0).name == "ZeroSize"


def test_series_beyond_sixty_four_are_refused(world: OptionWorld) -> None:
    expiry = world.expiries[0]
    for strike in range(64):
        world.buy("trader", "maker", world.list_series(2_000.5 + strike, CALL, expiry), 0.01)
    one_more = world.list_series(1_999.5, CALL, expiry)
    assert refusal(world.buy, "trader", "maker", one_more, 0.01).name == "TooManySeries"


# -- quotes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("strike", "is_call"), [(2_000.0, CALL), (2_000.0, PUT), (2_200.0, CALL), (1_800.0, PUT)])
@pytest.mark.parametrize("size", [10.0, -10.0])
def test_quote_equals_the_kernels(world: OptionWorld, strike: float, is_call: bool, size: float) -> None:
    premium, mid, vol = world.quote("maker", series_of(world, strike, is_call), size)
    left = world.expiries[0] - world.evm.timestamp
    middle = mid_vol(world, strike)
    value, _, _, vega, _ = options.unit(2_000.0, strike, left, middle, is_call)
    expected = options.quote_vol(middle, HALF_SPREAD, 1e-7, 0.0, size, vega)
    assert from_wad(vol) == pytest.approx(expected, rel=TOLERANCE)
    assert from_wad(premium) == pytest.approx(
        options.premium(2_000.0, strike, left, expected, is_call, size), rel=TOLERANCE
    )
    assert from_wad(mid) == pytest.approx(size * value, rel=TOLERANCE)


def test_quote_of_call_and_put_keeps_parity(world: OptionWorld) -> None:
    call, put = (world.quote("maker", series_of(world, 2_000.0, side), 1.0) for side in (CALL, PUT))
    assert call[2] == put[2]
    assert call[0] - put[0] == 0  # at the money, rate 0: call - put = F - K
    world.later(60, 2_100.0)
    call_mid, put_mid = (
        world.market.call("unitGreeks", series_of(world, 2_000.0, side), to_wad(2_100))[0][0] for side in (CALL, PUT)
    )
    assert call_mid - put_mid == to_wad(100)


def test_quotes_around_mid_never_lose_the_makers_edge(world: OptionWorld) -> None:
    for strike, is_call in ((2_000.0, CALL), (2_200.0, CALL), (1_800.0, PUT)):
        ask, mid_up, _ = world.quote("maker", series_of(world, strike, is_call), 3.0)
        bid, mid_down, _ = world.quote("maker", series_of(world, strike, is_call), -3.0)
        assert ask > mid_up > 0
        assert -bid < -mid_down
        assert ask + bid > 0


def test_round_trip_costs_the_spread_twice_whatever_the_skew(world: OptionWorld) -> None:
    series = series_of(world, 2_000.0, CALL)
    world.make("maker", halfSpread=0, minSpread=0, vegaSkew=to_wad(1e-5))
    paid = world.buy("trader", "maker", series, 20.0).result
    received = -world.buy("trader", "maker", series, -20.0).result
    assert paid >= received
    assert paid - received <= 20 * 1000  # wei: the rounding of a unit price, twenty units


def test_splitting_a_trade_changes_its_premium_by_curvature_only(world: OptionWorld) -> None:
    series = series_of(world, 2_000.0, CALL)
    world.make("maker", vegaSkew=to_wad(1e-5))
    whole = world.quote("maker", series, 20.0)[0]
    parts = sum(world.buy("trader", "maker", series, 10.0).result for _ in range(2))
    # the mean of two vols against the vol of the mean: equal to first order in the skew
    assert parts == pytest.approx(whole, rel=1e-6)


def test_quotes_rise_as_the_maker_sells(world: OptionWorld) -> None:
    series = series_of(world, 2_000.0, CALL)
    vols = []
    for _ in range(3):
        vols.append(world.quote("maker", series, 1.0)[2])
        world.buy("trader", "maker", series, 50.0)
    assert vols == sorted(vols)
    assert vols[0] < vols[2]


def test_degraded_surface_doubles_the_spread_and_a_stale_one_stops_trading(world: OptionWorld) -> None:
    series = series_of(world, 2_000.0, CALL)
    world.evm.advance(VOL_HEARTBEAT + 1)
    world.publish(2_000.0)
    _, _, vol = world.quote("maker", series, 0.001)
    assert from_wad(vol) == pytest.approx(mid_vol(world, 2_000.0) + 2 * HALF_SPREAD, abs=1e-7)
    world.evm.advance(VOL_HEARTBEAT)
    world.publish(2_000.0)
    assert refusal(world.quote, "maker", series, 1.0).name == "SurfaceNotTradable"


# -- trades -----------------------------------------------------------------------------------------------------------


def test_trade_moves_premium_and_position_between_two_accounts(world: OptionWorld) -> None:
    series = series_of(world, 2_000.0, CALL)
    trader, maker = world.cash("trader"), world.cash("maker")
    receipt = world.buy("trader", "maker", series, 5.0)
    (traded,) = receipt.events("Traded")
    premium = receipt.result
    assert traded["premium"] == premium > traded["mid"] > 0
    assert world.cash("trader") == trader - premium
    assert world.cash("maker") == maker + premium
    assert world.position("trader", series) == -world.position("maker", series) == to_wad(5)
    assert world.market.call("seriesOf", world.account("maker")) == (series,)


def test_trade_back_to_flat_forgets_the_series(world: OptionWorld) -> None:
    series = series_of(world, 2_000.0, CALL)
    world.buy("trader", "maker", series, 5.0)
    world.buy("trader", "maker", series, -5.0)
    assert world.market.call("seriesOf", world.account("maker")) == ()
    assert world.market.call("openShorts", world.expiries[0]) == 0


def test_trade_beyond_the_premium_limit_is_refused(world: OptionWorld) -> None:
    series = series_of(world, 2_000.0, CALL)
    ask = world.quote("maker", series, 1.0)[0]
    bid = world.quote("maker", series, -1.0)[0]
    assert refusal(world.buy, "trader", "maker", series, 1.0, ask - 1).args == (ask, ask - 1)
    assert refusal(world.buy, "trader", "maker", series, -1.0, bid - 1).name == "PremiumLimit"
    world.buy("trader", "maker", series, 1.0, ask)


def test_trade_with_an_inactive_maker_or_oneself_is_refused(world: OptionWorld) -> None:
    series = series_of(world, 2_000.0, CALL)
    assert refusal(world.buy, "trader", "depositor", series, 1.0).name == "MakerInactive"
    assert refusal(world.buy, "maker", "maker", series, 1.0).name == "MakerInactive"


def test_trade_beyond_the_makers_vega_is_refused_but_the_way_back_is_open(world: OptionWorld) -> None:
    series = series_of(world, 2_000.0, CALL)
    world.buy("trader", "maker", series, 50.0)
    world.make("maker", maxVega=to_wad(3_000))
    assert refusal(world.buy, "trader", "maker", series, 1.0).name == "MakerLimit"
    world.buy("trader", "maker", series, -10.0)


def test_trade_after_expiry_is_refused(world: OptionWorld) -> None:
    series = series_of(world, 2_000.0, CALL)
    world.move(2_000.0, WEEK)
    assert refusal(world.buy, "trader", "maker", series, 1.0).name == "SeriesExpired"


def test_trade_on_an_old_price_is_refused(world: OptionWorld) -> None:
    world.evm.advance(3_601)
    assert refusal(world.buy, "trader", "maker", series_of(world, 2_000.0, CALL), 1.0).name == "PriceTooOld"


def test_premium_beyond_the_takers_cash_is_refused(world: OptionWorld) -> None:
    world.deposit("pauper", 10)
    assert refusal(world.buy, "pauper", "maker", series_of(world, 2_000.0, CALL), 1.0).name == "InsufficientMargin"


def test_short_beyond_its_margin_is_refused(world: OptionWorld) -> None:
    world.deposit("writer", 1_000)
    series = series_of(world, 2_000.0, CALL)
    assert refusal(world.buy, "writer", "maker", series, -10.0).name == "InsufficientMargin"
    world.buy("writer", "maker", series, -3.0)


def test_maker_cannot_sell_beyond_its_own_margin(world: OptionWorld) -> None:
    world.deposit("thin", 500)
    world.make("thin")
    error = refusal(world.buy, "trader", "thin", series_of(world, 2_000.0, CALL), 5.0)
    assert error.name == "MakerMargin"
    assert error.args[1] > error.args[0]


# -- margin and values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strike", "is_call", "share"),
    [(2_000.0, CALL, 0.15), (2_000.0, PUT, 0.15), (2_200.0, CALL, 0.10), (1_940.0, PUT, 0.12)],
)
def test_margin_of_a_short_follows_the_rule(world: OptionWorld, strike: float, is_call: bool, share: float) -> None:
    series = world.list_series(strike, is_call, world.expiries[0])
    world.buy("trader", "maker", series, 4.0)
    value, initial, maintenance = (
        from_wad(part) for part in world.market.call("assess", world.account("maker"), to_wad(2_000))
    )
    left = world.expiries[0] - world.evm.timestamp
    unit = options.unit(2_000.0, strike, left, mid_vol(world, strike), is_call)
    assert value == pytest.approx(-4 * unit[0], rel=TOLERANCE)
    assert initial == pytest.approx(4 * (share * 2_000 + unit[3] * CLOSING_SPREAD), rel=TOLERANCE)
    assert maintenance == pytest.approx(4 * 0.09 * 2_000, rel=1e-15)
    expected = options.short_margin(2_000.0, strike, is_call, unit[3], CLOSING_SPREAD)
    assert (initial / 4, maintenance / 4) == pytest.approx(expected, rel=TOLERANCE)


def test_longs_count_for_nothing_in_margin(world: OptionWorld) -> None:
    world.buy("trader", "maker", series_of(world, 2_000.0, CALL), 4.0)
    assert world.market.call("assess", world.account("trader"), to_wad(2_000)) == (0, 0, 0)


def test_greeks_of_an_account_are_the_sum_of_its_units(world: OptionWorld) -> None:
    sizes = {(2_000.0, CALL): 4.0, (2_000.0, PUT): -2.0, (2_200.0, CALL): 7.0}
    for (strike, is_call), size in sizes.items():
        world.buy("trader", "maker", series_of(world, strike, is_call), size)
    total = [from_wad(part) for part in world.market.call("greeksOf", world.account("trader"), to_wad(2_050))]
    left = world.expiries[0] - world.evm.timestamp
    expected = [0.0] * 5
    cost = 0.0
    for (strike, is_call), size in sizes.items():
        unit = options.unit(2_050.0, strike, left, mid_vol(world, strike, 2_050.0), is_call)
        expected = [sum_ + size * part for sum_, part in zip(expected, unit, strict=True)]
        cost += options.closing_cost(size, unit[3], CLOSING_SPREAD)
    assert total == pytest.approx(expected, rel=TOLERANCE)
    closing = world.market.call("closingCost", world.account("trader"), to_wad(2_050))
    assert from_wad(closing) == pytest.approx(cost, rel=TOLERANCE)
    holdings, sums, in_book = world.market.call("book", world.account("trader"), to_wad(2_050))
    assert sums == world.market.call("greeksOf", world.account("trader"), to_wad(2_050))
    assert in_book == closing
    left = world.expiries[0] - world.evm.timestamp
    for series, size, vol, forward, time, unit in holdings:
        assert (forward, time) == (to_wad(2_050), options.variance_seconds(left))
        assert (unit, vol) == world.market.call("unitGreeks", series, to_wad(2_050))
        assert size == world.position("trader", series)


def test_value_in_the_last_minute_keeps_a_minute_of_life(world: OptionWorld) -> None:
    world.move(2_000.0, world.expiries[0] - world.evm.timestamp - 600)
    world.report()
    world.move(2_000.0, 590)
    (value, *_), vol = world.market.call("unitGreeks", series_of(world, 2_000.0, CALL), to_wad(2_000))
    assert from_wad(value) == pytest.approx(options.unit(2_000.0, 2_000.0, 10, from_wad(vol), CALL)[0], rel=TOLERANCE)
    assert value > 0


# -- settlement -------------------------------------------------------------------------------------------------------


def test_settlement_price_is_the_average_of_the_last_half_hour(world: OptionWorld) -> None:
    expiry = world.expiries[0]
    world.move(1_900.0, expiry - 1_800 - world.evm.timestamp)
    world.move(2_200.0, 1_200)
    world.move(9_999.0, 601)  # after expiry: counts for nothing
    price = world.fix(expiry)
    assert price == to_wad((1_900 * 1_200 + 2_200 * 600) / 1_800)
    assert world.market.call("settlementPrice", expiry) == price
    assert refusal(world.fix, expiry).name == "AlreadyFixed"


def test_settlement_price_before_expiry_or_with_wrong_rounds_is_refused(world: OptionWorld) -> None:
    expiry = world.expiries[0]
    assert refusal(world.market.send, "fix", expiry, 1, 1).name == "NotExpired"
    world.move(1_900.0, expiry - 1_800 - world.evm.timestamp)
    world.move(2_200.0, 1_801)
    assert refusal(world.market.send, "fix", expiry, 1, 2).name == "NotRoundInForce"


def test_settlement_before_the_price_is_fixed_is_refused(world: OptionWorld) -> None:
    series = series_of(world, 2_000.0, CALL)
    world.buy("trader", "maker", series, 5.0)
    assert refusal(world.settle_series, "trader", series).name == "NotFixed"
    world.expire(world.expiries[0], 2_300.0)
    assert refusal(world.settle_series, "depositor", series).name == "NothingToSettle"


def test_series_past_expiry_is_worth_its_intrinsic_value_without_delta(world: OptionWorld) -> None:
    world.move(2_300.0, world.expiries[0] - 1_800 - world.evm.timestamp)
    world.evm.advance(1_800)
    greeks, vol = world.market.call("unitGreeks", series_of(world, 2_000.0, CALL), to_wad(2_300))
    assert (greeks, vol) == ((to_wad(300), 0, 0, 0, 0), 0)


def test_settlement_pays_the_payoff_from_short_to_long(world: OptionWorld) -> None:
    series = series_of(world, 2_000.0, CALL)
    world.buy("trader", "maker", series, 5.0)
    world.deposit("second", 10_000)
    world.buy("second", "maker", series, 2.0)
    before = world.total_cash("trader", "second", "maker", world.market.address)
    trader, maker = world.cash("trader"), world.cash("maker")
    world.expire(world.expiries[0], 2_300.0)
    assert refusal(world.settle_series, "trader", series).name == "ShortsOpen"
    assert world.settle_series("maker", series) == -to_wad(2_100)
    assert world.settle_series("trader", series) == to_wad(1_500)
    assert world.settle_series("second", series) == to_wad(600)
    assert world.cash("trader") == trader + to_wad(1_500)
    assert world.cash("maker") == maker - to_wad(2_100)
    assert world.cash(world.market.address) == 0
    assert world.total_cash("trader", "second", "maker", world.market.address) == before
    assert world.market.call("openShorts", world.expiries[0]) == 0


def test_series_out_of_the_money_settles_for_nothing(world: OptionWorld) -> None:
    series = series_of(world, 2_000.0, PUT)
    world.buy("trader", "maker", series, 5.0)
    world.expire(world.expiries[0], 2_300.0)
    assert world.settle_series("maker", series) == 0
    assert world.settle_series("trader", series) == 0
    assert world.market.call("seriesOf", world.account("trader")) == ()


@pytest.mark.parametrize("first", ["trader", "second"])
def test_longs_share_a_pot_that_is_too_small_whoever_claims_first(first: str) -> None:
    world = funded(OptionWorld(insurance_cash=0))
    series = series_of(world, 2_200.0, CALL)
    world.deposit("writer", 2_000)
    world.make("writer")
    world.deposit("second", 10_000)
    world.buy("trader", "writer", series, 4.0)
    world.buy("second", "writer", series, 2.0)
    cash = world.cash("writer")
    world.expire(world.expiries[0], 3_200.0)  # owes 6 x 1000
    assert world.settle_series("writer", series) == -cash
    unit = world.market.call("unitGreeks", series, to_wad(3_200))[0][0]
    assert unit == cash // 6
    order = [first, "second" if first == "trader" else "trader"]
    paid = {role: world.settle_series(role, series) for role in order}
    assert paid["trader"] == pytest.approx(cash * 2 // 3, abs=2)
    assert paid["second"] == pytest.approx(cash // 3, abs=2)
    assert cash - 2 <= sum(paid.values()) <= cash
    assert from_wad(paid["trader"]) == pytest.approx(options.long_claim(4.0, 1_000.0, from_wad(cash), 6_000.0))


def test_insurance_fills_the_pot_before_longs_lose(world: OptionWorld) -> None:
    series = series_of(world, 2_200.0, CALL)
    world.deposit("writer", 2_000)
    world.make("writer")
    world.buy("trader", "writer", series, 6.0)
    cash, fund = world.cash("writer"), world.cash(world.fund.address)
    world.expire(world.expiries[0], 3_200.0)
    world.settle_series("writer", series)
    assert world.cash("writer") == 0
    assert fund - world.cash(world.fund.address) == to_wad(6_000) - cash
    assert options.short_payment(6_000.0, from_wad(cash), 1e9) == pytest.approx(
        (from_wad(cash), 6_000 - from_wad(cash))
    )
    assert world.settle_series("trader", series) == to_wad(6_000)


def test_short_pays_from_equity_that_is_not_yet_cash(world: OptionWorld) -> None:
    series = series_of(world, 2_000.0, CALL)
    world.deposit("writer", 3_000)
    world.make("writer")
    world.buy("trader", "writer", series, 5.0)
    world.trade("writer", 5.0)  # hedged: the perp gains what the calls lose
    world.expire(world.expiries[0], 3_000.0)
    assert world.settle_series("writer", series) == -to_wad(5_000)
    assert world.cash("writer") < 0
    assert world.margin("writer")[0] > 0


def test_fixed_series_needs_no_margin_beyond_its_payoff(world: OptionWorld) -> None:
    series = series_of(world, 2_000.0, CALL)
    world.buy("trader", "maker", series, 5.0)
    world.expire(world.expiries[0], 2_300.0)
    assert world.market.call("assess", world.account("maker"), to_wad(1_500)) == (-to_wad(1_500), 0, 0)


def test_modules_lock_is_respected(world: OptionWorld) -> None:
    world.freeze()
    series = series_of(world, 2_000.0, CALL)
    assert refusal(world.buy, "trader", "maker", series, 1.0, ANY_PREMIUM).name == "Locked"
    assert refusal(world.settle_series, "trader", series).name == "Locked"


def test_total_of_cash_is_unmoved_by_trading(world: OptionWorld) -> None:
    roles = ("trader", "maker", world.market.address)
    before = world.total_cash(*roles)
    for series, size in ((series_of(world, 2_000.0, CALL), 3.0), (series_of(world, 1_800.0, PUT), -2.0)):
        world.buy("trader", "maker", series, size)
    assert world.total_cash(*roles) == before
    assert before % WAD == 0


# -- taken over by an engine ------------------------------------------------------------------------------------------


class HandedOver(OptionWorld):
    """The tests are the engine of accounts with options."""

    def _auction(self, markets: list[str]) -> Contract:
        return self.module


def handed_over() -> OptionWorld:
    return funded(HandedOver(insurance_cash=0))


def take_over(world: OptionWorld, heir: str, fraction: int) -> None:
    accounts = (world.account("trader"), world.account(heir))
    world.module.send("run", world.market.address, world.market.encode("takeOver", *accounts, fraction))


def test_option_market_is_auctioned(world: OptionWorld) -> None:
    assert world.market.call("isAuctioned") is True


@pytest.mark.parametrize("fraction", [1, to_wad(1) // 3, to_wad(0.999999), to_wad(1)])
def test_takeover_moves_a_fraction_of_every_position_rounded_toward_zero(fraction: int) -> None:
    world = handed_over()
    call, put = series_of(world, 2_000.0, CALL), series_of(world, 1_800.0, PUT)
    sizes = {call: to_wad(3) + 7, put: -to_wad(2) - 5}
    for series, size in sizes.items():
        args = (world.account("maker"), series, size, ANY_PREMIUM)
        world.market.send("trade", *args, sender=world.account("trader"))
    shorts = world.market.call("openShorts", world.expiries[0])
    take_over(world, "heir", fraction)
    for series, size in sizes.items():
        moved = abs(size) * fraction // WAD * (1 if size > 0 else -1)
        assert world.position("heir", series) == moved
        assert world.position("trader", series) == size - moved
    assert world.market.call("openShorts", world.expiries[0]) == shorts
    assert world.market.call("isFlat", world.account("trader")) is (fraction == WAD)


def test_takeover_nets_against_what_the_heir_holds() -> None:
    world = handed_over()
    call = series_of(world, 2_000.0, CALL)
    world.deposit("heir", 100_000)
    world.buy("trader", "maker", call, 4.0)
    world.buy("heir", "maker", call, -2.0)
    take_over(world, "heir", to_wad(0.5))
    assert world.market.call("isFlat", world.account("heir")) is True
    assert world.market.call("openShorts", world.expiries[0]) == to_wad(2)


def test_takeover_of_more_than_everything_is_refused() -> None:
    assert refusal(take_over, handed_over(), "heir", WAD + 1).name == "BadFraction"


def test_takeover_beyond_the_most_series_is_refused() -> None:
    world = handed_over()
    world.make("other")
    world.deposit("other", 100_000)
    held = [world.list_series(1_500.0 + 10 * index, PUT, world.expiries[0]) for index in range(64)]
    world.deposit("heir", 1_000_000)
    for series in held:
        world.buy("heir", "maker", series, 0.1)
    world.buy("trader", "other", series_of(world, 2_200.0, CALL), 1.0)
    assert refusal(take_over, world, "heir", to_wad(0.5)).name == "TooManySeries"
