"""The waterfall: who pays what a liquidated account cannot, in which order, and when."""

from __future__ import annotations

import pytest
from venue_world import ADL_TARGET, ADL_TRIGGER, ADL_WINDOW, NO_ADDRESS, VenueWorld, refusal

from keeper.units import SECONDS_PER_DAY, WAD, to_usdc, to_wad

RAY = 10**27
ROLES = ("long", "short", "second", "other", "provider", "keeper", "liquidator", "spare")


def opened(pool_cash: float = 2_000_000, insurance_cash: float = 1_000, **settings: float) -> VenueWorld:
    """A long and a short of 1,000 coins from 2,000 with 100,000 each, and somebody with nothing but cash."""
    world = VenueWorld(pool_cash=pool_cash, insurance_cash=insurance_cash, locked_ratio=0, **settings)  # type: ignore[arg-type]
    for role, size in (("long", 1_000), ("short", -1_000)):
        world.deposit(role, 100_000)
        world.commit(role, size)
    benchmark = world.move(2_000, seconds=2)
    world.settle("long", benchmark)
    world.settle("short", benchmark)
    world.deposit("other", 50_000)
    return world


def bankrupt(world: VenueWorld, price: float = 2_200, role: str = "short") -> int:
    """A gap that leaves the account with less than nothing, and its liquidation; returns the deficit left open."""
    world.move(price)
    world.liquidate(role)
    return int(world.house.call("recordedBadDebt"))


def wait_out(world: VenueWorld) -> None:
    """Let the window for deleveraging pass, with a fresh price at its end."""
    world.move(world.price() / WAD, ADL_WINDOW)


# -- recording ---------------------------------------------------------------------------------------------------------


def test_only_an_engine_hands_a_deficit_over() -> None:
    world = opened()
    arguments = (world.account("short"), world.perp.address, to_wad(1), world.price())
    for caller in (world.admin, world.account("short")):
        revert = refusal(world.waterfall.send, "absorb", *arguments, sender=caller)
        assert (revert.name, revert.args) == ("NotEngine", (caller,))


def test_only_the_waterfall_draws_on_insurance_pool_and_everybodys_cash() -> None:
    world = opened()
    bankrupt(world)
    caller = world.account("other")
    for part in (world.fund, world.pool):
        assert refusal(part.send, "cover", 1, world.price(), sender=caller).name == "NotWaterfall"
    assert refusal(world.house.send, "recordBadDebt", world.account("long"), sender=caller).name == "NotWaterfall"
    assert refusal(world.house.send, "socialise", 1, sender=caller).name == "NotWaterfall"


def test_deficit_within_the_insurance_is_paid_at_once_and_opens_nothing() -> None:
    world = opened(insurance_cash=500_000)
    fund = world.cash(world.fund.address)
    world.move(2_200)
    receipt = world.liquidate("short")
    (recorded,) = receipt.events("BadDebtRecorded")
    (covered,) = receipt.events("BadDebtCovered")
    (liquidated,) = receipt.events("Liquidated")
    assert recorded["amount"] == covered["amount"] == liquidated["badDebt"] > to_wad(90_000)
    assert covered["payer"] == world.fund.address
    assert fund > world.cash(world.fund.address)
    assert receipt.events("DeficitOpened") == []
    assert (world.house.call("badDebt"), world.waterfall.call("adlUntil")) == (0, 0)
    assert world.waterfall.call("bankruptSide", world.perp.address) == 0
    world.withdraw("other", 1)


def test_insurance_pays_no_more_than_its_cap_per_event_and_again_for_the_next_event() -> None:
    world = opened(insurance_cash=500_000, max_per_event=5_000)
    world.deposit("second", 100_000)
    world.trade("second", -1_000)
    world.move(2_300)
    for role in ("short", "second"):
        (covered,) = world.liquidate(role).events("BadDebtCovered")
        assert (covered["payer"], covered["amount"]) == (world.fund.address, to_wad(5_000))


