"""Two perpetual markets behind one clearinghouse: the deficit of one is not paid by the winners of the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from venue_world import ADL_WINDOW, LIQUIDATION_WINDOW, VenueWorld, parameters, refusal

from keeper.chain.contract import Receipt
from keeper.units import to_wad


class TwoMarkets(VenueWorld):
    """A venue with a second market on the same index."""

    def markets(self) -> list[str]:
        self.second = self.evm.deploy("PerpMarket", self.house.address, self.admin, parameters(**self.settings))
        return [self.perp.address, self.second.address]

    def products(self) -> list[str]:
        return [self.perp.address, self.second.address]

    @contextmanager
    def in_second(self) -> Iterator[None]:
        """What is traded and deleveraged meanwhile is the second market's."""
        self.perp, self.second = self.second, self.perp
        try:
            yield
        finally:
            self.perp, self.second = self.second, self.perp


def opened(engine: str = "FullLiquidation", bankrupt: tuple[float, float] = (-1_000, 0)) -> TwoMarkets:
    """A winner on each side of each market that can win, and an account with coins in one market or both."""
    world = TwoMarkets(engine_kind=engine, insurance_cash=0, locked_ratio=0)
    hold(world, "first long", 300_000, 1_000)
    hold(world, "second long", 300_000, 0, 1_000)
    hold(world, "first short", 300_000, -500)
    hold(world, "second short", 300_000, 0, -500)
    hold(world, "bankrupt", 130_000, *bankrupt)
    world.deposit("other", 50_000)
    return world


def hold(world: TwoMarkets, role: str, dollars: float, first: float, second: float = 0) -> None:
    world.deposit(role, dollars)
    if first:
        world.trade(role, first)
    if second:
        with world.in_second():
            world.trade(role, second)


def adl_second(world: TwoMarkets, *roles: str) -> Receipt:
    with world.in_second():
        return world.adl(*roles)


def sides(world: TwoMarkets) -> tuple[int, int]:
    first, second = (world.waterfall.call("bankruptSide", market.address) for market in (world.perp, world.second))
    return int(first), int(second)


def debt(world: TwoMarkets) -> int:
    return int(world.house.call("recordedBadDebt"))


@pytest.mark.parametrize(
    ("size", "price", "winner", "outsiders", "side"),
    [
        (-1_000, 2_200, "first long", ("second long", "second short", "first short"), -1),
        (1_000, 1_820, "first short", ("second short", "second long", "first long"), 1),
    ],
)
def test_deficit_of_one_market_is_paid_by_the_other_side_of_that_market_only(
    size: float, price: float, winner: str, outsiders: tuple[str, ...], side: int
) -> None:
    world = opened(bankrupt=(size, 0))
    world.move(price)
    world.liquidate("bankrupt")
    left = debt(world)
    assert left > to_wad(10_000)
    assert sides(world) == (side, 0)
    before = {role: world.margin(role) for role in outsiders}
    revert = refusal(adl_second, world, outsiders[0])
    assert (revert.name, revert.args[0]) == ("NothingToDeleverage", left)
    assert world.adl(*outsiders).events("Deleveraged") == []
    assert {role: world.margin(role) for role in outsiders} == before
    assert debt(world) == left
    assert world.adl(winner).result[0] == left
    assert debt(world) == 0


def test_deficit_of_the_second_market_is_the_second_markets() -> None:
    world = opened(bankrupt=(0, -1_000))
    world.move(2_200)
    world.liquidate("bankrupt")
    left = debt(world)
    assert sides(world) == (0, -1)
    assert refusal(world.adl, "first long").name == "NothingToDeleverage"
    assert adl_second(world, "first long").events("Deleveraged") == []
    assert adl_second(world, "second long").result[0] == left


def test_deficits_of_both_markets_on_opposite_sides_are_paid_each_by_its_own() -> None:
    world = opened()
    hold(world, "fallen", 130_000, 0, 1_000)
    world.move(2_200)
    world.liquidate("bankrupt")
    of_first = debt(world)
    world.move(1_820)
    world.liquidate("fallen")
    of_second = debt(world) - of_first
    assert min(of_first, of_second) > to_wad(10_000)
    assert sides(world) == (-1, 1)
    assert adl_second(world, "second short").result[0] == of_second
    assert sides(world) == (-1, 0)
    assert debt(world) == of_first
    assert refusal(adl_second, world, "second short").name == "NothingToDeleverage"
    world.move(2_200)
    assert world.adl("first long").result[0] == of_first
    assert (sides(world), debt(world)) == ((0, 0), 0)


@pytest.mark.parametrize(
    ("sizes", "booked"),
    [((-600, -400), (-1, 0)), ((-400, -600), (0, -1)), ((-500, -500), (-1, 0)), ((300, -900), (0, -1))],
)
def test_one_deficit_of_an_account_in_both_markets_is_the_market_s_where_most_was_closed(
    sizes: tuple[float, float], booked: tuple[int, int]
) -> None:
    world = opened(bankrupt=sizes)
    world.move(2_000 + 160 * 1_000 / abs(sum(sizes)))
    receipt = world.liquidate("bankrupt")
    assert len(receipt.events("PositionClosed")) == 2
    assert len(receipt.events("BadDebtRecorded")) == 1
    left = debt(world)
    assert left > to_wad(5_000)
    assert sides(world) == booked
    first = booked[0] != 0
    spared, payer = ("second long", "first long") if first else ("first long", "second long")
    refused = refusal(adl_second, world, spared) if first else refusal(world.adl, spared)
    assert refused.name == "NothingToDeleverage"
    assert (world.adl(payer) if first else adl_second(world, payer)).result[0] == left


def test_account_closed_in_parts_leaves_its_deficit_where_the_last_call_closed_most() -> None:
    """Market by market: the first is empty long before the deficit is known, so the second carries it."""
    world = opened("RateLimitedLiquidation", bankrupt=(-100, -500))
    world.hand_over("bankrupt", "spare", to_wad(50_000))
    world.move(2_200)
    while world.size("bankrupt") or world.second.call("netSize", world.account("bankrupt")):
        world.liquidate("bankrupt")
        world.move(2_200, LIQUIDATION_WINDOW)
    assert debt(world) > 0
    assert sides(world) == (0, -1)


def test_what_no_market_s_winners_paid_is_everybodys_and_clears_both_markets() -> None:
    world = opened(bankrupt=(-600, -400))
    world.hand_over(world.pool.address, "spare", world.cash(world.pool.address) - to_wad(200_000))
    world.move(2_200)
    world.liquidate("bankrupt")
    world.move(2_200, ADL_WINDOW)
    world.settle_deficit()
    assert (debt(world), sides(world)) == (0, (0, 0))


def test_deficit_of_the_pool_is_paid_by_the_winners_of_every_market() -> None:
    world = opened()
    world.move(2_100)
    world.hand_over(world.pool.address, "spare", int(world.pool.call("equity", world.price())) + to_wad(60_000))
    assert world.house.call("badDebt") == to_wad(60_000)
    with world.evm.rolled_back():
        assert world.adl("first long").result[0] == to_wad(60_000)
    assert adl_second(world, "second long").result[0] == to_wad(60_000)
    assert world.house.call("badDebt") == 0
