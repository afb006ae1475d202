"""Options held to keep a perpetual from being liquidated: where nobody may bid it is closed all the same."""

from __future__ import annotations

import pytest
from option_world import OptionWorld
from venue_world import ADL_WINDOW, refusal

from keeper.chain.contract import Receipt
from keeper.units import SECONDS_PER_DAY, from_wad, to_wad

DUST = 0.01
SIZE = 1_000.0
ROLES = ("maker", "bidder", "trader", "liquidator", "keeper", "friend", "bystander")


def shielded(
    dust: float = -DUST, life: int = 7 * SECONDS_PER_DAY, cash: float = 100_000, **settings: float
) -> OptionWorld:
    """A trader, long a thousand coins from 2000 with twenty times leverage, and a hundredth of a call besides."""
    world = OptionWorld(**settings)  # type: ignore[arg-type]
    for role, dollars in (("maker", 3_000_000), ("bidder", 5_000_000), ("bystander", 1_000), ("trader", cash)):
        world.deposit(role, dollars)
    world.make("maker", halfSpread=0, minSpread=0, vegaSkew=0)
    call = world.list_series(2_000.0, True, world.evm.timestamp + life)
    if dust > 0:
        world.buy("trader", "maker", call, dust)
    world.trade("trader", SIZE)
    world.report()
    if dust < 0:
        world.buy("trader", "maker", call, dust)
    return world


def call_of(world: OptionWorld) -> int:
    return int(world.market.call("seriesId", world.expiries[0], to_wad(2_000), True))


def closed(world: OptionWorld, receipt: Receipt) -> float:
    """What was recorded, USD, where the call closed the whole position and paid for it; cash is conserved."""
    (told,) = receipt.events("Liquidated")
    assert world.size("trader") == 0
    assert 0 < told["reward"] <= world.cash("liquidator")
    assert world.total_cash(*ROLES) == world.custody()
    return from_wad(told["badDebt"])


# -- more is owed than is insured --------------------------------------------------------------------------------------


def insured(receipt: Receipt) -> float:
    return sum(from_wad(told["amount"]) for told in receipt.events("BadDebtCovered"))


def empty_fund(world: OptionWorld) -> None:
    """Deficits of others took what there was."""
    world.hand_over(world.fund.address, "maker", world.cash(world.fund.address))


@pytest.mark.parametrize("sold", [0.0, 0.5])
def test_dust_short_shields_no_position_once_the_fund_is_empty(sold: float) -> None:
    world = shielded()
    world.later(60, 1_880.0)
    if sold:  # insured as yet: a part is sold, and then the fund is empty
        world.liquidate("trader")
        world.bid("trader", sold)
    empty_fund(world)
    world.later(60, 1_800.0)
    closed(world, world.liquidate("trader"))
    assert world.house.call("recordedBadDebt") > to_wad((1 - sold) * 100_000)
    assert world.cash("trader") == 0


def test_dust_short_shields_no_position_once_the_cap_of_the_account_is_spent() -> None:
    world = shielded(max_per_event=1.0)
    world.later(60, 1_700.0)
    receipt = world.liquidate("trader")
    assert closed(world, receipt) > 100_000
    assert insured(receipt) == 1.0


def test_position_closed_beyond_the_insurance_leaves_its_loss_to_the_waterfall_and_the_option_to_its_expiry() -> None:
    world = shielded(insurance_cash=0)
    empty_fund(world)
    world.later(60, 1_800.0)
    equity = world.cash("trader") + sum(world.perp.call("accrued", world.account("trader"), world.price()))
    receipt = world.liquidate("trader")
    debt = closed(world, receipt)
    assert debt - insured(receipt) == pytest.approx(from_wad(world.house.call("recordedBadDebt")), rel=1e-12)
    # The loss, give or take what closing it costs: the skew's impact, the fees and the reward.
    assert debt == pytest.approx(-from_wad(equity), abs=0.005 * SIZE * 1_800.0)
    assert receipt.result[1] == world.evm.timestamp
    assert world.waterfall.call("bankruptSide", world.perp.address) == 1
    assert world.waterfall.call("insolventAccounts") == 0
    # The option is auctioned as far as it is insured, and settled at its expiry.
    assert world.liquidate("trader").events("AuctionStarted")
    world.move(1_800.0, ADL_WINDOW)
    world.settle_deficit()
    world.withdraw("bystander", 1)
    world.expire(world.expiries[0], 1_800.0)
    assert world.settle_series("trader", call_of(world)) == 0
    assert world.house.call("engineOf", world.account("trader")) == world.engine.address


