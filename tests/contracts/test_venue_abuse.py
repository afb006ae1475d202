"""Attacks on the venue that were once possible, as laws: who pays for options, what is owed, who may leave when."""

from __future__ import annotations

from contextlib import suppress

import pytest
from option_world import OptionWorld
from venue_world import VenueWorld, parameters, refusal

from keeper.chain.abi import Revert
from keeper.chain.deploy_config import price_limits, price_sources
from keeper.chain.evm import Evm
from keeper.units import SECONDS_PER_DAY, WAD, to_wad

ROUNDING = 1_000  # wei
ACCOUNTS = ("writer", "holder", "trader", "maker", "liquidator", "keeper")


def written_calls(writer_cash: float = 140_000, size: float = 300, **settings: float) -> tuple[OptionWorld, int]:
    """A writer short calls at 2,000, with little more than the margin for them."""
    world = OptionWorld(**settings)  # type: ignore[arg-type]
    call = world.list_series(2_000.0, True)
    world.deposit("writer", writer_cash)
    world.deposit("holder", 120_000)
    world.make("writer", halfSpread=0, vegaSkew=0)
    world.move(2_000.0)
    world.buy("holder", "writer", call, size)
    return world, call


def sink(world: OptionWorld, role: str) -> None:
    """Let the price rise until the account is just below maintenance."""
    price = world.price() / WAD
    while world.margin(role)[0] >= world.margin(role)[2]:
        price *= 1.005
        world.later(60, price=price)


def paper(world: OptionWorld, role: str) -> int:
    """Perpetuals at index and options at mid."""
    account, price = world.account(role), world.price()
    return int(sum(world.perp.call("accrued", account, price)) + world.market.call("greeksOf", account, price)[0])


def worth(world: OptionWorld, *roles: str) -> int:
    """What accounts have together: cash, and what is on paper."""
    return sum(world.cash(role) + paper(world, role) for role in roles)


# -- options are sold, not given away ----------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", [0, 1, 20])
def test_nobody_gains_on_the_venue_by_buying_his_own_account_in_the_auction(waits: int) -> None:
    """The later the bid the cheaper the account, at the cost of its owner only, who here is the bidder too."""
    world, call = written_calls()
    sink(world, "writer")
    world.deposit("second account", 500_000)
    venue = [world.cash(account) for account in (world.pool.address, world.fund.address)]
    world.liquidate("writer", liquidator="second account")
    for _ in range(waits):
        world.move(world.price() / WAD, 400)
        world.liquidate("writer", liquidator="second account")
    family = worth(world, "writer", "second account")
    world.bid("writer", bidder="second account")
    assert abs(worth(world, "writer", "second account") - family) <= ROUNDING
    assert [world.cash(account) for account in (world.pool.address, world.fund.address)] == venue
    assert world.position("writer", call) > -to_wad(300)
    assert world.total_cash("second account", *ACCOUNTS) == world.custody()


@pytest.mark.parametrize(("cap", "price"), [(1_000_000, 3_000), (100, 2_700)])
def test_writer_holder_and_bidder_together_never_take_more_than_the_insurance_cap_and_nothing_from_the_pool(
    cap: float, price: float
) -> None:
    """One person writes to itself, has itself auctioned after a gap, and would leave the loss to the pool."""
    world, call = written_calls(max_per_event=cap)
    pool, fund = world.cash(world.pool.address), world.cash(world.fund.address)
    world.deposit("liquidator", 3_000_000)
    world.later(SECONDS_PER_DAY, price=price)
    assert -worth(world, "writer") > min(to_wad(cap), fund)
    for _ in range(5):
        world.liquidate("writer")
        with suppress(Revert):  # what the insurance cannot pay for is not sold
            world.bid("writer", bidder="liquidator")
        world.later(800)
    world.expire(world.expiries[0], price)
    for role in ("writer", "liquidator", "holder"):
        if world.position(role, call):
            world.settle_series(role, call)
    assert world.cash(world.pool.address) == pool
    assert world.house.call("badDebt") == 0
    assert fund - world.cash(world.fund.address) <= to_wad(cap)


def hedged_holder() -> tuple[OptionWorld, int]:
    """Long 400 calls and short 400 coins, before a rise that only the calls' holder could shrug off."""
    world = OptionWorld()
    call = world.list_series(2_000.0, True)
    world.deposit("maker", 1_000_000)
    world.make("maker", vegaSkew=0)
    world.deposit("trader", 100_000)
    world.move(2_000.0)
    world.buy("trader", "maker", call, 400.0)
    world.trade("trader", -400.0)
    return world, call


