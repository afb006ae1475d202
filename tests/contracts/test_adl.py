"""Auto-deleveraging: who pays, how much of whose position is closed, and what it must never do to anybody."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from option_world import OptionWorld
from venue_world import ADL_TARGET, ADL_TRIGGER, ADL_WINDOW, VenueWorld, refusal

from keeper.units import WAD, to_wad

CANDIDATES = tuple(f"candidate {number}" for number in range(5))
ROLES = (*CANDIDATES, "bankrupt", "same side", "loser", "provider", "keeper", "liquidator", "spare", "other")


@dataclass(frozen=True, slots=True)
class Seen:
    """One account before or after deleveraging; wad."""

    size: int
    profit: int
    equity: int
    maintenance: int


def look(world: VenueWorld, role: str) -> Seen:
    equity, _, maintenance = world.margin(role)
    pnl, funding = world.perp.call("accrued", world.account(role), world.price())
    return Seen(world.size(role), pnl + funding, equity, maintenance)


def score(world: VenueWorld, role: str) -> int:
    return int(world.waterfall.call("score", world.perp.address, world.account(role), world.price()))


def ranked(world: VenueWorld, *roles: str) -> list[str]:
    """Highest score first, as a keeper sends them."""
    return sorted(roles, key=lambda role: -score(world, role))


def deposit_and_trade(world: VenueWorld, role: str, dollars: float, size: float) -> None:
    world.deposit(role, dollars)
    world.trade(role, size)


def bankrupting(world: VenueWorld, price: float) -> int:
    """The gap, the liquidation, and the deficit that it leaves open."""
    world.move(price)
    world.liquidate("bankrupt")
    return int(world.house.call("recordedBadDebt"))


def two_sided(deposits: tuple[float, ...] = (100_000, 200_000), size: float = 1_000, price: int = 2_200) -> VenueWorld:
    """Longs of `size` coins each from 2,000 against one short of as many, bankrupt at `price`."""
    world = VenueWorld(insurance_cash=0)
    for role, dollars in zip(CANDIDATES, deposits, strict=False):
        deposit_and_trade(world, role, dollars, size)
    deposit_and_trade(world, "bankrupt", 120 * size, -size)
    assert bankrupting(world, price) > 0
    return world


# -- score -------------------------------------------------------------------------------------------------------------


def test_score_is_profit_over_entry_notional_times_leverage() -> None:
    world = VenueWorld()
    deposit_and_trade(world, "long", 100_000, 100)
    world.move(2_300)
    seen = look(world, "long")
    entry = world.perp.call("position", world.account("long"))[1]
    expected = (seen.profit / (100 * entry)) * (100 * 2_300 * WAD / seen.equity)
    assert 0.2 < expected < 0.4
    assert score(world, "long") / WAD == pytest.approx(expected, rel=1e-12)


def test_score_is_zero_without_position_profit_or_equity() -> None:
    world = VenueWorld()
    deposit_and_trade(world, "long", 100_000, 100)
    world.move(1_990)
    assert (score(world, "long"), score(world, "stranger")) == (0, 0)
    world.move(2_010)
    assert score(world, "long") > 0
    world.hand_over("long", "spare", look(world, "long").equity)
    assert score(world, "long") == 0


def test_more_leverage_and_more_profit_rank_higher() -> None:
    world = two_sided((100_000, 200_000, 400_000))
    assert [*CANDIDATES[:3]] == ranked(world, *reversed(CANDIDATES[:3]))


# -- who may be called -------------------------------------------------------------------------------------------------


def test_candidates_out_of_order_are_refused_with_their_scores() -> None:
    world = VenueWorld(insurance_cash=0)
    for role, dollars in (("first", 10_000), ("second", 20_000)):
        deposit_and_trade(world, role, dollars, 100)
    deposit_and_trade(world, "bankrupt", 120_000, -1_000)
    assert bankrupting(world, 2_400) > to_wad(100_000)
    scores = score(world, "first"), score(world, "second")
    revert = refusal(world.adl, "second", "first")
    assert (revert.name, revert.args) == ("NotRanked", (world.account("first"), *scores))
    assert len(world.adl("first", "second").events("Deleveraged")) == 2


def test_seventeen_candidates_are_refused_and_sixteen_are_taken() -> None:
    world = two_sided()
    revert = refusal(world.adl, *["stranger"] * 17)
    assert (revert.name, revert.args) == ("TooManyCandidates", (17, 16))
    covered, notional = world.adl(*["stranger"] * 16).result
    assert (covered, notional) == (0, 0)


def test_market_of_somebody_else_is_refused() -> None:
    world = two_sided()
    stranger = world.account("stranger")
    revert = refusal(world.waterfall.send, "adl", stranger, [world.account(CANDIDATES[0])])
    assert (revert.name, revert.args) == ("UnknownMarket", (stranger,))


def test_nothing_is_deleveraged_without_deficit_and_with_a_sound_pool() -> None:
    world = VenueWorld()
    deposit_and_trade(world, "long", 100_000, 100)
    world.move(2_300)
    ratio = world.waterfall.call("profitRatio", world.price())
    revert = refusal(world.adl, "long")
    assert (revert.name, revert.args) == ("NothingToDeleverage", (0, ratio))
    assert 0 < ratio < to_wad(0.01)


def test_deleveraging_needs_a_fresh_price() -> None:
    world = two_sided()
    world.evm.advance(3_601)
    assert refusal(world.adl, CANDIDATES[0]).name == "PriceTooOld"


def test_who_lost_who_stood_on_the_bankrupt_side_and_who_holds_nothing_are_passed_over() -> None:
    world = VenueWorld(insurance_cash=0)
    deposit_and_trade(world, "winner", 100_000, 1_000)
    deposit_and_trade(world, "bankrupt", 120_000, -1_000)
    world.move(2_500)
    deposit_and_trade(world, "loser", 200_000, 500)
    deposit_and_trade(world, "same side", 200_000, -500)
    bankrupting(world, 2_300)
    before = {role: look(world, role) for role in ("loser", "same side")}
    assert before["loser"].profit < 0 < before["same side"].profit
    assert not world.adl("same side").events("Deleveraged")
    assert not world.adl("loser").events("Deleveraged")
    roles = ["other", world.pool.address, world.fund.address, *ranked(world, "loser", "same side", "winner")]
    receipt = world.adl(*roles)
    assert [event["account"] for event in receipt.events("Deleveraged")] == [world.account("winner")]
    assert {role: look(world, role) for role in before} == before


def test_account_below_maintenance_is_left_to_the_liquidators() -> None:
    world = two_sided()
    victim = CANDIDATES[0]
    seen = look(world, victim)
    world.hand_over(victim, "spare", seen.equity - seen.maintenance + 1)
    seen = look(world, victim)
    assert not world.adl(victim).events("Deleveraged")
    assert look(world, victim) == seen


# -- how much ----------------------------------------------------------------------------------------------------------


def test_no_more_coins_are_closed_than_the_deficit_needs_and_all_of_their_profit_pays_it() -> None:
    world = two_sided()
    victim = ranked(world, *CANDIDATES[:2])[0]
    deficit, before = world.house.call("recordedBadDebt"), look(world, victim)
    receipt = world.adl(victim)
    (event,) = receipt.events("Deleveraged")
    coins = -event["sizeDelta"]
    assert coins == -(-deficit * before.size // before.profit) < before.size
    assert (event["haircut"], event["price"]) == (deficit, world.price())
    assert 0 <= event["pnl"] - deficit <= before.profit // before.size + 2
    covered, notional = receipt.result
    assert (covered, notional) == (deficit, -(-coins * world.price() // WAD))
    after = look(world, victim)
    assert (after.size, world.house.call("badDebt")) == (before.size - coins, 0)
    assert 0 <= before.equity - after.equity - deficit <= 4
    assert len(receipt.events("DeficitClosed")) == 1
    assert world.waterfall.call("adlUntil") == 0


def test_what_is_left_of_a_deleveraged_position_keeps_its_entry() -> None:
    world = two_sided()
    victim = CANDIDATES[0]
    entry = world.perp.call("position", world.account(victim))[1:3]
    before = look(world, victim)
    world.adl(victim)
    after = look(world, victim)
    assert world.perp.call("position", world.account(victim))[1:3] == entry
    assert after.profit * before.size == pytest.approx(before.profit * after.size, rel=1e-12)


def test_next_in_rank_is_touched_only_for_what_the_first_cannot_pay() -> None:
    world = two_sided()
    first, second = ranked(world, *CANDIDATES[:2])
    before = look(world, second)
    world.adl(first, second)
    assert look(world, second) == before


def test_duplicates_pay_once() -> None:
    world = two_sided()
    victim = CANDIDATES[0]
    deficit = world.house.call("recordedBadDebt")
    before = look(world, victim)
    receipt = world.adl(victim, victim, victim)
    assert len(receipt.events("Deleveraged")) == 1
    assert receipt.result[0] == deficit
    assert 0 <= before.equity - look(world, victim).equity - deficit <= 4


def test_deleveraging_goes_on_after_the_window_until_the_deficit_is_settled() -> None:
    world = two_sided()
    world.move(2_200, ADL_WINDOW + 60)
    deficit = world.house.call("recordedBadDebt")
    assert world.adl(CANDIDATES[0]).result[0] == deficit
    world.withdraw("keeper", 0.1)


def test_deleverage_belongs_to_the_waterfall() -> None:
    world = two_sided()
    arguments = (world.account(CANDIDATES[0]), -WAD, world.price())
    for caller in (world.admin, world.account("keeper")):
        assert refusal(world.perp.send, "deleverage", *arguments, sender=caller).name == "NotWaterfall"


# -- health ------------------------------------------------------------------------------------------------------------


def living_on_profit(per_mille: int) -> tuple[VenueWorld, str]:
    """A long whose margin is its profit: of its equity above maintenance only so much is left."""
    world = two_sided((400_000,), size=2_000)
    victim = CANDIDATES[0]
    seen = look(world, victim)
    world.hand_over(victim, "spare", (seen.equity - seen.maintenance) * (1_000 - per_mille) // 1_000)
    return world, victim


@pytest.mark.parametrize("per_mille", [0, 10, 100, 300, 600, 900])
def test_account_that_lives_on_its_profit_keeps_its_maintenance_margin(per_mille: int) -> None:
    world, victim = living_on_profit(per_mille)
    deficit, before = world.house.call("recordedBadDebt"), look(world, victim)
    covered, _ = world.adl(victim).result
    after = look(world, victim)
    assert after.equity >= after.maintenance
    assert 0 <= covered <= deficit
    assert world.house.call("recordedBadDebt") == deficit - covered
    assert after.equity >= before.equity - before.profit * (before.size - after.size) // before.size - 4
    assert (covered > 0) == (per_mille > 0)


def test_cash_below_zero_is_no_way_out() -> None:
    """Equity is what counts: an account that owes cash against its open profit pays all the same."""
    world, victim = living_on_profit(900)
    world.hand_over(victim, "spare", world.cash(victim) + to_wad(1_000))
    assert world.cash(victim) == -to_wad(1_000) < 0 < look(world, victim).equity
    covered, _ = world.adl(victim).result
    after = look(world, victim)
    assert covered > 0
    assert after.equity >= after.maintenance
    assert world.total_cash(*ROLES) == world.custody()


@pytest.mark.parametrize(("calls", "per_mille"), [(600, 500), (600, 50), (500, 20), (100, 50)])
def test_hedger_of_written_options_is_not_made_liquidatable_by_losing_its_hedge(calls: int, per_mille: int) -> None:
    """Under portfolio margin the coins that are closed were what kept the margin of the options low."""
    world = OptionWorld(margin_kind="PortfolioMargin", insurance_cash=0, locked_ratio=0)
    series = world.list_series(2_000.0, True)
    for role, dollars in (("hedger", 250_000), ("holder", 500_000), ("bankrupt", 450_000)):
        world.deposit(role, dollars)
    world.make("hedger", vegaSkew=0, halfSpread=0, marginBuffer=WAD)
    world.trade("hedger", 300)
    world.trade("bankrupt", -1_000)
    world.report()
    world.buy("holder", "hedger", series, calls)
    world.hand_over("bankrupt", "spare", to_wad(330_000))
    world.later(60, 2_250.0)
    world.liquidate("bankrupt")
    rich = look(world, "hedger")
    world.hand_over("hedger", "spare", (rich.equity - rich.maintenance) * (1_000 - per_mille) // 1_000)
    before = look(world, "hedger")
    covered, _ = world.adl("hedger").result
    after = look(world, "hedger")
    assert after.size < before.size
    assert 0 < covered < world.house.call("recordedBadDebt")
    assert abs(before.equity - covered - after.equity) <= 4
    assert after.equity >= after.maintenance


def test_sixteen_candidates_fit_in_a_block() -> None:
    world = VenueWorld(insurance_cash=0)
    roles = [f"long {number}" for number in range(16)]
    for number, role in enumerate(roles):
        deposit_and_trade(world, role, 10_000 + 1_000 * number, 10)
    deposit_and_trade(world, "bankrupt", 120_000, -1_000)
    bankrupting(world, 2_400)
    receipt = world.adl(*ranked(world, *roles))
    assert len(receipt.events("Deleveraged")) == 16
    assert receipt.gas_used < 5_000_000


# -- random books ------------------------------------------------------------------------------------------------------


@cache
def base() -> VenueWorld:
    """One deployed venue for all examples; each goes back to it."""
    return VenueWorld(insurance_cash=0, locked_ratio=0)


BOOKS = st.lists(
    st.tuples(st.floats(0.5, 900), st.floats(1.02, 25), st.floats(1_900, 2_100), st.integers(0, 1_000)),
    min_size=1,
    max_size=len(CANDIDATES),
)
RANDOM = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def open_books(world: VenueWorld, books: list[tuple[float, float, float, int]], size: float, gap: float) -> None:
    """Longs of some size, leverage and entry, and two shorts, of which the gap bankrupts one."""
    for role, (coins, leverage, price, _) in zip(CANDIDATES, books, strict=False):
        world.deposit(role, round(coins * price / leverage + 0.1 * coins * price + 2_000, 6))
        world.trade(role, round(coins, 6), price)
    deposit_and_trade(world, "bankrupt", round(size * 2_000 * 0.09 + 2_000, 6), -round(size, 6))
    deposit_and_trade(world, "same side", 500_000, -100)
    assume(bankrupting(world, 2_000 * gap) > 0)


@RANDOM
@given(books=BOOKS, size=st.floats(50, 1_500), gap=st.floats(1.16, 1.5))
def test_haircuts_are_the_deficit_or_the_profit_there_is_and_nobody_is_harmed(
    books: list[tuple[float, float, float, int]], size: float, gap: float
) -> None:
    world = base()
    with world.evm.rolled_back():
        open_books(world, books, size, gap)
        roles = CANDIDATES[: len(books)]
        eligible = sum(max(look(world, role).profit, 0) for role in roles)
        deficit = world.house.call("recordedBadDebt")
        haircuts = judge(world, roles)
        assert abs(haircuts - min(deficit, eligible)) <= len(roles)


@RANDOM
@given(books=BOOKS, size=st.floats(50, 1_500), gap=st.floats(1.16, 1.5))
def test_accounts_with_little_more_than_their_profit_are_never_made_liquidatable(
    books: list[tuple[float, float, float, int]], size: float, gap: float
) -> None:
    world = base()
    with world.evm.rolled_back():
        open_books(world, books, size, gap)
        roles = CANDIDATES[: len(books)]
        for role, (*_, per_mille) in zip(roles, books, strict=True):
            seen = look(world, role)
            world.hand_over(role, "spare", (seen.equity - seen.maintenance) * per_mille // 1_000)
        judge(world, roles)


def judge(world: VenueWorld, roles: tuple[str, ...]) -> int:
    """Deleverage in rank order; minimality, equity and health against what was before. Returns the haircuts."""
    deficit = int(world.house.call("recordedBadDebt"))
    before = {world.account(role): look(world, role) for role in roles}
    haircuts = 0
    for event in world.adl(*ranked(world, *roles, "same side")).events("Deleveraged"):
        seen, after = before[event["account"]], look(world, event["account"])
        coins, haircut = -event["sizeDelta"], event["haircut"]
        haircuts += haircut
        assert coins == seen.size - after.size > 0
        assert (coins - 1) * seen.profit <= haircut * seen.size <= coins * seen.profit
        assert seen.equity - haircut - 4 <= after.equity
        assert seen.equity >= seen.maintenance
        assert after.equity >= after.maintenance
    assert haircuts <= deficit
    assert world.house.call("recordedBadDebt") == deficit - haircuts
    assert world.total_cash(*ROLES) == world.custody()
    return haircuts


# -- the pool's own limit ----------------------------------------------------------------------------------------------


def strained(price: float, pool_cash: float = 1_000_000) -> VenueWorld:
    """Three longs whose profit eats into the pool."""
    world = VenueWorld(pool_cash=pool_cash, insurance_cash=0, locked_ratio=0)
    for role, size in zip(CANDIDATES, (1_500, 1_000, 500), strict=False):
        deposit_and_trade(world, role, 300_000, size)
    world.move(price)
    return world


def ratio(world: VenueWorld) -> int:
    return int(world.waterfall.call("profitRatio", world.price()))


def test_profit_ratio_is_open_profit_over_the_pools_cash() -> None:
    world = strained(2_200)
    profit = sum(look(world, role).profit for role in CANDIDATES[:3])
    assert ratio(world) == pytest.approx(profit / world.cash(world.pool.address) * WAD, rel=1e-12)
    world.move(1_950)
    assert ratio(world) == 0


def test_profit_ratio_of_a_pool_without_cash_is_the_largest_number() -> None:
    world = strained(2_200)
    world.hand_over(world.pool.address, "spare", world.cash(world.pool.address))
    assert ratio(world) == 2**256 - 1


def test_too_much_profit_is_deleveraged_to_the_target_and_nobody_loses_a_wei_of_it() -> None:
    world = strained(2_310)
    assert ratio(world) > to_wad(ADL_TRIGGER)
    before = {role: look(world, role) for role in CANDIDATES[:3]}
    receipt = world.adl(*ranked(world, *CANDIDATES[:3]))
    assert 0 <= to_wad(ADL_TARGET) - ratio(world) <= 10
    assert receipt.result[0] == 0 < receipt.result[1]
    assert all(event["haircut"] == 0 for event in receipt.events("Deleveraged"))
    for role, seen in before.items():
        assert abs(look(world, role).equity - seen.equity) <= 4
        assert look(world, role).maintenance <= seen.maintenance
    assert refusal(world.adl, CANDIDATES[0]).name == "NothingToDeleverage"


def test_profit_at_the_trigger_is_left_alone_and_a_cent_above_is_not() -> None:
    world = strained(2_310)
    debt, trigger = world.perp.call("marketDebt", world.price()), to_wad(ADL_TRIGGER)
    at_trigger = debt * WAD // trigger
    world.hand_over("spare", world.pool.address, at_trigger - world.cash(world.pool.address))
    assert ratio(world) == trigger
    with world.evm.rolled_back():
        assert refusal(world.adl, CANDIDATES[0]).name == "NothingToDeleverage"
    world.hand_over(world.pool.address, "spare", to_wad(0.01))
    assert ratio(world) > trigger
    assert world.adl(CANDIDATES[0]).events("Deleveraged")


def test_pool_that_owes_more_than_it_has_is_paid_what_it_lacks_and_then_closes_whoever_is_named() -> None:
    world = strained(2_600)
    assert ratio(world) > WAD
    deficit = world.house.call("badDebt")
    assert world.adl(*ranked(world, *CANDIDATES[:3])).result[0] == deficit > 0
    assert 0 <= WAD - ratio(world) <= 10
    assert world.adl(*ranked(world, *CANDIDATES[:3])).result[0] == 0
    assert [world.size(role) for role in CANDIDATES[:3]] == [0, 0, 0]
    assert world.total_cash(*ROLES) == world.custody()


def test_shorts_profit_counts_as_well() -> None:
    world = VenueWorld(pool_cash=500_000, insurance_cash=0, locked_ratio=0)
    deposit_and_trade(world, "short", 500_000, -1_000)
    world.move(1_550)
    assert ratio(world) > to_wad(ADL_TRIGGER)
    (event,) = world.adl("short").events("Deleveraged")
    assert event["sizeDelta"] > 0
    assert 0 <= to_wad(ADL_TARGET) - ratio(world) <= 10


def test_pending_order_of_a_deleveraged_account_still_settles() -> None:
    world = strained(2_310)
    victim = CANDIDATES[0]
    world.commit(victim, -100)
    world.adl(victim)
    hint = world.move(2_310, 2)
    assert world.settle(victim, hint).result is True