def test_deficit_beyond_the_insurance_opens_a_window_against_the_other_side() -> None:
    world = opened(max_per_event=5_000, insurance_cash=500_000)
    world.move(2_200)
    receipt = world.liquidate("short")
    (recorded,) = receipt.events("BadDebtRecorded")
    (opening,) = receipt.events("DeficitOpened")
    left = recorded["amount"] - to_wad(5_000)
    until = world.evm.timestamp + ADL_WINDOW
    assert (opening["amount"], opening["adlUntil"]) == (left, until)
    assert world.house.call("badDebt") == world.house.call("recordedBadDebt") == left
    assert world.waterfall.call("adlUntil") == until
    assert world.waterfall.call("bankruptSide", world.perp.address) == -1


def test_bankrupt_long_is_the_other_sign() -> None:
    world = opened()
    bankrupt(world, 1_800, "long")
    assert world.waterfall.call("bankruptSide", world.perp.address) == 1


def test_small_bankruptcy_on_the_other_side_shields_nobody() -> None:
    """Whoever lost most decides who pays; a sham loss among the winners does not turn that round."""
    world = opened()
    world.deposit("second", 1_100)
    left = bankrupt(world)
    world.trade("second", 5)
    world.move(1_850)
    world.liquidate("second")
    assert world.house.call("recordedBadDebt") > left
    assert world.waterfall.call("bankruptSide", world.perp.address) == -1


