"""A liquidity pool that cannot pay its traders: nobody leaves first, winners pay from their profit, then everybody."""

from __future__ import annotations

from itertools import permutations

import pytest
from venue_world import ADL_WINDOW, VenueWorld, refusal

from keeper.units import WAD, to_usdc, to_wad

HOLDERS = ("long", "second", "short", "other", "keeper", "liquidator")
RAY = 10**27


def gapped(price: float = 2_300, pool_cash: float = 50_000, size: float = 1_000) -> VenueWorld:
    """Two longs from 2,000, a short whom the gap bankrupts, a pool too small for what is left, and idle cash."""
    world = VenueWorld(pool_cash=pool_cash, insurance_cash=0, locked_ratio=0)
    for role, dollars, coins in (("long", 150_000, size), ("second", 100_000, 400.0), ("short", 100_000, -1_000.0)):
        world.deposit(role, dollars)
        world.trade(role, coins)
    world.deposit("other", 50_000)
    world.move(price)
    return world


def pool_equity(world: VenueWorld) -> int:
    return int(world.pool.call("equity", world.price()))


def ranked(world: VenueWorld, *roles: str) -> list[str]:
    price, perp = world.price(), world.perp.address
    return sorted(roles, key=lambda role: -world.waterfall.call("score", perp, world.account(role), price))


def profit(world: VenueWorld, role: str) -> int:
    return int(sum(world.perp.call("accrued", world.account(role), world.price())))


def traders_debt(world: VenueWorld) -> int:
    return int(world.house.call("recordedBadDebt"))


def own_debt(world: VenueWorld) -> int:
    return int(world.house.call("badDebt")) - traders_debt(world)


# -- what counts -------------------------------------------------------------------------------------------------------


def test_pool_with_cash_that_owes_more_than_it_has_is_bad_debt_in_full() -> None:
    world = gapped()
    equity = pool_equity(world)
    assert world.cash(world.pool.address) > to_wad(50_000)
    assert equity < -to_wad(50_000)
    assert world.house.call("badDebt") == -equity
    assert world.house.call("recordedBadDebt") == 0
    for role in ("other", "long", "keeper"):
        revert = refusal(world.withdraw, role, 0.1)
        assert (revert.name, revert.args) == ("WithdrawalsBlocked", (-equity,))
    assert world.pool.call("maxDeposit", world.account("other")) == 0


def test_pool_with_negative_cash_and_equity_of_its_own_owes_nothing() -> None:
    """What it has lent to traders with open losses comes back."""
    world = gapped(price=1_950)
    world.hand_over(world.pool.address, "spare", world.cash(world.pool.address) + to_wad(1_000))
    assert world.cash(world.pool.address) < 0 < pool_equity(world)
    assert world.house.call("badDebt") == 0
    world.withdraw("other", 1)


def test_pool_that_owes_exactly_what_it_has_is_no_bad_debt_and_a_wei_less_is() -> None:
    world = gapped()
    world.hand_over("spare", world.pool.address, -pool_equity(world))
    assert (pool_equity(world), world.house.call("badDebt")) == (0, 0)
    world.withdraw("other", 1)
    world.hand_over(world.pool.address, "spare", 1)
    assert world.house.call("badDebt") == 1
    assert refusal(world.withdraw, "other", 1).args == (1,)


# -- who pays ----------------------------------------------------------------------------------------------------------


def test_winners_pay_the_pool_until_its_equity_is_zero_and_the_first_call_opens_the_window() -> None:
    world = gapped()
    deficit, before = own_debt(world), {role: world.margin(role)[0] for role in ("long", "second")}
    profits = {role: profit(world, role) for role in before}
    receipt = world.adl(*ranked(world, "long", "second"))
    (opening,) = receipt.events("DeficitOpened")
    assert (opening["amount"], opening["adlUntil"]) == (deficit, world.evm.timestamp + ADL_WINDOW)
    haircuts = {event["account"]: event["haircut"] for event in receipt.events("Deleveraged")}
    assert receipt.result[0] == sum(haircuts.values()) == deficit
    assert 0 <= pool_equity(world) <= 8
    for role in before:
        paid = haircuts.get(world.account(role), 0)
        assert paid <= profits[role]
        assert 0 <= before[role] - world.margin(role)[0] - paid <= 4
    assert world.house.call("badDebt") == 0
    assert len(receipt.events("DeficitClosed")) == 1
    world.withdraw("other", 1)


