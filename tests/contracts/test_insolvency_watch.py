"""Withdrawals wait for an account that is known to be insolvent while it is still worked off, and for no other."""

from __future__ import annotations

from option_world import OptionWorld
from venue_world import ADL_WINDOW, LIQUIDATION_WINDOW, VenueWorld, refusal

from keeper.units import SECONDS_PER_DAY, WAD, to_wad


def gapped(engine: str = "RateLimitedLiquidation", price: float = 2_300, **settings: float) -> VenueWorld:
    """A short of 200 coins from 2,000 that a gap has left with less than nothing, and somebody with cash only."""
    world = VenueWorld(engine_kind=engine, insurance_cash=0, locked_ratio=0, **settings)  # type: ignore[arg-type]
    for role in ("short", "second"):
        world.deposit(role, 30_000)
        world.trade(role, -200)
    world.deposit("bystander", 50_000)
    world.deposit("bidder", 500_000)
    world.move(price)
    return world


def held(world: VenueWorld) -> int:
    return int(world.waterfall.call("insolventAccounts"))


def review(world: VenueWorld, role: str = "short") -> None:
    world.waterfall.send("review", world.account(role), sender=world.account("bystander"))


def blocked(world: VenueWorld, role: str = "bystander") -> tuple[str, tuple[int, ...]]:
    revert = refusal(world.withdraw, role, 1)
    return revert.name, revert.args


# -- the rate limit ----------------------------------------------------------------------------------------------------


def test_insolvent_account_that_is_closed_in_parts_holds_withdrawals_from_the_first_call_to_the_last() -> None:
    world = gapped()
    (seen,) = world.liquidate("short").events("InsolvencySeen")
    assert (seen["account"], seen["accounts"], held(world)) == (world.account("short"), 1, 1)
    assert world.size("short") < 0
    assert world.house.call("badDebt") == 0
    while world.size("short"):
        assert blocked(world) == ("InsolvencyOpen", (1,))
        world.move(2_300, LIQUIDATION_WINDOW)
        receipt = world.liquidate("short")
    (released,) = receipt.events("InsolvencyReleased")
    debt = world.house.call("recordedBadDebt")
    assert (released["accounts"], held(world)) == (0, 0)
    assert debt > to_wad(20_000)
    assert blocked(world) == ("WithdrawalsBlocked", (debt,))
    world.move(2_300, ADL_WINDOW)
    world.settle_deficit()
    world.withdraw("bystander", 1)


def test_each_insolvent_account_counts_once() -> None:
    world = gapped()
    for count, role in ((1, "short"), (1, "short"), (2, "second"), (2, "second")):
        world.liquidate(role)
        assert held(world) == count
        assert blocked(world) == ("InsolvencyOpen", (count,))


def test_pool_closes_its_doors_both_ways_meanwhile() -> None:
    world = gapped()
    world.cool_down()
    provider = world.account("provider")
    assert world.pool.call("maxRedeem", provider) > 0
    world.liquidate("short")
    limits = [world.pool.call(name, provider) for name in ("maxRedeem", "maxWithdraw", "maxDeposit", "maxMint")]
    assert limits == [0, 0, 0, 0]
    assert refusal(world.provide, "provider", 1_000).name == "DepositMoreThanMax"
    assert world.house.call("withdrawalsOpen") is False


def test_account_below_maintenance_with_something_left_holds_nobody_back() -> None:
    world = gapped(price=2_140)
    world.liquidate("short")
    assert held(world) == 0
    world.withdraw("bystander", 1)


# -- letting go --------------------------------------------------------------------------------------------------------


def test_account_that_the_price_has_healed_is_let_go_by_anyone() -> None:
    world = gapped()
    world.liquidate("short")
    world.move(2_000)
    assert refusal(world.liquidate, "short").name == "NotLiquidatable"
    assert blocked(world) == ("InsolvencyOpen", (1,))
    review(world)
    assert held(world) == 0
    world.withdraw("bystander", 1)


def test_account_that_somebody_pays_for_is_let_go() -> None:
    world = gapped()
    world.liquidate("short")
    world.deposit("short", 500_000)
    review(world)
    world.withdraw("bystander", 1)


def test_account_that_is_still_insolvent_is_not_let_go() -> None:
    world = gapped()
    world.liquidate("short")
    review(world)
    assert blocked(world) == ("InsolvencyOpen", (1,))


def test_engine_itself_lets_go_of_an_account_that_it_sees_solvent() -> None:
    world = gapped()
    world.liquidate("short")
    world.move(2_080, LIQUIDATION_WINDOW)
    receipt = world.liquidate("short")
    assert len(receipt.events("InsolvencyReleased")) == 1
    world.withdraw("bystander", 1)