def test_newer_deficit_does_not_prolong_an_open_window() -> None:
    world = opened()
    world.deposit("second", 150_000)
    world.trade("second", -1_000)
    first = bankrupt(world, 2_130)
    until = world.waterfall.call("adlUntil")
    world.move(2_300, ADL_WINDOW // 2)
    receipt = world.liquidate("second")
    assert receipt.events("BadDebtRecorded")
    assert receipt.events("DeficitOpened") == []
    assert world.house.call("recordedBadDebt") > first > 0
    assert world.waterfall.call("adlUntil") == until


def test_deficit_that_joins_one_whose_window_is_over_has_a_window_of_its_own() -> None:
    """Cents that nobody settled must not spare the winners what a whole account leaves behind."""
    world = VenueWorld(insurance_cash=0)
    for role, dollars in (("dust", 1_000), ("loser", 90_000), ("winner", 2_000_000)):
        world.deposit(role, dollars)
    for role, size in (("winner", -1_000.0), ("loser", 1_000.0), ("dust", 5.0)):
        world.trade(role, size)
    world.move(1_700.0)
    world.liquidate("dust")
    dust = world.house.call("badDebt")
    world.move(1_700.0, ADL_WINDOW + 1)
    (opening,) = world.liquidate("loser").events("DeficitOpened")
    added = world.house.call("badDebt") - dust
    assert (opening["amount"], opening["adlUntil"]) == (added, world.evm.timestamp + ADL_WINDOW)
    assert added > 100 * dust > 0
    assert refusal(world.settle_deficit).name == "AdlWindowOpen"
    world.adl("winner")
    assert world.house.call("badDebt") <= 1


def test_deficit_after_one_that_somebody_paid_opens_a_window_of_its_own() -> None:
    world = opened()
    world.deposit("second", 150_000)
    world.trade("second", -1_000)
    left = bankrupt(world, 2_130)
    world.deposit(world.house.address, left / WAD + 0.000001)
    assert (world.house.call("badDebt"), world.waterfall.call("adlUntil")) == (0, 0)
    world.move(2_300, ADL_WINDOW - 1)
    (opening,) = world.liquidate("second").events("DeficitOpened")
    assert opening["adlUntil"] == world.evm.timestamp + ADL_WINDOW == world.waterfall.call("adlUntil")


@pytest.mark.parametrize("price", [2_200, 3_000, 10_000, 1_000_000])
def test_liquidation_of_a_gap_never_reverts_though_fund_and_pool_are_empty(price: float) -> None:
    world = opened(pool_cash=0, insurance_cash=0)
    bankrupt(world, price)
    assert world.size("short") == 0
    assert world.house.call("badDebt") > 0
    assert world.total_cash(*ROLES) == world.custody()


# -- settling ----------------------------------------------------------------------------------------------------------


def test_settling_waits_for_the_window_to_the_second() -> None:
    world = opened()
    bankrupt(world)
    until = world.evm.timestamp + ADL_WINDOW
    world.move(2_200, ADL_WINDOW - 1)
    revert = refusal(world.settle_deficit)
    assert (revert.name, revert.args) == ("AdlWindowOpen", (until - 1, until))
    world.move(2_200, 1)
    world.settle_deficit()
    assert world.house.call("badDebt") == 0


def test_settling_needs_a_fresh_price() -> None:
    world = opened()
    bankrupt(world)
    world.evm.advance(3_601)
    assert refusal(world.settle_deficit).name == "PriceTooOld"


def test_settling_what_is_not_there_does_nothing() -> None:
    world = opened()
    receipt = world.settle_deficit()
    assert (tuple(receipt.result), tuple(receipt.logs)) == ((0, 0), ())


def test_pool_pays_from_its_equity_before_anybodys_cash() -> None:
    world = opened()
    left = bankrupt(world)
    wait_out(world)
    before = {role: world.cash(role) for role in ("long", "other", world.pool.address)}
    receipt = world.settle_deficit()
    assert tuple(receipt.result) == (left, 0)
    assert before[world.pool.address] - world.cash(world.pool.address) == left
    assert all(world.cash(role) == before[role] for role in ("long", "other"))
    assert len(receipt.events("DeficitClosed")) == 1
    assert (world.house.call("badDebt"), world.waterfall.call("adlUntil")) == (0, 0)
    assert world.waterfall.call("bankruptSide", world.perp.address) == 0


def test_pool_never_pays_from_what_it_owes_its_traders() -> None:
    world = opened(pool_cash=50_000)
    left = bankrupt(world)
    wait_out(world)
    own = world.pool.call("equity", world.price())
    from_pool, socialised = world.settle_deficit().result
    assert to_wad(40_000) < from_pool == own < left
    assert socialised == left - own
    assert world.pool.call("equity", world.price()) == 0 < world.cash(world.pool.address)


def test_rest_is_taken_from_everybodys_cash_in_proportion_and_not_from_the_venues_own() -> None:
    world = opened(pool_cash=50_000)
    bankrupt(world)
    world.deposit(world.fund.address, 700)
    wait_out(world)
    holders = ("long", "other", "keeper", "liquidator")
    before = {role: world.cash(role) for role in holders}
    _, socialised = world.settle_deficit().result
    index = world.house.call("haircutIndex")
    taken = {role: before[role] - world.cash(role) for role in holders}
    part = socialised / sum(before.values())
    assert all(taken[role] == pytest.approx(before[role] * part, rel=1e-9) for role in holders)
    assert all(world.cash(role) == before[role] * index // RAY for role in holders)
    assert 0 <= sum(taken.values()) - socialised <= len(holders) + sum(before.values()) // RAY + 1
    assert world.cash(world.fund.address) == to_wad(700)
    assert 0 <= world.custody() - world.total_cash(*ROLES) <= len(holders) + 1
    assert world.house.call("totalBadDebt")[1] == socialised


def test_withdrawals_are_blocked_until_the_deficit_is_settled_and_open_afterwards() -> None:
    world = opened(pool_cash=50_000)
    left = bankrupt(world)
    for role in ("other", "liquidator"):
        revert = refusal(world.withdraw, role, 1)
        assert (revert.name, revert.args) == ("WithdrawalsBlocked", (left,))
    wait_out(world)
    assert refusal(world.withdraw, "other", 1).name == "WithdrawalsBlocked"
    world.settle_deficit()
    world.withdraw("other", to_usdc_floor(world.cash("other")))


def test_deposit_after_a_haircut_is_not_cut() -> None:
    world = opened(pool_cash=50_000)
    bankrupt(world)
    wait_out(world)
    world.settle_deficit()
    world.deposit("newcomer", 1_000)
    assert world.cash("newcomer") == to_wad(1_000)
    world.withdraw("newcomer", 1_000)


def test_what_ninety_nine_hundredths_of_all_cash_do_not_pay_stays_on_record_until_the_next_call() -> None:
    world = opened(pool_cash=0, insurance_cash=0)
    left = bankrupt(world, 4_000)
    wait_out(world)
    from_pool, taken = world.settle_deficit().result
    assert 0 < from_pool + taken < left
    assert world.house.call("recordedBadDebt") == left - from_pool - taken
    assert refusal(world.withdraw, "other", 0.01).name == "WithdrawalsBlocked"
    world.deposit("second", 3_000_000)
    world.settle_deficit()
    assert world.house.call("badDebt") == 0


# -- a pool that cannot pay --------------------------------------------------------------------------------------------


def insolvent_pool() -> tuple[VenueWorld, int]:
    """A long has taken more out of the pool than there was."""
    world = VenueWorld(pool_cash=50_000, insurance_cash=0, locked_ratio=0)
    world.deposit("long", 1_000_000)
    world.deposit("other", 50_000)
    world.trade("long", 1_000)
    world.move(2_200, 60)
    world.trade("long", -1_000)
    return world, -world.cash(world.pool.address)


def test_deficit_of_the_pool_itself_opens_a_window_and_is_then_everybodys() -> None:
    world, short = insolvent_pool()
    assert world.house.call("badDebt") == short > to_wad(100_000)
    assert world.house.call("recordedBadDebt") == 0
    (opening,) = world.settle_deficit().events("DeficitOpened")
    assert (opening["amount"], opening["adlUntil"]) == (short, world.evm.timestamp + ADL_WINDOW)
    world.move(2_200, ADL_WINDOW - 1)
    assert refusal(world.settle_deficit).name == "AdlWindowOpen"
    world.move(2_200, 1)
    cash = world.cash("long") + world.cash("other") + world.cash("keeper")
    assert tuple(world.settle_deficit().result) == (0, short)
    assert (world.house.call("badDebt"), world.cash(world.pool.address)) == (0, 0)
    assert 0 <= cash - world.cash("long") - world.cash("other") - world.cash("keeper") - short <= 4
    world.withdraw("other", to_usdc_floor(world.cash("other")))


def test_pool_that_recovers_within_the_window_costs_nobody_anything() -> None:
    world, short = insolvent_pool()
    world.settle_deficit()
    world.deposit(world.pool.address, short / WAD + 1)
    before = world.cash("long"), world.cash("other")
    wait_out(world)
    receipt = world.settle_deficit()
    assert tuple(receipt.result) == (0, 0)
    assert len(receipt.events("DeficitClosed")) == 1
    assert (world.cash("long"), world.cash("other")) == before
    assert world.house.call("haircutIndex") == RAY


def test_window_of_a_pool_that_healed_and_fell_ill_again_opens_anew_after_a_day() -> None:
    world, short = insolvent_pool()
    until = world.settle_deficit().events("DeficitOpened")[0]["adlUntil"]
    world.move(2_200, until + SECONDS_PER_DAY + 1 - world.evm.timestamp)
    (opening,) = world.settle_deficit().events("DeficitOpened")
    assert opening["adlUntil"] == world.evm.timestamp + ADL_WINDOW
    assert refusal(world.settle_deficit).name == "AdlWindowOpen"
    world.move(2_200, ADL_WINDOW + SECONDS_PER_DAY)
    assert tuple(world.settle_deficit().result) == (0, short)


def test_traders_deficit_and_the_pools_own_are_settled_together() -> None:
    """Both sides were too much for a venue with next to nothing behind it."""
    world = opened(pool_cash=1_000, insurance_cash=0)
    world.deposit("second", 400_000)
    world.trade("second", 1_000)
    recorded = bankrupt(world, 2_400)
    world.trade("second", -1_000)
    world.trade("long", -1_000)
    world.move(2_400, ADL_WINDOW)
    short = -world.cash(world.pool.address)
    assert world.house.call("badDebt") == recorded + short > recorded > 0
    assert tuple(world.settle_deficit().result) == (0, recorded + short)
    assert world.house.call("badDebt") == world.cash(world.pool.address) == 0
    assert 0 <= world.custody() - world.total_cash(*ROLES) <= len(ROLES)


# -- winding up --------------------------------------------------------------------------------------------------------


def test_venue_that_is_wound_up_after_a_bankrupting_gap_pays_everybody_by_formula_and_to_the_last_dollar() -> None:
    """Published closing price, positions closed there, the same haircut for all cash, providers last: nothing stays."""
    world = opened(pool_cash=60_000, insurance_cash=1_000)
    world.deposit("second", 80_000)
    world.trade("second", 400)
    left = bankrupt(world, 2_250)
    world.perp.send("setReduceOnly", True, sender=world.admin)
    world.move(2_250, ADL_WINDOW)
    assert left > to_wad(100_000)
    for role in ("long", "second"):
        world.trade(role, -world.size(role) / WAD)
    holders = ("long", "second", "other", "keeper", "liquidator")
    before = {role: world.cash(role) for role in holders}
    _, socialised = world.settle_deficit().result
    kept = 1 - socialised / sum(before.values())
    assert 0 < kept < 1
    assert world.house.call("badDebt") == 0

    custody, paid = world.custody(), 0
    for role in holders:
        dollars = to_usdc_floor(world.cash(role))
        world.withdraw(role, dollars)
        paid += to_usdc(dollars)
        assert dollars == pytest.approx(before[role] / WAD * kept, rel=1e-9, abs=2e-6)
    paid += leave_pool(world, "provider")
    rest = custody - paid * 10**12
    dust = (len(holders) + 2) * 10**12
    assert 0 <= rest - max(world.cash(world.fund.address), 0) <= dust
    assert world.perp.call("openInterest") == (0, 0)


def leave_pool(world: VenueWorld, role: str) -> int:
    """All of a provider's shares, out after the cooldown; returns USDC."""
    account = world.account(role)
    world.pool.send("requestExit", world.pool.call("balanceOf", account), sender=account)
    world.cool_down()
    before = int(world.token.call("balanceOf", account))
    world.pool.send("redeem", world.pool.call("maxRedeem", account), account, account, sender=account)
    assert world.pool.call("balanceOf", account) == 0
    return int(world.token.call("balanceOf", account)) - before


def to_usdc_floor(wad: int) -> float:
    """Dollars with six decimals, rounded down."""
    return wad // 10**12 / 10**6


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "window", "trigger", "target"),
    [
        ("adlWindow", 0, ADL_TRIGGER, ADL_TARGET),
        ("adlWindow", SECONDS_PER_DAY + 1, ADL_TRIGGER, ADL_TARGET),
        ("adlTrigger", ADL_WINDOW, 0, 0),
        ("adlTrigger", ADL_WINDOW, 1.01, ADL_TARGET),
        ("adlTarget", ADL_WINDOW, ADL_TRIGGER, ADL_TRIGGER),
    ],
)
def test_settings_that_could_not_work_are_refused(name: str, window: int, trigger: float, target: float) -> None:
    world = opened()
    arguments = (world.house.address, [world.perp.address], window, to_wad(trigger), to_wad(target))
    revert = refusal(world.evm.deploy, "Waterfall", *arguments)
    assert revert.name == "BadSetting"
    assert revert.args[0].rstrip(b"\0").decode() == name


def test_settings_are_public() -> None:
    world = opened()
    told = [world.waterfall.call(name) for name in ("adlWindow", "adlTrigger", "adlTarget", "adlUntil")]
    assert told == [ADL_WINDOW, to_wad(ADL_TRIGGER), to_wad(ADL_TARGET), 0]
    assert NO_ADDRESS != world.waterfall.call("clearinghouse") == world.house.address