def test_small_shielded_account_holds_nobodys_withdrawals_for_longer_than_a_window() -> None:
    world = OptionWorld(insurance_cash=0)
    for role, dollars in (("maker", 3_000_000), ("bystander", 1_000), ("friend", 900)):
        world.deposit(role, dollars)
    world.make("maker", halfSpread=0, minSpread=0, vegaSkew=0)
    call = world.list_series(2_000.0, True)
    world.trade("friend", 4.0)
    world.report()
    world.buy("friend", "maker", call, -DUST)
    empty_fund(world)
    world.later(60, 1_700.0)
    world.liquidate("friend")
    assert world.size("friend") == 0
    assert refusal(world.withdraw, "bystander", 1).name == "WithdrawalsBlocked"
    world.move(1_700.0, ADL_WINDOW)
    world.settle_deficit()
    world.withdraw("bystander", 1)


def test_perpetuals_leave_the_fund_what_the_options_need_for_the_bids_to_come() -> None:
    """A mixed account sells in parts as well: the first bid's perpetuals take nothing from the second's options."""
    world = OptionWorld(insurance_cash=100_000, max_per_event=14_000)
    for role, dollars in (("maker", 3_000_000), ("bidder", 3_000_000), ("trader", 60_000)):
        world.deposit(role, dollars)
    world.make("maker", halfSpread=0, minSpread=0, vegaSkew=0)
    world.list_series(2_000.0, True)
    world.trade("trader", -100.0)
    world.report()
    world.buy("trader", "maker", call_of(world), -100.0)
    world.later(60, 2_420.0, 0.8)
    world.liquidate("trader")
    for fraction in (0.5, 0.5, 1.0):
        assert world.liquidate("trader").events("Liquidated") == []
        world.bid("trader", fraction)
    assert world.size("trader") == world.position("trader", call_of(world)) == 0
    assert world.house.call("recordedBadDebt") > 0


def test_options_alone_beyond_the_insurance_stay_in_auction_and_cost_nobody_anything() -> None:
    world = OptionWorld(insurance_cash=0)
    for role, dollars in (("maker", 3_000_000), ("bidder", 3_000_000), ("friend", 30_300)):
        world.deposit(role, dollars)
    world.make("maker", halfSpread=0, minSpread=0, vegaSkew=0)
    world.buy("friend", "maker", world.list_series(2_000.0, True), -100.0)
    world.later(60, 3_000.0)
    receipt = world.liquidate("friend")
    assert receipt.events("AuctionStarted")
    assert receipt.result[1] > world.evm.timestamp
    assert world.liquidate("friend").events("BadDebtRecorded") == []
    assert world.house.call("badDebt") == 0
    assert refusal(world.bid, "friend").name == "DeficitTooLarge"


# -- a settlement is due -----------------------------------------------------------------------------------------------


def test_expired_dust_long_that_waits_for_strangers_shorts_shields_no_position() -> None:
    world = shielded(dust=DUST, life=SECONDS_PER_DAY)
    world.expire(world.expiries[0], 2_000.0)
    world.move(1_900.0)
    assert refusal(world.settle_series, "trader", call_of(world)).name == "ShortsOpen"
    debt = closed(world, world.liquidate("trader"))
    assert debt > 0
    assert world.position("trader", call_of(world)) == to_wad(DUST)


def test_silence_of_the_feed_at_expiry_shields_no_position() -> None:
    world = shielded(dust=DUST, life=SECONDS_PER_DAY)
    world.evm.advance(world.expiries[0] - world.evm.timestamp - 4_000)
    world.publish(2_000.0)
    world.evm.advance(4_060)
    world.publish(1_890.0)
    rounds = [world.feed.call("roundAt", time) for time in (world.expiries[0] - 1_800, world.expiries[0])]
    assert refusal(world.market.send, "fix", world.expiries[0], *rounds).name == "PriceSilent"
    assert closed(world, world.liquidate("trader")) > 0


def test_loss_that_a_longs_claim_still_covers_is_not_everybodys() -> None:
    """What the account will be paid at settlement it owes first: only the rest is bad debt."""
    world = shielded(dust=300.0, life=SECONDS_PER_DAY, cash=170_000)
    call = call_of(world)
    world.later(3_600, 2_100.0)
    world.expire(world.expiries[0], 2_100.0)
    world.move(1_800.0)
    claim = 300.0 * 100.0
    debt = closed(world, world.liquidate("trader"))
    assert debt > 0
    assert from_wad(world.cash("trader")) == pytest.approx(-claim, rel=1e-9)
    world.settle_series("maker", call)
    world.settle_series("trader", call)
    assert from_wad(world.cash("trader")) == pytest.approx(0.0, abs=1e-6)


def test_account_that_closing_its_perpetuals_heals_is_left_alone() -> None:
    world = shielded(dust=DUST, life=SECONDS_PER_DAY)
    world.expire(world.expiries[0], 2_000.0)
    world.move(1_935.0)
    margin, _, maintenance = world.margin("trader")
    assert 0 < margin < maintenance
    receipt = world.liquidate("trader")
    assert closed(world, receipt) == 0
    assert receipt.result[1] == 0
    assert world.cash("trader") > 0
    assert world.house.call("badDebt") == 0
    assert refusal(world.liquidate, "trader").name == "NotLiquidatable"
