"""Dutch auction of whole accounts: what a bid costs, what it leaves, who pays where there is not enough, and abuse."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from node_face import Node
from option_world import OptionWorld
from venue_world import AUCTION, INSURANCE_CASH, VenueWorld, refusal

from keeper.chain.abi import Revert
from keeper.chain.contract import Contract, Receipt
from keeper.chain.node import Anvil
from keeper.units import SECONDS_PER_DAY, WAD, from_wad, to_wad

FAST, SLOW, INSOLVENT = AUCTION["fastTime"], AUCTION["slowTime"], AUCTION["insolventTime"]
START, FAST_END, BUFFER = (from_wad(AUCTION[name]) for name in ("start", "fastEnd", "buffer"))
ROLES = ("writer", "maker", "bidder", "keeper", "liquidator", "counterpart")
WEI = 1_000
"""Rounding that a sum of wad amounts may leave, wei."""


def written(cash: float = 30_300.0, perps: float = 0.0, **settings: Any) -> OptionWorld:
    """A writer with its cash, short 100 calls at 2000 for a week, and coins of the perpetual besides."""
    world = OptionWorld(**settings)
    world.deposit("maker", 3_000_000)
    world.deposit("bidder", 3_000_000)
    world.make("maker", halfSpread=0, minSpread=0, vegaSkew=0)
    world.list_series(2_000.0, True)
    world.deposit("writer", cash)
    if perps:
        world.trade("writer", perps)
        world.report()
    world.buy("writer", "maker", call_of(world), -100.0)
    return world


def call_of(world: OptionWorld) -> int:
    return int(world.market.call("seriesId", world.expiries[0], to_wad(2_000), True))


def fallen(price: float = 2_180.0, **kwargs: Any) -> OptionWorld:
    """The writer's calls went up, and an auction of its account has just started."""
    world = written(**kwargs)
    world.later(60, price)
    world.liquidate("writer")
    return world


