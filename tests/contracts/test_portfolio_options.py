"""Options, vaults and settlement where margin is a portfolio's: what longs lend, nobody takes out."""

from __future__ import annotations

import pytest
from option_world import WEEK, OptionWorld
from venue_world import SHOCKS, VenueWorld, refusal

from keeper.units import SECONDS_PER_DAY, WAD, from_wad, to_wad

HEDGE_ALONE = SHOCKS["spotTail"] * SHOCKS["tailWeight"] / WAD**2
"""What a perpetual alone loses in the worst scenario, of its notional."""
ROLES = ("trader", "maker", "holder", "depositor", "provider", "keeper", "roller")


def world_of(**cash: float) -> OptionWorld:
    """A maker that quotes without spread or skew, so that cash follows value, and accounts with cash."""
    world = OptionWorld(margin_kind="PortfolioMargin", insurance_cash=0)
    for role, dollars in ({"maker": 2_000_000} | cash).items():
        if dollars:
            world.deposit(role, dollars)
    world.make("maker", halfSpread=0, minSpread=0, vegaSkew=0, marginBuffer=WAD)
    return world


def spread_of(world: OptionWorld) -> tuple[int, int]:
    """Calls at 2000 and 2100 of one expiry."""
    expiry = world.evm.timestamp + WEEK
    return world.list_series(2_000.0, True, expiry), world.list_series(2_100.0, True, expiry)


def calendar_of(world: OptionWorld) -> tuple[int, int]:
    """Calls at 2000 of a week and of a month."""
    start = world.evm.timestamp
    return world.list_series(2_000.0, True, start + WEEK), world.list_series(2_000.0, True, start + 4 * WEEK)


def assert_conserved(world: OptionWorld, *roles: str) -> None:
    assert world.total_cash(*ROLES, *roles, world.market.address) == world.custody()


def free_cash(world: OptionWorld, role: str) -> float:
    equity, initial, _ = world.margin(role)
    return from_wad(equity - initial)


def test_a_spread_needs_far_less_than_its_short_leg_and_settles_for_the_spread() -> None:
    world = world_of(trader=30_000, holder=30_000)
    low, high = spread_of(world)
    world.buy("holder", "maker", high, -10.0)
    alone = world.margin("holder")[1]
    world.buy("trader", "maker", low, 10.0)
    world.buy("trader", "maker", high, -10.0)
    assert world.margin("trader")[1] < alone / 3
    before = world.cash("trader")
    world.expire(world.expiries[0], 2_500.0)
    assert world.margin("trader")[0] == before
    world.settle_series("trader", high)
    assert world.cash("trader") == before
    assert world.margin("trader")[0] == before
    world.settle_series("holder", high)
    world.settle_series("maker", low)
    world.settle_series("trader", low)
    assert world.cash("trader") - before == pytest.approx(to_wad(1_000), abs=10)
    assert_conserved(world)


def test_settling_the_short_leg_of_a_spread_for_somebody_does_not_make_it_liquidatable() -> None:
    """The legs are set off before cash is touched, so a stranger who settles one takes nothing from margin."""
    world = world_of(trader=12_000)
    low, high = spread_of(world)
    world.buy("trader", "maker", low, 10.0)
    world.buy("trader", "maker", high, -10.0)
    world.trade("trader", 15)
    world.expire(world.expiries[0], 2_300.0)
    equity, _, maintenance = world.margin("trader")
    assert equity > maintenance
    world.settle_series("trader", high)
    assert world.margin("trader")[0] == equity
    assert not world.house.call("isLiquidatable", world.account("trader"), world.price())


def test_premium_taken_against_a_long_of_another_expiry_cannot_be_withdrawn() -> None:
    """The attack: hold a far call, sell a near one against it, leave with the premium, default on the near one, and let
    the far one turn out to be worth less."""
    world = world_of(trader=20_000)
    near, far = calendar_of(world)
    world.buy("trader", "maker", far, 50.0)
    world.buy("trader", "maker", near, -50.0)
    equity, _, maintenance = world.margin("trader")
    assert equity > maintenance
    owed = 50.0 * from_wad(world.market.call("unitGreeks", near, world.price())[0][0])
    free = free_cash(world, "trader")
    assert free <= from_wad(world.cash("trader")) - owed
    assert refusal(world.withdraw, "trader", max(free, 0.0) + 1.0).name == "InsufficientMargin"


def test_buying_longs_never_lends_cash() -> None:
    """Longs are paid for with cash: a long bought on the strength of another would leave cash below zero."""
    world = world_of(trader=30_000)
    near, far = calendar_of(world)
    world.buy("trader", "maker", near, 250.0)
    (premium, *_) = world.market.call("quote", world.account("maker"), far, to_wad(1.0))
    affordable = from_wad(world.cash("trader")) / from_wad(premium)
    assert refusal(world.buy, "trader", "maker", far, round(affordable + 1.0, 2)).name == "InsufficientMargin"
    world.buy("trader", "maker", far, round(affordable / 2, 2))
    assert world.cash("trader") > 0


