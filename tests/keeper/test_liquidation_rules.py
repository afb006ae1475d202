"""Whom to look at, whom to bid for, whom to deleverage: the liquidator's rules on values made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.protocol.margin import initial_margin_ratio, margins
from keeper.risk.liquidation import (
    LiquidatorConfig,
    Seen,
    bid_for,
    by_urgency,
    exit_cost,
    is_due,
    is_worth_gas,
    ranked,
    unwinding,
)
from keeper.state.accounts import AccountView, AuctionView, HouseView, MarketView, PerpPosition, Sight
from keeper.units import to_wad

NOW, PRICE = 1_700_000_000, 2_000.0
MARKET = MarketView("0xM", 0.0, 0.0, 0.0, 0, 2.0, 0.0003, 0.0005, 350_000.0, 0.096, 50e9)
HOUSE = HouseView(1, NOW, 10**9, PRICE, NOW, 300, 0.0, 0.0, 0, 0.0, 0.85, 0.77)


def account(
    name: str = "0xA", size: float = 10.0, equity: float = 1_000.0, maintenance: float = 500.0, **changes
) -> AccountView:
    position = PerpPosition(size, 0.0, PRICE, 0.0, 0.0, 0, to_wad(size))
    view = AccountView(
        name, True, False, equity, equity, 2.0 * maintenance, maintenance, "0xE", 0.0, 0.0, 0.0, 0.0, (position,), None
    )
    return replace(view, **changes)


def winner(name: str, size: float, score: int, pnl: float = 100.0, equity: float = 1_000.0) -> AccountView:
    return account(name, equity=equity, positions=(PerpPosition(size, 0.0, PRICE, pnl, 0.0, score, to_wad(size)),))


# Whom to look at


@given(
    size=st.floats(-5_000, 5_000).filter(lambda q: abs(q) > 0.01),
    leverage=st.floats(1.1, 24.0),
    move=st.floats(-0.5, 0.5),
    hours=st.floats(0.0, 24.0),
    rate=st.floats(-0.096, 0.096),
)
def test_none_that_price_or_funding_has_made_liquidatable_is_ever_left_unread(
    size: float, leverage: float, move: float, hours: float, rate: float
):
    """Against the margin formulas themselves: an account that is liquidatable at the new price is due."""
    now_price, elapsed = PRICE * (1.0 + move), hours * 3_600.0

    def maintenance(price: float) -> float:
        ratio = initial_margin_ratio(size, 350_000.0, 1.0, 0.04, 0.9)
        return margins(size, price, ratio, 0.5, 200.0, abs(size) * price * 0.0008 + 0.025 * price)[1]

    equity = abs(size) * PRICE / leverage
    view = account(size=size, equity=equity, maintenance=maintenance(PRICE))
    funding = rate * elapsed / 86_400.0 * size * 0.5 * (PRICE + now_price)
    later = equity + size * (now_price - PRICE) - funding
    if later < maintenance(now_price):
        assert is_due(Seen(view, PRICE, NOW), now_price, NOW + int(elapsed) + 1, 0.096, 10**9)


def test_a_far_account_is_left_alone_until_the_price_comes_near_or_it_has_been_too_long():
    seen = Seen(account(), PRICE, NOW)  # 500 of slack on a notional of 20,000
    assert not is_due(seen, 2_040.0, NOW + 60, 0.096, 600)
    assert is_due(seen, 2_060.0, NOW + 60, 0.096, 600)
    assert is_due(seen, 1_940.0, NOW + 60, 0.096, 600)
    assert is_due(seen, 2_000.0, NOW + 600, 0.096, 600)


def test_accounts_with_options_orders_or_auctions_are_read_at_every_head():
    order = replace(account().positions[0], pending=1.0)
    auction = AuctionView(NOW, 0, 0.5, 10.0)
    others = (account(option_units=1.0), account(positions=(order,)), account(auction=auction), account(readable=False))
    for view in others:
        seen = Seen(view, PRICE, NOW)
        assert is_due(seen, PRICE, NOW + 1, 0.096, 600)
        assert not is_due(seen, PRICE, NOW, 0.096, 600)


def test_the_least_healthy_liquidatable_account_comes_first():
    views = [account("0xB", equity=400.0), account("0xC", equity=100.0), account("0xD"), account("0xA", equity=400.0)]
    in_debt = account("0xE", size=0.0, equity=-1.0, maintenance=0.0)
    assert [view.address for view in by_urgency([*views, in_debt])] == ["0xE", "0xC", "0xA", "0xB"]


# Whether it pays


@pytest.mark.parametrize(
    ("reward", "base_fee", "sent"), [(0.0, 50e9, True), (59.9, 100e9, False), (60.1, 100e9, True), (1.0, 51e9, False)]
)
def test_up_to_the_highest_base_fee_everything_is_sent_and_above_it_what_pays(
    reward: float, base_fee: float, sent: bool
):
    """300,000 gas at 100 gwei and 2,000 USD per ether are 60 USD."""
    assert is_worth_gas(reward, 300_000, base_fee, PRICE, base_fee, 50e9) is sent


# Whom to deleverage


def test_candidates_hold_the_other_side_in_exactly_falling_score():
    views = [winner("0xA", -1.0, 10**18 + 1), winner("0xB", -1.0, 10**18 + 2), winner("0xC", 1.0, 9 * 10**18)]
    assert ranked(views, 0, 1, 1e9) == ["0xB", "0xA"]
    assert ranked(views, 0, -1, 1e9) == ["0xC"]
    assert ranked(views, 0, 0, 1e9) == ["0xC", "0xB", "0xA"]


def test_losers_and_the_liquidatable_are_no_candidates_and_sixteen_are_enough():
    views = [winner(f"0x{n:02}", -1.0, 100 - n) for n in range(30)]
    poor = winner("0xP", -1.0, 10**20, equity=1.0)
    assert ranked([*views, poor, winner("0xL", -1.0, 0)], 0, 1, 1e9) == [f"0x{n:02}" for n in range(16)]
    assert ranked(views, 0, 1, 150.0) == ["0x00", "0x01", "0x02", "0x03"]


# What to bid


def auctioned(paid: float, fraction: float = 1.0, **changes) -> AccountView:
    return account("0xV", equity=300.0, auction=AuctionView(NOW, 0, fraction, paid), **changes)


def bid(view: AccountView, own_equity: float = 1e6, **config):
    own = account("0xO", size=0.0, equity=own_equity, maintenance=0.0)
    settings = LiquidatorConfig(**{"bid_capital": 1e6, "min_profit": 0.001, **config})
    return bid_for(view, own, Sight(HOUSE, (MARKET,), (view,)), 5.0, settings)


def test_a_bid_takes_all_that_is_for_sale_when_the_discount_pays_for_closing_and_gas():
    made = bid(auctioned(-100.0))
    costs = exit_cost(auctioned(-100.0), (MARKET,), PRICE, 1.0) + 5.0
    assert costs == pytest.approx(5.0 + 10.0 * PRICE * (0.0005 * (1 - 5 / 350_000) + 0) + 0.2857, rel=1e-3)
    assert made.fraction == 1.0
    assert made.profit == pytest.approx(100.0 - costs)
    assert made.max_paid == pytest.approx(-100.0 + 0.5 * made.profit)


def test_a_discount_that_does_not_pay_is_left_to_others():
    assert bid(auctioned(-30.0)) is None
    assert bid(auctioned(-100.0), min_profit=0.01) is None
    assert bid(auctioned(-100.0), bid_capital=0.0) is None
    assert bid(auctioned(-100.0, fraction=0.0)) is None


def test_margin_and_capital_bound_the_fraction():
    whole = 1.25 * 1_000.0
    assert bid(auctioned(-100.0), bid_capital=0.5 * whole).fraction == pytest.approx(0.5)
    assert bid(auctioned(-100.0), own_equity=0.5 * (whole - 100.0)).fraction == pytest.approx(0.5)
    assert bid(auctioned(-100.0), own_equity=0.0) is None


def test_options_count_at_mid_less_the_cost_of_closing_them():
    view = auctioned(500.0, option_units=5.0, option_value=800.0, option_closing_cost=50.0)
    assert bid(view).profit == pytest.approx(300.0 - exit_cost(view, (MARKET,), PRICE, 1.0) - 5.0)
    assert exit_cost(view, (MARKET,), PRICE, 0.5) > 25.0


# What was won


def test_what_was_won_is_closed_and_options_are_hedged():
    config = LiquidatorConfig(min_trade=0.5)
    assert unwinding(account(size=4.0), 0, config) == to_wad(-4.0)
    assert unwinding(account(size=-1.0, option_delta=3.0), 0, config) == to_wad(-2.0)
    assert unwinding(account(size=-2.6, option_delta=3.0), 0, config) == 0
    dust = replace(account().positions[0], size=1e-18, exact=1)
    assert unwinding(account(positions=(dust,)), 0, config) == -1
    waiting = replace(account().positions[0], pending=1.0)
    assert unwinding(account(positions=(waiting,)), 0, config) == 0.0
