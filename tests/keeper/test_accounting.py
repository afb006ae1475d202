"""Ledger and transaction costs on hand-made runs."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hand_made import DAY, EXPIRY, START, holding, snapshot, value, venue
from option_world import OptionWorld
from venue_world import ADL_WINDOW

from keeper.accounting.attribution import Attribution
from keeper.accounting.costs import order_cost, summarise
from keeper.accounting.ledger import Ledger
from keeper.chain.deployment import Deployment, VaultEntry
from keeper.chain.events import EventDecoder
from keeper.chain.reader import LensReader
from keeper.pricing.black76 import spot_greeks
from keeper.state.events import EVERYBODY, Charge, Event, Fill, Flow, Haircut, Sale
from keeper.state.snapshot import YEAR_SECONDS, Snapshot
from keeper.units import WAD, from_wad


def test_ledger_of_a_hedged_option_explains_itself() -> None:
    """One option hedged hourly for ten days along a rough path, marked to market by hand: under 1% is unexplained."""
    draws, ledger, spot, vol, cash, hedge = random.Random(3), Ledger("scalper"), 100.0, 0.6, 0.0, 0.0
    size, fills = 5.0, []
    for hour in range(240):
        time = START + hour * 3_600
        nav = cash + hedge * spot + size * value(spot, time, vol)
        ledger.record(snapshot(hour + 1, time, spot, nav, (holding(size, vol),), (venue(hedge),)), fills)
        delta = size * spot_greeks(spot, 100.0, (EXPIRY - time) / YEAR_SECONDS, vol, 0.0, True)[1]
        trade = -delta - hedge
        fee = 0.0005 * abs(trade) * spot
        cash, hedge = cash - trade * spot - fee, hedge + trade
        fills = [Fill(hour + 2, time, "scalper", "0xVenue", hour, trade, spot, spot, fee, 0.0, 0.0, 0.0)]
        spot *= math.exp(draws.gauss(0.0, 0.02))
        vol = max(0.3, vol + draws.gauss(0.0, 0.01))
    parts = ledger.total
    assert parts.pnl == pytest.approx(ledger.intervals[-1].nav - size * value(100.0, START, 0.6), abs=1e-8)
    assert ledger.unexplained_ratio < 0.01
    assert parts.gamma > 0.0 > parts.theta
    assert parts.fees < 0.0


def test_ledger_ignores_a_block_that_it_has_seen() -> None:
    ledger = Ledger("scalper")
    first = snapshot(1, START, 100.0, 10.0, ())
    assert ledger.record(first, []) is None
    assert ledger.record(first, [Flow(1, START, "scalper", 5.0)]) is None
    assert ledger.intervals == []
    assert ledger.pnl == 0.0
    assert ledger.unexplained_ratio == 0.0


def test_drawdown_is_the_greatest_fall_from_a_peak() -> None:
    ledger = Ledger("scalper")
    for number, nav in enumerate([100.0, 120.0, 90.0, 130.0, 125.0], start=1):
        ledger.record(snapshot(number, START + number * DAY, 100.0, nav, ()), [])
    assert ledger.max_drawdown == pytest.approx(0.25)
    assert ledger.pnl == pytest.approx(25.0)


def test_costs_split_waiting_from_impact() -> None:
    """Sold 10 decided at 100; the index was 98 when it filled, at 97.9: waiting cost 20, impact 1."""
    fill = Fill(1, START, "underwriter", "0xVenue", 4, -10.0, 97.9, 98.0, 0.5, 2.0, 0.0, 0.0)
    cost = order_cost(fill, 100.0)
    assert (cost.delay, cost.impact) == pytest.approx((20.0, 1.0))
    assert cost.shortfall == pytest.approx(23.5)
    summary = summarise([cost])
    assert summary.shortfall == pytest.approx(23.5)
    assert summary.drift_bps == pytest.approx(1e4 * math.log(100.0 / 98.0))
    assert summary.turnover == pytest.approx(979.0)


def test_no_orders_cost_nothing() -> None:
    assert summarise([]).shortfall == 0.0


# -- liquidation ------------------------------------------------------------------------------------------------------


def with_cash(seen: Snapshot, cash: float) -> Snapshot:
    return replace(seen, account=replace(seen.account, cash=cash))


def one_interval(first: Snapshot, last: Snapshot, events: list[Event]) -> Attribution:
    ledger = Ledger("scalper")
    ledger.record(first, [])
    interval = ledger.record(last, events)
    assert interval is not None
    return interval.attribution


@pytest.mark.parametrize("fraction", [0.25, 1.0])
def test_sale_of_a_part_costs_what_it_was_worth_less_what_was_received(fraction: float) -> None:
    """Short 5 options and long 2 coins, a fraction sold 300 USD below its worth when the index is at 104."""
    day, spots, vol = DAY, (100.0, 104.0, 103.0), 0.6
    values = [value(spot, START + each * day, vol) for each, spot in enumerate(spots)]
    left, cash = 1.0 - fraction, 1_000.0
    sold = fraction * -5.0 * values[1]
    received = sold - 300.0
    realised = fraction * 2.0 * (104.0 - 100.0)
    navs = (
        cash - 5.0 * values[0],
        cash + received + realised + left * (2.0 * (103.0 - 100.0) - 5.0 * values[2]),
    )
    held = [(holding(-5.0 * part, vol),) if part else () for part in (1.0, left)]
    first = with_cash(snapshot(1, START, spots[0], navs[0], held[0], (venue(2.0),)), cash)
    last = snapshot(9, START + 2 * day, spots[2], navs[1], held[1], (venue(2.0 * left),))
    when = (5, START + day, "scalper")
    fill = Fill(*when, "0xVenue", 0, -2.0 * fraction, 104.0, 104.0, 0.0, 0.0, realised, 0.0, True)
    parts = one_interval(first, last, [fill, Sale(*when, fraction, 104.0, received)])
    assert parts.liquidation == pytest.approx(-300.0, rel=1e-9)
    assert abs(parts.unexplained) < 1e-3 * parts.gross
    assert parts.fees == parts.slippage == 0.0


def test_haircut_takes_its_part_of_the_cash_that_was_there_just_then() -> None:
    """1000 at the start, 500 deposited, 100 charged, 2% of it socialised, and 700 deposited when it was over."""
    when = (2, START + 60, "scalper")
    events: list[Event] = [
        Flow(*when, 500.0), Charge(*when, 100.0), Haircut(2, START + 60, EVERYBODY, 0.98), Flow(*when, 700.0),
    ]  # fmt: skip
    first = with_cash(snapshot(1, START, 100.0, 1_000.0, ()), 1_000.0)
    parts = one_interval(first, snapshot(2, START + 60, 100.0, 1_400.0 * 0.98 + 700.0, ()), events)
    assert parts.liquidation == pytest.approx(-100.0 - 28.0)
    assert parts.unexplained == pytest.approx(0.0, abs=1e-9)


def test_who_owes_loses_nothing_by_a_haircut() -> None:
    first = with_cash(snapshot(1, START, 100.0, -50.0, ()), -50.0)
    haircut = Haircut(2, START + 60, EVERYBODY, 0.5)
    assert one_interval(first, snapshot(2, START + 60, 100.0, -50.0, ()), [haircut]).liquidation == 0.0


class BookedWorld:
    """An underwriter on real contracts, short 400 calls and partly hedged, and its ledger."""

    def __init__(self, deposit: float) -> None:
        self.world = world = OptionWorld()
        world.open_vaults()
        self.vault = world.underwriter
        world.invest(self.vault, "depositor", deposit)
        for role, dollars in (("taker", 2_000_000), ("bidder", 3_000_000), ("loser", 30_000)):
            world.deposit(role, dollars)
        world.buy("taker", self.vault.address, world.list_series(2_000.0, True), 400.0)
        world.hedge(self.vault, 150.0)
        world.settle_hedge(self.vault)
        world.trade("loser", -150.0)
        world.report()
        parts = {"Clearinghouse": world.house, "PerpMarket": world.perp, "OptionMarket": world.market}
        parts |= {"FullLiquidation": world.engine, "DutchAuctionLiquidation": world.auction}
        parts |= {"VolatilityFeed": world.surface, "PriceFeed": world.feed, "VaultLens": world.lens}
        parts |= {"Waterfall": world.waterfall}
        mandate = world.mandates[self.vault.address].address
        entry = VaultEntry(self.vault.address, "underwriter", mandate, None, 0.0)
        accounts = {"hedger": world.account("hedger")}
        addresses = {name: part.address for name, part in parts.items() if part is not None}
        deployment = Deployment(world.evm.chain_id, 1, addresses, {"underwriter": entry}, accounts, {})
        self.reader, self.decoder = LensReader(world.evm, deployment), EventDecoder(deployment)
        self.ledger, self.logs = Ledger("underwriter"), list[dict[str, Any]]()
        self.ledger.record(self.look(), [])

    def look(self) -> Snapshot:
        return asyncio.run(self.reader.snapshot("underwriter"))

    def booked(self) -> Attribution:
        """What the receipts of the world tell since the last look."""
        events = self.decoder.decode(self.logs)
        mine = [event for event in events if event.account in (self.vault.address, EVERYBODY)]
        interval = self.ledger.record(self.look(), mine)
        self.logs.clear()
        assert interval is not None
        return interval.attribution

    def jump(self, price: float) -> None:
        """A price so far away that its own interval is not explained as well as the rest."""
        self.world.later(60, price)
        self.booked()
        self.world.later(1)

    def note(self, receipt: Any) -> None:
        evm, transaction = self.world.evm, hex(len(self.logs))
        for log in receipt.logs:
            topics = ["0x" + topic.hex() for topic in log.topics]
            place = {"blockNumber": hex(evm.block_number), "blockTimestamp": hex(evm.timestamp)}
            raw = {"address": log.address, "topics": topics, "data": "0x" + log.data.hex()}
            self.logs.append({**raw, **place, "transactionHash": transaction})


def worth(world: OptionWorld, role: str) -> float:
    account, price = world.account(role), world.price()
    options = world.market.call("greeksOf", account, price)[0]
    return from_wad(world.cash(role) + sum(world.perp.call("accrued", account, price)) + options)


def test_auction_of_a_vault_is_booked_under_liquidation() -> None:
    """What the bidder gained and the starter earned is what the vault lost by it, and nothing is left unexplained."""
    booked = BookedWorld(210_000.0)
    world, vault = booked.world, booked.vault
    booked.jump(2_600.0)
    started = world.liquidate(vault.address)
    world.later(600)
    before = worth(world, "bidder")
    sold = world.bid(vault.address)
    for receipt in (started, sold):
        booked.note(receipt)
    gained = worth(world, "bidder") - before
    reward = from_wad(started.events("AuctionStarted")[0]["reward"])
    assert 0 < from_wad(sold.events("AuctionBid")[0]["fraction"]) < 1
    parts = booked.booked()
    assert parts.liquidation == pytest.approx(-(gained + reward), rel=0.01)
    assert abs(parts.unexplained) < 1e-6 * parts.gross


def test_deleveraging_of_a_vault_and_a_haircut_on_its_cash_are_booked_under_liquidation() -> None:
    booked = BookedWorld(600_000.0)
    world, vault = booked.world, booked.vault
    world.hand_over(world.fund.address, "taker", world.cash(world.fund.address))
    booked.jump(2_480.0)
    booked.note(world.liquidate("loser"))
    receipt = world.adl(vault.address)
    booked.note(receipt)
    (told,) = receipt.events("Deleveraged")
    assert told["haircut"] > 0
    parts = booked.booked()
    assert parts.liquidation == pytest.approx(-from_wad(told["haircut"]), rel=1e-9)
    assert abs(parts.unexplained) < 1e-6 * parts.gross

    world.hand_over("debtor", "winner", 12_000_000 * WAD)
    booked.note(world.liquidate("debtor"))
    world.later(ADL_WINDOW + 1)
    cash = from_wad(world.cash(vault.address))
    booked.note(world.settle_deficit())
    kept = world.house.call("haircutIndex") / 10**27
    assert kept < 1.0
    parts = booked.booked()
    assert parts.liquidation == pytest.approx(-(1.0 - kept) * cash, rel=1e-9)
    assert abs(parts.unexplained) < 1e-6 * parts.gross


def test_reward_for_an_account_that_held_nothing_is_a_charge() -> None:
    booked = BookedWorld(600_000.0)
    world = booked.world
    world.hand_over("debtor", "winner", 1_000 * WAD)
    receipt = world.liquidate("debtor")
    booked.note(receipt)
    (told,) = receipt.events("Liquidated")
    (charge,) = booked.decoder.decode(booked.logs)
    assert charge == Charge(charge.block_number, charge.timestamp, world.account("debtor"), from_wad(told["reward"]))