def wait(world: VenueWorld, seconds: int) -> None:
    """Time passes at the same price and volatility, with somebody watching the auction."""
    while seconds > 0:
        step = min(seconds, FAST // 2)
        world.evm.advance(step)
        world.publish(world.price() / WAD)
        world.liquidate("writer")
        seconds -= step


def worth(world: VenueWorld, role: str) -> int:
    """Cash, perpetuals at index and options at mid, wad: what a bid is about."""
    account, price = world.account(role), world.price()
    options = world.market.call("greeksOf", account, price)[0] if isinstance(world, OptionWorld) else 0
    return int(world.cash(role) + accrued(world, role) + options)


def terms(world: VenueWorld, role: str = "writer") -> tuple[int, int]:
    """The largest fraction, and the price of all that is for sale, wad."""
    account, price = world.account(role), world.price()
    fraction, paid = world.auction.call("terms", account, price)
    return int(fraction), int(paid + world.cash(role) - reserved(world, role) + accrued(world, role))


def accrued(world: VenueWorld, role: str) -> int:
    return int(sum(world.perp.call("accrued", world.account(role), world.price())))


def reserved(world: VenueWorld, role: str = "writer") -> int:
    return int(world.auction.call("auction", world.account(role))[2])


def bid_of(receipt: Receipt) -> dict[str, Any]:
    (told,) = receipt.events("AuctionBid")
    return told


def started(world: VenueWorld, role: str = "writer") -> tuple[int, int]:
    started_at, insolvent_at, _ = world.auction.call("auction", world.account(role))
    return int(started_at), int(insolvent_at)


def discount(elapsed: int) -> float:
    if elapsed < FAST:
        return START - (START - FAST_END) * elapsed / FAST
    return FAST_END * max(FAST + SLOW - elapsed, 0) / SLOW


# -- the price --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def maths() -> Contract:
    return VenueWorld().evm.deploy("LiquidationMathHarness")


@pytest.mark.parametrize(("part", "percent"), [(0.95, 17.3913), (0.70, 22.2222)])
def test_fraction_of_the_published_example(maths: Contract, part: float, percent: float) -> None:
    """An account 200 short of its target, worth 1000: the whole of it at the target's own scale."""
    fraction = maths.call("maxFraction", to_wad(1_200), to_wad(1_000), to_wad(1_000 * part))
    assert 100 * from_wad(fraction) == pytest.approx(percent, abs=5e-5)


def test_price_falls_from_start_to_floor_and_never_leaves_the_range(maths: Contract) -> None:
    last = AUCTION["start"]
    for elapsed in range(0, FAST + SLOW + 1_000, 97):
        now = maths.call("discount", elapsed, FAST, SLOW, AUCTION["start"], AUCTION["fastEnd"])
        assert from_wad(now) == pytest.approx(discount(elapsed), abs=1e-15)
        assert 0 <= now <= last
        last = now
    assert last == 0


@pytest.mark.parametrize("elapsed", [0, 300, FAST, FAST + 1_800, FAST + SLOW, FAST + SLOW + 5_000])
def test_terms_follow_the_clock(elapsed: int) -> None:
    world = fallen()
    wait(world, elapsed)
    equity = from_wad(worth(world, "writer"))
    fraction, price = terms(world)
    assert from_wad(price) == pytest.approx(discount(elapsed) * equity, rel=1e-12, abs=1e-9)
    margin, _, maintenance = (from_wad(each) for each in world.margin("writer"))
    target = (1 + BUFFER) * maintenance
    wanted = (target - margin) / (target - margin + discount(elapsed) * equity)
    assert from_wad(fraction) == pytest.approx(min(wanted, 1.0), rel=1e-12)


# -- a bid ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("elapsed", [0, 400, 3_000])
@pytest.mark.parametrize("perps", [0.0, 40.0, -5.0])
def test_bid_heals_the_account_and_moves_the_same_part_of_everything(elapsed: int, perps: float) -> None:
    world = written(cash=36_000.0, perps=perps)
    world.deposit("counterpart", 500_000)
    world.trade("counterpart", 25.0)
    world.later(60, 2_255.0 if perps <= 0 else 2_500.0, 0.9)
    world.liquidate("writer")
    wait(world, elapsed)
    call, skew = call_of(world), world.perp.call("skew")
    long, short = world.perp.call("openInterest")
    total, size, coins = world.total_cash(*ROLES), world.position("writer", call), world.size("writer")
    equity, before, (fraction, price) = worth(world, "writer"), worth(world, "bidder"), terms(world)
    told = bid_of(world.bid("writer"))
    assert told["fraction"] == fraction
    assert told["deficit"] == 0
    # Conservation: of cash, of every series, of the skew and the open interest.
    assert world.total_cash(*ROLES) == total == world.custody()
    assert sum(world.position(role, call) for role in ROLES) == 0
    assert world.perp.call("skew") == skew
    assert world.perp.call("openInterest") == [long, short] or world.perp.call("openInterest") == (long, short)
    # The same part of everything.
    assert world.position("bidder", call) == -(-size * fraction // WAD)
    assert world.size("bidder") == (abs(coins) * fraction // WAD) * (1 if coins > 0 else -1)
    # The bidder gains the discount and no more; the account loses just that.
    gain = worth(world, "bidder") - before
    most = (equity - price) * fraction // WAD
    assert most - WEI <= gain <= most + WEI
    assert gain <= (1 - discount(elapsed)) * fraction / WAD * equity + WEI * WAD
    assert worth(world, "writer") == pytest.approx(equity - most, abs=WEI)
    # Healed to between maintenance and the buffer; the auction is over.
    margin, _, maintenance = world.margin("writer")
    assert maintenance <= margin <= maintenance * (1 + BUFFER) * (1 + 2e-4)
    assert started(world) == (0, 0)
    assert refusal(world.bid, "writer").name == "NoAuction"


def test_bid_heals_an_account_of_the_portfolio_margin() -> None:
    world = written(cash=45_000.0, perps=40.0, margin_kind="PortfolioMargin")
    for price in range(2_050, 3_500, 25):
        world.later(60, float(price))
        margin, _, maintenance = world.margin("writer")
        if margin < maintenance:
            break
    world.liquidate("writer")
    world.bid("writer")
    margin, _, maintenance = world.margin("writer")
    assert maintenance <= margin <= maintenance * (1 + BUFFER) * 1.01


def test_smaller_bid_takes_what_it_asks_for_and_the_auction_goes_on() -> None:
    world = fallen()
    wanted, price = terms(world)
    told = bid_of(world.bid("writer", 0.05))
    assert told["fraction"] == to_wad(0.05) < wanted
    assert started(world)[0] > 0
    left, rest = terms(world)
    assert left / WAD == pytest.approx((wanted / WAD - 0.05) / 0.95, rel=1e-12)
    assert rest == pytest.approx(0.95 * price, rel=1e-12)
    assert reserved(world) == pytest.approx(0.05 * price, rel=1e-12)


def test_many_small_bids_take_no_more_than_one() -> None:
    world = fallen()
    wait(world, 4_000)
    fraction, price = terms(world)
    equity = worth(world, "writer")
    with world.evm.rolled_back():
        world.bid("writer")
        once = worth(world, "writer")
    while started(world)[0]:
        world.bid("writer", 0.02)
    assert worth(world, "writer") >= once - WEI
    assert once == pytest.approx(equity - (equity - price) * fraction // WAD, abs=WEI)


def test_bidder_nets_what_it_takes_against_what_it_has() -> None:
    """A perpetual in the other direction and the very calls that the writer is short."""
    world = written(cash=36_000.0, perps=40.0)
    world.trade("bidder", -30.0)
    world.report()
    world.buy("bidder", "maker", call_of(world), 50.0)
    world.later(60, 2_500.0, 0.9)
    world.liquidate("writer")
    total, before, equity, (fraction, price) = (
        world.total_cash(*ROLES), worth(world, "bidder"), worth(world, "writer"), terms(world),
    )  # fmt: skip
    world.bid("writer")
    assert world.size("bidder") == to_wad(-30) + to_wad(40) * fraction // WAD
    assert world.total_cash(*ROLES) == total
    assert abs(worth(world, "bidder") - before - (equity - price) * fraction // WAD) <= WEI


def test_bid_beyond_what_the_bidder_would_pay_is_refused() -> None:
    world = fallen()
    fraction, paid = world.auction.call("terms", world.account("writer"), world.price())
    most = -(-paid * fraction // WAD)
    arguments = (world.account("writer"), WAD)
    error = refusal(world.auction.send, "bid", *arguments, most - WEI, sender=world.account("bidder"))
    assert error.name == "PaysTooMuch"
    rounded = most + 2  # price and cash are rounded up each
    world.auction.send("bid", *arguments, rounded, sender=world.account("bidder"))


def test_who_was_overtaken_pays_no_more_than_it_said() -> None:
    """Paid to take a fraction, a bidder that comes second finds less of it and refuses."""
    world = fallen()
    world.deposit("rival", 500_000)
    fraction, paid = world.auction.call("terms", world.account("writer"), world.price())
    least = from_wad(paid * fraction // WAD) * 0.99
    world.bid("writer", 0.1, bidder="rival")
    assert refusal(world.bid, "writer", 1.0, least).name == "PaysTooMuch"


def test_account_cannot_bid_for_itself() -> None:
    assert refusal(fallen().bid, "writer", bidder="writer").name == "OwnAuction"


def test_bidder_without_margin_is_refused() -> None:
    world = fallen()
    world.deposit("pauper", 100)
    assert refusal(world.bid, "writer", bidder="pauper").name == "InsufficientMargin"


@pytest.mark.parametrize("fraction", [0.0, 1.0 + 1e-15])
def test_fraction_outside_the_account_is_refused(fraction: float) -> None:
    assert refusal(fallen().bid, "writer", fraction).name == "BadFraction"


def test_nothing_goes_while_the_clearinghouse_is_locked() -> None:
    world = fallen()
    world.freeze()
    for action in (world.bid, world.liquidate):
        assert refusal(action, "writer").name == "Locked"


# -- the course of an auction -----------------------------------------------------------------------------------------


def test_start_pays_gas_back_and_nothing_more() -> None:
    world = written()
    world.later(60, 2_180.0)
    world.evm.base_fee = 30 * 10**9
    cash = world.cash("writer")
    receipt = world.liquidate("writer")
    (told,) = receipt.events("AuctionStarted")
    assert told["reward"] == 300_000 * 30 * 10**9 * 2_180 == world.cash("liquidator") == cash - world.cash("writer")
    assert told["equity"] == worth(world, "writer")
    assert receipt.result[0] == told["reward"]
    reward, next_at = world.liquidate("writer").result
    assert reward == 0
    assert next_at == world.evm.timestamp + FAST // 2
    assert world.cash("liquidator") == told["reward"]


def test_dust_account_does_not_pay_for_its_own_auction() -> None:
    """A hundredth of a call is worth less than the gas: half of its maintenance margin is all there is to earn."""
    world = written()
    world.deposit("dust", 12.0)
    world.buy("dust", "maker", call_of(world), -0.01)
    world.evm.base_fee = 50 * 10**9
    world.later(60, 3_150.0)
    maintenance = world.margin("dust")[2]
    assert world.liquidate("dust").result[0] == maintenance // 2


def test_healed_account_is_not_sold_and_its_auction_ends() -> None:
    world = fallen()
    world.deposit("writer", 50_000)
    assert refusal(world.bid, "writer").name == "NotLiquidatable"
    assert world.auction.call("terms", world.account("writer"), world.price()) in ((0, 0), [0, 0])
    receipt = world.liquidate("writer")
    assert receipt.events("AuctionEnded")
    assert receipt.result in ((0, 0), [0, 0])
    assert started(world) == (0, 0)
    assert refusal(world.liquidate, "writer").name == "NotLiquidatable"


def test_auction_that_nobody_watched_starts_anew_at_the_first_price() -> None:
    """The account may have been healthy meanwhile: an old start is worth no discount, and pays no second reward."""
    world = fallen()
    world.later(60, 1_950.0)
    world.later(FAST + SLOW - 500, 2_190.0)
    assert started(world) == (0, 0)
    assert refusal(world.bid, "writer").name == "NoAuction"
    world.evm.base_fee = 30 * 10**9
    receipt = world.liquidate("writer")
    assert receipt.events("AuctionStarted")[0]["reward"] == 0
    assert terms(world)[1] == pytest.approx(START * worth(world, "writer"), rel=1e-12)


def test_lapsed_auction_forgets_what_was_insured_with_what_was_reserved() -> None:
    world = fallen(2_400.0, max_per_event=15_000)
    insured = bid_of(world.bid("writer", 0.25))["deficit"]
    wait(world, INSOLVENT)
    assert terms(world)[1] == insured - to_wad(15_000)
    world.later(FAST + 1)
    world.liquidate("writer")
    wait(world, INSOLVENT)
    assert terms(world)[1] == -to_wad(15_000)


def test_unwatched_time_never_exceeds_the_fast_phase() -> None:
    world = fallen()
    world.later(FAST - 1)
    assert started(world)[0] > 0
    world.evm.advance(1)
    assert started(world) == (0, 0)


def test_account_without_options_any_more_leaves_the_auction() -> None:
    world = fallen()
    world.expire(world.expiries[0], 1_990.0)
    world.settle_series("writer", call_of(world))
    assert world.house.call("engineOf", world.account("writer")) == world.engine.address
    receipt = world.auction.send("liquidate", world.account("writer"), sender=world.account("keeper"))
    assert receipt.events("AuctionEnded")


def test_expired_series_are_settled_before_anything_is_sold() -> None:
    world = written()
    expiry = world.expiries[0]
    world.later(expiry - 3_600 - world.evm.timestamp, 2_290.0)
    world.later(3_300, 2_290.0)
    world.liquidate("writer")
    world.later(310, 2_290.0)
    assert refusal(world.bid, "writer").name == "SettlementDue"
    assert world.auction.call("terms", world.account("writer"), world.price()) in ((0, 0), [0, 0])
    reward, next_at = world.liquidate("writer").result
    assert (reward, next_at) == (0, world.evm.timestamp)


def test_order_with_a_benchmark_is_settled_and_another_dropped_before_the_sale() -> None:
    world = written(cash=36_000.0, perps=5.0)
    world.commit("writer", -2.0)
    hint = world.move(2_300.0, 2)
    world.report(0.9)
    receipt = world.liquidate("writer")
    (settled,) = receipt.events("OrderSettled")
    assert hint > 0
    assert world.size("writer") == to_wad(3)
    assert world.cash("liquidator") == settled["reward"] + receipt.events("AuctionStarted")[0]["reward"]
    assert world.cash(world.auction.address) == 0


def test_engine_of_perpetuals_leaves_options_to_the_auction_and_the_other_way_round() -> None:
    world = fallen()
    writer, keeper = world.account("writer"), world.account("keeper")
    assert refusal(world.engine.send, "liquidate", writer, sender=keeper).name == "WrongEngine"
    world.deposit("trader", 40_000)
    world.trade("trader", -350.0)
    world.later(60, 2_300.0)
    trader = world.account("trader")
    assert refusal(world.auction.send, "liquidate", trader, sender=keeper).name == "WrongEngine"
    assert refusal(world.auction.send, "liquidate", world.pool.address, sender=keeper).name == "NotLiquidatable"


@pytest.mark.parametrize(
    ("name", "value"),
    [("fastTime", 0), ("slowTime", 0), ("insolventTime", 8 * SECONDS_PER_DAY), ("startGas", 10_000_001),
     ("start", WAD + 1), ("fastEnd", AUCTION["start"] + 1), ("buffer", WAD + 1)],
)  # fmt: skip
def test_setting_that_would_break_the_auction_is_refused(name: str, value: int) -> None:
    world = VenueWorld()
    settings = tuple((AUCTION | {name: value}).values())
    arguments = (world.house.address, [world.perp.address], "0x" + "00" * 20, settings)
    error = refusal(world.evm.deploy, "DutchAuctionLiquidation", *arguments)
    assert error.name == "BadSetting"
    assert error.args[1] == value if not isinstance(error.args, dict) else error.args["value"] == value


# -- insolvency -------------------------------------------------------------------------------------------------------


def test_insolvent_account_pays_the_bidder_more_the_longer_nobody_bids() -> None:
    world = fallen(2_400.0)
    equity, maintenance = worth(world, "writer"), world.margin("writer")[2]
    assert equity < 0
    assert started(world)[1] == world.evm.timestamp
    assert terms(world) == (WAD, equity)
    for _ in range(6):
        wait(world, 600)
        elapsed = world.evm.timestamp - started(world)[1]
        fraction, price = terms(world)
        assert fraction == WAD
        expected = worth(world, "writer") - maintenance * min(elapsed, INSOLVENT) // INSOLVENT
        assert price == pytest.approx(expected, rel=1e-12)
    wait(world, 1_200)
    assert terms(world)[1] == pytest.approx(worth(world, "writer") - maintenance, rel=1e-12)


@pytest.mark.parametrize("fraction", [1.0, 0.25])
def test_insurance_pays_for_the_options_of_an_insolvent_account(fraction: float) -> None:
    world = fallen(2_400.0)
    wait(world, 900)
    fund, total, before, equity = (
        world.cash(world.fund.address), world.total_cash(*ROLES), worth(world, "bidder"), worth(world, "writer"),
    )  # fmt: skip
    maintenance = world.margin("writer")[2]
    told = bid_of(world.bid("writer", fraction))
    bonus = maintenance * 900 // INSOLVENT
    assert told["deficit"] == pytest.approx((bonus - equity) * fraction, rel=1e-12)
    assert fund - world.cash(world.fund.address) == told["deficit"]
    assert worth(world, "bidder") - before == pytest.approx(bonus * fraction, rel=1e-9)
    assert world.total_cash(*ROLES) == total
    assert world.house.call("badDebt") == 0
    assert worth(world, "writer") == pytest.approx((1 - fraction) * equity, rel=1e-12, abs=WEI)
    if fraction == 1.0:
        assert world.cash("writer") == 0
        assert world.house.call("engineOf", world.account("writer")) == world.engine.address


def test_solvent_again_the_insolvent_clock_forgets() -> None:
    world = fallen(2_400.0)
    wait(world, 600)
    world.later(60, 2_200.0)
    world.liquidate("writer")
    assert started(world)[1] == 0
    assert terms(world)[1] == pytest.approx(discount(660 + 1) * worth(world, "writer"), rel=1e-12)
    world.later(60, 2_400.0)
    world.liquidate("writer")
    assert started(world)[1] == world.evm.timestamp


def test_deficit_of_options_beyond_the_insurance_leaves_them_where_they_are() -> None:
    world = fallen(5_000.0)
    size = world.position("writer", call_of(world))
    for fraction in (1.0, 0.01):
        assert refusal(world.bid, "writer", fraction).name == "DeficitTooLarge"
    assert world.position("writer", call_of(world)) == size
    assert world.cash(world.fund.address) == to_wad(INSURANCE_CASH)


def test_longs_share_in_what_an_account_beyond_the_insurance_has_at_expiry() -> None:
    world = fallen(5_000.0, max_per_event=10_000)
    call, expiry = call_of(world), world.expiries[0]
    assert refusal(world.bid, "writer").name == "DeficitTooLarge"
    world.expire(expiry, 5_000.0)
    had = world.cash("writer")
    paid = -world.settle_series("writer", call)
    assert paid == had > 0
    assert to_wad(INSURANCE_CASH) - world.cash(world.fund.address) == to_wad(10_000)
    assert abs(world.settle_series("maker", call) - paid - to_wad(10_000)) <= WEI
    assert world.cash("writer") == world.house.call("badDebt") == 0


def test_price_stops_falling_where_the_insurance_ends() -> None:
    world = fallen(2_400.0, insurance_cash=15_000)
    assert -to_wad(15_000) < worth(world, "writer") < 0
    wait(world, INSOLVENT)
    assert terms(world)[1] == -to_wad(15_000)
    world.bid("writer")
    assert world.cash(world.fund.address) == 0


def test_insurance_pays_no_more_than_its_cap_however_bids_are_cut() -> None:
    world = fallen(2_400.0, max_per_event=12_000)
    wait(world, INSOLVENT)
    for fraction in (0.5, 0.5, 0.5):
        with suppress(Revert):
            world.bid("writer", fraction)
        world.later(60, from_wad(world.price()) + 5.0)
        world.liquidate("writer")
    assert to_wad(INSURANCE_CASH) - world.cash(world.fund.address) <= to_wad(12_000)


@pytest.mark.parametrize("fraction", [1.0, 0.2])
def test_insurance_of_perpetuals_has_one_cap_for_the_whole_auction(fraction: float) -> None:
    world = VenueWorld(engine_kind="DutchAuctionLiquidation", max_per_event=1_000)
    for role, dollars in (("writer", 20_000), ("counterpart", 500_000), ("bidder", 1_000_000)):
        world.deposit(role, dollars)
    world.trade("counterpart", 100.0)
    world.trade("writer", -100.0)
    world.move(2_300.0, 60)
    world.liquidate("writer")
    fund, debt = world.cash(world.fund.address), -worth(world, "writer")
    while world.size("writer"):
        world.bid("writer", min(fraction if world.size("writer") < to_wad(-20) else 1.0, 1.0))
    assert fund - world.cash(world.fund.address) == to_wad(1_000)
    assert world.house.call("recordedBadDebt") == pytest.approx(debt - to_wad(1_000), abs=WEI)


def test_mixed_deficit_is_split_by_maintenance_margin() -> None:
    """The perpetual's part goes down the waterfall, the options' comes out of the fund alone."""
    world = written(cash=60_000.0, perps=-100.0, insurance_cash=30_000, max_per_event=30_000)
    world.deposit("counterpart", 500_000)
    world.trade("counterpart", 100.0)
    world.later(60, 2_440.0, 0.8)
    world.liquidate("writer")
    total, equity = world.total_cash(*ROLES), worth(world, "writer")
    assert equity < 0
    account, price = world.account("writer"), world.price()
    perpetual = world.perp.call("requirements", world.size("writer"), price)[1]
    options = world.market.call("assess", account, price)[2]
    receipt = world.bid("writer")
    deficit = bid_of(receipt)["deficit"]
    assert deficit == -equity
    insured = sum(
        told["amount"] for told in receipt.events("CashMoved") if told["reason"].rstrip(b"\0") == b"insurance"
    )
    assert insured == deficit * options // (perpetual + options)
    (recorded,) = receipt.events("BadDebtRecorded")
    assert recorded["amount"] == deficit - insured
    assert world.total_cash(*ROLES) == total
    assert world.cash("writer") == world.cash(world.auction.address) == 0


def test_deficit_of_perpetuals_is_deleveraged_on_the_other_side() -> None:
    world = VenueWorld(engine_kind="DutchAuctionLiquidation", insurance_cash=0)
    for role, dollars in (("writer", 20_000), ("counterpart", 500_000), ("bidder", 1_000_000)):
        world.deposit(role, dollars)
    world.trade("counterpart", 100.0)
    world.trade("writer", -100.0)
    world.move(2_300.0, 60)
    world.liquidate("writer")
    debt = -worth(world, "writer") - world.cash(world.fund.address)
    assert debt > 0
    world.bid("writer")
    assert world.size("bidder") == to_wad(-100)
    assert world.house.call("recordedBadDebt") == debt
    receipt = world.adl("bidder", "counterpart")
    assert [told["account"] for told in receipt.events("Deleveraged")] == [world.account("counterpart")]
    assert world.house.call("recordedBadDebt") <= 1
    assert world.total_cash("writer", "counterpart", "bidder", "keeper", "liquidator") == world.custody()


# -- perpetuals alone, vaults -----------------------------------------------------------------------------------------


def test_auction_serves_accounts_of_perpetuals_alone() -> None:
    world = VenueWorld(engine_kind="DutchAuctionLiquidation")
    world.deposit("writer", 100_000)
    world.deposit("bidder", 1_000_000)
    world.trade("writer", 1_000.0)
    world.move(1_930.0, 60)
    world.liquidate("writer")
    equity, (fraction, price) = worth(world, "writer"), terms(world)
    assert price == pytest.approx(START * equity, rel=1e-12)
    skew, before = world.perp.call("skew"), worth(world, "bidder")
    world.bid("writer")
    margin, _, maintenance = world.margin("writer")
    # The margin ratio falls with size, so the rest needs a little less than its part.
    assert maintenance <= margin <= maintenance * (1 + BUFFER) * 1.05
    assert world.perp.call("skew") == skew
    assert abs(worth(world, "bidder") - before - (equity - price) * fraction // WAD) <= WEI
    assert refusal(world.liquidate, "writer").name == "NotLiquidatable"


def test_account_that_holds_nothing_and_owes_goes_to_the_waterfall() -> None:
    world = VenueWorld(engine_kind="DutchAuctionLiquidation")
    world.hand_over("writer", "counterpart", to_wad(1_000))
    receipt = world.liquidate("writer")
    (told,) = receipt.events("Liquidated")
    assert told["badDebt"] == to_wad(1_000) + told["reward"]
    assert world.cash("writer") == 0
    assert world.cash(world.fund.address) == to_wad(INSURANCE_CASH) - told["badDebt"]


def test_vault_is_an_account_like_any_other() -> None:
    world = OptionWorld()
    world.open_vaults()
    vault = world.underwriter
    world.invest(vault, "depositor", 200_000)
    world.deposit("taker", 2_000_000)
    world.deposit("bidder", 3_000_000)
    call = world.list_series(2_000.0, True)
    world.buy("taker", vault.address, call, 400.0)
    world.later(60, 2_380.0)
    before = vault.call("nav")[0]
    world.liquidate(vault.address)
    fraction, price = terms(world, vault.address)
    equity = worth(world, vault.address)
    world.bid(vault.address)
    lost = before - vault.call("nav")[0]
    assert lost == pytest.approx((equity - price) * fraction // WAD, rel=0.05)
    margin, _, maintenance = world.margin(vault.address)
    assert maintenance <= margin <= maintenance * (1 + BUFFER) + WEI


# -- cost -------------------------------------------------------------------------------------------------------------


GAS = {
    16: {"start": 1_260_000, "watch": 1_180_000, "bid": 3_000_000},
    64: {"start": 4_250_000, "watch": 4_150_000, "bid": 11_000_000},
}
"""Each call values the book once for margin, once for the sale, and once for what of its debt insurance could pay."""


@pytest.mark.anvil
@pytest.mark.parametrize("count", [16, 64])
def test_gas_of_an_auction_over_many_series_is_bounded(count: int) -> None:
    """Receipts of a node: an account short of everything in four expiries, and a bidder new to all of it."""
    with Anvil() as anvil:
        world = OptionWorld(evm=Node(anvil))
        for role in ("maker", "bidder"):
            world.deposit(role, 5_000_000)
        world.make("maker", halfSpread=0, minSpread=0, vegaSkew=0)
        world.deposit("writer", 9_000 if count == 64 else 5_000)
        expiries = [world.evm.timestamp + days * SECONDS_PER_DAY for days in (7, 14, 21, 28)]
        for index in range(count):
            series = world.list_series(1_500.0 + 25 * (index // 2), bool(index % 2), expiries[index % 4])
            world.buy("writer", "maker", series, -0.25 if count == 64 else -0.5)
        world.later(60, 3_100.0, 1.2)
        used = {
            "start": world.liquidate("writer").gas_used,
            "watch": world.liquidate("writer").gas_used,
            "bid": world.bid("writer", 0.1).gas_used,
        }
    print(f"{count} series:", *(f"{step} {gas:,}" for step, gas in used.items()))
    assert all(used[step] < GAS[count][step] for step in used), used
