"""The attribution against the published table, hand-made intervals, and its own identity."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hand_made import DAY, EXPIRY, START, holding, snapshot, value, venue
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.accounting.attribution import PARTS, Attribution, attribute, total
from keeper.accounting.line import line_terms
from keeper.pricing.black76 import spot_greeks
from keeper.state.events import Event, Expiry, Fill, Flow, OptionTrade
from keeper.state.snapshot import PendingOrder


def test_line_with_one_step_reproduces_the_published_table() -> None:
    terms = line_terms(100.0, 100.0, 30 / 365, 0.6, True, 103.0, 29 / 365, 0.63, 1)
    published = (1.926276, 1.602809, 0.103980, -0.113951, 0.341853, 0.005128, -0.000063)
    assert terms == pytest.approx(published, abs=1e-6)
    assert terms[0] - sum(terms[1:]) == pytest.approx(-0.013480, abs=1e-6)


def test_line_splits_alike_however_many_steps_it_takes() -> None:
    """Cutting a move into steps must not turn the profit of gamma into one of delta."""
    one, four = (line_terms(100.0, 100.0, 30 / 365, 0.6, True, 104.0, 29.9 / 365, 0.62, steps) for steps in (1, 4))
    assert four[1] == pytest.approx(one[1])  # delta
    assert four[2] == pytest.approx(one[2], rel=0.05)  # gamma
    assert four[4] == pytest.approx(one[4])  # vega


def test_gamma_and_theta_of_a_hedged_option_earn_the_difference_of_variances() -> None:
    """Boyle and Emanuel: over a short time, gamma + theta = gamma S^2 (realised^2 - implied^2) dt / 2."""
    time, vol, days = 30 / 365, 0.6, 1 / 24 / 365
    for realised in (0.3, 0.6, 1.2):
        move = 100.0 * realised * math.sqrt(days)
        terms = [line_terms(100.0, 100.0, time, vol, True, 100.0 + s * move, time - days, vol, 4) for s in (1.0, -1.0)]
        gamma = spot_greeks(100.0, 100.0, time, vol, 0.0, True)[2]
        expected = 0.5 * gamma * 100.0**2 * (realised**2 - vol**2) * days
        assert math.fsum(t[2] + t[3] for t in terms) / 2.0 == pytest.approx(expected, abs=2e-4)


def test_line_with_more_steps_leaves_less_unexplained() -> None:
    """Third-order terms vanish with the square of the number of steps."""
    left = [
        abs(terms[0] - math.fsum(terms[1:]))
        for steps in (1, 4, 16)
        for terms in [line_terms(100.0, 100.0, 30 / 365, 0.6, True, 88.0, 29.9 / 365, 0.7, steps)]
    ]
    assert left[1] < left[0] / 3.0
    assert left[2] < left[1] / 3.0


def test_option_held_over_an_interval_is_explained_by_its_greeks() -> None:
    end = START + DAY
    before = snapshot(1, START, 100.0, 10.0 * value(100.0, START, 0.6), (holding(10.0, 0.6),))
    after = snapshot(2, end, 103.0, 10.0 * value(103.0, end, 0.63), (holding(10.0, 0.63),))
    parts, flows = attribute(before, after, [])
    assert flows == 0.0
    assert parts.pnl == pytest.approx(19.26167, abs=1e-5)
    assert abs(parts.unexplained) < 0.01 * parts.gross
    assert parts.gamma > 0.0 > parts.theta
    assert parts.vega > 0.0


def test_perp_is_marked_exactly_and_split_at_the_fill() -> None:
    """Long 4 coins from 100, 3 sold with the index at 110 at 109, then on to 105: 4 x 10 + 1 x -5 = 35 at index."""
    before = snapshot(1, START, 100.0, 1_000.0, (), (venue(4.0, accrued=-1.0),))
    fill = Fill(2, START + 60, "scalper", "0xVenue", 1, -3.0, 109.0, 110.0, 0.5, 2.0, 0.0, -1.5)
    nav = 1_000.0 + 35.0 - 3.0 - 0.5 - 2.0 + (-1.5 + 0.25 - -1.0)
    after = snapshot(2, START + 300, 105.0, nav, (), (venue(1.0, accrued=0.25),))
    parts, _ = attribute(before, after, [fill])
    assert parts.delta == pytest.approx(35.0)
    assert parts.slippage == pytest.approx(-3.0)
    assert (parts.fees, parts.gas) == (-0.5, -2.0)
    assert parts.funding == pytest.approx(-0.25)
    assert parts.unexplained == pytest.approx(0.0, abs=1e-9)


def test_order_in_flight_books_its_expected_cost_and_trues_it_up() -> None:
    """Buying 10 on a flat book of scale 1000: fill 100.5, impact 5, fee 0.0005 x 10 x 100.5, reward 3."""
    fee = 0.0005 * 10.0 * 100.5
    flat = snapshot(1, START, 100.0, 1_000.0, (), (venue(0.0),))
    order = PendingOrder(1, 10.0, 110.0, START)
    waiting = snapshot(2, START + 1, 100.0, 1_000.0 - 5.0 - fee - 3.0, (), (venue(0.0, pending=order),))
    parts, _ = attribute(flat, waiting, [])
    assert (parts.slippage, parts.fees, parts.gas) == pytest.approx((-5.0, -fee, -3.0))
    assert parts.unexplained == pytest.approx(0.0, abs=1e-9)

    fill = Fill(3, START + 3, "scalper", "0xVenue", 1, 10.0, 101.0, 100.0, 0.6, 3.0, 0.0, 0.0)
    done = snapshot(3, START + 3, 100.0, 1_000.0 - 10.0 - 0.6 - 3.0, (), (venue(10.0, skew=10.0),))
    parts, _ = attribute(waiting, done, [fill])
    assert (parts.slippage, parts.fees, parts.gas) == pytest.approx((-5.0, fee - 0.6, 0.0))
    assert parts.unexplained == pytest.approx(0.0, abs=1e-9)


def test_trade_away_from_mid_is_spread() -> None:
    after = snapshot(2, START + 1, 100.0, 1_000.0 - 6.0, (holding(10.0, 0.6),))
    trade = OptionTrade(2, START + 1, "scalper", 7, 10.0, 74.0, 68.0, 0.6)
    parts, _ = attribute(snapshot(1, START, 100.0, 1_000.0, ()), after, [trade])
    assert parts.spread == pytest.approx(-6.0)
    assert parts.unexplained == pytest.approx(0.0, abs=1e-9)


def test_settlement_ends_the_line_at_the_settlement_price_and_books_a_haircut_as_liquidation() -> None:
    time = EXPIRY - 60
    before = snapshot(1, time, 120.0, 2.0 * value(120.0, time, 0.6), (holding(2.0, 0.6),))
    settled = Expiry(2, EXPIRY + 5, "scalper", 7, 2.0, 119.0, 2.0 * 19.0 - 4.0)
    after = snapshot(2, EXPIRY + 5, 90.0, 34.0, ())
    parts, _ = attribute(before, after, [settled])
    assert parts.delta == pytest.approx(-2.0, abs=1e-6)
    assert parts.liquidation == pytest.approx(-4.0)
    assert abs(parts.unexplained) < 1e-6


def test_expired_option_waiting_for_its_price_moves_with_its_intrinsic_value() -> None:
    before = snapshot(1, EXPIRY, 120.0, 20.0, (holding(1.0, 0.0),))
    after = snapshot(2, EXPIRY + 9, 150.0, 18.0, (holding(1.0, 0.0, settlement=118.0),))
    parts, _ = attribute(before, after, [])
    assert parts.delta == pytest.approx(-2.0)
    assert parts.unexplained == pytest.approx(0.0, abs=1e-9)


def test_deposit_is_a_flow_and_no_profit() -> None:
    events: list[Event] = [Flow(2, START + 1, "scalper", 500.0)]
    parts, flows = attribute(snapshot(1, START, 100.0, 1.0, ()), snapshot(2, START + 1, 100.0, 501.0, ()), events)
    assert flows == 500.0
    assert parts == Attribution()


@settings(max_examples=60, deadline=None)
@given(
    spot=st.floats(50.0, 200.0), end=st.floats(50.0, 200.0), size=st.floats(-1e4, 1e4), hedge=st.floats(-1e4, 1e4),
    vol=st.floats(0.2, 3.0), end_vol=st.floats(0.2, 3.0), gain=st.floats(-1e6, 1e6), fill_size=st.floats(-1e3, 1e3),
)  # fmt: skip
def test_parts_always_sum_to_the_change_in_nav(
    spot: float, end: float, size: float, hedge: float, vol: float, end_vol: float, gain: float, fill_size: float
) -> None:
    """The identity holds whatever the snapshots claim, to 1e-9 of gross: what cannot be explained is unexplained."""
    before = snapshot(1, START, spot, 1e6, (holding(size, vol),), (venue(hedge),))
    fill = Fill(2, START + 9, "scalper", "0xVenue", 1, fill_size, spot * 1.01, spot, 1.0, 1.0, 0.0, 0.0)
    later = snapshot(2, START + DAY, end, 1e6 + gain + 100.0, (holding(size, end_vol),), (venue(hedge + fill_size),))
    parts, flows = attribute(before, later, [fill, Flow(2, START + 9, "scalper", 100.0)])
    assert flows == 100.0
    assert abs(parts.pnl - gain) <= 1e-9 * max(parts.gross, 1.0)


def test_total_adds_part_by_part() -> None:
    one = Attribution(**{name: float(i) for i, name in enumerate(PARTS)})
    assert total([one, one, replace(one, delta=5.0)]).parts() == {
        name: 3.0 * i + (5.0 if name == "delta" else 0.0) for i, name in enumerate(PARTS)
    }
