"""What the keeper sees is what the chain says: the lens, the Greeks, the events, the orders in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from live_world import World

from keeper.chain import abi
from keeper.chain.abi import interface_of
from keeper.chain.events import EventDecoder, read_events
from keeper.chain.node import Anvil
from keeper.chain.words import decoder_of
from keeper.errors import InputError
from keeper.hedging.decide import HedgeConfig
from keeper.pricing.black76 import greeks
from keeper.pricing.essvi import implied_vol
from keeper.risk.exposure import exposure
from keeper.state.events import Fill, Flow, OptionTrade
from keeper.state.ports import Head
from keeper.state.snapshot import Snapshot, SurfaceState
from keeper.units import SECONDS_PER_YEAR, from_wad

GWEI = 10**9


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Two vaults with a straddle between them, hedged once, and an order of the trader in flight."""
    with Anvil() as chain:
        made = World(chain, HedgeConfig(policy="fixed-band", band=0.01))
        made.steps(8)
        made.market.spot = 2_060.0
        made.steps(6)
        yield made


def test_a_snapshot_says_what_the_contracts_say(world: World):
    backend, deployed = world.chain.backend(), world.deployment
    seen, address = world.snapshot("scalper"), deployed.address("scalper")
    perp, house = deployed.contract(backend, "PerpMarket"), deployed.contract(backend, "Clearinghouse")
    vault = deployed.contract(backend, "scalper")
    price = deployed.contract(backend, "PriceFeed").call("peek")[0]

    assert seen.block.number == world.number
    assert seen.block.timestamp == world.now
    assert seen.block.chain_id == 31_337
    assert seen.price.price == from_wad(price) == 2_060.0
    assert seen.account.cash == from_wad(house.call("cash", address))
    assert [seen.account.equity, seen.account.initial_margin, seen.account.maintenance_margin] == [
        from_wad(value) for value in house.call("margin", address, price)
    ]
    assert [seen.state.nav_mid, seen.state.nav_low, seen.state.nav_high] == [
        from_wad(value) for value in vault.call("nav")
    ]
    assert (seen.state.net_delta, seen.state.net_gamma) == tuple(map(from_wad, vault.call("netDelta", price)))
    assert seen.state.share_price == from_wad(vault.call("sharePrice"))
    venue = seen.venues[0]
    assert venue.size == from_wad(perp.call("position", address)[0]) != 0.0
    assert venue.skew == from_wad(perp.call("skew"))
    assert venue.last_fill_time == perp.call("lastFillTime", address) > 0


def test_the_words_decoder_agrees_with_the_general_one(world: World):
    question = interface_of("VaultLens").function("snapshot", 2)
    arguments = (world.deployment.address("scalper"), world.deployment.address("hedger"))
    answer = world.chain.backend().call(world.deployment.address("VaultLens"), question.encode(arguments))
    assert decoder_of(question.outputs[0])(answer) == _tuples(abi.decode(question.output_types, answer)[0])


def _tuples(value: object) -> object:
    return tuple(map(_tuples, value)) if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("kind", ["string", "uint256[][]"])
def test_the_words_decoder_refuses_what_is_not_made_of_words(kind: str):
    with pytest.raises(InputError):
        decoder_of({"type": "tuple", "components": [{"type": kind, "name": "x"}]})


def test_the_chain_s_greeks_are_those_of_black_76_at_the_surface_s_vol(world: World):
    """Two sources: the contract's fixed point, and floats at the vol that the float surface gives."""
    seen = world.snapshot("scalper")
    assert len(seen.holdings) == 2
    for held in seen.holdings:
        years, forward = held.time_to_expiry(seen.block.timestamp), seen.price.price
        part = next(each for each in seen.slices if each.expiry == held.expiry)
        vol = implied_vol(forward, held.strike, years, part.theta, part.rho_psi, part.psi)
        assert held.vol == pytest.approx(vol, rel=1e-9)
        averaged = years - 1_200 / SECONDS_PER_YEAR  # two thirds of the averaging window
        assert (held.forward, held.variance_time) == pytest.approx((forward, averaged), rel=1e-12)
        value, delta, gamma, vega, theta = greeks(forward, held.strike, averaged, vol, 0.0, held.is_call)
        assert (held.value, held.delta, held.gamma) == pytest.approx((value, delta, gamma), rel=1e-8)
        assert (held.vega, held.theta) == pytest.approx((vega, theta), rel=1e-8)


def test_exposure_and_chain_agree_on_net_delta_and_gamma(world: World):
    for vault in world.deployment.vaults:
        seen = world.snapshot(vault)
        assert exposure(seen).net_delta == pytest.approx(seen.state.net_delta, rel=1e-12, abs=1e-12)
        assert exposure(seen).gamma == pytest.approx(seen.state.net_gamma, rel=1e-12)


