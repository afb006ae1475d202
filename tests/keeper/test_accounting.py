"""Ledger and transaction costs on hand-made runs."""

from __future__ import annotations

import math
import random

import pytest
from hand_made import DAY, EXPIRY, START, holding, snapshot, value, venue

from keeper.accounting.costs import order_cost, summarise
from keeper.accounting.ledger import Ledger
from keeper.pricing.black76 import spot_greeks
from keeper.state.events import Fill, Flow
from keeper.state.snapshot import YEAR_SECONDS


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