def test_losses_are_not_forgiven_to_an_account_that_keeps_valuable_options() -> None:
    """The perpetuals alone would be a deficit; they are not closed without the calls that pay for them."""
    world, call = hedged_holder()
    fund = world.cash(world.fund.address)
    world.later(60, price=2_400.0)
    assert sum(world.perp.call("accrued", world.account("trader"), world.price())) < -world.cash("trader")
    receipt = world.liquidate("trader")
    assert (receipt.events("PositionClosed"), receipt.events("BadDebtRecorded")) == ([], [])
    assert (world.size("trader"), world.position("trader", call)) == (-to_wad(400), to_wad(400))
    assert world.cash(world.fund.address) == fund
    assert refusal(world.withdraw, "trader", 1).name in ("InsufficientCash", "InsufficientMargin")


def test_bidder_for_valuable_options_takes_their_hedge_and_pays_for_both() -> None:
    world, call = hedged_holder()
    world.later(60, price=2_400.0)
    world.deposit("liquidator", 900_000)
    world.liquidate("trader", liquidator="keeper")
    equity = worth(world, "trader")
    (bid,) = world.bid("trader", bidder="liquidator").events("AuctionBid")
    taken = bid["fraction"]
    assert 0 < taken <= WAD
    assert world.position("liquidator", call) == to_wad(400) * taken // WAD
    assert world.size("liquidator") == -(to_wad(400) * taken // WAD)
    assert worth(world, "trader") >= equity - equity * taken * 3 // (100 * WAD)  # at the first price, 98%
    assert (bid["deficit"], world.house.call("badDebt")) == (0, 0)
    equity, _, maintenance = world.margin("trader")
    assert equity >= maintenance


# -- the pool ----------------------------------------------------------------------------------------------------------


def test_order_that_the_pool_cannot_carry_is_refused_at_the_commit() -> None:
    world = VenueWorld(pool_cash=50_000, insurance_cash=0)
    world.deposit("trader", 2_000_000)
    revert = refusal(world.commit, "trader", 5_000)
    assert (revert.name, revert.args) == ("PoolTooSmall", (to_wad(5_000),))
    world.commit("trader", 125)  # a fifth of 250,000


def test_order_that_the_pool_can_no_longer_carry_is_cancelled_and_one_that_shrinks_is_not() -> None:
    world = VenueWorld(pool_cash=50_000)
    world.deposit("first", 100_000)
    world.deposit("second", 100_000)
    world.commit("first", 100)
    world.commit("second", 100)
    hint = world.move(2_000, seconds=2)
    assert world.settle("first", hint).result is True
    (cancelled,) = world.settle("second", hint).events("OrderCancelled")
    assert cancelled["reason"].rstrip(b"\0") == b"pool"
    world.move(2_400)
    assert refusal(world.commit, "first", 1).name == "PoolTooSmall"
    assert world.trade("first", -100).result is True


def test_solvent_pool_whose_cash_is_out_with_traders_is_no_bad_debt() -> None:
    """Longs have taken their profit in cash, the shorts' losses are still open: the pool is owed more than it lacks."""
    world = VenueWorld(pool_cash=18_000_000, insurance_cash=0)
    for role, dollars in (("long", 12_000_000), ("short", 60_000_000), ("bystander", 1_000)):
        world.deposit(role, dollars)
    for _ in range(2):
        world.trade("long", 10_000)
        world.trade("short", -10_000)
    world.move(3_100.0, 60)
    for _ in range(2):
        world.trade("long", -10_000)
    assert world.cash(world.pool.address) < 0 < world.pool.call("equity", world.price())
    assert world.house.call("badDebt") == 0
    world.withdraw("bystander", 1)


def test_pool_that_cannot_pay_is_public_bad_debt_and_nobody_runs_for_the_door() -> None:
    world = VenueWorld(pool_cash=50_000, insurance_cash=0, locked_ratio=0)
    world.deposit("trader", 2_000_000)
    world.deposit("bystander", 1_000_000)
    world.trade("trader", 5_000)
    world.move(2_600, 60)
    world.trade("trader", -5_000)
    short = -world.cash(world.pool.address)
    assert short > 0
    assert world.house.call("badDebt") == short == -world.pool.call("equity", world.price())
    for role in ("trader", "bystander"):
        assert refusal(world.withdraw, role, 1).name == "WithdrawalsBlocked"
    assert world.settle_deficit().result == (0, 0)
    assert refusal(world.settle_deficit).name == "AdlWindowOpen"
    world.deposit(world.pool.address, short / WAD + 1)
    world.withdraw("trader", world.cash("trader") / WAD - 1)
    world.withdraw("bystander", 1_000_000)


def test_provider_cannot_come_for_a_price_and_leave_with_it() -> None:
    world = VenueWorld()
    world.deposit("trader", 3_000_000)
    world.trade("trader", 8_000)
    world.evm.advance(60)
    world.provide("sniper", 90_000_000)
    sniper = world.account("sniper")
    shares = world.pool.call("balanceOf", sniper)
    world.pool.send("requestExit", shares, sender=sniper)
    world.publish(1_900.0)
    assert world.pool.call("maxRedeem", sniper) == world.pool.call("maxWithdraw", sniper) == 0
    assert refusal(world.pool.send, "redeem", shares, sniper, sniper, sender=sniper).name == "RedeemMoreThanMax"
    assert refusal(world.pool.send, "transfer", world.account("other"), 1, sender=sniper).name == "SharesLeaving"


def test_exit_announced_long_ago_is_no_ticket_to_leave_at_will() -> None:
    """A request opens one hour, three hours later; whoever asks all the time gives notice all the same."""
    world = VenueWorld()
    provider = world.account("provider")
    shares = world.pool.call("balanceOf", provider)
    world.pool.send("requestExit", shares, sender=provider)
    cooldown, window = int(world.pool.call("COOLDOWN")), int(world.pool.call("EXIT_WINDOW"))
    assert cooldown > 2 * 3_600  # the longest delay and window that a market accepts
    world.move(2_000, seconds=cooldown - 1)
    assert world.pool.call("maxRedeem", provider) == 0
    world.move(2_000, seconds=1)
    assert world.pool.call("maxRedeem", provider) == shares
    world.move(2_000, seconds=window + 1)
    assert world.pool.call("maxRedeem", provider) == 0


def test_nobody_stops_anothers_exit() -> None:
    world = VenueWorld()
    world.cool_down()
    stranger, provider = world.account("stranger"), world.account("provider")
    leaving = world.pool.call("maxRedeem", provider)
    world.provide("stranger", 10)
    world.pool.send("transfer", provider, 1, sender=stranger)
    assert world.pool.call("maxRedeem", provider) == leaving > 0
    world.pool.send("redeem", leaving, provider, provider, sender=provider)


# -- orders, parameters, funding ---------------------------------------------------------------------------------------


def test_new_parameters_neither_move_the_benchmark_of_an_order_in_flight_nor_its_window() -> None:
    world = VenueWorld()
    world.deposit("trader", 100_000)
    changes = {"settlementDelay": 30, "settlementWindow": 1}
    world.perp.send("proposeParameters", parameters(**changes), sender=world.admin)
    world.move(2_000, seconds=SECONDS_PER_DAY)
    world.commit("trader", 10)
    benchmark_time = world.evm.timestamp + 2
    world.perp.send("applyParameters", parameters(**changes), sender=world.admin)
    assert world.perp.call("benchmarkTime", world.account("trader")) == benchmark_time
    assert refusal(world.perp.send, "cancel", world.account("trader")).args[1] == benchmark_time + 60
    assert world.settle("trader", world.move(2_010, seconds=62)).result is True


def test_new_margins_reach_nobody_before_they_were_announced_for_a_day() -> None:
    world = VenueWorld()
    world.deposit("trader", 100_000)
    world.trade("trader", 1_000)
    strict = parameters(minInitialMarginRatio=to_wad(0.5))
    assert refusal(world.perp.send, "applyParameters", strict, sender=world.admin).name == "NotProposed"
    world.perp.send("proposeParameters", strict, sender=world.admin)
    world.move(2_000, seconds=SECONDS_PER_DAY - 1)
    assert refusal(world.perp.send, "applyParameters", strict, sender=world.admin).name == "NotApplicableYet"
    assert refusal(world.liquidate, "trader").name == "NotLiquidatable"
    world.move(2_000, seconds=1)
    other = parameters(minInitialMarginRatio=to_wad(0.6))
    assert refusal(world.perp.send, "applyParameters", other, sender=world.admin).name == "NotProposed"
    world.perp.send("applyParameters", strict, sender=world.admin)
    assert refusal(world.perp.send, "applyParameters", strict, sender=world.admin).name == "NotProposed"


def test_announced_parameters_lapse_a_week_after_they_could_have_come() -> None:
    world = VenueWorld()
    changed = parameters(minInitialMarginRatio=to_wad(0.5))
    world.perp.send("proposeParameters", changed, sender=world.admin)
    world.move(2_000, seconds=8 * SECONDS_PER_DAY)
    with world.evm.rolled_back():
        world.perp.send("applyParameters", changed, sender=world.admin)
    world.move(2_000, seconds=1)
    assert refusal(world.perp.send, "applyParameters", changed, sender=world.admin).name == "ProposalLapsed"


def test_late_settlement_fills_at_its_benchmark_and_accrues_funding_at_the_newest_price() -> None:
    world = VenueWorld()
    for role in ("trader", "late"):
        world.deposit(role, 2_000_000)
    world.trade("trader", 5_000)
    world.commit("late", 1)
    benchmark = world.move(2_000, seconds=2)
    world.move(1_000, seconds=6 * 3_600)
    expected = world.perp.call("funding", to_wad(1_000))
    receipt = world.settle("late", benchmark)
    (settled,) = receipt.events("OrderSettled")
    (accrued,) = receipt.events("FundingUpdated")
    assert settled["index"] == to_wad(2_000)
    assert (accrued["fundingRatePerDay"], accrued["fundingPerCoin"]) == expected
    assert accrued["price"] == to_wad(1_000)


@pytest.mark.parametrize("change", [-0.02, -0.01, 0.01, 0.02])
@pytest.mark.parametrize("size", [600, -600, -2_500])
def test_withdrawal_between_benchmark_and_settlement_does_not_undo_an_order(size: float, change: float) -> None:
    """Whoever holds a position, and sees after the benchmark where the price went, takes out nothing till the fill."""
    world = VenueWorld()
    world.deposit("trader", 400_000)
    world.trade("trader", 1_000)
    world.commit("trader", size)
    benchmark = world.move(2_000, seconds=2)
    world.move(2_000 * (1 + change), seconds=600)
    equity, initial, _ = world.margin("trader")
    wanted = round(min(equity - initial, world.cash("trader")) / WAD - 1, 6)
    assert refusal(world.withdraw, "trader", wanted).name == "OrderDecided"
    assert world.settle("trader", benchmark).result is True


# -- wrapped aggregators -----------------------------------------------------------------------------------------------


@pytest.fixture
def wrapped() -> tuple[Evm, object, object]:
    evm = Evm()
    source = evm.deploy("TestAggregator", "ETH / USD")
    source.send("push", 2_000 * 10**8)
    feed = evm.deploy("PriceFeed", evm.account("admin"), price_sources(source.address), price_limits(3_600, 0.5))
    feed.send("pull")
    return evm, source, feed


def test_late_pull_cannot_choose_a_later_benchmark(wrapped) -> None:  # type: ignore[no-untyped-def]
    evm, source, feed = wrapped
    time = evm.timestamp + 2
    for price in (2_010, 2_020, 2_050):
        evm.advance(3)
        source.send("push", price * 10**8)
    assert feed.send("pull").result == 4
    assert feed.call("benchmark", time, feed.call("roundAt", time - 1) + 1)[0] == to_wad(2_010)
    assert feed.call("price")[0] == to_wad(2_050)


def test_pull_of_many_missing_rounds_goes_on_where_the_last_one_stopped(wrapped) -> None:  # type: ignore[no-untyped-def]
    evm, source, feed = wrapped
    for number in range(20):
        evm.advance(1)
        source.send("push", (2_001 + number) * 10**8)
    assert feed.send("pull").result == 17
    assert feed.call("peek")[0] == to_wad(2_016)
    assert feed.send("pull").result == 21
    assert [feed.call("getRoundData", number)[1] for number in range(1, 22)] == [to_wad(2_000 + n) for n in range(21)]


def test_wrong_rounds_in_between_are_left_out_and_stop_nothing(wrapped) -> None:  # type: ignore[no-untyped-def]
    evm, source, feed = wrapped
    for answer in (0, -5, 2**255 - 1, 2**120, 9_000 * 10**8, 2_001 * 10**8):
        evm.advance(1)
        source.send("push", answer)
    source.send("pushAt", 2_002 * 10**8, evm.timestamp - 3)
    evm.advance(1)
    source.send("push", 2_003 * 10**8)
    assert feed.send("pull").result == 3
    assert [feed.call("getRoundData", number)[1] for number in (2, 3)] == [to_wad(2_001), to_wad(2_003)]


def test_rounds_of_a_replaced_aggregator_are_the_only_ones_skipped(wrapped) -> None:  # type: ignore[no-untyped-def]
    evm, source, feed = wrapped
    evm.advance(1)
    source.send("push", 2_001 * 10**8)
    source.send("startPhase")
    for price in (2_002, 2_003, 2_004):
        evm.advance(1)
        source.send("push", price * 10**8)
    assert feed.send("pull").result == 2
    evm.advance(1)
    source.send("push", 2_005 * 10**8)
    with pytest.raises(Revert):
        feed.call("getRoundData", 3)
    assert feed.send("pull").result == 3
