"""PerpMarket: what engines and the waterfall do to positions, and what pauses and caps do to orders."""

from __future__ import annotations

from typing import Any

import pytest
from venue_world import VenueWorld, refusal

from keeper.chain.contract import Contract, Receipt
from keeper.protocol import margin, perp
from keeper.units import WAD, to_wad

P = to_wad(2_000)
COINS = {"maxOpenInterest": to_wad(1_000), "maxOrderSize": to_wad(2_000)}


class PuppetWorld(VenueWorld):
    """The engine and the waterfall are one puppet that does what a test says."""

    def _engine(self, markets: list[str]) -> Contract:
        self.puppet = self.evm.deploy("ModuleMock")
        self.waterfall = self.puppet
        return self.puppet

    def does(self, function: str, *args: Any) -> Receipt:
        decoded = [self.account(arg) if isinstance(arg, str) else arg for arg in args]
        return self.puppet.send("run", self.perp.address, self.perp.encode(function, *decoded))

    def equity(self, role: str) -> int:
        return self.margin(role)[0]

    def open_interest(self) -> tuple[int, int]:
        long, short = self.perp.call("openInterest")
        return long // WAD, short // WAD


@pytest.fixture
def world() -> PuppetWorld:
    world = PuppetWorld()
    for role in ("trader", "bidder", "rival"):
        world.deposit(role, 200_000)
    world.trade("trader", 100)
    world.trade("rival", -40)
    world.move(2_100, 86_400)  # profit and funding to realise
    return world


def debt_gap(world: VenueWorld) -> int:
    """Market debt less the sum of what positions are worth: rounding only, and never in the traders' favour."""
    price = world.price()
    worth = sum(sum(world.perp.call("accrued", world.account(role), price)) for role in ("trader", "bidder", "rival"))
    return int(world.perp.call("marketDebt", price)) - worth


# -- moving a position -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [0, 30, -30, -100, -150], ids=lambda held: f"bidder {held}")
def test_transfer_moves_coins_at_index_and_leaves_skew_and_everybodys_equity(world: PuppetWorld, held: int) -> None:
    if held:
        world.trade("bidder", held)
    skew, price = world.perp.call("skew"), world.price()
    before = [world.equity(role) for role in ("trader", "bidder", "rival")]
    world.does("transferPosition", "trader", "bidder", to_wad(60), price)
    assert (world.size("trader"), world.size("bidder")) == (to_wad(40), to_wad(held + 60))
    assert world.perp.call("skew") == skew
    after = [world.equity(role) for role in ("trader", "bidder", "rival")]
    assert all(abs(old - new) <= 3 for old, new in zip(before, after, strict=True))
    assert 0 <= debt_gap(world) <= 7
    sizes = (40, held + 60, -40)
    assert world.open_interest() == (sum(q for q in sizes if q > 0), -sum(q for q in sizes if q < 0))


def test_transfer_takes_no_fee_and_the_mover_realises_profit_and_funding(world: PuppetWorld) -> None:
    fund, cash, price = world.cash(world.fund.address), world.cash("trader"), world.price()
    pnl, funding = world.perp.call("accrued", world.account("trader"), price)
    receipt = world.does("transferPosition", "trader", "bidder", to_wad(100), price)
    (moved,) = receipt.events("PositionMoved")
    assert (moved["size"], moved["price"]) == (to_wad(100), price)
    assert (moved["pnl"], moved["funding"]) == (pnl, funding)
    assert world.cash("trader") - cash == pnl + funding
    assert world.cash(world.fund.address) == fund
    assert world.perp.call("isFlat", world.account("trader")) is True
    assert world.perp.call("position", world.account("bidder"))[1] == price


def test_transfer_of_a_short_works_the_same_way(world: PuppetWorld) -> None:
    world.does("transferPosition", "rival", "bidder", to_wad(-40), world.price())
    assert (world.size("rival"), world.size("bidder")) == (0, to_wad(-40))
    assert world.open_interest() == (100, 40)


@pytest.mark.parametrize("size", [101, -1, 0])
def test_transfer_of_more_than_is_held_or_of_the_other_side_is_refused(world: PuppetWorld, size: int) -> None:
    revert = refusal(world.does, "transferPosition", "trader", "bidder", to_wad(size), P)
    assert revert.name == ("ZeroSize" if size == 0 else "OrderTooLarge")


# -- deleveraging and closing ------------------------------------------------------------------------------------------


def test_transfer_of_a_part_leaves_the_rest_at_its_entry(world: PuppetWorld) -> None:
    entry = world.perp.call("position", world.account("trader"))[1:]
    world.does("transferPosition", "trader", "bidder", to_wad(60), world.price())
    assert world.perp.call("position", world.account("trader"))[1:] == entry