def test_hedge_cannot_be_taken_away_where_what_stays_would_be_liquidatable() -> None:
    """The attack: margin for a hedged short call, then an order that shrinks the hedge: it needs no initial margin."""
    world = world_of(trader=4_500)
    call = world.list_series(1_600.0, True)
    world.trade("trader", 6.0)
    world.buy("trader", "maker", call, -6.0)
    world.withdraw("trader", max(free_cash(world, "trader") - 10.0, 0.0))
    assert refusal(world.commit, "trader", -6.0).name == "AccountLiquidatable"


def test_healthy_account_pays_its_expired_short_in_full_also_from_what_margin_lends_on_later_longs() -> None:
    """Equity less maintenance before the settlement is what it leaves afterwards."""
    world = world_of(trader=18_500)
    near, far = calendar_of(world)
    world.buy("trader", "maker", far, 50.0)
    world.buy("trader", "maker", near, -50.0)
    world.later(6 * SECONDS_PER_DAY)
    world.expire(world.expiries[0], 2_400.0)
    cash, owed = world.cash("trader"), to_wad(50 * 400)
    equity, _, maintenance = world.margin("trader")
    assert equity >= maintenance
    paid = -world.settle_series("trader", near)
    assert world.margin("trader")[0] == equity
    assert cash < paid == owed
    assert world.cash("trader") == cash - paid < 0
    assert free_cash(world, "trader") < 0
    world.settle_series("maker", near)
    assert_conserved(world)


def test_short_of_an_account_below_maintenance_pays_only_what_margin_lends() -> None:
    """What is missing is its expiry's, not the venue's: the rest of the far long's value is its own margin."""
    world = world_of(trader=18_500)
    near, far = calendar_of(world)
    world.buy("trader", "maker", far, 50.0)
    world.buy("trader", "maker", near, -50.0)
    world.later(6 * SECONDS_PER_DAY)
    world.expire(world.expiries[0], 2_400.0)
    world.hand_over("trader", "maker", to_wad(10_000.0))
    cash, owed = world.cash("trader"), to_wad(50 * 400)
    equity, _, maintenance = world.margin("trader")
    assert 0 < equity < maintenance
    paid = -world.settle_series("trader", near)
    equity, _, left = world.margin("trader")
    assert max(cash, 0) < paid < owed
    assert equity == left
    world.settle_series("maker", near)
    assert_conserved(world)


def test_vaults_hedge_through_their_mandates_and_settle() -> None:
    world = OptionWorld(margin_kind="PortfolioMargin")
    world.open_vaults()
    world.invest(world.scalper, "depositor", 1_000_000)
    world.invest(world.underwriter, "depositor", 5_000_000)
    world.unlock_shares()
    expiry = world.evm.timestamp + WEEK
    for is_call in (True, False):
        world.list_series(2_000.0, is_call, expiry)
    world.roll(2_000.0, 40.0, expiry)
    world.later(600, price=2_080.0)
    for vault in (world.underwriter, world.scalper):
        unhedged, delta = world.margin(vault.address)[2], world.net_delta(vault)
        world.hedge(vault, -round(delta, 3))
        world.settle_hedge(vault)
        assert abs(world.net_delta(vault)) < 0.5
        hedge = abs(delta) * from_wad(world.price()) * HEDGE_ALONE
        assert world.margin(vault.address)[2] < unhedged + to_wad(hedge)
    assert world.lens.call("snapshot", world.underwriter.address, world.account("hedger"))
    world.expire(expiry, 2_150.0)
    for vault in (world.underwriter, world.scalper):
        for is_call in (True, False):
            series = int(world.market.call("seriesId", expiry, to_wad(2_000.0), is_call))
            world.settle_series(vault.address, series)
    assert_conserved(world, world.underwriter.address, world.scalper.address)


def test_venue_without_options_opens_fills_and_liquidates_on_portfolio_margin() -> None:
    world = VenueWorld(margin_kind="PortfolioMargin")
    world.deposit("trader", 40_000)
    assert world.trade("trader", 80.0).events("OrderSettled")
    assert refusal(world.withdraw, "trader", 39_000).name == "InsufficientMargin"
    world.move(1_850.0)
    equity, _, maintenance = world.margin("trader")
    assert equity >= maintenance
    world.move(1_780.0)
    assert world.liquidate("trader").events("PositionClosed")
    assert world.size("trader") == 0
    assert world.margin("trader")[1:] == (0, 0)