def test_no_more_coins_are_closed_than_the_pool_needs_and_their_whole_profit_is_what_they_pay() -> None:
    world = gapped()
    deficit, first = own_debt(world), ranked(world, "long", "second")[0]
    size, gain = world.size(first), profit(world, first)
    (event,) = world.adl(first).events("Deleveraged")
    assert -event["sizeDelta"] == min(size, -(-deficit * size // gain))
    assert event["haircut"] == deficit
    assert 0 <= event["pnl"] - event["haircut"] <= gain * WAD // size // WAD + 2


def test_shorts_pay_the_pool_as_longs_do() -> None:
    world = VenueWorld(pool_cash=50_000, insurance_cash=0, locked_ratio=0)
    world.deposit("winner", 200_000)
    world.trade("winner", -1_000)
    world.move(1_850)
    deficit = own_debt(world)
    assert deficit > to_wad(50_000)
    assert world.adl("winner").result[0] == deficit
    assert 0 <= pool_equity(world) <= 4


def test_winner_that_lives_on_its_profit_keeps_its_maintenance_margin_when_it_pays_the_pool() -> None:
    world = gapped()
    equity, _, maintenance = world.margin("long")
    world.hand_over("long", "spare", (equity - maintenance) * 95 // 100)
    deficit, size = own_debt(world), world.size("long")
    covered, _ = world.adl("long").result
    equity, _, maintenance = world.margin("long")
    assert 0 < covered < deficit
    assert 0 < world.size("long") < size
    assert equity >= maintenance


def test_traders_bad_debt_goes_first_then_the_pools_then_relief_without_a_haircut() -> None:
    world = gapped()
    world.liquidate("short")
    left, own = traders_debt(world), own_debt(world)
    assert left > to_wad(100_000)
    assert own > to_wad(50_000)
    until = world.waterfall.call("adlUntil")
    roles = ranked(world, "long", "second")
    world.evm.advance(60)
    world.publish(2_300)
    assert world.adl(*roles).result[0] == left
    assert (traders_debt(world), world.waterfall.call("adlUntil")) == (0, until)
    assert own_debt(world) == pytest.approx(own, rel=1e-3)
    own = own_debt(world)
    assert world.adl(*ranked(world, "long", "second")).result[0] == own
    assert world.house.call("badDebt") == 0
    receipt = world.adl(*ranked(world, "long", "second"))
    assert receipt.result[0] == 0 < receipt.result[1]
    assert all(event["haircut"] == 0 for event in receipt.events("Deleveraged"))
    assert world.house.call("badDebt") == 0


def test_pool_that_heals_gives_nobody_a_haircut() -> None:
    world = gapped()
    world.move(2_005)
    assert world.house.call("badDebt") == 0
    assert refusal(world.adl, "long").name == "NothingToDeleverage"
    world.withdraw("other", 1)


def test_what_nobody_was_deleveraged_for_is_recorded_and_taken_from_all_cash() -> None:
    world = gapped()
    deficit = own_debt(world)
    assert tuple(world.settle_deficit().result) == (0, 0)
    world.move(2_300, ADL_WINDOW)
    deficit = own_debt(world)
    roles = (*HOLDERS, "provider")
    before = sum(world.cash(role) for role in roles)
    receipt = world.settle_deficit()
    assert tuple(receipt.result) == (0, deficit)
    (recorded,) = receipt.events("BadDebtRecorded")
    assert (recorded["account"], recorded["amount"]) == (world.pool.address, deficit)
    assert (pool_equity(world), world.house.call("badDebt")) == (0, 0)
    assert 0 <= before - sum(world.cash(role) for role in roles) - deficit <= len(roles)
    assert 0 <= world.custody() - world.total_cash(*roles) <= len(roles)


# -- everybody out -----------------------------------------------------------------------------------------------------


def closed_out(world: VenueWorld, deleveraged: bool) -> VenueWorld:
    """Liquidated, deleveraged if anybody names the winners, closed at market, and settled."""
    world.liquidate("short")
    if deleveraged:
        for _ in range(2):
            world.adl(*ranked(world, "long", "second"))
    for role in ("long", "second"):
        if world.size(role):
            world.perp.send("commit", -world.size(role), 0, sender=world.account(role))
            world.settle(role, world.move(2_300, seconds=2))
    for _ in range(3):
        if world.house.call("badDebt"):
            world.move(2_300, ADL_WINDOW)
            world.settle_deficit()
    assert world.house.call("badDebt") == 0
    return world


def leave(world: VenueWorld, role: str) -> int:
    """All that an account has; returns USDC."""
    dollars = world.cash(role) // 10**12
    if dollars > 0:
        world.withdraw(role, dollars / 10**6)
    return max(dollars, 0)


def leave_pool(world: VenueWorld) -> int:
    world.cool_down()
    provider = world.account("provider")
    before = int(world.token.call("balanceOf", provider))
    world.pool.send("redeem", world.pool.call("maxRedeem", provider), provider, provider, sender=provider)
    return int(world.token.call("balanceOf", provider)) - before


@pytest.mark.parametrize("deleveraged", [True, False])
def test_everybody_is_paid_by_formula_in_whatever_order_they_leave_and_custody_is_empty(deleveraged: bool) -> None:
    world = gapped()
    for role in HOLDERS:
        if world.cash(role) > 10**12:
            assert refusal(world.withdraw, role, 0.000001).name == "WithdrawalsBlocked"
    closed_out(world, deleveraged)
    entitled = {role: max(world.cash(role), 0) // 10**12 for role in HOLDERS}
    custody = world.custody() // 10**12
    for order in list(permutations(HOLDERS))[::97]:
        with world.evm.rolled_back():
            paid = {role: leave(world, role) for role in order}
            assert paid == entitled
            rest = custody - sum(paid.values()) - leave_pool(world)
            assert 0 <= rest - world.cash(world.fund.address) // 10**12 <= len(HOLDERS) + 2


def test_haircuts_and_the_index_take_what_was_lost_and_no_more() -> None:
    """Deposits and the pool's cash are all there is; what each is paid adds up to them, whoever was deleveraged."""
    outcomes = []
    for deleveraged in (True, False):
        world = closed_out(gapped(), deleveraged)
        outcomes.append({role: world.cash(role) / WAD for role in HOLDERS})
        index = world.house.call("haircutIndex") / RAY
        assert world.cash("other") / WAD == pytest.approx(50_000 * index, rel=1e-9)
    named, unnamed = outcomes
    assert named["other"] > 49_000 > unnamed["other"]
    assert named["long"] + named["second"] < unnamed["long"] + unnamed["second"]
    assert sum(named.values()) == pytest.approx(sum(unnamed.values()), rel=2e-2)
    assert to_usdc(named["other"]) <= to_usdc(50_000)