def test_deleverage_closes_at_index_without_fee_or_impact(world: PuppetWorld) -> None:
    price, cash, equity = world.price(), world.cash("trader"), world.equity("trader")
    pnl, funding = world.perp.call("accrued", world.account("trader"), price)
    assert pnl > 0 > funding
    receipt = world.does("deleverage", "trader", to_wad(-25), price)
    (closed,) = receipt.events("PositionDeleveraged")
    assert (closed["sizeDelta"], closed["price"]) == (to_wad(-25), price)
    assert abs(closed["pnl"] - pnl // 4) <= 1  # a quarter is closed, and what is left keeps its entry
    assert abs(closed["funding"] - funding // 4) <= 1
    assert world.cash("trader") - cash == closed["pnl"] + closed["funding"]
    assert abs(equity - world.equity("trader")) <= 2
    assert world.size("trader") == to_wad(75)
    assert 0 <= debt_gap(world) <= 7


@pytest.mark.parametrize("size", [-101, 1])
def test_deleverage_only_shrinks(world: PuppetWorld, size: int) -> None:
    assert refusal(world.does, "deleverage", "trader", to_wad(size), P).name == "OrderTooLarge"


def test_close_fills_at_the_price_that_it_is_given(world: PuppetWorld) -> None:
    fill = world.perp.call("fillPrice", to_wad(-50), to_wad(1_900))
    (closed,) = world.does("closePosition", "trader", to_wad(-50), to_wad(1_900)).events("PositionClosed")
    assert (closed["fill"], closed["index"]) == (fill, to_wad(1_900))
    assert closed["fee"] == perp_fee(world, fill)


def perp_fee(world: PuppetWorld, fill: int) -> int:
    """The skew before was 60: 50 of it is maker."""
    fee = perp.order_fee(-50, 60, fill / WAD, 0.0002, 0.0005)
    rounded = -(-50 * fill * to_wad(0.0002) // WAD)
    assert rounded / WAD == pytest.approx(fee, rel=1e-12)
    return rounded


# -- what margin is made of --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, -700, 9_000])
def test_requirements_and_liquidation_cost_match_the_twin(world: PuppetWorld, size: int) -> None:
    cost = margin.liquidation_cost(size, 2_000, 0.0003, 0.0005, 500_000, 50e9)
    ratio = margin.initial_margin_ratio(size, 350_000, 1, 0.04, 0.9)
    initial, maintenance = margin.margins(size, 2_000, ratio, 0.5, 200, cost)
    got = world.perp.call("requirements", to_wad(size), P)
    assert [each / WAD for each in got] == pytest.approx([initial, maintenance], rel=1e-12)
    assert world.perp.call("liquidationCost", to_wad(size), P) / WAD == pytest.approx(200 + cost, rel=1e-12)
    assert world.perp.call("requirements", 0, P) == (0, 0)
    assert world.perp.call("liquidationCost", 0, P) == 0


def test_order_cost_is_fee_adverse_impact_and_the_dearest_reward(world: PuppetWorld) -> None:
    reward = 350_000 * 50e-9 * 2_000
    for size, impact in ((100, 100 * 2_000 * 110 / 350_000), (-20, 0.0)):  # the skew is 60: selling earns
        fill = perp.fill_price(size, 60, 350_000, 2_000)
        expected = perp.order_fee(size, 60, fill, 0.0002, 0.0005) + impact + reward
        assert world.perp.call("orderCost", to_wad(size), P) / WAD == pytest.approx(expected, rel=1e-12)


def test_settlement_asks_the_margin_model_for_maintenance_with_the_order_filled(world: PuppetWorld) -> None:
    world.commit("trader", 200)
    price = world.price()
    arguments = (world.account("trader"), world.perp.address, to_wad(200), price)
    equity, maintenance = world.house.call("marginIfFilled", *arguments)
    assert equity == world.equity("trader")
    assert maintenance == world.perp.call("requirements", to_wad(300), price)[1]


# -- pauses and caps ---------------------------------------------------------------------------------------------------


def test_reduce_only_is_the_owners_switch_and_takes_reductions_alone() -> None:
    world = VenueWorld()
    world.deposit("trader", 100_000)
    world.trade("trader", 100)
    assert refusal(world.perp.send, "setReduceOnly", True).name == "OwnableUnauthorizedAccount"
    world.perp.send("setReduceOnly", True, sender=world.admin)
    assert world.perp.call("reduceOnly") is True
    for size in (1, -101):
        assert refusal(world.commit, "trader", size).name == "ReduceOnly"
    assert world.trade("trader", -60).result is True
    world.perp.send("setReduceOnly", False, sender=world.admin)
    assert world.trade("trader", 1).result is True


def test_order_in_flight_fills_when_the_market_turns_reduce_only() -> None:
    world = VenueWorld()
    world.deposit("trader", 100_000)
    world.commit("trader", 10)
    world.perp.send("setReduceOnly", True, sender=world.admin)
    assert world.settle("trader", world.move(2_000, 2)).result is True


def test_open_interest_is_capped_in_value_at_the_commit_and_at_settlement() -> None:
    world = VenueWorld(settings=COINS | {"maxOpenInterestValue": to_wad(1_000_000)})
    world.deposit("trader", 200_000)
    revert = refusal(world.commit, "trader", 501)
    assert (revert.name, revert.args) == ("OpenInterestValueExceeded", (to_wad(1_002_000), to_wad(1_000_000)))
    assert refusal(world.commit, "trader", -501).name == "OpenInterestValueExceeded"
    world.commit("trader", 499)
    (cancelled,) = world.settle("trader", world.move(2_010, 2)).events("OrderCancelled")
    assert cancelled["reason"].rstrip(b"\0") == b"open interest"
    assert world.trade("trader", 490).result is True


def test_finished_order_is_gone_for_whoever_asks() -> None:
    world = VenueWorld()
    world.deposit("trader", 100_000)
    world.trade("trader", 10)
    account = world.account("trader")
    assert world.perp.call("order", account) == (0, 0, 0, 0)
    assert world.perp.call("benchmarkTime", account) == 0
    assert world.perp.call("lastFillTime", account) == world.evm.timestamp
    filled_at = world.evm.timestamp
    world.trade("trader", -10)
    assert world.perp.call("position", account) == (0, 0, 0)
    assert world.perp.call("lastFillTime", account) == world.evm.timestamp > filled_at
    assert world.perp.call("isAuctioned") is False