def test_account_that_nobody_can_close_holds_withdrawals_for_a_day_and_counts_again_once_it_was_solvent() -> None:
    world = gapped()
    world.liquidate("short")
    since = world.evm.timestamp
    world.move(2_300, SECONDS_PER_DAY - 1)
    review(world)
    assert held(world) == 1
    world.move(2_300, since + SECONDS_PER_DAY - world.evm.timestamp)
    review(world)
    assert held(world) == 0
    review(world)
    world.liquidate("short")
    assert held(world) == 0
    world.withdraw("bystander", 1)
    for price, count in ((1_900, 0), (2_300, 1)):
        world.move(price)
        review(world)
        assert held(world) == count


# -- who may say so ----------------------------------------------------------------------------------------------------


def test_anyone_may_tell_of_an_insolvent_account_before_it_is_liquidated() -> None:
    world = gapped("FullLiquidation")
    review(world)
    assert blocked(world) == ("InsolvencyOpen", (1,))
    world.liquidate("short")
    assert held(world) == 0
    assert blocked(world)[0] == "WithdrawalsBlocked"


def test_review_of_who_is_solvent_or_part_of_the_venue_holds_nobody_back() -> None:
    world = gapped()
    world.hand_over(world.fund.address, "spare", to_wad(1_000))
    world.hand_over(world.engine.address, "spare", to_wad(1_000))
    parts = (world.fund, world.engine, world.pool, world.house, world.waterfall)
    for account in ("bystander", "nobody", *(part.address for part in parts)):
        review(world, account)
    assert held(world) == 0


def test_review_needs_a_fresh_price_and_only_engines_observe() -> None:
    world = gapped()
    for caller in (world.admin, world.account("short")):
        arguments = (world.account("bystander"), True)
        assert refusal(world.waterfall.send, "observe", *arguments, sender=caller).name == "NotEngine"
    world.evm.advance(3_601)
    assert refusal(review, world).name == "PriceTooOld"


# -- auctions ----------------------------------------------------------------------------------------------------------


def test_insolvent_auction_holds_withdrawals_until_it_is_sold() -> None:
    world = gapped("DutchAuctionLiquidation")
    world.liquidate("short")
    assert blocked(world) == ("InsolvencyOpen", (1,))
    world.bid("short", 0.5)
    assert blocked(world)[0] == "WithdrawalsBlocked"
    assert held(world) == 1
    world.bid("short")
    assert (world.size("short"), held(world)) == (0, 0)
    world.move(2_300, ADL_WINDOW)
    world.settle_deficit()
    world.withdraw("bystander", 1)


def test_auction_that_the_price_makes_solvent_lets_go_and_one_that_it_ends_too() -> None:
    for price in (2_130, 2_000):
        world = gapped("DutchAuctionLiquidation")
        world.liquidate("short")
        assert held(world) == 1
        world.move(price)
        world.liquidate("short")
        assert held(world) == 0


def written(perps: float, insurance_cash: float = 0) -> OptionWorld:
    """A writer of 100 calls that owes more than it has, with coins of the perpetual or without."""
    world = OptionWorld(insurance_cash=insurance_cash, locked_ratio=0)
    for role, dollars in (("maker", 3_000_000), ("writer", 40_000), ("bystander", 1_000)):
        world.deposit(role, dollars)
    world.make("maker", halfSpread=0, minSpread=0, vegaSkew=0)
    series = world.list_series(2_000.0, True)
    if perps:
        world.trade("writer", perps)
        world.report()
    world.buy("writer", "maker", series, -100.0)
    world.later(60, 2_800.0)
    return world


def test_options_alone_never_become_bad_debt_and_hold_nobody_back() -> None:
    world = written(0)
    world.liquidate("writer")
    assert world.auction.call("auction", world.account("writer"))[1] > 0
    review(world, "writer")
    assert held(world) == 0
    world.withdraw("bystander", 1)


def test_options_with_perpetuals_hold_withdrawals() -> None:
    world = written(-5, insurance_cash=100_000)
    world.liquidate("writer")
    assert blocked(world) == ("InsolvencyOpen", (1,))


def test_longs_count_for_an_account_in_auction() -> None:
    """Cash and perpetuals alone would be less than nothing; with its calls it owns more than it owes."""
    world = OptionWorld(insurance_cash=0, locked_ratio=0)
    for role, dollars in (("maker", 3_000_000), ("owner", 12_000), ("bystander", 1_000)):
        world.deposit(role, dollars)
    world.make("maker", halfSpread=0, minSpread=0, vegaSkew=0)
    series = world.list_series(2_000.0, True)
    world.buy("owner", "maker", series, 10.0)
    world.trade("owner", -10)
    world.report()
    world.hand_over("owner", "spare", world.cash("owner") - 1_000 * WAD)
    world.later(60, 2_300.0)
    perpetuals = sum(world.perp.call("accrued", world.account("owner"), world.price()))
    assert world.cash("owner") + perpetuals < 0
    world.liquidate("owner")
    assert held(world) == 0
    world.withdraw("bystander", 1)
