"""What a maker with a bad intention cannot do: it writes its own terms, and the taker may be its friend."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from option_world import OptionWorld
from venue_world import refusal

from keeper.chain.abi import Revert
from keeper.units import SECONDS_PER_DAY, WAD, to_wad

NO_LIMIT = 2**200
FREE = {"halfSpread": 0, "minSpread": 0, "vegaSkew": 0, "marginBuffer": WAD, "maxVega": NO_LIMIT, "maxShort": NO_LIMIT}
"""Trades at mid, as much as margin allows."""
LAVISH = FREE | {"vegaSkew": WAD}
"""Buys at 500% once it has sold, sells at 1% once it has bought."""


def world_with_call(**changes: Any) -> tuple[OptionWorld, int]:
    world = OptionWorld(**changes)
    return world, world.list_series(2_000.0, True, world.evm.timestamp + 28 * SECONDS_PER_DAY)


@pytest.mark.parametrize(("kind", "cash"), [("IsolatedMargin", 465_000), ("PortfolioMargin", 930_000)])
@pytest.mark.parametrize("buffer", [1, 10])
def test_maker_gives_away_no_more_than_its_own(kind: str, cash: float, buffer: int) -> None:
    """It has sold at mid and buys back at 500%, all at once or in parts: what it overpays ends with its own equity."""
    world, call = world_with_call(margin_kind=kind)
    world.deposit("bystander", 3_000_000)
    world.deposit("maker", cash)
    world.deposit("friend", 1_600_000)
    world.make("maker", **FREE)
    world.buy("friend", "maker", call, 1_500.0)
    world.make("maker", **LAVISH | {"marginBuffer": to_wad(buffer)})
    assert refusal(world.buy, "friend", "maker", call, -1_500.0).name == "MakerMargin"
    size = 750.0
    while size > 1.0:
        before, _, _ = world.margin("maker")
        with suppress(Revert):
            world.buy("friend", "maker", call, -size)
        equity, initial, maintenance = world.margin("maker")
        assert equity >= maintenance
        assert equity >= min(initial, before)
        size /= 2


def test_maker_below_initial_margin_trades_back_only_where_that_costs_it_nothing() -> None:
    world, call = world_with_call()
    world.deposit("maker", 33_000)
    world.deposit("taker", 200_000)
    world.make("maker", **FREE)
    world.buy("taker", "maker", call, 100.0)
    world.later(60, 2_100.0)
    equity, initial, maintenance = world.margin("maker")
    assert maintenance < equity < initial
    world.make("maker", **FREE | {"vegaSkew": to_wad(1e-6), "marginBuffer": to_wad(10)})
    assert refusal(world.buy, "taker", "maker", call, -1.0).name == "MakerMargin"
    world.make("maker", **FREE | {"halfSpread": to_wad(0.02), "marginBuffer": to_wad(10)})
    assert refusal(world.buy, "taker", "maker", call, 1.0).name == "MakerMargin"
    world.buy("taker", "maker", call, -1.0)
    assert world.margin("maker")[0] > equity


def test_friend_cannot_choose_the_engine_of_a_maker_below_maintenance() -> None:
    """An option handed in and taken back would make whichever engine is called the wrong one."""
    world, call = world_with_call()
    world.deposit("other", 3_000_000)
    world.make("other", **FREE)
    for role in ("friend", "maker"):
        world.deposit(role, 100_000)
    world.buy("friend", "other", call, 1.0)
    world.make("maker", **FREE | {"halfSpread": to_wad(10)})
    world.trade("maker", 1_000.0)
    world.report()
    world.later(60, 1_925.0)
    equity, _, maintenance = world.margin("maker")
    assert 0 < equity < maintenance
    assert refusal(world.buy, "friend", "maker", call, -0.01).name == "MakerMargin"
    world.engine.send("liquidate", world.account("maker"), sender=world.account("liquidator"))
    assert world.size("maker") == 0


@pytest.mark.parametrize("buffer", [1, 10])
def test_maker_cannot_spend_the_margin_of_an_order_whose_price_is_known(buffer: int) -> None:
    world, call = world_with_call()
    world.deposit("friend", 800_000)
    world.deposit("maker", 137_000)
    world.make("maker", **FREE)
    world.buy("friend", "maker", call, 300.0)
    world.commit("maker", 500.0)
    hint = world.move(2_000.0, 2)
    world.move(1_900.0, 10)
    world.report()
    world.make("maker", **LAVISH | {"marginBuffer": to_wad(buffer)})
    revert = refusal(world.buy, "friend", "maker", call, -300.0)
    assert (revert.name, revert.args) == ("OrderDecided", (world.account("maker"), world.perp.address))
    world.settle("maker", hint)
    assert world.size("maker") == to_wad(500)
    world.make("maker", **FREE | {"halfSpread": to_wad(0.02)})
    world.buy("friend", "maker", call, -300.0)


def test_margin_buffer_of_a_maker_is_bounded_on_both_sides() -> None:
    """A buffer of a thousand would pass any loss for an improvement as long as it sheds some margin."""
    world = OptionWorld()
    for buffer in (WAD, 10 * WAD):
        world.make("maker", marginBuffer=buffer)
    for buffer in (WAD - 1, 10 * WAD + 1):
        revert = refusal(world.make, "maker", marginBuffer=buffer)
        assert (revert.name, revert.args) == ("BadQuoting", (buffer,))