def test_a_snapshot_is_one_request_and_is_kept_until_the_next_head(world: World):
    before = world.chain.rpc.count
    world.reader.new_head(Head(10**9, 0, 0))
    for _ in range(3):
        world.snapshot("scalper")
    assert world.chain.rpc.count == before + 1
    world.reader.new_head(Head(10**9 + 1, 0, 0))
    world.snapshot("scalper")
    assert world.chain.rpc.count == before + 2


def test_the_surface_is_fresh_and_covers_the_options(world: World):
    seen = world.snapshot("scalper")
    assert {part.state for part in seen.slices} == {SurfaceState.FRESH}
    assert max(part.expiry for part in seen.slices) >= max(held.expiry for held in seen.holdings)


def test_events_tell_the_trades_from_both_sides_and_the_deposits(world: World):
    events = read_events(world.chain.rpc, world.deployment, 0, world.number)
    scalper, underwriter = world.deployment.address("scalper"), world.deployment.address("underwriter")
    bought = [event for event in events if isinstance(event, OptionTrade) and event.account == scalper]
    sold = [event for event in events if isinstance(event, OptionTrade) and event.account == underwriter]
    held = {each.series_id: each.size for each in world.snapshot("scalper").holdings}
    assert {event.series_id: event.size for event in bought} == held
    assert [event.premium for event in bought] == [-event.premium for event in sold]
    assert all(event.premium > event.mid > 0.0 for event in bought)
    deposits = {event.account: event.amount for event in events if isinstance(event, Flow)}
    assert (deposits[scalper], deposits[underwriter]) == (1_000_000.0, 5_000_000.0)


def test_fills_add_up_to_the_position_and_explain_the_cash(world: World):
    """Cash is deposits, less premiums, plus what fills paid: to the wei that floats can hold."""
    events = read_events(world.chain.rpc, world.deployment, 0, world.number)
    address, seen = world.deployment.address("scalper"), world.snapshot("scalper")
    fills = [event for event in events if isinstance(event, Fill) and event.account == address]
    assert len(fills) >= 2
    assert sum(fill.size for fill in fills) == pytest.approx(seen.venues[0].size, rel=1e-12)
    premiums = sum(e.premium for e in events if isinstance(e, OptionTrade) and e.account == address)
    earned = sum(fill.pnl + fill.funding - fill.fee - fill.reward for fill in fills)
    assert seen.account.cash == pytest.approx(1_000_000.0 - premiums + earned, abs=1e-6)


def test_foreign_logs_are_no_events(world: World):
    foreign = {"address": "0x" + "99" * 20, "topics": [], "data": "0x", "blockNumber": "0x1", "transactionHash": "0x"}
    assert EventDecoder(world.deployment).decode([foreign]) == []


def test_the_rounds_are_the_first_from_and_the_one_in_force(world: World):
    """Against a walk over all rounds."""
    feed = world.deployment.contract(world.chain.backend(), "PriceFeed")
    rounds = {number: feed.call("getRoundData", number)[3] for number in range(1, feed.call("peek")[2] + 1)}
    for time in range(min(rounds.values()), world.now + 2, 7):
        at_or_after = [number for number, published in rounds.items() if published >= time]
        before = [number for number, published in rounds.items() if published <= time]
        assert asyncio.run(world.reader.first_rounds_from([time])).get(time) == min(at_or_after, default=None)
        assert asyncio.run(world.reader.round_in_force(time)) == max(before, default=None)
    assert asyncio.run(world.reader.round_in_force(min(rounds.values()) - 1)) is None


def test_orders_in_flight_are_those_that_the_venue_holds(world: World):
    world.market.spot *= 1.01
    world.steps(2)
    head = Head(world.number, world.now, GWEI)
    pending = asyncio.run(world.reader.pending_orders(head))
    shown = {world.deployment.address(v): world.snapshot(v).venues[0].pending for v in world.deployment.vaults}
    assert any(shown.values())
    assert dict(pending) == {account: order for account, order in shown.items() if order is not None}


def test_a_snapshot_has_no_number_that_is_not_finite(world: World):
    def numbers(value: object) -> Iterator[float]:
        if isinstance(value, float):
            yield value
        elif isinstance(value, (tuple, Snapshot)) or hasattr(value, "__slots__"):
            items = value if isinstance(value, tuple) else [getattr(value, name) for name in value.__slots__]
            for item in items:
                yield from numbers(item)

    found = list(numbers(world.snapshot("scalper")))
    assert len(found) > 50
    assert all(abs(number) < 1e18 for number in found)
